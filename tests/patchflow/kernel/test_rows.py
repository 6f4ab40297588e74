"""Many rows at once are the rows that would have been written one by one, whatever stands in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.db import DataError, IntegrityError, connection, models, transaction
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchflow.api.models import Repeatable
from patchflow.kernel import rows
from patchflow.kernel.models import User
from tests.factories.people import make_cast
from tests.toys.models import Ball, Box

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 29, 20, 15, 3, 123456, tzinfo=UTC)
NASTY = ("\\N", "\\.", "a\tb\nc\rd\\", "", "„Ü“ \u2028 😀", "\\t\\n", "'; --", "{}", "\x7f")
READ = ("key", "digest", "status", "body", "at")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def ann(db: None) -> User:
    return make_cast().ann


def _told(actor: User) -> list[tuple[Any, ...]]:
    return list(Repeatable.objects.filter(actor=actor).order_by("id").values_list(*READ))


def test_whatever_stands_in_a_row_arrives_as_it_is(ann: User) -> None:
    given_ = [
        {"key": f"{number}", "digest": text, "body": {"said": text, text: [text, None, True, 7]}}
        for number, text in enumerate(NASTY)
    ] + [{"key": "none", "digest": "", "body": None}]
    rows.insert(Repeatable, given_, same={"actor_id": ann.pk, "at": AT})
    assert _told(ann) == [(row["key"], row["digest"], 0, row["body"], AT) for row in given_]
    assert Repeatable.objects.filter(body__isnull=True).count() == 1, "nothing is NULL, not JSON's null"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, VALUES), min_size=1, max_size=5))
def test_it_equals_saving_each(ann: User, told: list[tuple[str, Any]]) -> None:
    with transaction.atomic():
        same = {"actor_id": ann.pk, "at": AT, "status": 201}
        rows.insert(Repeatable, [{"key": f"{n}", "digest": t, "body": v} for n, (t, v) in enumerate(told)], same=same)
        at_once = _told(ann)
        Repeatable.objects.all().delete()
        for number, (text, value) in enumerate(told):
            Repeatable.objects.create(key=f"{number}", digest=text, body=value, **same)
        assert at_once == _told(ann)
        Repeatable.objects.all().delete()


def test_what_is_there_already_is_refused_or_passed_over(ann: User) -> None:
    same = {"actor_id": ann.pk, "at": AT, "digest": "\t"}
    rows.insert(Repeatable, [{"key": "a", "status": 1}], same=same)
    both = [{"key": "a", "status": 2}, {"key": "b", "status": 3}]
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert(Repeatable, both, same=same)
    rows.insert(Repeatable, both, same=same, ignore_conflicts=True)
    assert [(key, digest, status) for key, digest, status, *_ in _told(ann)] == [("a", "\t", 1), ("b", "\t", 3)]


def test_json_that_is_at_hand_as_text_is_written_as_it_is(ann: User) -> None:
    same = {"actor_id": ann.pk, "at": AT, "status": 1, "digest": ""}
    text = '{"said":"a\\tb\\\\“😀”","list":[1,null]}'
    for number, passing_over in enumerate((False, True)):
        row = {"key": f"{number}", "body": orjson.Fragment(text)}
        rows.insert(Repeatable, [row], same=same, ignore_conflicts=passing_over)
    assert list(Repeatable.objects.values_list("body", flat=True)) == [json.loads(text)] * 2


def test_a_column_of_many_kinds_arrives_as_it_is(ann: User) -> None:
    when = [AT, None, AT]
    given_ = [{"key": f"{n}", "status": n, "body": None, "digest": t} for n, t in enumerate(("a", "b\t", "c"))]
    rows.insert(Repeatable, given_, same={"actor_id": ann.pk, "at": AT})
    assert [(row[1], row[2]) for row in _told(ann)] == [("a", 0), ("b\t", 1), ("c", 2)]
    assert rows._cells(when, as_json=False)[1] == r"\N"


def test_an_instance_made_quickly_is_what_the_constructor_makes(ann: User) -> None:
    """Whole rows and parts of them, with JSON, states and links."""
    box = Box.objects.create(maker=ann, name="box")
    Ball.objects.create(box=box, throws=[1, {"a": 2}])
    for asked in (
        Ball.objects.all(),
        Ball.objects.only("color"),
        Box.objects.defer("name"),
        User.objects.filter(pk=ann.pk),
    ):
        quick = asked.get()
        names = [f.attname for f in quick._meta.concrete_fields if f.attname in quick.__dict__]
        slow = models.Model.from_db.__func__(type(quick), "default", names, [quick.__dict__[n] for n in names])
        assert {**quick.__dict__, "_state": None} == {**slow.__dict__, "_state": None}
        assert quick.__dict__.keys() == slow.__dict__.keys()
        assert quick.get_deferred_fields() == slow.get_deferred_fields()
        assert (quick._state.adding, quick._state.db) == (slow._state.adding, slow._state.db) == (False, "default")
        assert quick == slow
    part = Ball.objects.only("color").get()
    assert part.throws == [1, {"a": 2}], "what was left out is read when it is asked for"
    part.color = "blue"
    part.save(update_fields=["color"])
    assert Ball.objects.select_related("box").get().box.name == "box"


def test_who_listens_to_instances_hears_of_them(ann: User) -> None:
    Box.objects.create(maker=ann)
    heard: list[Any] = []

    def hear(instance: Any, **_: Any) -> None:
        heard.append(instance)

    post_init.connect(hear, sender=Box)
    try:
        made = Box.objects.get()
    finally:
        post_init.disconnect(hear, sender=Box)
    assert heard == [made]


def test_nothing_is_no_statement(ann: User, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        rows.insert(Repeatable, [], same={"actor_id": ann.pk})


def _kept(actor: User, count: int) -> list[Repeatable]:
    rows.insert(Repeatable, [{"key": f"{n}"} for n in range(count)], same={"actor_id": actor.pk, "at": AT})
    return list(Repeatable.objects.filter(actor=actor).order_by("id"))


@pytest.mark.parametrize("texts", [NASTY, ("", ""), ("",), ("a\x1eb", "c"), ("\x1d", "c"), ("a\x1db", "", "c")])
def test_whatever_a_row_is_changed_to_arrives_as_it_is(ann: User, texts: tuple[str, ...]) -> None:
    """Values travel as one text for each column, split by the database: no text is taken for two, or for nothing."""
    made = _kept(ann, len(texts))
    for number, (row, text) in enumerate(zip(made, texts, strict=True)):
        row.digest, row.status = text, number
        row.body, row.at = (
            {"said": text, text: [text, None, True, 7]} if number != 1 else None,
            AT.replace(year=2020 + number),
        )
    rows.update(Repeatable, made, {}, ["digest", "status", "body", "at"])
    assert _told(ann) == [(row.key, row.digest, row.status, row.body, row.at) for row in made]


@pytest.mark.pg
def test_changes_of_many_rows_travel_as_lists(ann: User) -> None:
    """A column's values as one text is what costs least; where that could say something else, they travel as JSON."""
    made = _kept(ann, 2)
    made[0].digest, made[1].digest = "a", "b"
    for wanted in (1, 0):
        with CaptureQueriesContext(connection) as asked:
            rows.update(Repeatable, made, {}, ["digest", "body"])
        assert sum("string_to_array" in each["sql"] for each in asked) == wanted
        made[0].digest = "a\x1eb"


@pytest.mark.pg
def test_a_text_that_is_too_long_is_refused_and_not_cut_off(ann: User) -> None:
    made = _kept(ann, 2)
    made[0].digest, made[1].digest = "a" * 500, "b"
    with pytest.raises(DataError), transaction.atomic():
        rows.update(Repeatable, made, {}, ["digest"])
    assert [row[1] for row in _told(ann)] == ["", ""]
