"""Two writers, one text: what the quick one refuses the framework's writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy

from patchflow.kernel.json_text import bytes_from, needs_a_look, read, text_from

AT = datetime(2026, 11, 29, 20, 15, 3, 123456, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    at: datetime


def test_times_keep_all_their_digits_and_dataclasses_are_their_fields() -> None:
    part = {"name": "Öl\t\\", "at": "2026-11-29T20:15:03.123456+00:00"}
    assert read(bytes_from([Part("Öl\t\\", AT), AT])) == [part, part["at"]]


@pytest.mark.parametrize(
    ("beyond", "told"),
    [(2**70, 2**70), ({7: "seven"}, {"7": "seven"}), ("lone \ud800", "lone \ud800"), (Decimal("1.50"), "1.50")],
)
def test_what_the_quick_writer_refuses_is_written_all_the_same(beyond: object, told: object) -> None:
    text = text_from({"it": beyond, "part": Part("x", AT)})
    assert json.loads(text) == {"it": told, "part": {"name": "x", "at": "2026-11-29T20:15:03.123456+00:00"}}


def test_words_that_are_translated_late_are_written_as_they_are_said() -> None:
    assert text_from([gettext_lazy("No")]) == '["No"]'


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        bytes_from(object())
    with pytest.raises(ValueError, match="unexpected end"):
        read('{"a":')


@pytest.mark.parametrize(
    ("value", "needs"),
    [
        ({"version": "2.0", "size": 12, "list": [1, -2], "no": None}, False),
        ({"a": 1.5}, True),
        ([0, -2e30], True),
        ([1e-7], True),
        ({"a": "nul \x00"}, True),
        ({"a": "1,2.5"}, True),  # no number, but looked at all the same
    ],
)
def test_what_may_be_a_float_or_has_a_nul_needs_a_look(value: object, needs: bool) -> None:
    assert needs_a_look(bytes_from(value)) is needs
