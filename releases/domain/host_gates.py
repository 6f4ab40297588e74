"""The gates of one host, asked when it would be let through and again at the moment of acting.

Ring open → in the manifest, the same machine → not retired or exempt → between earliest and latest start → window open
for long enough → redundancy of its services kept → audit current → no other live job → files verified → what it may be
restarted by → reachable by a registered executor. What a batch of hosts needs is read once, in a fixed number of queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from changes.models import Artifact
from changes.queries.files import verified
from cmdb.enums import ItemKind
from cmdb.models import Host, ServiceWindow
from cmdb.queries.connections import endpoints_of
from cmdb.queries.hosts import TargetFacts, machine_kinds, supported_services, target_facts
from cmdb.queries.windows import Opening, openings, windows_of
from cmdb.remote.connection import Endpoint
from patchflow.kernel import registry
from releases.domain.profiles import countdown_minutes, find_unkept, must_stay, restart_for
from releases.domain.slips import Answer, NamedGate, Slip, ask, never, passed, wait
from releases.enums_rollout import BAD, JobState, RingState, RolloutState
from releases.models import Job, Ring, Rollout
from releases.queries.rollouts import Signed, signed
from releases.wording import many

LOOK_AHEAD = 3
WHOLES = (ItemKind.SERVICE, ItemKind.CLUSTER)
"""Kinds of items that are never taken away whole."""
BUSY = timedelta(minutes=1)
LATER = timedelta(hours=1)


@dataclass
class Batch:
    """Hosts of one ring asked together. `through`: those let through so far, which redundancy counts as away."""

    rollout: Rollout
    ring: Ring
    jobs: Sequence[Job]
    at: datetime
    through: set[int] = field(default_factory=set)

    @cached_property
    def signed(self) -> Signed:
        return signed(self.rollout.manifest_id)

    @cached_property
    def host_ids(self) -> list[int]:
        return [job.host_id for job in self.jobs]

    @cached_property
    def bad(self) -> int:
        """How many hosts of the ring count against its failure limit."""
        return self.ring.jobs.filter(state__in=BAD).count()

    @cached_property
    def facts(self) -> dict[int, TargetFacts]:
        return target_facts(self.host_ids, at=self.at)

    @cached_property
    def kinds(self) -> dict[int, str]:
        return machine_kinds(self.host_ids)

    @cached_property
    def windows(self) -> dict[int, list[ServiceWindow]]:
        return windows_of(self.host_ids)

    @cached_property
    def openings(self) -> dict[int, list[Opening]]:
        return {}

    def openings_of(self, window: ServiceWindow) -> list[Opening]:
        if window.pk not in self.openings:
            self.openings[window.pk] = openings(window, after=self.at, count=LOOK_AHEAD)
        return self.openings[window.pk]

    @cached_property
    def others(self) -> dict[int, str]:
        """Host → the live job of another attempt there."""
        mine = [job.pk for job in self.jobs]
        rows = Job.objects.live().filter(host_id__in=self.host_ids).exclude(pk__in=mine)
        return dict(rows.values_list("host_id", "job_key"))

    @cached_property
    def supports(self) -> dict[int, tuple[int, ...]]:
        """Host → the services and clusters that rest on it."""
        items = dict(Host.objects.filter(pk__in=self.host_ids).values_list("ci_id", "pk"))
        return {items[item]: found for item, found in supported_services(items, kinds=WHOLES).items()}

    @cached_property
    def members(self) -> dict[int, set[int]]:
        """Service or cluster → all hosts in service that support it."""
        wanted = {service for services in self.supports.values() for service in services}
        if not wanted:
            return {}
        hosts = dict(Host.objects.live().values_list("ci_id", "pk"))
        found: dict[int, set[int]] = defaultdict(set)
        for item, services in supported_services(hosts, kinds=WHOLES).items():
            for service in wanted & set(services):
                found[service].add(hosts[item])
        return found

    @cached_property
    def away(self) -> set[int]:
        """Hosts that are not to be counted on: at work or out of sight anywhere, or failed and lost in this rollout."""
        live = set(Job.objects.live().values_list("host_id", flat=True))
        if self.rollout.is_way_back:
            return live
        bad = Job.objects.filter(rollout=self.rollout, state__in=[JobState.FAILED, JobState.LOST])
        return live | set(bad.values_list("host_id", flat=True))

    @cached_property
    def endpoints(self) -> Callable[[int], Endpoint]:
        """The endpoint of a host, or the refusal why there is none."""
        return endpoints_of(self.host_ids)

    @cached_property
    def artifacts(self) -> list[Mapping[str, Any]]:
        document = self.signed.document
        return list(document["way_back"]["artifacts"] if self.rollout.is_way_back else document["artifacts"])

    @cached_property
    def proven(self) -> set[tuple[str, str, str, str]]:
        """(package, version, arch, sha256) of every file whose latest verification passed."""
        rows = Artifact.objects.filter(sha256__in={a["sha256"] for a in self.artifacts})
        ids = {pk: tuple(place) for pk, *place in rows.values_list("pk", "package", "version", "arch", "sha256")}
        good = verified(list(ids), at=self.at)
        return {ids[pk] for pk, ok in good.items() if ok}  # type: ignore[misc]

    @cached_property
    def minutes(self) -> dict[str, int]:
        """Class → expected minutes: run time per update for each source, at most the run time in all; and the notice before
        a restart."""
        profile = self.signed.document["profile"]
        each, total = int(profile["max_minutes_each"]), int(profile["max_minutes_total"])
        notice = countdown_minutes(profile)
        return {
            one["class"]: notice
            + min(total, each * max(1, len({p["source"] for p in one["packages"] if not p["dependency"]})))
            for one in self.signed.document["classes"]
        }


@dataclass(frozen=True)
class Target:
    """One host of a batch."""

    batch: Batch
    job: Job

    @property
    def entry(self) -> Mapping[str, Any] | None:
        return self.batch.signed.hosts.get(self.job.host_id)

    @property
    def facts(self) -> TargetFacts | None:
        return self.batch.facts.get(self.job.host_id)


def ring_open(target: Target) -> Answer:
    batch, ring, rollout = target.batch, target.batch.ring, target.batch.rollout
    bad = batch.bad
    given = {"rollout": rollout.state, "ring": ring.state, "failed": bad, "limit": ring.failure_limit}
    if rollout.state != RolloutState.RUNNING:
        return wait(f"{rollout.number} is {rollout.state}", batch.at + BUSY, **given)
    if ring.state != RingState.RUNNING:
        return wait(f"ring {ring.name} is {ring.state}", batch.at + BUSY, **given)
    if bad >= ring.failure_limit:
        return wait(
            f"ring {ring.name} has reached its limit of {ring.failure_limit} failures", batch.at + BUSY, **given
        )
    return passed(f"ring {ring.name} is open", **given)


def same_machine(target: Target) -> Answer:
    entry, facts = target.entry, target.facts
    if entry is None or entry["ring"] != target.batch.ring.position:
        return never("it is not in the signed manifest of this ring", entry=None)
    given = {"signed": entry["fingerprint"], "now": facts.fingerprint if facts else None}
    if facts is None:
        return never("it is no longer known", **given)
    if not facts.fingerprint:
        return wait("nobody has seen which machine it is now", target.batch.at + LATER, **given)
    if facts.fingerprint != entry["fingerprint"]:
        return never("it is another machine than the one that was signed", **given)
    return passed("it is the machine that was signed", **given)


def in_service(target: Target) -> Answer:
    facts, entry = target.facts, target.entry
    assert facts is not None  # noqa: S101  same_machine has looked
    assert entry is not None  # noqa: S101
    given = {"status": facts.status, "retired": facts.retired, "exempt": [list(e) for e in facts.exempt]}
    if facts.retired:
        return never("it was retired", **given)
    names = {p["name"] for p in entry["packages"]}
    sources = {
        p["source"]
        for one in target.batch.signed.document["classes"]
        if one["class"] == entry["class"]
        for p in one["packages"]
        if p["name"] in names
    }
    mine = sorted(subject for kind, subject in facts.exempt if kind == "package" and subject in names | sources)
    if mine and not target.batch.rollout.is_way_back:
        return never(f"it is exempt from changes of {', '.join(mine)}", **given)
    return passed("it is in service and not exempt", **given)


def start_span(target: Target) -> Answer:
    batch = target.batch
    earliest, latest = batch.signed.moment("earliest"), batch.signed.moment("latest")
    given = {"earliest": earliest, "latest": latest}
    if batch.rollout.is_way_back:
        return passed("a way back is not bound to the start dates", **given)
    if latest and batch.at >= latest:
        return never(f"the latest start that was signed, {latest:%d %b %Y %H:%M} UTC, has passed", **given)
    if earliest and batch.at < earliest:
        return wait("this is the earliest start that was signed", earliest, key=f"{earliest:%Y%m%d%H%M}", **given)
    return passed("it is between the earliest and the latest start", **given)


def window_open(target: Target) -> Answer:
    batch, entry = target.batch, target.entry
    assert entry is not None  # noqa: S101
    if batch.rollout.is_way_back:
        return passed("a way back does not wait for a window", windows=[])
    signed_ids = {w["window"] for w in batch.signed.document["windows"]}
    mine = [w for w in batch.windows.get(target.job.host_id, []) if w.pk in signed_ids]
    need = batch.minutes[entry["class"]]
    given = {"windows": [w.name for w in mine], "minutes": need}
    if not mine:
        return never("it has none of the windows that were signed", **given)
    return _opening(batch, mine, timedelta(minutes=need), given)


def _opening(batch: Batch, mine: Iterable[ServiceWindow], need: timedelta, given: dict[str, Any]) -> Answer:
    found = [o for w in mine for o in batch.openings_of(w)]
    fits = [o for o in found if o.is_open(batch.at) and batch.at <= o.last_start_at and o.ends_at - batch.at >= need]
    if fits:
        best = max(fits, key=lambda o: o.ends_at)
        said = f"window “{best.name}” is open until {best.ends_at:%d %b %H:%M} UTC"
        return passed(said, until=best.ends_at, window=best.window_id, revision=best.revision, **given)
    coming = [o for o in found if o.starts_at > batch.at and o.ends_at - o.starts_at >= need]
    if not coming:
        return never(f"none of its windows opens again for {int(need.total_seconds() // 60)} minutes", **given)
    first = min(coming, key=lambda o: o.starts_at)
    latest = batch.signed.moment("latest")
    if latest and first.starts_at >= latest:
        return never(
            f"its next window, {first.starts_at:%d %b %Y %H:%M} UTC, comes after the latest start that was signed",
            **given,
        )
    said = f"window “{first.name}” opens then"
    return wait(
        said, first.starts_at, key=f"{first.window_id}:{first.starts_at:%Y%m%d%H%M}", opens=first.starts_at, **given
    )


def redundancy(target: Target) -> Answer:
    """Of every service and cluster that it supports enough other hosts stay: never all of them, and as many as the profile asks."""
    batch = target.batch
    away = (batch.away | batch.through) - {target.job.host_id}
    counted: dict[str, list[int]] = {}
    short: tuple[int, int] | None = None
    for service in batch.supports.get(target.job.host_id, ()):
        members = batch.members.get(service, set()) | {target.job.host_id}
        staying = members - away - {target.job.host_id}
        needed = must_stay(batch.signed.document["profile"], len(members))
        counted[str(service)] = [len(members), len(staying), needed]
        if 1 < len(members) <= needed:
            return never(
                f"a service that it supports has {len(members)} hosts, and the profile keeps {needed} of them",
                services=counted,
            )
        if len(members) > 1 and len(staying) < needed and short is None:
            short = (len(staying), needed)
    if short is None:
        return passed("every service that it supports keeps enough hosts, or has only this one", services=counted)
    stay, needed = short
    said = f"{many(stay, 'host')} of a service would stay without it, and {needed} must"
    if not stay:
        said = "the other hosts of a service that it supports are away"
    return wait(said, batch.at + BUSY, services=counted)


def audit_current(target: Target) -> Answer:
    facts = target.facts
    assert facts is not None  # noqa: S101
    limit: timedelta = settings.PATCHFLOW["AUDIT_GATE"]
    given = {"audited_at": facts.audited_at, "limit_hours": int(limit.total_seconds() // 3600)}
    if facts.audited_at is None:
        return wait("its packages were never read: scan it", target.batch.at + BUSY * 10, key="never", **given)
    if target.batch.at - facts.audited_at > limit:
        days = (target.batch.at - facts.audited_at).days
        return wait(
            f"its packages were last read {days} days ago: scan it", target.batch.at + BUSY * 10, key="old", **given
        )
    return passed("its packages were read lately", **given)


def alone(target: Target) -> Answer:
    other = target.batch.others.get(target.job.host_id)
    if other:
        return wait(f"{other} is at work there", target.batch.at + BUSY, key=other, other=other)
    return passed("no other job is at work there", other=None)


def files_verified(target: Target) -> Answer:
    entry, batch = target.entry, target.batch
    assert entry is not None  # noqa: S101
    side = batch.signed.back.get(target.job.host_id, {"packages": []}) if batch.rollout.is_way_back else entry
    wanted = {(p["name"], p["to"], p["arch"]) for p in side["packages"] if p["to"]}
    named = {(a["package"], a["version"], a["arch"]): a["sha256"] for a in batch.artifacts}
    for place in sorted(wanted):
        sha = named.get(place)
        if sha is None:
            return never(f"{place[0]} {place[1]} has no file in the manifest", file=list(place))
        if (*place, sha) not in batch.proven:
            return wait(
                f"{place[0]} {place[1]} has no passing verification",
                batch.at + BUSY * 10,
                key=sha[:12],
                file=list(place),
            )
    return passed("its files are verified", files=len(wanted))


def restart(target: Target) -> Answer:
    """What the profile's restart rule means for this machine; it takes a restart away and never denies the work."""
    kind = target.batch.kinds.get(target.job.host_id, "")
    profile = target.batch.signed.document["profile"]
    found = restart_for(profile, kind)
    return passed(
        found.sentence, mode=found.policy.mode, kind=kind or None, kinds=list(profile.get("restart_kinds", []))
    )


