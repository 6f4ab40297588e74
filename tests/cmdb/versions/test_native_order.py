"""Keys against the package managers themselves: whatever pair we accept, both say the same."""

from __future__ import annotations

import os
import random
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cmdb.versions.material import DEB, RPM, Kind, accepts, candidates, pairs
from tests.cmdb.versions.native import NativeOrder, dpkg_refuses, dpkg_says
from tests.cmdb.versions.test_deb import ASCENDING as DEB_ASCENDING
from tests.cmdb.versions.test_deb import REFUSED
from tests.cmdb.versions.test_rpm import ASCENDING as RPM_ASCENDING

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]

SEED = int(os.environ.get("PATCHFLOW_SEED", "20"))
PROPERTY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def key_order(kind: Kind, left: str, right: str) -> int:
    ours, theirs = kind.key(left), kind.key(right)
    return (ours > theirs) - (ours < theirs)


def assert_same_order(kind: Kind, native: NativeOrder, *, count: int) -> None:
    answers = {-1: 0, 0: 0, 1: 0}
    differ = []
    for left, right, answer in native.compare(pairs(kind, count=count, seed=SEED)):
        answers[answer] += 1
        if key_order(kind, left, right) != answer:
            differ.append((left, right, answer))
    assert differ[:20] == []
    assert sum(answers.values()) == count
    # Without a fair share of equal pairs, and both orders, the comparison above would prove little.
    assert answers[0] > count // 100
    assert min(answers[-1], answers[1]) > count // 4
    print(f"{count} pairs compared, {answers[0]} of them equal, {len(differ)} differ")  # noqa: T201 - shown by -s


def test_deb_keys_sort_as_apt_does(apt: NativeOrder, pair_count: int) -> None:
    assert_same_order(DEB, apt, count=pair_count)


def test_rpm_keys_sort_as_librpm_does(librpm: NativeOrder, pair_count: int) -> None:
    assert_same_order(RPM, librpm, count=pair_count)


def test_librpm_confirms_the_ascending_examples(librpm: NativeOrder) -> None:
    assert [answer for _, _, answer in librpm.compare(pairwise(RPM_ASCENDING))] == [-1] * (len(RPM_ASCENDING) - 1)


@pytest.mark.usefixtures("dpkg")
def test_dpkg_confirms_the_ascending_examples() -> None:
    assert [pair for pair in pairwise(DEB_ASCENDING) if not dpkg_says(pair[0], "lt", pair[1])] == []


@pytest.mark.usefixtures("dpkg")
def test_deb_keys_sort_as_dpkg_does() -> None:
    names = {-1: "lt", 0: "eq", 1: "gt"}
    asked = [(left, names[key_order(DEB, left, right)], right) for left, right in pairs(DEB, count=400, seed=SEED)]
    assert [question for question in asked if not dpkg_says(*question)] == []
    assert {relation for _, relation, _ in asked} == {"lt", "eq", "gt"}


@pytest.mark.usefixtures("dpkg")
def test_deb_key_refuses_what_dpkg_refuses() -> None:
    rng = random.Random(SEED)
    texts = [text for _ in range(300) for text in candidates(DEB, rng)]
    texts += [text for text in REFUSED if "\x00" not in text]
    refused = [text for text in texts if dpkg_refuses(text)]
    assert len(refused) > 50
    assert [text for text in refused if accepts(DEB, text)] == []


@pytest.mark.usefixtures("dpkg")
def test_deb_key_accepts_all_soup_that_dpkg_accepts() -> None:
    rng = random.Random(SEED + 1)
    texts = [text for _ in range(300) for text in candidates(DEB, rng)]
    foreign = [text for text in texts if not accepts(DEB, text) and not dpkg_refuses(text)]
    # With this alphabet two things set us apart: dpkg only warns of a colon in the revision, and takes "+1:" as epoch.
    revision_colon = re.compile(r"[0-9]+:.*-[^-]*:[^-]*")
    assert [text for text in foreign if not text.startswith("+") and not revision_colon.fullmatch(text)] == []


def versions_of(kind: Kind) -> st.SearchStrategy[str]:
    alphabet = kind.hostile.replace("-", "").replace(":", "")
    piece = st.one_of(
        st.sampled_from(alphabet),
        st.sampled_from("09azAZ.+~"),
        st.integers(0, 10**40).map(str),
        st.integers(0, 99).map(lambda value: f"{value:020d}"),
    )
    part = st.lists(piece, min_size=1, max_size=8).map("".join)
    epoch = st.one_of(st.just(""), st.integers(0, 2**31 - 1).map(lambda value: f"{value}:"))
    release = part.map(lambda text: f"-{text}")
    return st.tuples(epoch, part, release if kind.needs_release else st.one_of(st.just(""), release)).map("".join)


def pairs_of(kind: Kind) -> st.SearchStrategy[tuple[str, str]]:
    """Two versions, often with a common beginning (there the order is decided by the first difference)."""
    related = st.tuples(versions_of(kind), versions_of(kind), st.integers(0, 30))
    grafted = related.map(lambda trio: (trio[0], trio[0][: trio[2]] + trio[1][trio[2] :]))
    both = st.one_of(st.tuples(versions_of(kind), versions_of(kind)), grafted)
    return both.filter(lambda pair: accepts(kind, pair[0]) and accepts(kind, pair[1]))


@PROPERTY
@given(pair=pairs_of(DEB))
def test_deb_key_order_of_any_pair(apt: NativeOrder, pair: tuple[str, str]) -> None:
    [(left, right, answer)] = apt.compare([pair])
    assert key_order(DEB, left, right) == answer


@PROPERTY
@given(pair=pairs_of(RPM))
def test_rpm_key_order_of_any_pair(librpm: NativeOrder, pair: tuple[str, str]) -> None:
    [(left, right, answer)] = librpm.compare([pair])
    assert key_order(RPM, left, right) == answer
