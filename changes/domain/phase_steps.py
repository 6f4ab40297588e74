"""Steps of a cycle's phases: what rows can prove closes by itself, the rest is done or waived by people.

Each prover looks at rows and says what the step's output is; an empty text means "not yet". A step that was proven stays
done: what undoes it later (a failed test after a passed one) is told by the evidence, not by the step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery

from changes.enums import STEPS, WITHDRAWN, EvidenceKind, Response, RFCState, StepKey, StepState
from changes.models import RFC, Cycle, Evidence, Feed, PhaseStep, RFCTarget, Verification
from cmdb.models import Host
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english, english_n, label_of
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.registry import sweep
from patchflow.kernel.rules import capability, failing

Prover = Callable[[Cycle, datetime], str]
PROVERS: dict[str, Prover] = {}


def prover(key: StepKey) -> Callable[[Prover], Prover]:
    """Registers how rows prove a step: `function(cycle, at)` gives its output, or an empty text."""

    def register(function: Prover) -> Prover:
        PROVERS[key] = function
        return function

    return register


def plan(cycle: Cycle) -> None:
    """Writes the steps of a new cycle, all open."""
    rows = [(phase, key) for phase, keys in STEPS.items() for key in keys]
    PhaseStep.objects.bulk_create(
        PhaseStep(cycle=cycle, phase=phase, position=i, key=key) for i, (phase, key) in enumerate(rows, start=1)
    )


def prove(*, cycle_id: int, actor: User, at: datetime) -> list[str]:
    """Closes every open step of the cycle that rows prove now; returns their keys. The caller holds the cycle's lock."""
    cycle = workflow.lock(Cycle, cycle_id)
    closed: list[str] = []
    for step in cycle.steps.filter(state=StepState.OPEN):
        output = PROVERS[step.key](cycle, at) if step.key in PROVERS else ""
        if output:
            _settle(cycle, step, StepState.DONE, actor=actor, at=at, output=output)
            closed.append(step.key)
    return closed


def provable(cycle: Cycle, at: datetime) -> bool:
    """Whether an open step could be closed now (read only)."""
    return any(
        PROVERS[key](cycle, at)
        for key in cycle.steps.filter(state=StepState.OPEN).values_list("key", flat=True)
        if key in PROVERS
    )


@workflow.verb("change.cycle.step_done", Cycle, "cycle_id")
def prove_steps(*, cycle_id: int, actor: User, at: datetime) -> list[str]:
    """`prove` as a verb of its own: what the sweep and the verbs without the cycle's lock call."""
    return prove(cycle_id=cycle_id, actor=actor, at=at)


@workflow.verb("change.cycle.step_done", Cycle, "cycle_id")
def complete_step(*, cycle_id: int, key: str, output: str, actor: User, at: datetime) -> PhaseStep:
    """A person says that a step is done, and what came of it. Needs cycle.manage."""
    if not output.strip():
        raise Invalid("Say what came of this step.", code="step.output")
    cycle, step = _open_step(cycle_id, key, actor)
    return _settle(cycle, step, StepState.DONE, actor=actor, at=at, output=output.strip())


@workflow.verb("change.cycle.step_waived", Cycle, "cycle_id")
def waive_step(*, cycle_id: int, key: str, reason: str, actor: User, at: datetime) -> PhaseStep:
    """A person says that a step is not needed this time, and why. Needs cycle.manage."""
    if not reason.strip():
        raise Invalid("Say why this step is not needed.", code="step.reason")
    cycle, step = _open_step(cycle_id, key, actor)
    return _settle(cycle, step, StepState.WAIVED, actor=actor, at=at, reason=reason.strip())


@workflow.verb("change.cycle.step_assigned", Cycle, "cycle_id")
def assign_step(*, cycle_id: int, key: str, owner_id: int, actor: User, at: datetime) -> PhaseStep:
    """Gives a step to a person. Needs cycle.manage."""
    cycle, step = _open_step(cycle_id, key, actor)
    owner = User.objects.filter(pk=owner_id, is_active=True).first()
    if owner is None or not owner.is_person:
        raise Invalid("Choose a person.", code="step.owner")
    step.owner = owner
    step.save(update_fields=["owner"])
    detail = {"step": step.key, "owner": owner.get_username()}
    audit.record(cycle, "change.cycle.step_assigned", actor=actor, at=at, detail=detail)
    return step


def _open_step(cycle_id: int, key: str, actor: User) -> tuple[Cycle, PhaseStep]:
    cycle = workflow.lock(Cycle, cycle_id)
    if refused := failing([capability("cycle.manage")], cycle, actor):
        raise NotAllowed(refused)
    step = cycle.steps.filter(key=key).first()
    if step is None:
        raise Invalid(english("There is no step %(key)s.", key=repr(key)), code="step.key")
    if step.state != StepState.OPEN:
        raise Conflict(english("This step is %(state)s already.", state=label_of(step)), code="step.settled")
    return cycle, step


def _settle(
    cycle: Cycle, step: PhaseStep, state: StepState, *, actor: User, at: datetime, output: str = "", reason: str = ""
) -> PhaseStep:
    step.state, step.output, step.reason = state, output, reason
    step.settled_at, step.settled_by = at, actor
    step.save()
    verb = "change.cycle.step_done" if state == StepState.DONE else "change.cycle.step_waived"
    detail = {"step": step.key, "output": output, "reason": reason}
    audit.record(cycle, verb, actor=actor, at=at, detail=detail)
    return step


