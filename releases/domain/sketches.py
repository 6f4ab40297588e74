"""What the plan of an RFC would look like that no release carries yet: its hosts in the rings that are usually proposed, its own
windows and dates, a profile that somebody supposes. Nothing of it is signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changes.models import RFC
from cmdb.models import Host, ServiceWindow
from cmdb.queries.windows import windows_of
from patchflow.kernel.integrity import digest, plain
from releases.domain.plans import usual_rings_for
from releases.domain.ring_plans import Candidate, RingPlan, candidates_among, distribute, numbers
from releases.models import InstallProfile
from releases.queries.builds import class_plans_of, unbuilt
from releases.queries.classes import with_trials
from releases.queries.manifests import SCHEMA, class_entries, host_entries, profile_entry
from releases.queries.steps import written_down


@dataclass(frozen=True)
class Sketch:
    """A plan on paper, with its digest."""

    rfc: RFC
    executor: str
    document: Mapping[str, Any]
    digest: str

    def rfc_ids(self) -> list[int]:
        return [self.rfc.pk]


def sketch(rfc: RFC, profile: InstallProfile, *, executor: str, at: datetime) -> Sketch:
    """The plan as a release of this RFC alone would begin with it. A fixed number of queries for each platform."""
    classes = [unbuilt(plan) for plan in class_plans_of(rfc)]
    class_of = {host_id: one for one in classes for host_id in one.hosts}
    hosts = candidates_among(Host.objects.filter(pk__among=list(class_of)))
    rings = usual_rings_for(len(hosts), classes=len({one.look for one in hosts})) if hosts else []
    places = distribute(hosts, rings) if hosts else []
    ring_of = {one.host_id: number for number, place in enumerate(places) for one in place}
    entries = host_entries(dict(ring_of), class_of, at=at)
    steps, steps_of_host = written_down(profile, [entry["host"] for entry in entries])
    if steps:
        entries = [{**entry, "steps": steps_of_host[entry["host"]]} for entry in entries]
    lanes = [_ring(number, ring, place) for number, (ring, place) in enumerate(zip(rings, places, strict=True))]
    lanes, entries = with_trials(lanes, entries, {number: ring.asks for number, ring in enumerate(rings)})
    document = plain({
        "schema": SCHEMA, "rfcs": [{"rfc": rfc.number}], "unbuilt": True, "artifacts": [], "hosts": entries, "steps": steps,
        "updates": _updates(rfc), "classes": class_entries(classes, {entry["class"] for entry in entries}),
        "rings": lanes,
        "windows": [
            {"window": window.pk, "revision": window.revision, "name": window.name[:120]} for window in windows_for(rfc, ring_of)
        ],
        "start": {"earliest": rfc.not_before, "latest": rfc.not_after}, "profile": profile_entry(profile, executor),
        "way_back": {"kind": rfc.way_back, "hosts": [], "artifacts": []},
    })  # fmt: skip
    return Sketch(rfc, executor, document, digest(document))


def _updates(rfc: RFC) -> list[dict[str, str]]:
    rows = rfc.updates.filter(removed_at__isnull=True).order_by("distribution", "release", "name", "fixed_version")
    names = ("distribution", "release", "name", "fixed_version")
    return [{name: getattr(row, name) for name in names} for row in rows]


def windows_for(rfc: RFC, host_ids: Iterable[int]) -> list[ServiceWindow]:
    """Those that the RFC names; one that names none leaves it at the hosts' own."""
    named = ServiceWindow.objects.live().filter(pk__in=rfc.windows.values("window_id"))
    if not rfc.windows.exists():
        named = ServiceWindow.objects.filter(pk__in={w.pk for found in windows_of(host_ids).values() for w in found})
    return list(named.order_by("pk"))


def _ring(number: int, ring: RingPlan, place: list[Candidate]) -> dict[str, Any]:
    said = numbers(ring, place)
    names = (
        "name", "concurrency", "failure_limit", "success_percent", "confidence_percent", "bound_percent", "soak_seconds",
    )  # fmt: skip
    return {"ring": number, **{name: said[name] for name in names}}