def reachable(target: Target) -> Answer:
    """An executor is registered that keeps the profile's rules, and the host's connection can be used; whether it answers
    is seen when it is asked."""
    name = target.batch.rollout.executor
    if name not in registry.executors:
        return wait(f"no executor named {name} is registered", target.batch.at + BUSY * 10, executor=name)
    if unkept := find_unkept(target.batch.signed.document["profile"], name):
        return wait(unkept[0].sentence, target.batch.at + BUSY * 10, key="profile", executor=name)
    endpoint = target.batch.endpoints(target.job.host_id)
    return passed(f"it is reached as {endpoint} by {name}", executor=name, endpoint=str(endpoint))


GATES: list[NamedGate[Target]] = [
    ("ring", ring_open),
    ("machine", same_machine),
    ("service_state", in_service),
    ("start", start_span),
    ("window", window_open),
    ("redundancy", redundancy),
    ("audit", audit_current),
    ("alone", alone),
    ("files", files_verified),
    ("restart", restart),
    ("reach", reachable),
]


def ask_hosts(batch: Batch, *, limit: int) -> list[tuple[Job, Slip]]:
    """Every job of the batch with its slip, until `limit` may run; the rest are not asked now."""
    try:
        with transaction.atomic():
            return _ask_hosts(batch, limit, guarded=False)
    except DatabaseError:
        batch.through.clear()
        return _ask_hosts(batch, limit, guarded=True)


def _ask_hosts(batch: Batch, limit: int, *, guarded: bool) -> list[tuple[Job, Slip]]:
    found: list[tuple[Job, Slip]] = []
    for job in batch.jobs:
        if len(batch.through) >= limit:
            break
        slip = ask(GATES, Target(batch, job), at=batch.at, guarded=guarded)
        if slip.runs:
            batch.through.add(job.host_id)
        found.append((job, slip))
    return found
