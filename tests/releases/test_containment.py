"""Law 2: a manifest lies within what every change signed, whatever is tried. Documents only, no database."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchflow.kernel.integrity import digest
from releases.containment import consistent, contained
from tests.releases.documents import UPDATES, change_document, file_of, manifest_document, update

Document = dict[str, Any]


# --- random changes and a manifest within them --------------------------------------------------------------------------
@st.composite
def changes_and_manifest(draw: Any) -> tuple[list[Document], Document]:
    """One to three changes with updates, hosts, windows and dates of their own, and a manifest that lies within all."""
    common = draw(st.sets(st.integers(1, 4), min_size=1))
    changes = []
    for number in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(UPDATES), min_size=1, unique=True))
        changes.append(
            change_document(
                rfc=f"RFC-2026-{number + 1:05d}",
                updates=sorted(chosen),
                hosts=tuple(sorted(draw(st.sets(st.integers(1, 8), min_size=1)))),
                windows=tuple(sorted(common | draw(st.sets(st.integers(5, 9))))),
                earliest=draw(st.sampled_from([None, "2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z"])),
                latest=draw(st.sampled_from([None, "2026-12-01T00:00:00Z", "2026-12-18T00:00:00Z"])),
                way_back=draw(st.sampled_from(["none", "reinstall_previous"])),
            )
        )
    every = sorted({t["host"] for c in changes for t in c["targets"]})
    hosts = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    windows = draw(st.lists(st.sampled_from(sorted(common)), min_size=1, unique=True))
    document = manifest_document(
        changes, hosts=tuple(sorted(hosts)), windows=tuple(sorted(windows)), dependency=draw(st.booleans())
    )
    return changes, document


@settings(max_examples=150, deadline=None)
@given(changes_and_manifest())
def test_contained_accepts_every_refinement(drawn: tuple[list[Document], Document]) -> None:
    changes, document = drawn
    assert contained(document, changes) == []


# --- ways to widen it ---------------------------------------------------------------------------------------------------
def _strange_host(document: Document, changes: list[Document], pick: int) -> None:
    """A host that no RFC targets, complete with its way back."""
    host, back = copy.deepcopy(document["hosts"][0]), copy.deepcopy(document["way_back"]["hosts"][0])
    host["host"] = back["host"] = 99
    document["hosts"].append(host)
    document["way_back"]["hosts"].append(back)


def _other_version(document: Document, changes: list[Document], pick: int) -> None:
    """The newest version instead of the approved one, consistently everywhere but in the change."""
    one = document["classes"][pick % len(document["classes"])]
    package = next(p for p in one["packages"] if not p["dependency"])
    _retarget(document, one["class"], package, to="99.0", source_version="99.0")


def _retarget(document: Document, label: str, package: Document, *, to: str, source_version: str) -> None:
    old = package["to"]
    package["to"], package["source_version"] = to, source_version
    for host in document["hosts"]:
        if host["class"] == label:
            for p in host["packages"]:
                if p["name"] == package["name"]:
                    p["to"] = to
    wanted = {(p["name"], p["to"]) for c in document["classes"] for p in c["packages"]}
    if (package["name"], old) not in wanted:
        document["artifacts"] = [
            a for a in document["artifacts"] if (a["package"], a["version"]) != (package["name"], old)
        ]
    document["artifacts"].append(file_of(package["name"], to))


def _hidden_as_dependency(document: Document, changes: list[Document], pick: int) -> None:
    """Another version of an approved source, called a dependency."""
    one = document["classes"][pick % len(document["classes"])]
    package = next(p for p in one["packages"] if not p["dependency"])
    package["dependency"] = True
    _retarget(document, one["class"], package, to="99.0", source_version="99.0")


def _new_update(document: Document, changes: list[Document], pick: int) -> None:
    document["updates"].append(update("sudo", "1.9"))


def _unapproved_package(document: Document, changes: list[Document], pick: int) -> None:
    """A package of no approved source, not even called a dependency."""
    one = document["classes"][pick % len(document["classes"])]
    one["packages"].append(
        {"name": "sudo", "arch": "amd64", "to": "1.9", "source": "sudo", "source_version": "1.9", "dependency": False}
    )
    for host in document["hosts"]:
        if host["class"] == one["class"]:
            host["packages"].append({"name": "sudo", "arch": "amd64", "from": "1.8", "to": "1.9"})
            next(h for h in document["way_back"]["hosts"] if h["host"] == host["host"])["packages"].append(
                {"name": "sudo", "arch": "amd64", "to": "1.8"}
            )
    document["artifacts"].append(file_of("sudo", "1.9"))
    document["way_back"]["artifacts"].append(file_of("sudo", "1.8"))


def _earlier(document: Document, changes: list[Document], pick: int) -> None:
    first = min((c["dates"]["earliest"] for c in changes if c["dates"]["earliest"]), default=None)
    if first is None:
        changes_limit(changes, "earliest", "2026-11-19T00:00:00Z", document)
        first = "2026-11-19T00:00:00Z"
    moment = datetime.fromisoformat(first) - timedelta(seconds=1 + pick)
    document["start"]["earliest"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _later(document: Document, changes: list[Document], pick: int) -> None:
    last = max((c["dates"]["latest"] for c in changes if c["dates"]["latest"]), default=None)
    if last is None:
        changes_limit(changes, "latest", "2026-12-01T00:00:00Z", document)
        last = "2026-12-01T00:00:00Z"
    moment = datetime.fromisoformat(last) + timedelta(seconds=1 + pick)
    document["start"]["latest"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def changes_limit(changes: list[Document], which: str, value: str, document: Document) -> None:
    """Gives the first change a limit, and the manifest that change's new digest."""
    changes[0]["dates"][which] = value
    document["rfcs"][0]["digest"] = digest(changes[0])


