"""Queued hosts of a rollout whose window is edited: they stand still, are moved, or cancelled, as the editor of the window chose.

What was signed is what runs: a host is moved to nothing but an opening that was signed and that the edited window leaves
open, or to that of another signed window. Leaving never voids a manifest; joining would, and is not done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop

from cmdb.domain.window_work import Edit, Queued, Word, counted, works
from cmdb.enums import QueuedRule
from cmdb.models import ServiceWindow
from patchflow.kernel import audit, queue, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.integrity import plain
from patchflow.kernel.models import User
from patchflow.notices.delivery import tell
from releases.domain.host_batches import Batch, Target
from releases.domain.host_gates import windows_signed
from releases.domain.rollouts import ADVANCE
from releases.enums_rollout import OPEN_ROLLOUT, JobState, RolloutState
from releases.models import Job, Rollout, WindowChange
from releases.models.window_change import terms_of
from releases.queries.rollouts import signed
from releases.queries.window_changes import narrowed

REACHED = [state for state in OPEN_ROLLOUT if state != RolloutState.STOPPING]


@dataclass(frozen=True)
class Planned:
    """The queued jobs of one rollout in a window: job → when it would run at the earliest, None where it would not."""

    rollout: Rollout
    opens: Mapping[int, datetime | None]


class QueuedHosts:
    """The rollouts that wait for a window."""

    def planned(self, window: ServiceWindow, *, at: datetime) -> list[Planned]:
        """Every open way forward that was signed for this window, with its pending jobs on hosts of it."""
        found = []
        rows = Rollout.objects.filter(state__in=REACHED, reverses__isnull=True).order_by("pk")
        for rollout in rows.select_related("release"):
            if not any(w["window"] == window.pk for w in signed(rollout.manifest_id).document["windows"]):
                continue
            batch = _batch(rollout, at)
            mine = [job for job in batch.jobs if any(w.pk == window.pk for w in batch.windows.get(job.host_id, []))]
            found.append(Planned(rollout, {job.pk: first_start(Target(batch, job)) for job in mine}))
        return found

    def settle(self, planned: list[Planned], edit: Edit) -> list[Queued]:
        """Moves, cancels or leaves what was planned, keeps what became of it, and tells whose deployment it is."""
        return [row for one in planned for row in _settle(one, edit)]


works.add("rollouts", QueuedHosts())


def _batch(rollout: Rollout, at: datetime, ids: Any = None) -> Batch:
    jobs = Job.objects.filter(rollout=rollout, state=JobState.PENDING).select_related("host", "ring").order_by("pk")
    found = list(jobs if ids is None else jobs.filter(pk__among=list(ids)))
    for job in found:
        job.rollout = rollout
    known = signed(rollout.manifest_id).hosts
    return Batch(rollout, rollout.rings.all()[0], [job for job in found if job.host_id in known], at)


def first_start(target: Target) -> datetime | None:
    """When the windows that were signed for this host let it begin at the earliest, with time enough left."""
    batch, entry = target.batch, target.entry
    if entry is None:
        return None
    mine = windows_signed(target)
    key = (entry["class"], *(w.pk for w in mine))
    if key not in batch.starts:
        batch.starts[key] = _first_start(batch, mine, batch.minutes[entry["class"]])
    return batch.starts[key]


def _first_start(batch: Batch, mine: list[ServiceWindow], minutes: int) -> datetime | None:
    latest, found = batch.signed.moment("latest"), []
    for opening in (o for w in mine for o in batch.openings_of(w)):
        start = max(opening.starts_at, batch.signed.moment("earliest") or opening.starts_at, batch.at)
        enough = (opening.ends_at - start).total_seconds() >= minutes * 60
        if enough and start <= opening.last_start_at and (latest is None or start < latest):
            found.append(start)
    return min(found, default=None)


def _settle(planned: Planned, edit: Edit) -> list[Queued]:
    rollout = workflow.lock(Rollout, planned.rollout.pk)
    if rollout.state not in REACHED:
        return []
    batch = _batch(rollout, edit.at, planned.opens)
    signed_revision = batch.signed_windows[edit.window.pk]
    before = narrowed(rollout.pk, batch.signed.document)
    known = {c.before: c.was for c in WindowChange.objects.filter(rollout=rollout, window=edit.window).defer("hosts")}
    known[edit.before.revision] = edit.before
    if signed_revision in known:
        before = {**before, edit.window.pk: known[signed_revision]}
    batch.narrowed = before
    jobs = {job.pk: job for job in batch.jobs}
    rows = {pk: _judged(job, planned.opens[pk], Target(batch, job), edit) for pk, job in jobs.items()}
    _keep(rollout, rows, edit)
    _act(rollout, jobs, rows, edit)
    return list(rows.values())


def _judged(job: Job, opens: datetime | None, target: Target, edit: Edit) -> Queued:
    """What the rule makes of one queued host."""
    becomes: datetime | None = first_start(target)
    word: Word
    if edit.rule == QueuedRule.HALT:
        word, becomes, why = "halted", None, gettext_noop("Waits until what was signed is signed anew.")
    elif becomes == opens:
        never = gettext_noop("None of its windows opened for it before either.")
        word, why = "stays", gettext_noop("It opens as before.") if opens else never
    elif becomes is None:
        word, why = "cancelled", gettext_noop("Nothing that was signed is open for it any more.")
    elif edit.rule == QueuedRule.CANCEL:
        word, becomes, why = "cancelled", None, gettext_noop("It no longer opens when it did.")
    else:
        word, why = "moved", gettext_noop("It was signed, and is open still.")
    name, url = job.host.name, f"{job.rollout.get_absolute_url()}?target={job.pk}#why"
    return Queued(job.rollout.number, url, job.host_id, name, opens, becomes, word, why)


def _keep(rollout: Rollout, rows: Mapping[int, Queued], edit: Edit) -> None:
    counts = counted(list(rows.values()))
    ended = edit.window.retired_at is not None
    WindowChange.objects.create(
        rollout=rollout, window=edit.window, before=edit.before.revision, revision=None if ended else edit.window.revision,
        terms=terms_of(edit.before), rule=edit.rule, counts=counts, made_by=edit.actor, made_at=edit.at,
        hosts=plain([
            {"job": pk, "host": row.host_id, "name": row.host, "opens": row.opens, "becomes": row.becomes, "word": row.word,
             "why": row.why}
            for pk, row in rows.items()
        ]),
    )  # fmt: skip
    audit.record(rollout, "release.rollout.window_edited", actor=edit.actor, at=edit.at, detail={
        "window": edit.window.name, "from": edit.before.revision, "to": None if ended else edit.window.revision,
        "rule": str(edit.rule), "hosts": counts,
    })  # fmt: skip
    tell(
        kind="window_edited",
        people=list({person.pk: person for person in _owners(rollout)}.values()),
        key=f"rollout:{rollout.pk}:window:{edit.window.pk}:{'ended' if ended else edit.window.revision}",
        at=edit.at,
        url=rollout.get_windows_url(),
        rollout=rollout,
        release=rollout.release,
        window=edit.window,
        editor=str(edit.actor),
        ended=ended,
        rule=str(edit.rule),
        stays=counts.get("stays", 0),
        moved=counts.get("moved", 0),
        cancelled=counts.get("cancelled", 0),
        halted=counts.get("halted", 0),
    )


def _owners(rollout: Rollout) -> list[User]:
    return [rollout.started_by or rollout.planned_by, rollout.release.composed_by]


def _act(rollout: Rollout, jobs: Mapping[int, Job], rows: Mapping[int, Queued], edit: Edit) -> None:
    """Fires what the rule says, by the system: the edit of the window is the cause, and names its person."""
    said = (
        english("window “%(window)s” was ended by %(actor)s", window=edit.window.name, actor=edit.actor)
        if edit.window.retired_at
        else english("window “%(window)s” was edited by %(actor)s", window=edit.window.name, actor=edit.actor)
    )
    gone = {pk: f"{said}. {row.why}" for pk, row in rows.items() if row.word == "cancelled"}
    if gone:
        found = Job.objects.lean().filter(pk__among=list(gone))
        workflow.fire_many(found, "cancel", actor=User.bot(), at=edit.at, facts_of=lambda job: {"reason": gone[job.pk]})
    later = {pk: row.becomes for pk, row in rows.items() if row.word == "moved" and jobs[pk].not_before and row.becomes}
    if later:
        workflow.fire_many(
            Job.objects.lean().filter(pk__among=list(later)), "defer", actor=User.bot(), at=edit.at,
            facts_of=lambda job: {
                "statement": english(
                    "Will run at %(when)s UTC, because %(why)s; this opening was signed.",
                    when=f"{later[job.pk]:%d %b %Y %H:%M}", why=said,
                ),
                "code": "window", "not_before": later[job.pk], "slip_key": "",
            },
        )  # fmt: skip
    queue.enqueue(ADVANCE, rollout_id=rollout.pk)
