"""Debian's versions: the encoding's examples, what is refused, what equals what."""

from __future__ import annotations

import pytest

from cmdb.versions import InvalidVersion
from cmdb.versions.deb import key, source_version

REFUSED = [
    *("", " ", "1 ", " 1", "1 2", "1\n", "1\t2", "1\x00"),  # nothing, or blanks
    *(":1", "1:", "0:", ":", "a:1", "-1:1", "+1:1", " 1:1", "0x1:1", "2147483648:1", "\u0661:1", "1-1:2"),  # the epoch
    *("1-", "-", "-1", "1:-1", "1:-", "1:1-", "1.0-1-"),  # an empty half
    *("1_2", "1^2", "1%2", "1/2", "1,2", "1*", "1-1_1", "1:1-1:2", "1=2", "1{", "1#"),  # foreign characters
    *("1é", "\uff11", "\u0661", "1\u200b", "1\u202e2", "1\u00a02", "\u00b2"),  # digits and blanks that are not ASCII
    "9" * 256,
]

ASCENDING = [
    *("~~", "~~a", "~", "~a", "0", "1~~", "1~~a", "1~", "1~a", "1"),  # tilde, then the end
    *("1-0+b1", "1-1~bpo1", "1-1", "1-1+b1", "1-1.1", "1-2", "1-10"),  # revisions
    *("1A", "1a", "1aa", "1ab", "1b", "1+", "1+a", "1-0-0"),  # letters before the rest
    *("1.~", "1.", "1.1", "1.a", "1.+", "2", "10"),
    *("a~", "a", "+"),
    *("1:0", "1:1", "1:1:1", "10:0"),  # epochs
]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1.0", "011}0#0#"),
        ("1.0-0", "011}0#0#"),
        ("1.0~rc1-1", "011}0!rc11#11#"),
        ("1:1.2.3~rc1+dfsg-4+deb12u2", "1111}12}13!rc11{dfsg0#14{deb212u12#"),
        ("a", "0a0#0#"),
        ("0-0", "00#0#"),
    ],
)
def test_key_of_the_documented_examples(text: str, code: str) -> None:
    assert key(text) == code


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_key_refuses(text: str) -> None:
    with pytest.raises(InvalidVersion) as caught:
        key(text)
    assert caught.value.text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("a:1", "has an epoch that is no whole number from 0 to 2147483647"),
        ("1:-1", "has no upstream version"),
        ("1:", "has no upstream version"),
        ("1-", "ends in a hyphen without a revision"),
        ("1_2", "holds a character that Debian versions cannot have"),
    ],
)
def test_key_says_why_it_refuses(text: str, reason: str) -> None:
    with pytest.raises(InvalidVersion) as caught:
        key(text)
    assert caught.value.reason == reason


def test_key_sorts_as_debian_does() -> None:
    keys = [key(text) for text in ASCENDING]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1.0", "1.0-0"),
        ("1.0", "0:1.0"),
        ("1.0", "00:1.00-000"),
        ("1.", "1.0"),
        ("1a", "1a0"),
        ("1-a", "1-a0"),
        ("01", "1"),
    ],
)
def test_key_equals_for_equal_versions(left: str, right: str) -> None:
    assert key(left) == key(right)


@pytest.mark.parametrize(
    ("binary", "source"),
    [
        ("1.10.0-3+b1", "1.10.0-3"),
        ("5.2.15-2+b13", "5.2.15-2"),
        ("2.0+b1", "2.0"),
        ("1:1.0-1+b2", "1:1.0-1"),
        ("1.0-1+deb12u1", "1.0-1+deb12u1"),
        ("1.0+b2-1", "1.0+b2-1"),
        ("1.0-1+b1~bpo1", "1.0-1+b1~bpo1"),
        ("1.0-1+b", "1.0-1+b"),
        ("1.0-1+b1\n", "1.0-1+b1\n"),
    ],
)
def test_source_version_drops_only_a_rebuild_suffix(binary: str, source: str) -> None:
    assert source_version(binary) == source
