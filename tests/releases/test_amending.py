"""What an amendment may change: hosts join, and every other difference is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from releases.amending import amended, joined, only_joiners
from releases.containment import contained
from tests.releases.documents import change_document, manifest_document

CHANGES = [change_document(hosts=(1, 2, 3, 4))]
BEFORE = {**manifest_document(CHANGES, hosts=(1, 2, 3)), "revision": 1}
FULL = manifest_document(CHANGES, hosts=(1, 2, 3, 4))
FOURTH = {key: value for key, value in FULL["hosts"][3].items() if key != "ring"}
LAST = BEFORE["rings"][-1]
NEW = {**LAST, "ring": LAST["ring"] + 1, "name": "Late-comers"}


def codes(before: Any, after: Any) -> set[str]:
    return {b.code for b in only_joiners(before, after)}


@pytest.mark.parametrize("ring", [LAST, NEW])
def test_a_host_joins_the_last_ring_or_a_new_one_after_it_and_nothing_else_changes(ring: dict[str, Any]) -> None:
    after = amended(BEFORE, [FOURTH], ring)
    assert only_joiners(BEFORE, after) == []
    assert [host["host"] for host in joined(BEFORE, after)] == [4]
    assert contained(after, CHANGES) == []
    assert after["revision"] == 2


def changed(edit: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    after = copy.deepcopy(amended(BEFORE, [FOURTH], NEW))
    edit(after)
    return after


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda d: d["hosts"][0]["packages"][0].update(to="9.9"), "amendment.host"),
        (lambda d: d["hosts"][0].update(fingerprint="another"), "amendment.host"),
        (lambda d: d["hosts"][0].update(ring=NEW["ring"]), "amendment.host"),
        (lambda d: d["hosts"].pop(0), "amendment.host"),
        (lambda d: d["hosts"].append(dict(d["hosts"][0])), "amendment.twice"),
        (lambda d: d["way_back"]["hosts"].pop(0), "amendment.host"),
        (lambda d: d["way_back"].update(kind="none"), "amendment.way_back"),
        (lambda d: d["way_back"]["artifacts"].pop(), "amendment.way_back"),
        (lambda d: d["way_back"]["hosts"].append({"host": 99, "packages": []}), "amendment.stranger"),
        (lambda d: d["artifacts"][0].update(sha256="0" * 64), "amendment.differs"),
        (lambda d: d["profile"].update(restart="always"), "amendment.differs"),
        (lambda d: d["start"].update(latest="2027-01-01T00:00:00Z"), "amendment.differs"),
        (lambda d: d["windows"].append({"window": 2, "revision": 1, "name": "w"}), "amendment.differs"),
        (lambda d: d["rfcs"].pop(), "amendment.differs"),
        (lambda d: d.update(extra=1), "amendment.differs"),
        (lambda d: d["rings"][0].update(failure_limit=99), "amendment.rings"),
        (lambda d: d["rings"].append({**NEW, "ring": NEW["ring"] + 1}), "amendment.rings"),
        (lambda d: d["rings"][-1].update(ring=77), "amendment.rings"),
        (lambda d: next(h for h in d["hosts"] if h["host"] == 4).update(ring=0), "amendment.ring"),
        (lambda d: d.update(revision=7), "amendment.revision"),
        (lambda d: d.pop("hosts"), "amendment.unreadable"),
        (lambda d: d.update(hosts=[{}]), "amendment.unreadable"),
    ],
)  # fmt: skip
def test_every_other_difference_is_refused(edit: Callable[[dict[str, Any]], Any], code: str) -> None:
    assert code in codes(BEFORE, changed(edit))


def test_an_amendment_in_which_nobody_joins_is_none() -> None:
    assert codes(BEFORE, {**BEFORE, "revision": 2}) == {"amendment.nobody"}
