"""Every list page: its question can be saved, it is had as CSV with the same rows and words, and the file is cut with a word."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import NoReverseMatch, reverse

from changes.models import RFC
from cmdb.models import Host
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.roles import grantable
from patchflow.web.tables.saving import list_titles
from releases.models import Rollout
from tests.factories import changes as made
from tests.factories import identify
from tests.factories.people import Cast, make_user
from tests.patchflow.test_query_budgets import Filler, lists

pytestmark = pytest.mark.django_db
NO_LISTING = {"changes:board-list": "cards of what waits for a vote, by meeting; no rows with columns"}
OF_ONE_OBJECT = {
    "changes:feedrun-lost",
    "cmdb:host-packages",
    "cmdb:host-pending",
    "changes:rfc-targets",
    "releases:rollout-hosts",
    "reports:audit-object",
}
BESIDE = {"cmdb:support-items"}
"""A second list of a noun."""
IN_OTHER_WORDS = {
    "Facts", "Restart", "Remark",  # the page says a sentence or draws a mark, the file has the word
    "Update", "Updates",  # the page adds what replaces it, and where it leads
    "Start by", "First possible",  # the page says what is missed or too late
    "Criticality",  # the page adds the word of its scale
}  # fmt: skip
ROWS = 7


class Cells(HTMLParser):
    """The text of each cell of the page's table."""

    def __init__(self) -> None:
        super().__init__()
        self.head: list[str] = []
        self.rows: list[list[str]] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == "th":
            self.head.append("")
        elif tag == "td":
            self.rows[-1].append("")
        if tag in ("th", "td"):
            self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "th":
            self.head[-1] += data
        elif self.inside == "td":
            self.rows[-1][-1] += data


def words(text: str) -> str:
    return " ".join(text.split())


def same(shown: str, kept: str) -> bool:
    """Whether the page's cell and the file's cell say the same: moments are shown in words and kept as ISO 8601."""
    shown, kept = words(shown), words(kept)
    if shown in ("", "–") or not kept:
        return shown in ("", "–", "0") and kept in ("", "–", "0")
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\S+", kept):
        return True
    return shown.replace(",", "") == kept.replace(",", "").lstrip("'")


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def file_of(client: Client, address: str) -> list[list[str]]:
    answer = client.get(address)
    assert answer.status_code == 200, address
    assert answer["Content-Type"].startswith("text/csv"), address
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def assert_file_is_list(client: Client, address: str) -> int:
    page = client.get(address).content.decode()
    seen, lines = Cells(), file_of(client, f"{address}?format=csv")
    seen.feed(page[page.index("<table") : page.index("</table>")])
    rows = [row for row in seen.rows if row]
    places = [n for n, head in enumerate(seen.head) if head in lines[0] or not head]
    named = [n for n in places if seen.head[n]]
    assert [words(seen.head[n]) for n in named] == [head for head in lines[0] if head in [words(h) for h in seen.head]]
    assert len(lines) - 1 == len(rows) > 0
    for row, line in zip(rows, lines[1:], strict=True):
        kept = dict(zip(lines[0], line, strict=True))
        for n in named:
            head = words(seen.head[n])
            assert head in IN_OTHER_WORDS or same(row[n], kept[head]), f"{address} {head}: {row[n]!r} {kept[head]!r}"
    return len(rows)


def everybody(cast: Cast) -> User:
    person = make_user("all", *(role.name for role in grantable()))
    return User.objects.get(pk=person.pk)


def test_every_list_page_is_marked_as_one() -> None:
    assert set(lists()) - set(NO_LISTING) == set(list_titles()) - OF_ONE_OBJECT - BESIDE


@pytest.mark.parametrize("name", sorted(set(lists()) - set(NO_LISTING)))
def test_a_list_is_had_as_csv_and_its_question_can_be_saved(
    name: str, cast: Cast, now: datetime, tmp_path: Path
) -> None:
    Filler(cast, now, tmp_path).fill(name, ROWS)
    for person in (cast.mia, cast.aud):
        client, address = client_of(person), reverse(name)
        page = client.get(address)
        if page.status_code == 403:
            assert client.get(f"{address}?format=csv").status_code == 403
            continue
        html = page.content.decode()
        if "<table" not in html:
            assert len(file_of(client, f"{address}?format=csv")) == 1
            continue
        assert assert_file_is_list(client, address) >= 1
        assert 'href="?format=csv' in html or "&amp;format=csv" in html
        assert reverse("web:filter-list") in html


