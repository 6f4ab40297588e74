"""Whether a manifest holds together, and lies within what the changes signed (law 2). Pure: documents in, reasons out.

A manifest refines changes: it may name fewer hosts, later starts, fewer windows. It may not name anything else: no other
update or version, no host beyond the targets of an RFC that has this update, no window or moment outside, no weaker way
back, no file that belongs to no package. Whatever cannot be read is refused.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.integrity import digest, digest_as_read

Document = Mapping[str, Any]
HEX = frozenset("0123456789abcdef")
UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, IndexError)


def contained(manifest: Document, changes: Sequence[Document]) -> list[Blocker]:
    """Every way in which `manifest` is wider than the change documents it serves; empty: it is contained in all of them.
    All of them in JSON's own types, as they are stored and signed."""
    try:
        if found := consistent(manifest):
            return found
        return [
            *_serves(manifest, changes),
            *_updates(manifest, changes),
            *_hosts(manifest, changes),
            *_dates(manifest, changes),
            *_windows(manifest, changes),
            *_way_back_kind(manifest, changes),
        ]
    except UNREADABLE as error:
        return [_unreadable(error)]


def consistent(manifest: Document) -> list[Blocker]:
    """Every way in which `manifest` contradicts itself or leaves something out."""
    try:
        parts = (_once, _classes, _targets, _steps, _artifacts, _way_back)
        return [blocker for part in parts for blocker in part(manifest)]
    except UNREADABLE as error:
        return [_unreadable(error)]


def update_key(update: Document) -> tuple[str, str, str, str]:
    """What makes an update this update: distribution, release, source name, fixed version."""
    return (update["distribution"], update["release"], update["name"], update["fixed_version"])


def _unreadable(error: Exception) -> Blocker:
    sentence = english(
        "The manifest or a change document cannot be read (%(name)s: %(error)s), so it is refused.",
        name=type(error).__name__,
        error=error,
    )
    return Blocker("manifest.unreadable", sentence, tone="unknown")


def _repeated(names: Iterable[Any]) -> set[Any]:
    """Those that stand there more than once."""
    return {name for name, times in Counter(names).items() if times > 1}


# --- by itself --------------------------------------------------------------------------------------------------------
def _once(manifest: Document) -> Iterator[Blocker]:
    if manifest["schema"] != 1:
        yield Blocker(
            "manifest.schema",
            english("Schema %(schema)s is not known; this reads schema 1.", schema=repr(manifest["schema"])),
        )
    places = {
        "RFC": [r["rfc"] for r in manifest["rfcs"]],
        "class": [c["class"] for c in manifest["classes"]],
        "host": [h["host"] for h in manifest["hosts"]],
        "ring": [r["ring"] for r in manifest["rings"]],
        "window": [w["window"] for w in manifest["windows"]],
        "way back of host": [h["host"] for h in manifest["way_back"]["hosts"]],
    }
    for what, names in places.items():
        for name in sorted(_repeated(names), key=str):
            yield Blocker(
                "manifest.twice", english("%(what)s %(name)s stands twice in the manifest.", what=what, name=name)
            )
    needed = {"RFC": "rfcs", "update": "updates", "host": "hosts", "ring": "rings", "window": "windows"}
    for what, rows in ((what, manifest[key]) for what, key in needed.items()):
        if not rows:
            yield Blocker("manifest.empty", english("The manifest names no %(what)s.", what=what))


def _classes(manifest: Document) -> Iterator[Blocker]:
    for one in manifest["classes"]:
        names = [(p["name"], p["arch"]) for p in one["packages"]]
        for name, arch in sorted(_repeated(names)):
            yield Blocker(
                "manifest.twice",
                english(
                    "Package %(name)s:%(arch)s stands twice in class %(host_class)s.",
                    name=name,
                    arch=arch,
                    host_class=one["class"],
                ),
            )
        for package in one["packages"]:
            if not package["to"]:
                yield Blocker(
                    "manifest.removal",
                    english(
                        "Class %(host_class)s would remove %(name)s: an update never does.",
                        host_class=one["class"],
                        name=package["name"],
                    ),
                )


