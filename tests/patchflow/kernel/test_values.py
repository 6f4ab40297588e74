"""Values made by the thousand: what frozen dataclasses promise but their lock, and written to JSON as their fields."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import orjson
import pytest

from patchflow.kernel.json_text import bytes_from
from patchflow.kernel.values import value


@value(kw_only=True)
class Place:
    name: str
    port: int = 22


@value()
class Pair:
    one: int
    other: int = 2


def test_a_value_is_its_fields() -> None:
    """Two with the same fields are one: equal, found as each other's key, replaced by new ones."""
    place = Place(name="a")
    assert place == Place(name="a", port=22) != Place(name="b")
    assert {place: 1}[Place(name="a")] == 1
    assert replace(place, port=23) == Place(name="a", port=23)
    assert place.port == 22
    assert is_dataclass(place)
    assert [f.name for f in fields(Place)] == ["name", "port"]


def test_fields_are_named_where_that_is_asked_for() -> None:
    assert Pair(1) == Pair(1, 2)
    with pytest.raises(TypeError):
        Place("a")  # type: ignore[misc]


def test_a_value_is_written_as_its_fields_by_the_quick_writer_itself() -> None:
    """All its fields, those that were not given too; the writer needs nobody's help for it."""
    assert orjson.dumps(Place(name="a")) == bytes_from(Place(name="a")) == b'{"name":"a","port":22}'


def test_a_value_is_made_without_a_lock_on_each_field() -> None:
    """Making it is what its thousands cost: no field is written past a lock, as a frozen dataclass does."""
    assert Place.__setattr__ is object.__setattr__