def _open_end(document: Document, changes: list[Document], pick: int) -> None:
    changes_limit(changes, "latest", "2026-12-01T00:00:00Z", document)
    document["start"]["latest"] = None


def _other_window(document: Document, changes: list[Document], pick: int) -> None:
    document["windows"].append({"window": 100 + pick, "revision": 1, "name": "any time"})


def _no_way_back(document: Document, changes: list[Document], pick: int) -> None:
    changes[0]["way_back"] = "reinstall_previous"
    document["rfcs"][0]["digest"] = digest(changes[0])
    document["way_back"] = {"kind": "none", "hosts": [], "artifacts": []}


def _stray_file(document: Document, changes: list[Document], pick: int) -> None:
    document["artifacts"].append(file_of("backdoor", "1.0"))


def _other_digest(document: Document, changes: list[Document], pick: int) -> None:
    document["rfcs"][pick % len(document["rfcs"])]["digest"] = "0" * 64


def _change_edited(document: Document, changes: list[Document], pick: int) -> None:
    changes[pick % len(changes)]["plans"]["test"] = "none"


def _extra_rfc(document: Document, changes: list[Document], pick: int) -> None:
    document["rfcs"].append({"rfc": "RFC-2026-09999", "digest": "0" * 64})


def _forgotten_rfc(document: Document, changes: list[Document], pick: int) -> None:
    changes.append(change_document(rfc="RFC-2026-08888"))


def _removal(document: Document, changes: list[Document], pick: int) -> None:
    document["classes"][0]["packages"][0]["to"] = ""


def _anonymous(document: Document, changes: list[Document], pick: int) -> None:
    document["hosts"][pick % len(document["hosts"])]["fingerprint"] = ""


def _host_twice(document: Document, changes: list[Document], pick: int) -> None:
    document["hosts"].append(copy.deepcopy(document["hosts"][0]))


def _class_twice(document: Document, changes: list[Document], pick: int) -> None:
    document["classes"].append(copy.deepcopy(document["classes"][0]))


def _other_way_back(document: Document, changes: list[Document], pick: int) -> None:
    document["way_back"]["hosts"][0]["packages"][0]["to"] = "0.1"


def _hole(document: Document, changes: list[Document], pick: int) -> None:
    del document["hosts"][0]["class"]


def _unhashed(document: Document, changes: list[Document], pick: int) -> None:
    document["artifacts"][0]["sha256"] = ""


