"""RPM's versions: the encoding's examples, what is refused, what equals what."""

from __future__ import annotations

import pytest

from cmdb.versions import InvalidVersion
from cmdb.versions.rpm import key

REFUSED = [
    *("", " ", "1-1 ", " 1-1", "1 2-1", "1-1\n", "1\t-1", "1-\x00"),  # nothing, or blanks
    *(
        ":1-1",
        "1:",
        "a:1-1",
        "(none):1-1",
        "-1:1-1",
        "+1:1-1",
        "4294967296:1-1",
        "\u0661:1-1",
        "1:2:3-4",
        "1-1:2",
    ),  # the epoch
    *("0", "1", "1.0", "1:1.0", "1-", "-1", "-", "1:-1", "1:1-", "1:-"),  # no release, or no version
    *("1-1-1", "1/2-1", "1-1,2", "1*-1", "1=2-1", "1-#", "1<2-1", "1-1&"),  # foreign characters
    *(
        "é-1",
        "\uff11-1",
        "1-\u0661",
        "1\u200b-1",
        "1-\u202e2",
        "1\u00a02-1",
        "\u00b2-1",
    ),  # digits and blanks beyond ASCII
    "9" * 254 + "-1",
]

ASCENDING = [
    *("~~-1", "~-1", "_-1", "^-1", "a-1", "0-1"),  # tilde, end, caret, word, number
    *("1~rc1-1", "1~rc1^git1-1", "1-1~a", "1-1", "1-1^a", "1-1.a", "1-1.el8", "1-1.el9", "1-1.1", "1-2", "1-10"),
    *("1^-1", "1^git1-1", "1^git1^x-1", "1A-1", "1a.b-1", "1aa-1", "1ab-1", "1b-1", "1.0-1", "1.1-1", "2-1", "10-1"),
    *("1:0-1", "10:0-1"),  # epochs
]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1.0~rc1-1.el9", "0110!%rc11#11%el19#"),
        ("1.0-1.el9", "0110#11%el19#"),
        ("1.0^git1-1.el9", "0110$%git11#11%el19#"),
        ("1.0.1-1.el9", "011011#11%el19#"),
        ("_-_", "0##"),
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
        ("(none):1-1", "has an epoch that is no whole number from 0 to 4294967295"),
        ("1.0", "has no release"),
        ("1-", "has no release"),
        ("-1", "has nothing before its release"),
        ("1-1-1", "holds a character that RPM versions cannot have"),
    ],
)
def test_key_says_why_it_refuses(text: str, reason: str) -> None:
    with pytest.raises(InvalidVersion) as caught:
        key(text)
    assert caught.value.reason == reason


def test_key_sorts_as_rpm_does() -> None:
    keys = [key(text) for text in ASCENDING]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1.0-1", "0:1.0-1"),
        ("1.0-1", "00:1.00-01"),
        ("1.0-1", "1.0.-1"),
        ("1.a-1", "1a-1"),
        ("1_0-1", "1+0-1"),
        ("1-1", "._1-1%{}"),
    ],
)
def test_key_equals_for_equal_versions(left: str, right: str) -> None:
    assert key(left) == key(right)