def _targets(manifest: Document) -> Iterator[Blocker]:
    classes = packages_of_classes(manifest)
    rings = {r["ring"] for r in manifest["rings"]}
    for host in manifest["hosts"]:
        if host["ring"] not in rings:
            yield Blocker(
                "manifest.ring",
                english(
                    "%(name)s stands in ring %(ring)s, which does not exist.", name=host["name"], ring=host["ring"]
                ),
            )
        if not host["fingerprint"]:
            yield Blocker(
                "manifest.fingerprint",
                english("%(name)s has no fingerprint: it could be another machine.", name=host["name"]),
            )
        if host["class"] not in classes:
            yield Blocker(
                "manifest.class",
                english(
                    "%(name)s is of class %(host_class)s, which was not built.",
                    name=host["name"],
                    host_class=host["class"],
                ),
            )
            continue
        if not host["packages"]:
            yield Blocker("manifest.nothing", english("%(name)s would get nothing.", name=host["name"]))
        built = classes[host["class"]]
        names = [(p["name"], p["arch"]) for p in host["packages"]]
        if len(names) != len(set(names)):
            yield Blocker("manifest.twice", english("%(name)s has a package twice.", name=host["name"]))
        for package in host["packages"]:
            known = built.get((package["name"], package["arch"]))
            if known is None or known["to"] != package["to"]:
                yield Blocker(
                    "manifest.not_built",
                    english(
                        "%(name)s: %(package)s %(to)s was not built for %(host_class)s.",
                        name=host["name"],
                        package=package["name"],
                        to=package["to"],
                        host_class=host["class"],
                    ),
                )


def _steps(manifest: Document) -> Iterator[Blocker]:
    """Each step once, with the digest of its content; a host refers to steps that are there. (A manifest from before there
    were steps names none.)"""
    steps = manifest.get("steps", [])
    labels = [f"{step['name']} | {step['revision']}" for step in steps]
    if profile := manifest["profile"]:
        wanted = [f"{one['name']} | {one['revision']}" for one in profile.get("steps", [])]
        if wanted != labels:
            yield Blocker("manifest.steps", "The steps of the manifest are not those of its profile.")
    repeated = _repeated(labels)
    for step, label in zip(steps, labels, strict=True):
        if label in repeated:
            yield Blocker("manifest.twice", english("Step %(label)s stands twice in the manifest.", label=label))
        if digest({key: value for key, value in step.items() if key != "digest"}) != step["digest"]:
            yield Blocker(
                "manifest.step", english("Step %(label)s has not the content that its digest says.", label=label)
            )
    for host in manifest["hosts"]:
        if unknown := sorted(set(host.get("steps", [])) - set(labels)):
            yield Blocker(
                "manifest.step",
                english(
                    "%(name)s refers to steps that are not there: %(unknown)s.",
                    name=host["name"],
                    unknown=", ".join(unknown),
                ),
            )


def _artifacts(manifest: Document) -> Iterator[Blocker]:
    forward = {(p["name"], p["to"], p["arch"]) for c in manifest["classes"] for p in c["packages"]}
    back = {(p["name"], p["to"], p["arch"]) for h in manifest["way_back"]["hosts"] for p in h["packages"] if p["to"]}
    yield from _files(english("file"), manifest["artifacts"], forward)
    yield from _files(english("file of the way back"), manifest["way_back"]["artifacts"], back)


