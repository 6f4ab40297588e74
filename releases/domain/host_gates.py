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
from cmdb.queries.hosts import TargetFacts, machine_kinds, supported_services, target_facts
from cmdb.queries.windows import Opening, openings, shared_openings, windows_of
from cmdb.remote.connection import Endpoint
from patchflow.kernel import registry
from releases.domain.profiles import countdown_minutes, find_unkept, must_stay, restart_for
from releases.domain.slips import Answer, NamedGate, Slip, Told, ask, never, passed, wait
from releases.enums_rollout import BAD, JobState, RingState, RolloutState
from releases.models import Job, Ring, Rollout
from releases.queries.reach import endpoints_for
from releases.queries.rollouts import Signed, signed
from releases.queries.steps import minutes_of
from releases.queries.window_changes import narrowed
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
    reached: Callable[[int], Endpoint] | None = None
    """Their endpoints, where the caller has read them at this very moment."""
    same: dict[tuple[Any, ...], Answer] = field(default_factory=dict)
    """Answers that are equal for all hosts that are alike in what the gate looks at."""
    told: Told = field(default_factory=dict)
    starts: dict[tuple[Any, ...], datetime | None] = field(default_factory=dict)
    """(class, windows) → when they let a host begin at the earliest; of who asks for it."""

    def once(self, *alike: Any, answer: Callable[[], Answer]) -> Answer:
        """The answer for all hosts that are `alike` (the gate's name, and what it looks at of the host)."""
        if alike not in self.same:
            self.same[alike] = answer()
        return self.same[alike]

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

    @cached_property
    def narrowed(self) -> dict[int, ServiceWindow]:
        """Windows edited since they were signed, as they were signed."""
        return narrowed(self.rollout.pk, self.signed.document)

    def openings_of(self, window: ServiceWindow) -> list[Opening]:
        """The next openings; of a window that was edited since, what is left of those that were signed."""
        if window.pk not in self.openings:
            was = self.narrowed.get(window.pk) if window.revision != self.signed_windows.get(window.pk) else None
            self.openings[window.pk] = (
                shared_openings(was, window, after=self.at, count=LOOK_AHEAD)
                if was
                else openings(window, after=self.at, count=LOOK_AHEAD)
            )
        return self.openings[window.pk]

    @cached_property
    def others(self) -> dict[int, str]:
        """Host → the live job of another attempt there."""
        mine = [job.pk for job in self.jobs]
        rows = Job.objects.live().filter(host_id__among=self.host_ids).exclude(pk__among=mine)
        return dict(rows.values_list("host_id", "job_key"))

    @cached_property
    def supports(self) -> dict[int, tuple[int, ...]]:
        """Host → the services and clusters that rest on it."""
        items = dict(Host.objects.filter(pk__among=self.host_ids).values_list("ci_id", "pk"))
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
        return self.reached or endpoints_for(self.rollout.executor, self.host_ids)

    @cached_property
    def artifacts(self) -> list[Mapping[str, Any]]:
        document = self.signed.document
        return list(document["way_back"]["artifacts"] if self.rollout.is_way_back else document["artifacts"])

    @cached_property
    def named_files(self) -> dict[tuple[str, str, str], str]:
        """(package, version, arch) → the hash that was signed."""
        return {(a["package"], a["version"], a["arch"]): a["sha256"] for a in self.artifacts}

    @cached_property
    def signed_windows(self) -> dict[int, int]:
        """Window → the revision that was signed."""
        return {w["window"]: w["revision"] for w in self.signed.document["windows"]}

    @cached_property
    def lacking(self) -> set[int]:
        """Hosts that are not to be counted on, and those let through so far."""
        return self.away | self.through

    @cached_property
    def proven(self) -> set[tuple[str, str, str, str]]:
        """(package, version, arch, sha256) of every file whose latest verification passed."""
        rows = Artifact.objects.filter(sha256__in={a["sha256"] for a in self.artifacts})
        ids = {pk: tuple(place) for pk, *place in rows.values_list("pk", "package", "version", "arch", "sha256")}
        good = verified(list(ids), at=self.at)
        return {ids[pk] for pk, ok in good.items() if ok}  # type: ignore[misc]

    @cached_property
    def minutes(self) -> dict[str, int]:
        """Class → expected minutes: run time per update for each source, at most the run time in all; the notice before a
        restart; and all the time that the steps may take."""
        profile = self.signed.document["profile"]
        each, total = int(profile["max_minutes_each"]), int(profile["max_minutes_total"])
        notice = countdown_minutes(profile) + minutes_of(self.signed.document)
        return {
            one["class"]: notice
            + min(total, each * max(1, len({p["source"] for p in one["packages"] if not p["dependency"]})))
            for one in self.signed.document["classes"]
        }

    def minutes_of(self, job: Job) -> int:
        """The expected minutes on the host of a job."""
        return self.minutes[self.signed.hosts[job.host_id]["class"]]


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
    return target.batch.once("ring", answer=lambda: _ring_open(target))


def _ring_open(target: Target) -> Answer:
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
    names = frozenset(p["name"] for p in entry["packages"])
    alike = ("service_state", facts.status, facts.retired, facts.exempt, entry["class"], names)
    return target.batch.once(*alike, answer=lambda: _in_service(target, facts, entry, names))


