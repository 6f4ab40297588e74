"""Freezes: declared and lifted by people; asked by the gates of a rollout before each host is let through."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from changes.enums import RFCKind
from changes.models import FreezeWindow
from changes.models.freeze import emergency_only
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing

DECLARES = capability("freeze.declare")
_OVER = Blocker("conflict.state", english("It is over already."))


@workflow.verb("change.freeze.declared", FreezeWindow)
def declare(
    *, name: str, reason: str, starts_at: datetime, ends_at: datetime, actor: User, at: datetime,
    passes: Sequence[str] | None = None,
) -> FreezeWindow:  # fmt: skip
    """Only the kinds in `passes` (emergency, if nothing is said) start between the two times. Needs freeze.declare.

    Raises NotAllowed, Invalid (no name or reason, ends before it starts or in the past, an unknown kind).
    """
    _demand(actor)
    kinds = list(dict.fromkeys(emergency_only() if passes is None else passes))
    wrong = {
        "name": not name.strip(),
        "reason": not reason.strip(),
        "ends_at": ends_at <= max(starts_at, at),
        "passes": not set(kinds) <= set(RFCKind.values),
    }
    if any(wrong.values()):
        said = {
            "name": english("Give it a name."),
            "reason": english("Say why."),
            "ends_at": english("It must end after it starts, and not in the past."),
            "passes": english("Known kinds: %(kinds)s.", kinds=", ".join(RFCKind.values)),
        }
        field = next(name for name, is_wrong in wrong.items() if is_wrong)
        raise Invalid(said[field], code=f"invalid.{field}")
    freeze = FreezeWindow.objects.create(
        name=name.strip(), reason=reason.strip(), starts_at=starts_at, ends_at=ends_at, passes=kinds, declared_by=actor, declared_at=at,
    )  # fmt: skip
    detail = {"starts_at": starts_at, "ends_at": ends_at, "passes": kinds, "reason": freeze.reason}
    audit.record(freeze, "change.freeze.declared", actor=actor, at=at, after="declared", detail=detail)
    return freeze


@workflow.verb("change.freeze.lifted", FreezeWindow, "freeze_id")
def lift(*, freeze_id: int, reason: str, actor: User, at: datetime) -> FreezeWindow:
    """Ends a freeze at once. Needs freeze.declare and a reason. Raises NotAllowed, Invalid, Conflict (lifted or over)."""
    _demand(actor)
    if not reason.strip():
        raise Invalid(english("Say why."), code="invalid.reason")
    freeze = workflow.lock(FreezeWindow, freeze_id)
    if _is_over(freeze, at):
        raise Conflict(_OVER)
    freeze.lifted_by, freeze.lifted_at, freeze.lift_reason = actor, at, reason.strip()
    freeze.save(update_fields=["lifted_by", "lifted_at", "lift_reason"])
    audit.record(
        freeze, "change.freeze.lifted", actor=actor, at=at, before="declared", after="lifted", detail={"reason": reason}
    )
    return freeze


def why_not_lift(freeze: FreezeWindow, actor: User, at: datetime) -> list[Blocker]:
    """Every reason against lifting it now, the same as the verb raises."""
    return [*failing([DECLARES], None, actor), *([_OVER] if _is_over(freeze, at) else [])]


def _is_over(freeze: FreezeWindow, at: datetime) -> bool:
    return freeze.lifted_at is not None or freeze.ends_at <= at


def _demand(actor: User) -> None:
    if refused := failing([DECLARES], None, actor):
        raise NotAllowed(refused)
