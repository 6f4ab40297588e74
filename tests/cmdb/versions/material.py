"""Versions to order: realistic ones, mutated ones, and soup from alphabets that hurt."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cmdb.versions import TEXT_MAX_LENGTH, InvalidVersion, deb, rpm


@dataclass(frozen=True)
class Kind:
    """One ecosystem's material: its key, realistic versions, the characters of its soup."""

    key: Callable[[str], str]
    real: tuple[str, ...]
    hostile: str
    needs_release: bool


DEB = Kind(
    key=deb.key,
    needs_release=False,
    hostile="0019ab~~+.-:Z",
    real=(
        *(
            "3.134",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+b2",
            "1.0-1+deb12u1",
            "1.0-1~bpo12+1",
            "1.0~rc1-1",
            "1.0~~dev-1",
            "1.0-0.1",
        ),
        *(
            "3.0.11-1~deb12u2",
            "3.0.15-1~deb12u1",
            "3.0.15-1",
            "3.0.17-1~deb12u3",
            "1:9.2p1-2+deb12u5",
            "1:9.2p1-2+deb12u7",
        ),
        *(
            "2:1.20.11-1+deb11u6",
            "2:21.1.7-3+deb12u9",
            "5.2.15-2+b8",
            "5.2.15-2+b13",
            "1.10.0-3+b1",
            "1.10.0-3+deb12u1",
        ),
        *(
            "6.1.140-1",
            "6.1.153-1",
            "6.1.0-37",
            "6.12.43+deb13-1~bpo12+1",
            "20230311+deb12u1",
            "20250419~deb12u2",
            "2024a-0+deb12u1",
        ),
        *("22.01+really26.02+dfsg-0+deb12u1", "22.01+really26.01+dfsg-0+deb12u1", "15+248+deb12u1", "248+deb12u1"),
        *(
            "5.36.0-7+deb12u2",
            "3.11.2-6+deb12u6",
            "1:2.39.5-0+deb12u2",
            "12.2.0-14+deb12u1",
            "2.36-9+deb12u10",
            "252.38-1~deb12u1",
        ),
        *(
            "9.0.1378-2+deb12u2",
            "2:9.0.1378-2",
            "8.39-15",
            "10.42-1+deb12u2",
            "1.2.13.dfsg-1",
            "1:1.2.13.dfsg-1",
            "7.88.1-10+deb12u12",
        ),
        *(
            "4.0.0~git20230118.1234abc-1",
            "0~20220712+git7c1a2a4-2",
            "0.0~git20211209.59ab3f6-1",
            "1.6.1+git20230101-1ubuntu0.22.04.3",
        ),
        *(
            "2.4.62-1~deb12u2",
            "2.4.62-1~deb12u2ubuntu1",
            "115.9.1esr-1~deb12u1",
            "128.12.0esr-1~deb12u1",
            "1:115.9.0-1~deb12u1",
        ),
        *(
            "9.0.0+r1-1",
            "1.0-rc2-1",
            "1.0a-1",
            "1.0A-1",
            "1.0+a-1",
            "1.0.0-1",
            "1.00-1",
            "1.-1",
            "1-1-1",
            "0-0",
            "0",
            "a1",
            "1:2:3-4",
        ),
    ),
)