def test_every_column_that_is_shown_has_a_name_of_its_own(cast: Cast, now: datetime, tmp_path: Path) -> None:
    person, wrong = everybody(cast), []
    filler = Filler(cast, now, tmp_path)
    for name in sorted(set(lists()) - set(NO_LISTING)):
        filler.fill(name, 1)
        html = client_of(person).get(reverse(name)).content.decode()
        names = re.findall(r'name="without" value="([^"]*)"', html)
        heads = [h for h in re.findall(r"<th[^>]*>(.*?)</th>", html) if words(re.sub("<[^>]+>", "", h))]
        if len(set(names)) != len(names) or len(names) not in (len(heads), len(heads) - 1):
            wrong.append(f"{name}: {names} for {len(heads)} columns")
    assert not wrong, "\n".join(wrong)


def test_the_lists_of_one_object_are_had_as_csv_too(cast: Cast, now: datetime, tmp_path: Path) -> None:
    filler = Filler(cast, now, tmp_path)
    filler.host_list(1)
    rfc = made.submitted(filler.world(2))
    filler.rollout_list(3)
    host = Host.objects.get(name="budget-1")
    feed = identify.make_feed(cast.sam, at=now)
    several = [identify.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(4)]
    identify.poll(feed, several, actor=cast.sam, at=now)
    held = identify.poll(feed, several[:1], actor=cast.sam, at=now)
    addresses = {
        "changes:feedrun-lost": [held.pk],
        "cmdb:host-packages": [Host.objects.get(name="budget-2").pk],
        "cmdb:host-pending": [host.pk],
        "changes:rfc-targets": [rfc.pk],
        "releases:rollout-hosts": [Rollout.objects.latest("pk").pk],
        "reports:audit-object": ["changes.rfc", str(rfc.pk)],
    }
    assert set(addresses) == OF_ONE_OBJECT
    client = client_of(everybody(cast))
    for name, arguments in addresses.items():
        assert_file_is_list(client, reverse(name, args=arguments))


def test_a_file_has_what_the_filters_let_through_and_no_more(cast: Cast, now: datetime, tmp_path: Path) -> None:
    filler = Filler(cast, now, tmp_path)
    filler.fill("changes:rfc-list", 3)
    draft = made.draft(filler.world(9))
    client = client_of(cast.che)
    lines = file_of(client, f"{reverse('changes:rfc-list')}?state=draft&without=kind&sort=number&format=csv")
    assert [line[0] for line in lines[1:]] == [draft.number]
    assert "Kind" not in lines[0]
    scoped = make_user("scoped")
    RoleGrant.objects.create(user=scoped, role="reader", scope="group:987654")
    assert file_of(client_of(scoped), f"{reverse('changes:rfc-list')}?format=csv")[1:] == []


def test_a_cell_that_would_start_a_formula_is_inert(cast: Cast, now: datetime, tmp_path: Path) -> None:
    rfc = made.draft(Filler(cast, now, tmp_path).world(1))
    RFC.objects.filter(pk=rfc.pk).update(title='=HYPERLINK("http://example.org";"x")')
    lines = file_of(client_of(cast.che), f"{reverse('changes:rfc-list')}?format=csv")
    assert lines[1][1] == '\'=HYPERLINK("http://example.org";"x")'


def test_a_file_that_is_too_long_is_cut_and_says_so(
    cast: Cast, now: datetime, tmp_path: Path, settings: object
) -> None:
    Filler(cast, now, tmp_path).fill("cmdb:host-list", 4)
    address = f"{reverse('cmdb:host-list')}?format=csv"
    settings.PATCHFLOW = {**django_settings.PATCHFLOW, "CSV_LINES": 4}  # type: ignore[attr-defined]
    assert len(file_of(client_of(cast.otto), address)) == 5
    settings.PATCHFLOW = {**django_settings.PATCHFLOW, "CSV_LINES": 3}  # type: ignore[attr-defined]
    lines = file_of(client_of(cast.otto), address)
    assert [line[0] for line in lines[1:]] == [
        "budget-1", "budget-2", "budget-3", "Cut here: the list has more than 3 lines. Filter it, or read all of it over REST.",
    ]  # fmt: skip


def test_a_list_that_needs_an_object_has_no_address_of_its_own() -> None:
    for name in OF_ONE_OBJECT:
        with pytest.raises(NoReverseMatch):
            reverse(name)
