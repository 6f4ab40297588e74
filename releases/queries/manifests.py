"""Questions about manifests: the current one, what the next would say, and how it differs from what the changes signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changes.enums import WayBack
from changes.queries.authorization import Authorization
from cmdb.queries.hosts import target_facts
from cmdb.queries.software import installed
from cmdb.versions import InvalidVersion, key
from patchflow.kernel.enums import RoundState
from patchflow.kernel.integrity import difference, digest, plain
from patchflow.kernel.models import SignOffRound
from releases.enums import ArtifactUse, BuildState
from releases.models import Build, BuildClass, InstallProfile, Manifest, Release
from releases.queries.builds import updates_of
from releases.queries.classes import with_trials
from releases.queries.releases import authorizations
from releases.queries.steps import written_down

SCHEMA = 1


def current(release_id: int, *, with_document: bool = True) -> Manifest | None:
    """The newest sealed manifest of a release. Its document may name thousands of hosts: not read where nobody wants it."""
    rows = Manifest.objects.filter(release_id=release_id).order_by("-revision")
    return rows.first() if with_document else rows.defer("document").first()


def newest_manifest(release_id: int) -> tuple[int | None, int | None]:
    """(id, revision) of the newest sealed manifest, without its document; None twice if there is none."""
    rows = Manifest.objects.filter(release_id=release_id).order_by("-revision")
    return rows.values_list("pk", "revision").first() or (None, None)


def carried(release_id: int) -> dict[str, str]:
    """RFC number → the change digest that the newest sealed manifest refines: after a lapse another than the one it joined with."""
    rows = Manifest.objects.filter(release_id=release_id).order_by("-revision")
    return {one["rfc"]: one["digest"] for one in rows.values_list("document__rfcs", flat=True).first() or ()}


def next_revision(release_id: int) -> int:
    last = current(release_id)
    return last.revision + 1 if last else 1


def built(release: Release) -> Build | None:
    """The newest build, if it was built."""
    newest = release.builds.order_by("-number").first()
    return newest if newest and newest.state == BuildState.BUILT else None


def draft_document(release: Release, *, at: datetime, classes: list[BuildClass] | None = None) -> dict[str, Any]:
    """What a manifest sealed now would say (schema 1). Sorted, without floats, times in UTC seconds.

    `from` is what each host has now; a host that has everything already is left out, for nothing would be done there.
    `classes`: these instead of the build's, where nothing is built yet.
    """
    build = built(release) if classes is None else None
    if classes is None:
        classes = list(build.classes.select_related("platform")) if build else []
    hosts = _hosts(release, classes, at=at)
    used = {host["class"] for host in hosts}
    changes = authorizations(release.rfc_ids(), at=at)
    steps, steps_of_host = written_down(release.profile, [host["host"] for host in hosts])
    if steps:
        hosts = [{**host, "steps": steps_of_host[host["host"]]} for host in hosts]
    rules = {ring.number: ring.asks for ring in release.planned_rings.all()}
    rings, hosts = with_trials(_rings(release, hosts), hosts, rules)
    return dict(
        plain(
            {
                "schema": SCHEMA,
                "release": release.number,
                "revision": next_revision(release.pk),
                "rfcs": sorted(({"rfc": c.number, "digest": c.digest} for c in changes), key=lambda r: r["rfc"]),
                "updates": _updates(release),
                "classes": class_entries(classes, used),
                "artifacts": _artifacts(build, ArtifactUse.FORWARD, _wanted(classes, used)),
                "hosts": hosts,
                "rings": rings,
                "windows": [
                    {"window": w.window_id, "revision": w.revision, "name": w.name}
                    for w in release.planned_windows.order_by("window_id")
                ],
                "start": {"earliest": release.earliest_at, "latest": release.latest_at},
                "profile": profile_entry(release.profile, release.executor),
                "steps": steps,
                "way_back": _way_back(release, build, hosts),
                **({"trial": True} if release.trial else {}),
            }
        )
    )


def _updates(release: Release) -> list[dict[str, str]]:
    return [
        {"distribution": u.distribution, "release": u.release, "name": u.name, "fixed_version": u.fixed_version}
        for u in updates_of(release)
    ]


def class_entries(classes: Iterable[BuildClass], used: set[str]) -> list[dict[str, Any]]:
    """What a manifest says of those classes that have hosts in it."""
    return [_class(one) for one in sorted(classes, key=lambda one: one.label) if one.label in used]


def _class(one: BuildClass) -> dict[str, Any]:
    keys = ("name", "arch", "to", "source", "source_version", "dependency")
    packages = sorted(({k: p[k] for k in keys} for p in one.packages), key=lambda p: (p["name"], p["arch"]))
    return {
        "class": one.label,
        "distribution": one.distribution,
        "release": one.distribution_release,
        "packages": packages,
    }


def _wanted(classes: Iterable[BuildClass], used: set[str]) -> set[tuple[str, str, str]]:
    return {(p["name"], p["to"], p["arch"]) for c in classes if c.label in used for p in c.packages}


def _artifacts(build: Build | None, use: str, wanted: set[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """The files of these (package, version, arch); one that a repository calls `all` serves every architecture."""
    if build is None:
        return []
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in build.artifacts.filter(use=use).select_related("artifact").order_by("artifact_id"):
        a = row.artifact
        place = (a.package, a.version, a.arch)
        if place in wanted:
            found.setdefault(place, {
                "package": a.package, "version": a.version, "arch": a.arch, "filename": a.filename, "sha256": a.sha256,
                "size": a.size, "origin": a.origin,
            })  # fmt: skip
    return [found[place] for place in sorted(found)]


def _hosts(release: Release, classes: list[BuildClass], *, at: datetime) -> list[dict[str, Any]]:
    class_of = {host_id: one for one in classes for host_id in one.hosts}
    return host_entries(dict(release.planned_hosts.values_list("host_id", "ring__number")), class_of, at=at)


def host_entries(
    rings: Mapping[int, int | None], class_of: Mapping[int, BuildClass], *, at: datetime
) -> list[dict[str, Any]]:
    """What a manifest says of these hosts (host → ring): fingerprint, class, packages from → to, as they are now. Without
    those that have everything already."""
    classes = {one.label: one for one in class_of.values()}.values()
    facts = target_facts(rings, at=at)
    names = {p["name"] for one in classes for p in one.packages}
    present = installed(rings, names)
    found = []
    for host_id in sorted(rings):
        one = class_of.get(host_id)
        if one is None or host_id not in facts:
            continue
        packages = [
            {
                "name": p["name"],
                "arch": p["arch"],
                "from": present.get((host_id, p["name"], p["arch"]), ""),
                "to": p["to"],
            }
            for p in sorted(one.packages, key=lambda p: (p["name"], p["arch"]))
        ]
        packages = [p for p in packages if not _there(one.platform.ecosystem, p["from"], p["to"])]
        if not packages:
            continue
        found.append({
            "host": host_id, "name": facts[host_id].name, "fingerprint": facts[host_id].fingerprint, "class": one.label,
            "ring": rings[host_id], "packages": packages,
        })  # fmt: skip
    return found


def _there(ecosystem: str, have: str, to: str) -> bool:
    """Whether `have` is `to` or past it. What cannot be ordered is not there, and is asked of the host when acting."""
    if not have or have == to:
        return have == to
    try:
        return key(ecosystem, have) >= key(ecosystem, to)
    except (InvalidVersion, LookupError):
        return False


def _rings(release: Release, hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rings with numbers: a share is worked out of the hosts that the manifest names."""
    count = Counter(host["ring"] for host in hosts)
    return [
        {
            "ring": r.number, "name": r.name, "concurrency": r.at_once(count[r.number]),
            "failure_limit": r.halts_at(count[r.number]), "success_percent": r.success_percent,
            "confidence_percent": r.confidence_percent, "bound_percent": r.bound_percent, "soak_seconds": r.soak_seconds,
        }
        for r in release.planned_rings.order_by("number")
    ]  # fmt: skip


