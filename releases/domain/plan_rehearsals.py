"""A plan rehearsed: the real gates, windows and freezes, hosts on paper, a simulated clock. No rollout, job or slip is made.

What time decides (start dates, windows, redundancy, freezes, notice, soak, limits) is asked at the simulated moment. What
people or scans decide (fingerprint, exemption, verified files, connection, age of the audit) is asked once, as it stands
when the plan is rehearsed. Everybody who must acknowledge is taken to do so within the notice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from changes.enums import RFCState
from changes.models import RFC
from changes.queries.authorization import Authorization
from cmdb.models import ServiceWindow
from cmdb.queries.windows import Opening, openings
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import plain
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.confidence import USUAL_CONFIDENCE
from releases.diversity import trial_of
from releases.domain import gates, host_batches, host_gates, rehearsal_evidence, releases
from releases.domain.offline import next_start
from releases.domain.slips import Answer, NamedGate, answer_of
from releases.enums import OfflineRule
from releases.enums_rollout import RingState, RolloutState
from releases.models import Job, PlanRehearsal, Release, Ring, Rollout
from releases.models.release import BEFORE_DEPLOY
from releases.queries.rehearsals import planned_document
from releases.queries.releases import authorizations
from releases.queries.rollouts import Signed
from releases.queries.telling import notice_hours
from releases.simulated import HORIZON, Course, Gates, Lane, Said, Simulation, Target, Told

ONCE = ("machine", "service_state", "audit", "files", "restart", "reach", "downloads")
IN_TIME = ("start", "window", "redundancy")
BUILT = ("files",)
"""Of those asked once, what can be asked only after a build."""
NAMED = 1000
"""Hosts that do not fit, by name; the causes count all of them."""
POINTS = 240
"""Points of the course over time that are kept."""


@dataclass(frozen=True)
class Wanted:
    """What is supposed of the hosts. Rates in percent of all; a host takes from `minutes_least` to `minutes_most` (0: from a
    quarter to three quarters of what its profile allows), drawn by the seed, once for each host."""

    fail_percent: int = 0
    away_percent: int = 0
    lie_percent: int = 0
    minutes_least: int = 0
    minutes_most: int = 0
    seed: int = 1

    def problems(self) -> list[Blocker]:
        found = []
        rates = (self.fail_percent, self.away_percent, self.lie_percent)
        if any(not 0 <= rate <= 100 for rate in rates) or sum(rates) > 100:
            found.append(Blocker("rehearsal.rates", "Rates are percent of all hosts, 100 together at most."))
        if not 0 <= self.minutes_least <= self.minutes_most <= 7 * 24 * 60:
            found.append(
                Blocker("rehearsal.minutes", "A host takes from some minutes to as many or more, a week at most.")
            )
        if not 0 <= self.seed < 2**31:
            found.append(Blocker("rehearsal.seed", "The seed is a number from 0 to 2147483647."))
        return found


@workflow.verb("release.release.rehearsed", Release, "release_id")
def rehearse(
    *, release_id: int, actor: User, at: datetime, wanted: Wanted | None = None, starts_at: datetime | None = None
) -> PlanRehearsal:
    """Runs the whole plan of a release that has not begun on a simulated clock from `starts_at` (None: from now), and keeps
    what it came to. Before the seal it runs what a manifest sealed now would say, before the build what its updates bring,
    after the seal the sealed manifest. Its RFCs get the result as evidence.

    Raises NotAllowed, Conflict (it has begun), Invalid (rates, minutes, a start in the past), Blocked (no hosts, rings or
    profile yet). Changes nothing but the row it writes, the evidence, and the trails.
    """
    wanted, starts_at = wanted or Wanted(), starts_at or at
    release = Release.objects.filter(pk=release_id).first()
    if release is None:
        raise Conflict("This release no longer exists.", code="conflict.gone")
    if refused := failing([capability("release.plan")], release, actor):
        raise NotAllowed(refused)
    if release.state not in BEFORE_DEPLOY:
        said = english("It is %(state)s: only what has not begun is rehearsed.", state=label_of(release))
        raise Conflict(said, code="conflict.state")
    demand_supposed(wanted, starts_at, at=at)
    digest, document = planned_document(release, at=at)
    row = run_on_paper(release, digest, document, wanted, at=at, starts_at=starts_at)
    served = sorted(release.rfc_ids())
    releases.lock_rfcs(served)
    release = workflow.lock(Release, release_id)
    if release.state not in BEFORE_DEPLOY or sorted(release.rfc_ids()) != served:
        raise Conflict("It went on while it was rehearsed: rehearse it again.", code="conflict.state")
    row.release, row.made_by = release, actor
    row.save()
    audit.record(release, "release.release.rehearsed", actor=actor, at=at, detail=told_of(row))
    for rfc in RFC.objects.filter(release_links__release=release).exclude(state=RFCState.DRAFT).order_by("pk"):
        rehearsal_evidence.push(row, rfc, at=at)
    return row


def demand_supposed(wanted: Wanted, starts_at: datetime, *, at: datetime) -> None:
    """Raises Invalid with what cannot be supposed."""
    found = wanted.problems()
    if not at <= starts_at <= at + HORIZON:
        found.append(Blocker("rehearsal.starts_at", "It starts now or later, within 400 days."))
    if found:
        raise Invalid(found)


def run_on_paper(
    of: Planned, digest: str, document: Mapping[str, Any], wanted: Wanted, *, at: datetime, starts_at: datetime
) -> PlanRehearsal:
    """What the plan comes to, not saved and without who made it. Raises Blocked where the plan does not say enough."""
    if blockers := _unplanned(document):
        raise Blocked(blockers)
    told = simulate(of, digest, document, wanted, at=at, starts_at=starts_at)
    return PlanRehearsal(
        digest=digest, seed=wanted.seed, inputs=asdict(wanted), starts_at=starts_at, end=told.end, cause=told.cause,
        ends_at=told.ended_at, stopped_at=told.stopped_at, result=_result(told, document), made_at=at,
    )  # fmt: skip


def told_of(row: PlanRehearsal) -> dict[str, Any]:
    """What the trail says of a rehearsal."""
    return {
        "digest": row.digest, "inputs": row.inputs, "starts_at": row.starts_at, "end": row.end, "cause": row.cause,
        "ends_at": row.ends_at, "unfit": row.result["unfit_count"],
    }  # fmt: skip


def _unplanned(document: Mapping[str, Any]) -> list[Blocker]:
    """What a plan must say before it can be rehearsed."""
    found = []
    if not document["hosts"]:
        found.append(Blocker("rehearsal.hosts", "None of its hosts misses one of its updates.", tone="wait"))
    if not document["rings"] or any(host["ring"] is None for host in document["hosts"]):
        found.append(Blocker("rehearsal.rings", "Plan its rings first, for every host.", tone="wait"))
    if not document["profile"]:
        found.append(Blocker("rehearsal.profile", "Choose its install profile first.", tone="wait"))
    return found


# --- the hosts on paper -------------------------------------------------------------------------------------------------
class Planned(Protocol):
    """Whose plan it is: a release, or a change that none carries yet."""

    @property
    def executor(self) -> str:
        """Who would act."""

    def rfc_ids(self) -> list[int]:
        """The changes that it serves."""


def simulate(
    of: Planned, digest: str, document: Mapping[str, Any], wanted: Wanted, *, at: datetime, starts_at: datetime
) -> Told:
    """The course of the whole plan. A fixed number of queries, and one for each moment that the clock visits."""
    signed = Signed(
        manifest_id=0, digest=digest, intact=True, document=document, hosts={h["host"]: h for h in document["hosts"]},
        back={h["host"]: h for h in document["way_back"]["hosts"]},
    )  # fmt: skip
    paper = OnPaper.of(of, signed, at=at, starts_at=starts_at)
    lanes = [lane for ring in document["rings"] if (lane := _lane(ring, paper, wanted)).targets]
    notice = timedelta(hours=notice_hours(document["profile"]))
    latest = signed.moment("latest")
    return Simulation(lanes, paper, at=starts_at, latest=latest, notice=notice, offline=paper.offline).run()


def _lane(ring: Mapping[str, Any], paper: OnPaper, wanted: Wanted) -> Lane:
    hosts = [host for host in paper.batch.signed.hosts.values() if host["ring"] == ring["ring"]]
    trial = trial_of(ring)
    return Lane(
        number=ring["ring"], name=ring["name"], concurrency=ring["concurrency"], failure_limit=ring["failure_limit"],
        success_percent=ring["success_percent"], confidence_percent=ring.get("confidence_percent", USUAL_CONFIDENCE),
        bound_percent=ring.get("bound_percent", 0), soak=timedelta(seconds=ring["soak_seconds"]),
        class_hosts=trial.least if trial else 0, classes_asked=trial.asked if trial else (),
        targets=[
            _target(host["host"], paper.batch.minutes[host["class"]], wanted, host.get("machine", "")) for host in hosts
        ],
        denied={
            host["host"]: (said.code, said.why) for host in hosts if (said := paper.standing[host["host"]]) is not None
        },
    )  # fmt: skip


def _target(host_id: int, allowed: int, wanted: Wanted, machine: str) -> Target:
    """What will become of this host: the same for the same seed, whatever else is in the plan."""
    chance = random.Random(f"{wanted.seed}:{host_id}")  # noqa: S311  a course, not a secret
    drawn, course = chance.randrange(100), "well"
    for name, rate in (("fails", wanted.fail_percent), ("lies", wanted.lie_percent), ("away", wanted.away_percent)):
        if drawn < rate:
            course = name
            break
        drawn -= rate
    least = wanted.minutes_least or max(1, allowed // 4)
    most = max(least, wanted.minutes_most or allowed * 3 // 4)
    return Target(host_id, _course(course), timedelta(minutes=chance.randint(least, most)), machine)


def _course(name: str) -> Course:
    match name:
        case "fails" | "lies" | "away":
            return name
    return "well"


class PaperBatch(host_batches.Batch):
    """All hosts of the plan as the real gates see them; what is away is kept by the simulation, and openings are looked up
    again only when one has ended."""

    asked_at: tuple[datetime, int] | None = None

    @cached_property
    def away(self) -> set[int]:
        return set()

    @cached_property
    def signed(self) -> Signed:
        raise LookupError("set by OnPaper")

    def once(self, *alike: Any, answer: Callable[[], Answer]) -> Answer:
        """Hosts that are alike are answered alike at one moment and in one ring; here both move on."""
        moment = (self.at, self.ring.pk)
        if self.asked_at != moment:
            self.same.clear()
            self.asked_at = moment
        return super().once(*alike, answer=answer)

    def openings_of(self, window: ServiceWindow) -> list[Opening]:
        found = self.openings.get(window.pk)
        if found is None or (found and found[0].ends_at <= self.at):
            found = self.openings[window.pk] = openings(window, after=self.at, count=host_batches.LOOK_AHEAD)
        return found


@dataclass
class OnPaper(Gates):
    """The gates of a plan: the real ones, asked about jobs that exist in memory only."""

    batch: PaperBatch
    jobs: Mapping[int, Job]
    rings: Mapping[int, Ring]
    changes: list[Authorization]
    standing: dict[int, Said | None] = field(default_factory=dict)

    @classmethod
    def of(cls, of: Planned, signed: Signed, *, at: datetime, starts_at: datetime) -> OnPaper:
        """Asks what is asked once, and who has no window from the start on: that no later moment gives them one."""
        rollout = Rollout(executor=of.executor, state=RolloutState.RUNNING)
        rings = {
            ring["ring"]: Ring(rollout=rollout, position=ring["ring"], name=ring["name"], state=RingState.RUNNING)
            for ring in signed.document["rings"]
        }
        jobs = {host_id: Job(rollout=rollout, host_id=host_id) for host_id in signed.hosts}
        batch = PaperBatch(rollout, next(iter(rings.values())), list(jobs.values()), at)
        batch.signed = signed
        paper = cls(batch, jobs, rings, authorizations(of.rfc_ids(), at=at))
        once = [name for name in ONCE if name not in BUILT or not signed.document.get("unbuilt")]
        for host_id, entry in signed.hosts.items():
            batch.ring = rings[entry["ring"]]
            paper.standing[host_id] = paper._asked(once, host_id)
        batch.at = starts_at
        for host_id, entry in signed.hosts.items():
            batch.ring = rings[entry["ring"]]
            if paper.standing[host_id] is None and (said := paper._asked(["window"], host_id)) and said.word == "never":
                paper.standing[host_id] = said
        return paper

    def whole(self, now: datetime) -> datetime | None:
        whole = gates.Whole(self.batch.rollout, now)
        whole.changes = self.changes
        answer = gates.freeze(whole)
        return None if answer.word == "pass" else answer.input["ends_at"]

    def host(self, ring: int, target: Target, now: datetime) -> Said:
        denied = self.standing[target.host_id]
        if denied is not None:
            return denied
        self.batch.at, self.batch.ring = now, self.rings[ring]
        return self._asked(IN_TIME, target.host_id) or Said("run", night=self._night(target.host_id, now))

    def away(self, host_id: int) -> None:
        self.batch.away.add(host_id)

    def back(self, host_id: int) -> None:
        self.batch.away.discard(host_id)

    def offline(self, host_id: int) -> datetime | str:
        """The signed rule for a host that does not answer, as `releases.domain.offline` carries it out."""
        profile = self.batch.signed.document["profile"]
        rule = profile.get("offline", OfflineRule.CATCH_UP)
        if rule == OfflineRule.SKIP:
            return english("it does not answer, and the profile leaves such hosts out")
        if rule == OfflineRule.CATCH_UP and not profile.get("catch_up_minutes"):
            return self.batch.at
        opens = next_start(host_batches.Target(self.batch, self.jobs[host_id]), self.batch.at)
        return opens or english("it does not answer, and no later window was signed for it")

    def _asked(self, names: Iterable[str], host_id: int) -> Said | None:
        """The first gate of these that denies."""
        target = host_batches.Target(self.batch, self.jobs[host_id])
        for name in names:
            answer = answer_of(GATES[name], target, self.batch.at)
            if answer.word != "pass":
                return _said(name, answer)
        return None

    def _night(self, host_id: int, now: datetime) -> tuple[str, datetime, datetime] | None:
        mine = [
            o for w in self.batch.windows.get(host_id, ()) for o in self.batch.openings.get(w.pk, ()) if o.is_open(now)
        ]
        best = max(mine, key=lambda o: o.ends_at, default=None)
        return (best.name, best.starts_at, best.ends_at) if best else None


def _said(name: str, answer: Answer) -> Said:
    """A denial; of what only a person opens no time is said."""
    if answer.word == "refuse":
        return Said("never", answer.sentence, name)
    return Said("wait", answer.sentence, name, answer.not_before if name in IN_TIME else None)


_known: list[NamedGate[host_batches.Target]] = host_gates.GATES
GATES = dict(_known)


# --- what is kept -------------------------------------------------------------------------------------------------------
def _result(told: Told, document: Mapping[str, Any]) -> dict[str, Any]:
    """The course as a document: rings, nights, hosts that do not fit with their reasons, points over time."""
    names = {host["host"]: host["name"] for host in document["hosts"]}
    unfit = [
        {"host": host_id, "name": names[host_id], "ring": lane.number, "code": code, "why": why}
        for lane in told.lanes
        for host_id, (code, why) in sorted({**lane.denied, **lane.refused, **lane.stuck}.items())
    ]
    causes = Counter((one["code"], one["why"]) for one in unfit)
    last = told.marks[-1]
    return dict(plain({
        "hosts": len(names), "good": last.good, "bad": last.bad, "unfit_count": len(unfit), "unfit": unfit[:NAMED],
        "causes": [{"code": code, "why": why, "count": n} for (code, why), n in causes.most_common()],
        "rings": [_ring(lane) for lane in told.lanes], "unbuilt": bool(document.get("unbuilt")),
        "marks": [[mark.at, mark.good, mark.bad, mark.refused] for mark in thinned(told.marks, POINTS)],
    }))  # fmt: skip


def _ring(lane: Lane) -> dict[str, Any]:
    nights = sorted(lane.nights.items(), key=lambda night: (night[0][1], night[0][0]))
    return {
        "ring": lane.number, "name": lane.name, "hosts": len(lane.targets), "state": str(lane.state),
        "notified_at": lane.notified_at, "started_at": lane.started_at, "last_at": lane.last_at, "ended_at": lane.ended_at,
        "good": lane.counts["succeeded"], "bad": lane.counts["failed"], "refused": len(lane.refused),
        "waiting": lane.counts["pending"], "nights": [
            {"window": name, "opens": opens, "closes": closes, "hosts": count} for (name, opens, closes), count in nights
        ],
    }  # fmt: skip


def thinned(marks: Any, points: int) -> list[Any]:
    """So many of the marks at most, evenly, the first and the last among them."""
    if len(marks) <= points:
        return list(marks)
    return [marks[number * (len(marks) - 1) // (points - 1)] for number in range(points)]