RPM = Kind(
    key=rpm.key,
    needs_release=True,
    hostile="0019ab~~^^.+_Z",
    real=(
        *(
            "1.0-1",
            "1.0-1.el9",
            "1.0-1.el9_4",
            "1.0-1.el9_4.1",
            "1.0-1.el8_10",
            "1.0~rc1-1.el9",
            "1.0~rc2-0.1.el9",
            "1.0^git1-1.el9",
        ),
        *(
            "4.18.0-477.10.1.el8_8",
            "4.18.0-553.el8_10",
            "4.18.0-553.58.1.el8_10",
            "5.14.0-570.12.1.el9_6",
            "6.12.0-55.22.1.el10_0",
        ),
        *(
            "128.12.0-1.el10_0",
            "128.11.0-1.el9_6",
            "1:3.0.7-28.el9_4",
            "1:3.0.7-6.el9_2",
            "1:1.1.1k-9.el8_7",
            "1:1.1.1k-12.el8_9",
        ),
        *(
            "7.61.1-34.el8_10.3",
            "7.76.1-31.el9",
            "2.34-168.el9_6.20",
            "2.28-251.el8_10.22",
            "8.7p1-45.el9",
            "8.0p1-25.el8_10",
        ),
        *(
            "2.4.57-11.el9_4.1",
            "2.4.37-65.module_el8.10.0+3874+c2064b23.2",
            "2.4.37-65.module_el8.10.0+3936+9d6ce23d.3",
        ),
        *(
            "1:20.18.2-1.module_el8.10.0+3941+7c9a6a5e",
            "1:1.22.1-3.module_el9.2.0.z+38+5e0b1e1e.alma.1",
            "15.0.4-1.el9",
        ),
        *(
            "32:9.16.23-29.el9_6",
            "32:9.11.36-16.el8_10.4",
            "2:8.2.2637-22.el9_6",
            "2:8.0.1763-19.el8_6.4",
            "0:1.0-1",
            "1:1.0-1",
        ),
        *(
            "3.9.21-2.el9",
            "3.6.8-69.el8_10",
            "3.11.11-2.el9_6.1",
            "3.12.9-1.el9_6.1",
            "20250214-158.4.el9",
            "2024a-1.el9",
            "1.8.0.452.b09-2.el9",
        ),
        *(
            "1:17.0.15.0.6-2.el9",
            "1:1.8.0.412.b08-2.el8",
            "0-0.20.20210104git7c1a2a4.el9",
            "0.9^20230410gitabc1234-3.fc38",
            "2.0~beta3^git5-1",
        ),
        *(
            "1.0.0-1",
            "1.00-1",
            "1.0.-1",
            "1.0_1-1",
            "1.0+1-1",
            "1.0a-1",
            "1.0A-1",
            "1.0.a-1",
            "a.1-1",
            "0-0",
            "~-~",
            "^-^",
            "1.0-1%{x}",
        ),
    ),
)


def accepts(kind: Kind, text: str) -> bool:
    try:
        kind.key(text)
    except InvalidVersion:
        return False
    return True


def digits(rng: random.Random) -> str:
    """Return a number of up to 40 digits, often with leading zeros, often just at a multiple of 16 digits."""
    length = rng.choice((1, 1, 2, 3, 15, 16, 17, 31, 32, 33, rng.randint(4, 40)))
    return "0" * rng.choice((0, 0, 1, 5)) + "".join(rng.choices("0123456789", k=length))


def soup(kind: Kind, rng: random.Random) -> str:
    """Return characters of the hostile alphabet, with long numbers between; not always a legal version."""
    text = "".join(digits(rng) if rng.random() < 0.1 else rng.choice(kind.hostile) for _ in range(rng.randint(1, 9)))
    if rng.random() < 0.2:
        text = f"{rng.choice(('0', '00', '1', '01', '9', '10', '2147483647'))}:{text}"
    if kind.needs_release or rng.random() < 0.4:
        text += "-" + "".join(rng.choice(kind.hostile) for _ in range(rng.randint(1, 5)))
    return text


def mutate(kind: Kind, text: str, rng: random.Random) -> str:
    """Return `text` after one to three small edits, some of which mean nothing to the order (a leading zero)."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(text))
        piece = rng.choice((rng.choice(kind.hostile), "0", ".0", "~", "~rc1", digits(rng)))
        match rng.choice(("insert", "drop", "replace", "pad", "end")):
            case "insert":
                text = text[:at] + piece + text[at:]
            case "drop":
                text = text[:at] + text[at + rng.randint(1, 2) :]
            case "replace":
                text = text[:at] + piece + text[at + 1 :]
            case "pad":
                numbers = [place for place, char in enumerate(text) if char in "0123456789"]
                at = rng.choice(numbers or [0])
                text = text[:at] + "0" + text[at:]
            case "end":
                text += piece
    return text[:TEXT_MAX_LENGTH]


def candidates(kind: Kind, rng: random.Random) -> tuple[str, str]:
    """Return a pair that may hold illegal versions: 25 % real with real, 35 % real with mutated, 40 % soup."""
    roll = rng.random()
    left = rng.choice(kind.real) if roll < 0.6 else soup(kind, rng)
    if roll < 0.25:
        return left, rng.choice(kind.real)
    if roll < 0.6 or rng.random() < 0.6:
        return left, mutate(kind, left, rng)
    return left, soup(kind, rng)


def pairs(kind: Kind, *, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield `count` pairs of versions our key accepts, either side first."""
    rng = random.Random(seed)
    while count:
        left, right = candidates(kind, rng)
        if accepts(kind, left) and accepts(kind, right):
            count -= 1
            yield (left, right) if rng.random() < 0.5 else (right, left)
