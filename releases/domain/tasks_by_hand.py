"""Tasks that a person does: taken from the executor, begun and reported by verbs, verified by a scan or a second person.

A task that nobody has begun at the cut-off of its window is given back; one that was begun and is not reported within its
time is out of sight, and looked at until it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from cmdb.domain import scans
from cmdb.enums import ResultState
from cmdb.models import Host, ScanResult
from cmdb.queries.software import installed
from cmdb.queries.windows import openings, windows_of
from patchflow.kernel import audit, queue, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Invalid, Refusal
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate
from releases.domain.gates import ask_whole
from releases.domain.host_batches import Batch
from releases.enums_rollout import LIVE, JobState
from releases.enums_tasks import TaskState
from releases.executors.base import JobOrder, ObserveSpec, PackageState, Stage, StartAnswer
from releases.executors.manual import Seen, Task, journal
from releases.executors.wire import order_said
from releases.models import HandTask, Job
from releases.queries.rollouts import signed

RUN = "releases.tasks.run_job"
WAY_BACK = timedelta(hours=24)
"""A way back waits for no window: so long its tasks may wait to be begun."""
SCAN_AGAIN = timedelta(minutes=10)
S = TaskState


# --- what people do ---------------------------------------------------------------------------------------------------
def begin(*, task_id: int, actor: User, at: datetime) -> HandTask:
    """Says that the work on the host begins now. Needs job.perform, not of who signed. Raises Blocked: the cut-off of its
    window has passed, or a gate of the rollout is shut at this moment."""
    minutes = HandTask.objects.filter(pk=task_id).values_list("minutes", flat=True).first() or 0
    task = workflow.fire(HandTask, task_id, "begin", actor=actor, at=at, finish_by=at + timedelta(minutes=minutes))
    return _ring(task)


def finish(*, task_id: int, actor: User, at: datetime, remark: str = "") -> HandTask:
    """Reports the task as done. The job succeeds only when a scan of the host, or a second person, shows it."""
    return _ring(workflow.fire(HandTask, task_id, "finish", actor=actor, at=at, remark=remark.strip()))


def give_up(*, task_id: int, remark: str, actor: User, at: datetime) -> HandTask:
    """Says that it could not be done, and why: the job has failed."""
    return _ring(workflow.fire(HandTask, task_id, "give_up", actor=actor, at=at, remark=_said(remark)))


def attest(*, task_id: int, packages: Mapping[str, str], remark: str, actor: User, at: datetime) -> HandTask:
    """A second person writes down which versions the host has, where no scanner reaches it. Needs job.attest, and not the
    person who did it. The job is shown as attested."""
    task = HandTask.objects.filter(pk=task_id).first()
    wanted = {package["name"] for package in task.order["packages"]} if task else set()
    given = {name: str(version).strip() for name, version in packages.items()}
    if set(given) != wanted:
        raise Invalid("Say for each package of the task which version the host has.", code="task.packages")
    facts = {"packages": given, "remark": _said(remark)}
    return _ring(workflow.fire(HandTask, task_id, "attest", actor=actor, at=at, **facts))


def _said(remark: str) -> str:
    if not remark.strip():
        raise Invalid("Say what happened.", code="task.remark")
    return remark.strip()


def _ring(task: HandTask) -> HandTask:
    """The job is visited at once, not when it would be looked at again by itself."""
    Job.objects.filter(pk=task.job_id, state__in=LIVE).update(not_before=None)
    queue.enqueue(RUN, job_id=task.job_id)
    return task


@gate("releases.handtask", "begin")
def find_begin_blockers(task: HandTask, *, at: datetime, **_: Any) -> list[Blocker]:
    """Every gate of the rollout once more, and the cut-off of the window."""
    found = []
    if at > task.begin_by:
        found.append(
            Blocker(
                "task.late",
                english(
                    "It had to begin by %(when)s UTC: the window is over for it.",
                    when=f"{task.begin_by:%d %b %Y %H:%M}",
                ),
            )
        )
    if task.job.cancel_asked_at:
        found.append(Blocker("task.cancelled", "Somebody asked to leave this host out."))
    slip = ask_whole(task.job.rollout, at=at)
    if not slip.runs:
        sentence = f"{slip.sentence[:1].upper()}{slip.sentence[1:]}."
        found.append(Blocker(f"gate.{slip.code}", sentence, tone="wait"))
    return found


@gate("releases.handtask", "attest")
def find_attest_blockers(task: HandTask, **_: Any) -> list[Blocker]:
    """A person's word stands in only where no scan can: the job is out of sight, and the last scan failed."""
    found = []
    if task.job.job_key != task.job_key or task.job.state not in (JobState.UNKNOWN, JobState.LOST):
        found.append(Blocker("task.in_sight", "It is attested only where no scan could look at the host.", tone="wait"))
    last = ScanResult.objects.filter(host_id=task.job.host_id).order_by("-pk").first()
    if last is not None and last.state in (ResultState.PENDING, ResultState.SCANNED):
        found.append(
            Blocker(
                "task.scanned", english("A scan looks at the host: it is %(state)s.", state=label_of(last)), tone="wait"
            )
        )
    return found