def _files(what: str, artifacts: Sequence[Document], wanted: set[tuple[str, str, str]]) -> Iterator[Blocker]:
    present = [(a["package"], a["version"], a["arch"]) for a in artifacts]
    for name, version, arch in sorted(wanted - set(present)):
        yield Blocker(
            "manifest.artifact_missing",
            english(
                "%(name)s %(version)s (%(arch)s) has no %(what)s with a hash.",
                name=name,
                version=version,
                arch=arch,
                what=what,
            ),
        )
    for name, version, arch in sorted(set(present) - wanted):
        yield Blocker(
            "manifest.artifact_extra",
            english(
                "The %(what)s %(name)s %(version)s (%(arch)s) belongs to no package of the manifest.",
                what=what,
                name=name,
                version=version,
                arch=arch,
            ),
        )
    for name, version, arch in sorted(_repeated(present)):
        yield Blocker(
            "manifest.twice",
            english(
                "%(name)s %(version)s (%(arch)s) has more than one %(what)s.",
                name=name,
                version=version,
                arch=arch,
                what=what,
            ),
        )
    for artifact in artifacts:
        if len(artifact["sha256"]) != 64 or not set(artifact["sha256"]) <= HEX or artifact["size"] <= 0:
            yield Blocker(
                "manifest.hash", english("%(filename)s has no usable SHA-256 or size.", filename=artifact["filename"])
            )


def _way_back(manifest: Document) -> Iterator[Blocker]:
    """A way back by reinstalling names, for every host, exactly what it has now."""
    back = manifest["way_back"]
    if back["kind"] not in ("reinstall_previous", "snapshot", "none"):
        yield Blocker("manifest.way_back", english("The way back %(kind)s is not known.", kind=repr(back["kind"])))
    if back["kind"] != "reinstall_previous":
        if back["hosts"] or back["artifacts"]:
            yield Blocker("manifest.way_back", english("A way back by %(kind)s names no packages.", kind=back["kind"]))
        return
    wanted = {h["host"]: {(p["name"], p["arch"], p["from"]) for p in h["packages"]} for h in manifest["hosts"]}
    given = {h["host"]: {(p["name"], p["arch"], p["to"]) for p in h["packages"]} for h in back["hosts"]}
    names = {h["host"]: h["name"] for h in manifest["hosts"]}
    for host in sorted(wanted.keys() | given.keys()):
        if wanted.get(host) != given.get(host):
            yield Blocker(
                "manifest.way_back",
                english("%(host)s: the way back does not lead to what it has now.", host=names.get(host, host)),
            )


def packages_of_classes(manifest: Document) -> dict[str, dict[tuple[str, str], Document]]:
    """Class → (name, arch) → package as built."""
    return {c["class"]: {(p["name"], p["arch"]): p for p in c["packages"]} for c in manifest["classes"]}


# --- within the changes -----------------------------------------------------------------------------------------------
def _serves(manifest: Document, changes: Sequence[Document]) -> Iterator[Blocker]:
    named = {r["rfc"]: r["digest"] for r in manifest["rfcs"]}
    given = {c["rfc"]: digest_as_read(c) for c in changes}
    if len(given) != len(changes):
        yield Blocker("manifest.rfc", "An RFC was given twice.")
    for rfc in sorted(named.keys() - given.keys()):
        yield Blocker(
            "manifest.rfc", english("%(rfc)s is in the manifest, but its signed document is not at hand.", rfc=rfc)
        )
    for rfc in sorted(given.keys() - named.keys()):
        yield Blocker("manifest.rfc", english("%(rfc)s is served, but not named in the manifest.", rfc=rfc))
    for rfc in sorted(named.keys() & given.keys()):
        if named[rfc] != given[rfc]:
            yield Blocker(
                "manifest.change_digest",
                english(
                    "%(rfc)s is not what the manifest refers to: its digest is %(given)s….",
                    rfc=rfc,
                    given=given[rfc][:12],
                ),
            )


def _updates(manifest: Document, changes: Sequence[Document]) -> Iterator[Blocker]:
    approved = {update_key(u) for c in changes for u in c["updates"]}
    for update in manifest["updates"]:
        if update_key(update) not in approved:
            yield Blocker(
                "manifest.update",
                english(
                    "%(name)s %(fixed_version)s is in no RFC of this release.",
                    name=update["name"],
                    fixed_version=update["fixed_version"],
                ),
            )