@sweep("cycle_steps")
def due_steps(*, now: datetime) -> int:
    """Closes what rows have come to prove since (an inventory, evidence); reads first, writes only if something is due."""
    count = 0
    for cycle in Cycle.objects.open():
        if provable(cycle, now):
            count += len(prove_steps(cycle_id=cycle.pk, actor=User.bot(), at=now))
    return count


# --- provers -----------------------------------------------------------------------------------------------------------------
@prover(StepKey.INVENTORY)
def _inventory(cycle: Cycle, at: datetime) -> str:
    hosts = Host.objects.live()
    total = hosts.count()
    fresh = hosts.filter(audited_at__gt=at - settings.PATCHFLOW["AUDIT_GATE"]).count()
    return (
        english("%(fresh)s of %(total)s hosts audited within the limit of the audit gate", fresh=fresh, total=total)
        if total and fresh == total
        else ""
    )


@prover(StepKey.SOURCES)
def _sources(cycle: Cycle, at: datetime) -> str:
    feeds = list(Feed.objects.filter(enabled=True))
    if not feeds or any(feed.is_stale(at) for feed in feeds):
        return ""
    return english(
        "%(n)s feeds, each polled well: %(feeds)s", n=len(feeds), feeds=", ".join(str(feed) for feed in feeds[:5])
    )


@prover(StepKey.DISCOVER)
def _discover(cycle: Cycle, at: datetime) -> str:
    count = cycle.updates.count()
    return english_n("%(n)s update notified", "%(n)s updates notified", count) if count else ""


@prover(StepKey.RELEVANCE)
def _relevance(cycle: Cycle, at: datetime) -> str:
    updates = cycle.updates.filter(update__notified_at__isnull=False).count()
    if not updates or updates < cycle.updates.count():
        return ""
    return english_n("%(n)s update found to apply to hosts here", "%(n)s updates found to apply to hosts here", updates)


@prover(StepKey.FILES)
def _files(cycle: Cycle, at: datetime) -> str:
    names = set(cycle.updates.values_list("update__name", "update__fixed_version"))
    if not names:
        return ""
    passed = set(
        Verification.objects.filter(
            outcome="passed", artifact__source_name__in={name for name, _ in names}
        ).values_list("artifact__source_name", "artifact__source_version")
    )
    return (
        english_n("files of %(n)s update verified", "files of %(n)s updates verified", len(names))
        if names <= passed
        else ""
    )


@prover(StepKey.NATURE)
def _nature(cycle: Cycle, at: datetime) -> str:
    submitted = list(cycle.rfcs.filter(submitted_at__isnull=False).order_by("pk"))
    return (
        english("%(submitted)s submitted", submitted=", ".join(rfc.number for rfc in submitted[:5]))
        if submitted
        else ""
    )


@prover(StepKey.RESPONSE)
def _response(cycle: Cycle, at: datetime) -> str:
    rows = cycle.updates.exclude(update__superseded_by__isnull=False)
    total = rows.count()
    in_rfc = RFC.objects.filter(cycle=cycle, updates__removed_at__isnull=True).exclude(
        state__in=[RFCState.DRAFT, *WITHDRAWN]
    )
    open_ = rows.filter(update__response=Response.UNDECIDED).exclude(update__rfc_rows__rfc__in=in_rfc).count()
    return (
        english_n("a response for %(n)s update", "a response for %(n)s updates", total) if total and not open_ else ""
    )


def _going(cycle: Cycle) -> QuerySet[RFC]:
    """The cycle's changes that were submitted and not withdrawn."""
    return RFC.objects.filter(cycle=cycle).exclude(state__in=[RFCState.DRAFT, *WITHDRAWN])


@prover(StepKey.PLAN)
def _plan(cycle: Cycle, at: datetime) -> str:
    authorized = _going(cycle).values_list("authorized_at", flat=True)
    if not authorized or None in authorized:
        return ""
    return english_n("plans of %(n)s RFC authorized", "plans of %(n)s RFCs authorized", len(authorized))


def _evidence(kind: EvidenceKind, what: str) -> Prover:
    """That each change of the cycle that goes on has evidence of the kind, and the newest of each did not fail. One query."""
    newest = Evidence.objects.filter(rfc=OuterRef("pk"), kind=kind).order_by("-pk")

    def prove_by_evidence(cycle: Cycle, at: datetime) -> str:
        rows = _going(cycle).annotate(
            found=Subquery(newest.values("pk")[:1]), passed=Subquery(newest.values("passed")[:1])
        )
        verdicts = [found is not None and passed is not False for found, passed in rows.values_list("found", "passed")]
        if not verdicts or not all(verdicts):
            return ""
        return english_n("%(what)s of %(n)s RFC", "%(what)s of %(n)s RFCs", len(verdicts), what=what)

    return prove_by_evidence


for _key, _kind, _what in (
    (StepKey.BUILD, EvidenceKind.MANIFEST, english("manifests")),
    (StepKey.ACCEPTANCE, EvidenceKind.ACCEPTANCE, english("acceptance tests")),
    (StepKey.PREPARATION, EvidenceKind.READINESS, english("readiness reviews")),
    (StepKey.REVIEW, EvidenceKind.REVIEW, english("reviews")),
):
    prover(_key)(_evidence(_kind, _what))


@prover(StepKey.DEPLOYMENT)
def _deployment(cycle: Cycle, at: datetime) -> str:
    if not _evidence(EvidenceKind.DEPLOYMENT, "")(cycle, at):
        return ""
    rows = RFCTarget.objects.filter(rfc__cycle=cycle, removed_at__isnull=True).exclude(rfc__state__in=WITHDRAWN)
    return english("%(done)s of %(n)s targets done", done=rows.filter(outcome="done").count(), n=rows.count())