# --- the desk of the executor -------------------------------------------------------------------------------------------
class HouseDesk:
    """Tasks as rows; `clock` gives the present."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock

    def take(self, order: JobOrder) -> StartAnswer | None:
        """Puts the order into the work list, once."""
        with transaction.atomic():
            job = Job.objects.select_for_update(of=("self",), no_key=True).filter(job_key=order.job_key).first()
            if job is None:
                return None
            said = order_said(order)
            known = HandTask.objects.filter(job_key=order.job_key).first()
            if known is not None:
                same = known.order == said
                return StartAnswer(
                    word="already" if same else "different", reason="" if same else english("the task says otherwise")
                )
            now = self.clock()
            minutes = Batch(job.rollout, job.ring, [job], now).minutes_of(job)
            task = HandTask.objects.create(
                job=job,
                job_key=order.job_key,
                order=said,
                minutes=minutes,
                given_at=now,
                begin_by=_begin_by(job, minutes, now),
            )
            detail = {"host": job.host.name, "begin_by": task.begin_by, "minutes": minutes}
            audit.record(task, "release.task.given", actor=User.bot(), at=now, after=task.state, detail=detail)
            return StartAnswer(word="accepted")

    def task(self, job_key: str) -> Task | None:
        """As it is now; one that nobody has begun in time ends here."""
        row = HandTask.objects.select_related("begun_by", "ended_by", "attested_by").filter(job_key=job_key).first()
        if row is None:
            return None
        now = self.clock()
        if row.state == S.WAITING and now > row.begin_by:
            row = workflow.fire(HandTask, row.pk, "expire", actor=User.bot(), at=now)
        return _told(row, now, lambda: _sight(row, now))

    def call_off(self, job_key: str) -> bool | None:
        row = HandTask.objects.filter(job_key=job_key).first()
        if row is None:
            return None
        if row.state != S.WAITING:
            return row.state in (S.CALLED_OFF, S.EXPIRED)
        try:
            workflow.fire(HandTask, row.pk, "call_off", actor=User.bot(), at=self.clock())
        except Refusal:  # its person has just begun
            return False
        return True

    def seen(self, spec: ObserveSpec) -> Seen | None:
        row = HandTask.objects.select_related("job__host", "attested_by").filter(job_key=spec.job_key).first()
        if row is None:
            return None
        found = _sight(row, self.clock())
        if found.sight == "attested":
            packages = tuple(_state(p.name, p.arch, row.packages.get(p.name, "")) for p in spec.packages)
        else:
            present = installed([row.job.host_id], [p.name for p in spec.packages])
            packages = tuple(
                _state(p.name, p.arch, present.get((row.job.host_id, p.name, p.arch), "")) for p in spec.packages
            )
        return Seen(sight=found.sight, packages=packages, reason=found.reason, machine_id=row.job.host.machine_id)


def _state(name: str, arch: str, version: str) -> PackageState:
    return PackageState(name=name, arch=arch, version=version, status="installed" if version else "")


def _begin_by(job: Job, minutes: int, now: datetime) -> datetime:
    """The cut-off of the signed window that is open for longest, and never so late that its time would not be enough."""
    if job.rollout.is_way_back:
        return now + WAY_BACK
    ids = {window["window"] for window in signed(job.rollout.manifest_id).document["windows"]}
    mine = [w for w in windows_of([job.host_id]).get(job.host_id, []) if w.pk in ids]
    found = [o for w in mine for o in openings(w, after=now, count=1) if o.is_open(now)]
    if not found:
        return now
    best = max(found, key=lambda o: o.ends_at)
    return min(best.last_start_at, best.ends_at - timedelta(minutes=minutes))


def _told(row: HandTask, now: datetime, sight: Callable[[], Seen]) -> Task:
    """The task in the words of a job."""
    lines: list[tuple[datetime, Stage, str]] = [
        (
            row.given_at,
            Stage.ACCEPTED,
            english("waits for a person, who begins by %(when)s UTC", when=f"{row.begin_by:%d %b %Y %H:%M}"),
        )
    ]
    if row.begun_at:
        lines.append(
            (row.begun_at, Stage.INSTALLING, english("%(person)s has begun with the work", person=row.begun_by))
        )
    said = f"{row.ended_by}: {row.remark}" if row.remark else f"{row.ended_by}"
    if row.state in (S.DONE, S.ATTESTED) and row.ended_at:
        lines.append((row.ended_at, Stage.VERIFYING, english("reported as done by %(remark)s", remark=said)))
    if row.attested_at:
        attested = english(
            "attested by a second person, %(person)s: %(remark)s", person=row.attested_by, remark=row.attestation
        )
        lines.append((row.attested_at, Stage.VERIFYING, attested))
    ends = {
        S.COULD_NOT: (Stage.FAILED, "could_not", english("it could not be done by hand, says %(remark)s", remark=said)),
        S.CALLED_OFF: (Stage.CANCELLED, "cancelled", english("called off before anybody had begun")),
        S.EXPIRED: (Stage.REFUSED, "not_begun", english("nobody had begun at the cut-off of the window")),
    }
    outcome, code, reason, over = None, "", "", False
    if row.state in ends and row.ended_at:
        outcome, code, reason = ends[S(row.state)]
        lines.append((row.ended_at, outcome, reason))
    elif row.state == S.BEGUN and row.finish_by and now > row.finish_by:
        over, reason = (
            True,
            english(
                "%(begun_by)s has begun and has not reported within %(minutes)s minutes",
                begun_by=row.begun_by,
                minutes=row.minutes,
            ),
        )
    elif row.state in (S.DONE, S.ATTESTED):
        found = sight()
        over, reason = found.sight == "none", found.reason
        outcome = Stage.SUCCEEDED if found.sight in ("scanned", "attested") else None
    return Task(events=journal(row.job_key, lines), outcome=outcome, over=over, code=code, reason=reason)


def _sight(row: HandTask, now: datetime) -> Seen:
    """What has looked at the host since its person ended, or should have: a scan is asked for where none was, and again some
    time after one that failed."""
    if row.state == S.ATTESTED:
        return Seen(
            sight="attested",
            reason=english(
                "attested by %(attested_by)s, no scan could look at it: %(remark)s",
                attested_by=row.attested_by,
                remark=row.attestation,
            ),
        )
    since = row.ended_at or row.finish_by or row.given_at
    rows = ScanResult.objects.filter(host_id=row.job.host_id, scan_run__requested_at__gte=since)
    last = rows.select_related("scan_run").order_by("-pk").first()
    waiting = Seen(sight="waiting", reason=english("a scan of the host is under way"))
    if last is None or (last.state not in (ResultState.PENDING, ResultState.SCANNED) and _long_ago(last, now)):
        return (
            waiting
            if _asked(row.job.host, now)
            else Seen(sight="none", reason=english("no scan of the host can be made"))
        )
    if last.state == ResultState.PENDING:
        return waiting
    if last.state == ResultState.SCANNED:
        return Seen(
            sight="scanned", reason=english("scanned %(when)s UTC", when=f"{last.ended_at or now:%d %b %Y %H:%M}")
        )
    return Seen(
        sight="none",
        reason=english("no scan of the host was possible: %(why)s", why=last.reason or last.get_state_display()),
    )


def _long_ago(result: ScanResult, now: datetime) -> bool:
    return result.ended_at is not None and now - result.ended_at > SCAN_AGAIN


def _asked(host: Host, now: datetime) -> bool:
    try:
        scans.request(host_ids=[host.pk], actor=User.bot(), at=now)
    except Refusal:
        return ScanResult.objects.filter(host=host, state=ResultState.PENDING).exists()
    return True