def profile_entry(profile: InstallProfile | None, executor: str) -> dict[str, Any]:
    """What a manifest says of the profile."""
    if profile is None:
        return {}
    keys = (
        "name", "revision", "restart", "restart_kinds", "countdown_seconds", "max_minutes_each", "max_minutes_total", "notify",
        "notice_hours", "acknowledge",
        "postponements", "deadline_hours", "close_programs", "inventory_after", "checks", "steps", "min_alive",
        "min_alive_percent", "offline", "catch_up_minutes",
    )  # fmt: skip
    ahead = (
        {"stage_hours": profile.stage_hours} if profile.stage_hours else {}
    )  # what was drafted before stays the same
    return {**{key: getattr(profile, key) for key in keys}, **ahead, "executor": executor}


def _way_back(release: Release, build: Build | None, hosts: list[dict[str, Any]]) -> dict[str, Any]:
    if release.way_back != WayBack.REINSTALL_PREVIOUS:
        return {"kind": release.way_back, "hosts": [], "artifacts": []}
    back = [
        {
            "host": h["host"],
            "packages": [{"name": p["name"], "arch": p["arch"], "to": p["from"]} for p in h["packages"]],
        }
        for h in hosts
    ]
    wanted = {(p["name"], p["to"], p["arch"]) for h in back for p in h["packages"] if p["to"]}
    return {"kind": release.way_back, "hosts": back, "artifacts": _artifacts(build, ArtifactUse.BACK, wanted)}


# --- what a reader is shown ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Refinement:
    """How the manifest narrows or adds to what the changes signed, in the words of a person who must decide.

    `dependencies`: packages that no RFC names and that come along; `left_out`: targets of RFCs that are not in it.
    """

    dependencies: list[str]
    left_out: list[str]
    drifted: list[dict[str, Any]]


def refinement(document: dict[str, Any], changes: Iterable[Authorization]) -> Refinement:
    """What of `document` the RFCs did not say themselves."""
    along = sorted({f"{p['name']} {p['to']}" for c in document["classes"] for p in c["packages"] if p["dependency"]})
    inside = {h["host"] for h in document["hosts"]}
    missing: dict[int, str] = {}
    drifted = []
    signed = {r["rfc"]: r["digest"] for r in document["rfcs"]}
    for change in changes:
        missing |= {t["host"]: t["name"] for t in change.document["targets"] if t["host"] not in inside}
        if signed.get(change.number) != change.digest:
            drifted.append({"field": change.number, "removed": [signed.get(change.number)], "added": [change.digest]})
    return Refinement(along, sorted(missing.values()), drifted)


def since_previous(manifest: Manifest) -> list[dict[str, Any]]:
    """Field by field what this revision changed against the one before; empty for the first."""
    before = (
        Manifest.objects.filter(release=manifest.release, revision__lt=manifest.revision).order_by("-revision").first()
    )
    if before is None:
        return []
    rows = difference(before.document, manifest.document)
    return [row for row in rows if row["field"] != "revision"]


def intact(manifest: Manifest) -> bool:
    """Whether the stored document still has the digest it was sealed with."""
    return digest(manifest.document) == manifest.digest


def manifest_signed(manifest: Manifest) -> bool:
    """Whether a round on exactly this manifest passed (it may have been superseded since)."""
    return SignOffRound.objects.filter(
        subject_type=Release._meta.label_lower,
        subject_id=manifest.release_id,
        digest=manifest.digest,
        state=RoundState.PASSED,
    ).exists()
