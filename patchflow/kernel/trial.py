"""Trial mode: the whole process with the real estate, and nothing executed on any host.

It holds while a period is open, or while the environment says PATCHFLOW_TRIAL=1; so leaving takes both the person who runs
the server and an administrator with a reason. What was made in a trial says so for ever, and never counts as real.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop

from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker, English, english
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import TrialPeriod, User
from patchflow.kernel.registry import Gate, sweep
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.workflow import lock, verb

NOTHING = gettext_noop("Trial mode: nothing is executed on hosts.")
BY_ENVIRONMENT = gettext_noop("Patchflow was started with PATCHFLOW_TRIAL=1.")


def active() -> bool:
    """Whether this Patchflow is in trial mode now."""
    return by_environment() or TrialPeriod.objects.filter(ended_at__isnull=True).exists()


def by_environment() -> bool:
    return bool(settings.PATCHFLOW["TRIAL"])


def current() -> TrialPeriod | None:
    """The open period; None also where only the environment says so yet."""
    return TrialPeriod.objects.filter(ended_at__isnull=True).select_related("started_by").first()


def mismatch(made_in_trial: bool, what: str) -> list[Blocker]:
    """Why something made in trial mode, or outside of it, does not go on now: the two never mix."""
    now = active()
    if made_in_trial and not now:
        return [
            Blocker(
                "trial.ended",
                english("%(what)s was made in trial mode: it never counts as real. Make it anew.", what=what),
            )
        ]
    if now and not made_in_trial:
        return [
            Blocker(
                "trial.real",
                english(
                    "%(trial)s %(what)s was made before, for real: it waits until trial mode is left.",
                    trial=English.of(NOTHING),
                    what=what,
                ),
                tone="wait",
            )
        ]
    return []


_gates: list[Gate] = []


def before_entering(gate: Gate) -> Gate:
    """Registers reasons of an app above against entering: `function(*, actor, at) -> list[Blocker]`."""
    _gates.append(gate)
    return gate


def find_enter_blockers(*, actor: User, at: datetime) -> list[Blocker]:
    """Why no trial begins now; empty if one may."""
    return [blocker for gate in _gates for blocker in gate(actor=actor, at=at)]


@verb("settings.trial_entered")
def enter(*, reason: str, actor: User, at: datetime) -> TrialPeriod:
    """Begins a trial: from now on no executor but the simulator acts. Needs trial.set and a reason.

    Raises NotAllowed, Invalid (no reason), Conflict (it is so already), Blocked (something is at work on hosts).
    """
    _demand(actor)
    reason = _said(reason)
    if found := find_enter_blockers(actor=actor, at=at):
        raise Blocked(found)
    return _open(reason, actor=actor, at=at)


def _open(reason: str, *, actor: User, at: datetime) -> TrialPeriod:
    try:
        with transaction.atomic():
            period = TrialPeriod.objects.create(started_at=at, started_by=actor, reason=reason)
    except IntegrityError:
        raise Conflict("This is trial mode already.", code="conflict.trial") from None
    audit.record(period, "settings.trial_entered", actor=actor, at=at, after="trial", detail={"reason": reason})
    return period


@verb("settings.trial_left")
def leave(*, reason: str, actor: User, at: datetime) -> TrialPeriod:
    """Ends the trial: from now on what is deployed is executed. What was made in it stays marked, and goes on no more.

    Needs trial.set and a reason. Raises NotAllowed, Invalid, Conflict (there is none), Blocked (the environment says trial).
    """
    _demand(actor)
    reason = _said(reason)
    if by_environment():
        raise Blocked(
            Blocker(
                "trial.environment",
                english("%(why)s Take that away and start it again first.", why=English.of(BY_ENVIRONMENT)),
            )
        )
    found = current()
    if found is None:
        raise Conflict("This is not trial mode.", code="conflict.trial")
    period = lock(TrialPeriod, found.pk)
    if period.ended_at is not None:
        raise Conflict("This is not trial mode any more.", code="conflict.trial")
    period.ended_at, period.ended_by, period.end_reason = at, actor, reason
    period.save(update_fields=["ended_at", "ended_by", "end_reason"])
    audit.record(
        period, "settings.trial_left", actor=actor, at=at, before="trial", after="real", detail={"reason": reason}
    )
    return period


def _demand(actor: User) -> None:
    if refused := failing([capability("trial.set")], None, actor):
        raise NotAllowed(refused)


def _said(reason: str) -> str:
    if not reason.strip():
        raise Invalid("Say why.", code="trial.reason")
    return reason.strip()


@sweep("trial")
def keep_record(*, now: datetime) -> int:
    """What the environment says is written down as a period, so that it outlives the environment."""
    if not by_environment() or current() is not None:
        return 0
    _recorded(actor=User.bot(), at=now)
    return 1


@verb("settings.trial_entered")
def _recorded(*, actor: User, at: datetime) -> TrialPeriod:
    return _open(BY_ENVIRONMENT, actor=actor, at=at)
