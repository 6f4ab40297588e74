"""Lists: cursors, sorting, filters, cells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import connection
from django.db.models import Count
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from patchflow.kernel.models import RoleGrant, User
from patchflow.web.tables import BadCursor, Column, CursorPage, Filter, Listing, Table
from tests.patchflow.web.conftest import NOW, Render

pytestmark = pytest.mark.django_db
SEEN = [None, NOW, NOW - timedelta(days=1), NOW - timedelta(days=1), None, NOW - timedelta(microseconds=1), NOW]


@pytest.fixture
def people() -> list[User]:
    """Seven people; some last seen at the same moment, some never."""
    return User.objects.bulk_create(User(username=f"u{n}", last_login=seen) for n, seen in enumerate(SEEN))


def walk(queryset: Any, order: tuple[str, ...], size: int, *, back: bool = False) -> list[list[Any]]:
    """Every page from the first to the last (or from the last back), by following the links."""
    make, pages = RequestFactory(), []
    page: CursorPage[Any] = CursorPage(queryset, order, make.get("/list", {"q": "x"}), size)
    pages.append(page)
    while page.next_url:
        assert "q=x" in page.next_url
        page = CursorPage(queryset, order, make.get(f"/list{page.next_url}"), size)
        pages.append(page)
    if back:
        pages = [page]
        while page.previous_url:
            page = CursorPage(queryset, order, make.get(f"/list{page.previous_url}"), size)
            pages.append(page)
    return [list(page) for page in pages]


@pytest.mark.parametrize(
    "order",
    [
        ("username",),
        ("-username",),
        ("last_login",),
        ("-last_login",),
        ("-last_login", "username"),
        ("is_staff", "-last_login"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_every_row_is_shown_once_in_order_with_nulls_last(
    people: list[User], order: tuple[str, ...], size: int
) -> None:
    pages = walk(User.objects.all(), order, size)
    rows = [row for page in pages for row in page]
    assert len(rows) == len(people)
    assert len({row.pk for row in rows}) == len(people)
    for name in order[:1]:
        values = [getattr(row, name.lstrip("-")) for row in rows]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=name.startswith("-"))
        assert values[: len(known)] == known
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.parametrize("order", [("username",), ("-last_login",), ("last_login", "-username")])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_going_back_shows_the_same_rows(people: list[User], order: tuple[str, ...], size: int) -> None:
    there = [row for page in walk(User.objects.all(), order, size) for row in page]
    back = [row for page in walk(User.objects.all(), order, size, back=True) for row in reversed(page)]
    assert back == there[::-1]


def test_related_fields_and_annotations_can_order(people: list[User]) -> None:
    RoleGrant.objects.bulk_create(
        RoleGrant(user=user, role=role) for user in people[:3] for role in ("tester", "operator")
    )
    grants = walk(RoleGrant.objects.select_related("user"), ("-user__last_login", "role"), 2)
    assert sum(map(len, grants)) == 6
    counted = walk(User.objects.annotate(roles=Count("role_grants")), ("-roles", "username"), 2)
    assert [user.username for page in counted for user in page] == ["u0", "u1", "u2", "u3", "u4", "u5", "u6"]
    assert sum(map(len, walk(User.objects.values("pk", "username", "last_login"), ("-last_login",), 3))) == 7


@pytest.mark.parametrize("rows", [1, 3])
def test_a_page_is_one_query_and_never_a_count(people: list[User], rows: int) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page: CursorPage[User] = CursorPage(
            User.objects.filter(pk__in=[p.pk for p in people[:rows]]), ("username",), RequestFactory().get("/"), 2
        )
        assert len(page.rows) == min(rows, 2)
        assert bool(page.next_url) is (rows == 3)
    assert len(queries) == 1
    assert "COUNT" not in queries[0]["sql"].upper()


def test_a_row_added_meanwhile_moves_no_page(people: list[User]) -> None:
    first: CursorPage[User] = CursorPage(User.objects.all(), ("username",), RequestFactory().get("/"), 3)
    User.objects.create(username="a-new-one")
    second: CursorPage[User] = CursorPage(
        User.objects.all(), ("username",), RequestFactory().get(f"/{first.next_url}"), 3
    )
    assert [user.username for user in second] == ["u3", "u4", "u5"]


@pytest.mark.parametrize("token", ["x", "!!!", "bnVsbA", "WzEsMl0", "W10", "eyJhIjoxfQ", "\x00"])
def test_a_cursor_that_was_not_given_out_is_refused(token: str) -> None:
    with pytest.raises(BadCursor):
        CursorPage(User.objects.all(), ("username",), RequestFactory().get("/", {"after": token}))
    assert issubclass(BadCursor, SuspiciousOperation)


def test_a_cursor_of_another_order_is_refused(people: list[User]) -> None:
    page: CursorPage[User] = CursorPage(User.objects.all(), ("username",), RequestFactory().get("/"), 2)
    with pytest.raises(BadCursor, match="another order"):
        CursorPage(User.objects.all(), ("-username",), RequestFactory().get(f"/{page.next_url}"), 2)


COLUMNS = [
    Column("Name", "username", url=lambda user: f"/people/{user.pk}", sort="name"),
    Column("Seen", "last_login", age=True, numeric=True, sort="seen"),
    Column("Staff", "is_staff"),
]
FILTERS = [
    Filter(
        "staff",
        "Staff",
        lambda queryset, value: queryset.filter(is_staff=value == "yes"),
        [("yes", "yes"), ("no", "no")],
    ),
    Filter("q", "Name", "username__icontains", hint="part of it"),
]


def listing(**query: str) -> Listing:
    sorts = {"name": ("username",), "seen": ("-last_login", "username")}
    return Listing(
        RequestFactory().get("/people", query),
        User.objects.all(),
        COLUMNS,
        sorts=sorts,
        default="name",
        now=NOW,
        filters=FILTERS,
        size=3,
        caption="People",
    )


def names(shown: Listing) -> list[str]:
    return [user.username for user in shown.page]


def test_a_listing_filters_and_says_what_is_set(people: list[User]) -> None:
    User.objects.filter(username="u2").update(is_staff=True)
    shown = listing(staff="yes", q="U")
    assert names(shown) == ["u2"]
    assert [(c.filter.name, str(c.shown), c.without) for c in shown.active] == [
        ("staff", "yes", "?q=U"),
        ("q", "U", "?staff=yes"),
    ]
    assert shown.clear_url == "?"


def test_a_value_that_is_not_offered_is_named_not_applied(people: list[User]) -> None:
    shown = listing(staff="perhaps", sort="password")
    assert names(shown) == ["u0", "u1", "u2"]
    assert len(shown.problems) == 2
    assert "perhaps" in shown.problems[1]
    assert "password" in shown.problems[0]


def test_sorting_turns_round_and_starts_at_the_first_page(people: list[User]) -> None:
    assert names(listing(sort="-name")) == ["u6", "u5", "u4"]
    assert names(listing(sort="seen"))[:2] == ["u1", "u6"]
    heads = listing(sort="name", after="", q="u").heads
    assert [(head.url, head.direction) for head in heads] == [
        ("?q=u&sort=-name", "ascending"),
        ("?q=u&sort=seen", ""),
        ("", ""),
    ]


def test_a_listing_is_drawn_with_its_filters_and_pages(people: list[User], rendered: Render) -> None:
    html = rendered("{% filterbar l %}{% table l %}{% pages l.page %}", l=listing(q="u"))
    assert '<th scope="col" aria-sort="ascending">' in html
    assert '<td class="num" data-l="Seen">' in html
    assert html.count("<tr") == 4
    assert 'value="u"' in html
    assert "3 rows shown" in html
    assert 'rel="next"' in html
    assert "format=csv" in html


def test_a_listing_costs_the_same_for_one_row_and_three(people: list[User], rendered: Render) -> None:
    for query in ("u1", "u"):
        with CaptureQueriesContext(connection) as queries:
            rendered("{% filterbar l %}{% if l %}{% table l %}{% endif %}{% pages l.page %}", l=listing(q=query))
        assert len(queries) == 1


def test_a_listing_as_csv_has_every_row_in_order(people: list[User]) -> None:
    shown = listing(sort="-name", format="csv")
    assert shown.wants_csv
    response = shown.csv("people 2026/11.csv")
    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0] == "Name,Seen,Staff"
    assert lines[1] == "u6,2026-11-18T09:42:00+00:00,no"
    assert len(lines) == 1 + len(people)
    assert response["Content-Disposition"] == 'attachment; filename="people-2026-11.csv"'


def test_cells_show_values_by_their_kind(rendered: Render) -> None:
    columns = [
        Column("A", lambda row: row),
        Column("B", lambda row: 20300, numeric=True),
        Column("C", lambda row: None),
        Column("D", lambda row: True),
        Column("E", lambda row: row, url=lambda row: "/x?a=1&b=2", mono=True),
    ]
    html = rendered("{% table t %}", t=Table(columns, ["<b>"], NOW, "Things", selected=lambda row: True))
    assert "<td>&lt;b&gt;</td>" in html
    assert '<td class="num" data-l="B">20,300</td>' in html
    assert '<td data-l="C">–</td>' in html
    assert '<td data-l="D">yes</td>' in html
    assert '<a href="/x?a=1&amp;b=2"><span class="mono">&lt;b&gt;</span></a>' in html
    assert '<tr aria-current="true">' in html


def test_a_number_in_any_cell_stays_on_one_line(rendered: Render) -> None:
    columns = [
        Column("A", lambda row: "curl"),
        Column("B", lambda row: row, url=lambda row: "/r", mono=True),
        Column("C", lambda row: f"<b> · {row}", wide=True),
    ]
    html = rendered("{% table t %}", t=Table(columns, ["REL-2026-00010"], NOW, "Things"))
    number = '<span class="nb">REL-2026-00010</span>'
    assert f'<td data-l="B"><a href="/r"><span class="mono">{number}</span></a></td>' in html
    assert f'<td class="wide" data-l="C">&lt;b&gt; · {number}</td>' in html