def _hosts(manifest: Document, changes: Sequence[Document]) -> Iterator[Blocker]:
    """Each package of each host is covered by one RFC that has both the update and the host, or is a dependency.

    A package of a source that an RFC names never passes as a dependency: its version and its hosts were decided.
    """
    permits = [({t["host"] for t in c["targets"]}, {update_key(u) for u in c["updates"]}) for c in changes]
    updates = {update_key(u) for u in manifest["updates"]}
    classes = {c["class"]: c for c in manifest["classes"]}
    built = packages_of_classes(manifest)
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _targets, keys in permits:
        for distribution, release, source, _version in keys:
            named[distribution, release].add(source)
    for host in manifest["hosts"]:
        mine = [keys for targets, keys in permits if host["host"] in targets]
        if not mine:
            yield Blocker(
                "manifest.host", english("%(name)s is a target of no RFC of this release.", name=host["name"])
            )
            continue
        one = classes[host["class"]]
        sources = named.get((one["distribution"], one["release"]), set())
        direct = 0
        for package in host["packages"]:
            known = built[host["class"]][(package["name"], package["arch"])]
            key = (one["distribution"], one["release"], known["source"], known["source_version"])
            covered = key in updates and any(key in keys for keys in mine)
            direct += covered
            if covered or (known["dependency"] and known["source"] not in sources):
                continue
            yield Blocker(
                "manifest.package",
                english(
                    "%(name)s: %(package)s %(to)s is not an update that an RFC has for this host.",
                    name=host["name"],
                    package=package["name"],
                    to=package["to"],
                ),
            )
        if not direct:
            yield Blocker(
                "manifest.package",
                english("%(name)s would get only dependencies of updates that it does not get.", name=host["name"]),
            )


def _moment(value: str | None) -> datetime | None:
    if not value:
        return None
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _dates(manifest: Document, changes: Sequence[Document]) -> Iterator[Blocker]:
    earliest, latest = _moment(manifest["start"]["earliest"]), _moment(manifest["start"]["latest"])
    if earliest and latest and latest <= earliest:
        yield Blocker("manifest.dates", "The latest start is not after the earliest.")
    for change in changes:
        first, last = _moment(change["dates"]["earliest"]), _moment(change["dates"]["latest"])
        if first and (earliest is None or earliest < first):
            yield Blocker(
                "manifest.dates",
                english(
                    "%(rfc)s permits a start from %(first)s UTC only.",
                    rfc=change["rfc"],
                    first=f"{first:%Y-%m-%d %H:%M}",
                ),
            )
        if last and (latest is None or latest > last):
            yield Blocker(
                "manifest.dates",
                english(
                    "%(rfc)s permits a start until %(last)s UTC only.", rfc=change["rfc"], last=f"{last:%Y-%m-%d %H:%M}"
                ),
            )


def _windows(manifest: Document, changes: Sequence[Document]) -> Iterator[Blocker]:
    """A change that names no window leaves it at the hosts' own windows, which the dispatch asks anyway."""
    for change in changes:
        permitted = {w["window"] for w in change["windows"]}
        for window in manifest["windows"]:
            if permitted and window["window"] not in permitted:
                yield Blocker(
                    "manifest.window",
                    english(
                        "Window “%(name)s” is not one that %(rfc)s permits.", name=window["name"], rfc=change["rfc"]
                    ),
                )


def _way_back_kind(manifest: Document, changes: Sequence[Document]) -> Iterator[Blocker]:
    """A way back may be added where none was promised, never taken away or exchanged."""
    kind = manifest["way_back"]["kind"]
    for change in changes:
        if change["way_back"] not in ("none", kind):
            yield Blocker(
                "manifest.way_back",
                english(
                    "%(rfc)s was approved with the way back %(way_back)s, not %(kind)s.",
                    rfc=change["rfc"],
                    way_back=change["way_back"],
                    kind=kind,
                ),
            )