WIDENINGS: dict[Callable[[Document, list[Document], int], None], str] = {
    _strange_host: "manifest.host",
    _other_version: "manifest.package",
    _hidden_as_dependency: "manifest.package",
    _new_update: "manifest.update",
    _unapproved_package: "manifest.package",
    _earlier: "manifest.dates",
    _later: "manifest.dates",
    _open_end: "manifest.dates",
    _other_window: "manifest.window",
    _no_way_back: "manifest.way_back",
    _stray_file: "manifest.artifact_extra",
    _other_digest: "manifest.change_digest",
    _change_edited: "manifest.change_digest",
    _extra_rfc: "manifest.rfc",
    _forgotten_rfc: "manifest.rfc",
    _removal: "manifest.removal",
    _anonymous: "manifest.fingerprint",
    _host_twice: "manifest.twice",
    _class_twice: "manifest.twice",
    _other_way_back: "manifest.way_back",
    _hole: "manifest.unreadable",
    _unhashed: "manifest.hash",
}
"""Each way to widen a manifest, and the reason it must meet."""


@settings(max_examples=400, deadline=None)
@given(changes_and_manifest(), st.sampled_from(list(WIDENINGS)), st.integers(0, 50))
def test_contained_refuses_any_widening(
    drawn: tuple[list[Document], Document], widen: Callable[[Document, list[Document], int], None], pick: int
) -> None:
    changes, document = copy.deepcopy(drawn)
    widen(document, changes, pick)
    assert WIDENINGS[widen] in {b.code for b in contained(document, changes)}


@pytest.mark.parametrize("widen", WIDENINGS, ids=lambda w: w.__name__.strip("_"))
def test_contained_refuses_each_widening_of_a_plain_manifest(widen: Callable[..., None]) -> None:
    changes = [change_document(), change_document(rfc="RFC-2026-00002", updates=[UPDATES[2]], hosts=(3, 4))]
    document = manifest_document(changes)
    assert contained(document, changes) == []
    widen(document, changes, 0)
    assert WIDENINGS[widen] in {b.code for b in contained(document, changes)}


def test_contained_refuses_an_update_on_a_host_that_only_another_rfc_targets() -> None:
    """Both RFCs are served, host 4 is a target, bind9 is approved; but not bind9's neighbour for host 4."""
    changes = [change_document(hosts=(1, 2)), change_document(rfc="RFC-2026-00002", updates=[UPDATES[2]], hosts=(4,))]
    document = manifest_document(changes)
    host = next(h for h in document["hosts"] if h["host"] == 4)
    other = next(h for h in document["hosts"] if h["host"] == 1)
    host["class"], host["packages"] = other["class"], copy.deepcopy(other["packages"])
    back = next(h for h in document["way_back"]["hosts"] if h["host"] == 4)
    back["packages"] = [{"name": p["name"], "arch": p["arch"], "to": p["from"]} for p in host["packages"]]
    document["way_back"]["artifacts"] = [a for a in document["way_back"]["artifacts"] if a["package"] != "bind9"]
    assert {b.code for b in contained(document, changes)} == {"manifest.package"}


def test_contained_leaves_windows_to_the_hosts_where_a_change_names_none() -> None:
    changes = [change_document(windows=())]
    assert contained(manifest_document(changes, windows=(1, 7)), changes) == []


def test_contained_lets_a_way_back_be_added() -> None:
    changes = [change_document(way_back="none")]
    assert contained(manifest_document(changes), changes) == []


def test_contained_without_any_change_refuses() -> None:
    assert contained(manifest_document([change_document()]), []) != []


@pytest.mark.parametrize("key", sorted(manifest_document([change_document()])))
def test_a_document_with_a_hole_is_refused_not_guessed(key: str) -> None:
    changes = [change_document()]
    document = manifest_document(changes)
    del document[key]
    if key in ("release", "revision"):  # no rule of containment reads these
        assert contained(document, changes) == []
    else:
        found = contained(document, changes)
        assert [b.tone for b in found] == ["unknown"]


def test_consistent_names_the_file_that_is_missing() -> None:
    document = manifest_document([change_document()])
    gone = document["artifacts"].pop()
    assert [b.code for b in consistent(document)] == ["manifest.artifact_missing"]
    assert gone["package"] in consistent(document)[0].sentence