def _in_service(target: Target, facts: TargetFacts, entry: Mapping[str, Any], names: frozenset[str]) -> Answer:
    given = {"status": facts.status, "retired": facts.retired, "exempt": [list(e) for e in facts.exempt]}
    if facts.retired:
        return never("it was retired", **given)
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
    return target.batch.once("start", answer=lambda: _start_span(target.batch))


def _start_span(batch: Batch) -> Answer:
    earliest, latest = batch.signed.moment("earliest"), batch.signed.moment("latest")
    given = {"earliest": earliest, "latest": latest}
    if batch.rollout.is_way_back:
        return passed("a way back is not bound to the start dates", **given)
    if latest and batch.at >= latest:
        return never(f"the latest start that was signed, {latest:%d %b %Y %H:%M} UTC, has passed", **given)
    if earliest and batch.at < earliest:
        return wait("this is the earliest start that was signed", earliest, key=f"{earliest:%Y%m%d%H%M}", **given)
    return passed("it is between the earliest and the latest start", **given)


def windows_signed(target: Target) -> list[ServiceWindow]:
    """The windows of the host that were signed."""
    return [w for w in target.batch.windows.get(target.job.host_id, []) if w.pk in target.batch.signed_windows]


def window_open(target: Target) -> Answer:
    batch, entry = target.batch, target.entry
    assert entry is not None  # noqa: S101
    if batch.rollout.is_way_back:
        return passed("a way back does not wait for a window", windows=[])
    mine = windows_signed(target)
    alike = ("window", entry["class"], *(w.pk for w in mine))
    return batch.once(*alike, answer=lambda: _window_open(batch, entry, mine))


def _window_open(batch: Batch, entry: Mapping[str, Any], mine: list[ServiceWindow]) -> Answer:
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


REDUNDANT = "every service that it supports keeps enough hosts, or has only this one"


def redundancy(target: Target) -> Answer:
    """Of every service and cluster that it supports enough other hosts stay: never all of them, and as many as the profile asks."""
    batch = target.batch
    services = batch.supports.get(target.job.host_id, ())
    if not services:
        return batch.once("redundancy", answer=lambda: passed(REDUNDANT, services={}))
    away = batch.lacking - {target.job.host_id}
    counted: dict[str, list[int]] = {}
    short: tuple[int, int] | None = None
    for service in services:
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
        return passed(REDUNDANT, services=counted)
    stay, needed = short
    said = f"{many(stay, 'host')} of a service would stay without it, and {needed} must"
    if not stay:
        said = "the other hosts of a service that it supports are away"
    return wait(said, batch.at + BUSY, services=counted)


def audit_current(target: Target) -> Answer:
    facts = target.facts
    assert facts is not None  # noqa: S101
    return target.batch.once("audit", facts.audited_at, answer=lambda: _audit_current(target, facts))


def _audit_current(target: Target, facts: TargetFacts) -> Answer:
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
    return target.batch.once("alone", answer=lambda: passed("no other job is at work there", other=None))


def files_verified(target: Target) -> Answer:
    entry, batch = target.entry, target.batch
    assert entry is not None  # noqa: S101
    side = batch.signed.back.get(target.job.host_id, {"packages": []}) if batch.rollout.is_way_back else entry
    wanted = frozenset((p["name"], p["to"], p["arch"]) for p in side["packages"] if p["to"])
    return batch.once("files", wanted, answer=lambda: _files_verified(batch, wanted))


def _files_verified(batch: Batch, wanted: frozenset[tuple[str, str, str]]) -> Answer:
    for place in sorted(wanted):
        sha = batch.named_files.get(place)
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
    return target.batch.once("restart", kind, answer=lambda: _restart(target.batch, kind))


def _restart(batch: Batch, kind: str) -> Answer:
    profile = batch.signed.document["profile"]
    found = restart_for(profile, kind)
    return passed(
        found.sentence, mode=found.policy.mode, kind=kind or None, kinds=list(profile.get("restart_kinds", []))
    )


def reachable(target: Target) -> Answer:
    """An executor is registered that keeps the profile's rules, and the host's connection can be used; whether it answers
    is seen when it is asked."""
    name = target.batch.rollout.executor
    usable = target.batch.once("executor", answer=lambda: _executor(target.batch, name))
    if usable.word != "pass":
        return usable
    endpoint = target.batch.endpoints(target.job.host_id)
    return passed(f"it is reached as {endpoint} by {name}", executor=name, endpoint=str(endpoint))


def _executor(batch: Batch, name: str) -> Answer:
    if name not in registry.executors:
        return wait(f"no executor named {name} is registered", batch.at + BUSY * 10, executor=name)
    if unkept := find_unkept(batch.signed.document["profile"], name):
        return wait(unkept[0].sentence, batch.at + BUSY * 10, key="profile", executor=name)
    return passed("")


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
        batch.same.clear()
        batch.__dict__.pop("lacking", None)
        return _ask_hosts(batch, limit, guarded=True)


def _ask_hosts(batch: Batch, limit: int, *, guarded: bool) -> list[tuple[Job, Slip]]:
    found: list[tuple[Job, Slip]] = []
    for job in batch.jobs:
        if len(batch.through) >= limit:
            break
        slip = ask(GATES, Target(batch, job), at=batch.at, guarded=guarded, told=batch.told)
        if slip.runs:
            batch.through.add(job.host_id)
            batch.lacking.add(job.host_id)
        found.append((job, slip))
    return found
