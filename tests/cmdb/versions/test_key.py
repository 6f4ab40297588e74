"""What holds for the keys of every ecosystem."""

from __future__ import annotations

import pickle
import random
from itertools import pairwise

import pytest

from cmdb.versions import KEY_MAX_LENGTH, NO_FIX, NOT_AFFECTED, TEXT_MAX_LENGTH, InvalidVersion, deb, key, rpm
from cmdb.versions.encoding import number
from tests.cmdb.versions.material import DEB, RPM, Kind, accepts, soup

KINDS = pytest.mark.parametrize("kind", [DEB, RPM], ids=["deb", "rpm"])


def test_key_asks_the_ecosystem() -> None:
    assert (key("deb", "1.0-1"), key("rpm", "1.0-1")) == (deb.key("1.0-1"), rpm.key("1.0-1"))
    assert key("deb", "1.0-1") != key("rpm", "1.0-1")


def test_key_of_unknown_ecosystem_is_no_invalid_version() -> None:
    with pytest.raises(LookupError, match="'npm'"):
        key("npm", "1.0")


def test_number_sorts_as_numbers_do() -> None:
    rng = random.Random(3)
    values = sorted(rng.randint(0, 10 ** rng.randint(0, 60)) for _ in range(2_000))
    values += [10**exponent - low for exponent in range(254) for low in (1, 0)]
    assert [number(str(value)) for value in sorted(values)] == sorted(number(str(value)) for value in values)


@pytest.mark.parametrize(
    ("digits", "code"),
    [("", "0"), ("000", "0"), ("7", "17"), ("007", "17"), ("9" * 15, "?" + "9" * 15), ("1" * 16, "@0" + "1" * 16)],
)
def test_number_writes_its_length_first(digits: str, code: str) -> None:
    assert number(digits) == code


@KINDS
def test_sentinels_enclose_every_key(kind: Kind) -> None:
    rng = random.Random(5)
    keys = [kind.key(text) for text in kind.real]
    keys += [kind.key(text) for text in (soup(kind, rng) for _ in range(20_000)) if accepts(kind, text)]
    keys.sort()
    assert len(keys) > 5_000
    assert NOT_AFFECTED < keys[0] <= keys[-1] < NO_FIX


@pytest.mark.parametrize(("kind", "highest"), [(DEB, 2**31 - 1), (RPM, 2**32 - 1)], ids=["deb", "rpm"])
def test_highest_epoch_is_below_no_fix(kind: Kind, highest: int) -> None:
    top = kind.key(f"{highest}:zzz-z")
    assert kind.key(f"{highest - 1}:zzz-z") < top < NO_FIX
    with pytest.raises(InvalidVersion, match=f"from 0 to {highest}"):
        kind.key(f"{highest + 1}:1-1")


@KINDS
def test_keys_are_visible_ascii_of_bounded_length(kind: Kind) -> None:
    rng = random.Random(7)
    for text in (soup(kind, rng) for _ in range(20_000)):
        if accepts(kind, text):
            code = kind.key(text)
            assert all("!" <= char <= "~" for char in code)
            assert len(code) <= 2 * len(text) + 4


@KINDS
def test_no_key_begins_another(kind: Kind) -> None:
    rng = random.Random(11)
    keys = sorted({kind.key(text) for text in (soup(kind, rng) for _ in range(40_000)) if accepts(kind, text)})
    # A prefix sorts directly before the first key it begins, so neighbors are enough.
    assert len(keys) > 5_000
    assert not [pair for pair in pairwise(keys) if pair[1].startswith(pair[0])]


@KINDS
def test_key_takes_255_characters_and_no_more(kind: Kind) -> None:
    longest = ("1a" * TEXT_MAX_LENGTH)[: TEXT_MAX_LENGTH - 2] + "-1"
    assert len(longest) == TEXT_MAX_LENGTH
    assert len(kind.key(longest)) <= KEY_MAX_LENGTH
    with pytest.raises(InvalidVersion, match="longer than 255 characters"):
        kind.key("1" + longest)


def test_key_reaches_its_longest() -> None:
    longest = ("1a" * TEXT_MAX_LENGTH)[: TEXT_MAX_LENGTH - 2] + "-1"
    assert len(rpm.key(longest)) == KEY_MAX_LENGTH


@KINDS
def test_number_of_254_digits_keeps_its_order(kind: Kind) -> None:
    end = "-1" if kind.needs_release else ""
    room = TEXT_MAX_LENGTH - len(end)
    texts = ["9" * (room - 1) + end, "1" + "0" * (room - 1) + end, "9" * room + end]
    assert sorted(texts, key=kind.key) == texts


def test_invalid_version_carries_text_and_reason() -> None:
    with pytest.raises(InvalidVersion) as caught:
        key("deb", "1.0_x")
    assert (caught.value.text, caught.value.reason) == ("1.0_x", "holds a character that Debian versions cannot have")
    assert isinstance(caught.value, ValueError)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - crosses the workers' process boundary
    assert (again.text, again.reason) == (caught.value.text, caught.value.reason)


def test_invalid_version_shows_hostile_text_harmlessly() -> None:
    shown = str(InvalidVersion("1\n\u202e\x00" + "9" * 1_000, "is longer than 255 characters"))
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 150
