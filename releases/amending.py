"""What an amendment may change in a sealed manifest: hosts join, and nothing else. Pure; the dispatcher asks it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.integrity import plain

Document = Mapping[str, Any]
GROWS = ("revision", "hosts", "rings", "way_back")
UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, IndexError)


def amended(before: Document, joiners: Sequence[Document], ring: Document) -> dict[str, Any]:
    """The next revision: `joiners` (entries without their ring) stand in `ring`, which is one of its rings or a new last one."""
    rings = list(before["rings"])
    if ring["ring"] not in {one["ring"] for one in rings}:
        rings.append(dict(ring))
    hosts = [*before["hosts"], *({**one, "ring": ring["ring"]} for one in joiners)]
    back = before["way_back"]
    back_hosts = list(back["hosts"])
    if back["kind"] == "reinstall_previous":
        back_hosts += [{"host": one["host"], "packages": _previous(one)} for one in joiners]
    return dict(plain({
        **before, "revision": before["revision"] + 1, "rings": rings,
        "hosts": sorted(hosts, key=lambda host: host["host"]),
        "way_back": {**back, "hosts": sorted(back_hosts, key=lambda host: host["host"])},
    }))  # fmt: skip


def _previous(entry: Document) -> list[dict[str, Any]]:
    return [{"name": p["name"], "arch": p["arch"], "to": p["from"]} for p in entry["packages"]]


def joined(before: Document, after: Document) -> list[Document]:
    """The hosts that stand in `after` and not in `before`."""
    there = {host["host"] for host in before["hosts"]}
    return [host for host in after["hosts"] if host["host"] not in there]


def only_joiners(before: Document, after: Document) -> list[Blocker]:
    """Every difference between two revisions that is not a host that joins; empty: only joiners."""
    try:
        before, after = plain(before), plain(after)
        return [*_same(before, after), *_grown(before, after), *_rings(before, after)]
    except UNREADABLE as error:
        said = english("The two revisions cannot be compared (%(kind)s), so nothing joins.", kind=type(error).__name__)
        return [Blocker("amendment.unreadable", said, tone="unknown")]


def _same(before: Document, after: Document) -> list[Blocker]:
    found = [
        Blocker(
            "amendment.differs",
            english("“%(key)s” differs from the revision before: an amendment only adds hosts.", key=key),
        )
        for key in sorted((set(before) | set(after)) - set(GROWS))
        if before.get(key) != after.get(key)
    ]
    for key in ("kind", "artifacts"):
        if before["way_back"][key] != after["way_back"][key]:
            found.append(Blocker("amendment.way_back", "The way back of the hosts before is not what it was."))
    if after["revision"] != before["revision"] + 1:
        found.append(Blocker("amendment.revision", "It is not the next revision of the manifest that it amends."))
    return found


def _grown(before: Document, after: Document) -> list[Blocker]:
    """Every host before stands there word for word, also in the way back; what is new is new in both."""
    found = []
    new = {host["host"] for host in joined(before, after)}
    if not new:
        found.append(Blocker("amendment.nobody", "No host joins."))
    for what, rows, others in (
        ("manifest", before["hosts"], after["hosts"]),
        ("way back", before["way_back"]["hosts"], after["way_back"]["hosts"]),
    ):
        known = {row["host"]: row for row in others}
        if len(known) != len(others):
            found.append(Blocker("amendment.twice", english("A host stands twice in the %(what)s.", what=what)))
        for row in rows:
            if known.pop(row["host"], None) != row:
                named = row.get("name", row["host"])
                found.append(
                    Blocker(
                        "amendment.host",
                        english("%(named)s is not what it was in the %(what)s.", named=named, what=what),
                    )
                )
        if strangers := set(known) - new:
            found.append(
                Blocker(
                    "amendment.stranger",
                    english("The %(what)s names %(n)s hosts that do not join.", what=what, n=len(strangers)),
                )
            )
    return found


def _rings(before: Document, after: Document) -> list[Blocker]:
    """Joiners stand in the last ring, or alone in one new ring after it."""
    count = len(before["rings"])
    if after["rings"][:count] != before["rings"] or len(after["rings"]) > count + 1:
        return [Blocker("amendment.rings", "The rings before are not what they were.")]
    last = after["rings"][-1]["ring"]
    if len(after["rings"]) > count and last != max(ring["ring"] for ring in before["rings"]) + 1:
        return [Blocker("amendment.rings", "A new ring comes after all others.")]
    if any(host["ring"] != last for host in joined(before, after)):
        return [Blocker("amendment.ring", "Who joins comes last: in the last ring, or in a new one after it.")]
    return []
