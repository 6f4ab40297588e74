"""Many rows at once are the rows that would have been written one by one, whatever stands in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchflow.api.models import Repeatable
from patchflow.kernel import rows
from patchflow.kernel.models import User
from tests.factories.people import make_cast

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


def test_nothing_is_no_statement(ann: User, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        rows.insert(Repeatable, [], same={"actor_id": ann.pk})
