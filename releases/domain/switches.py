"""The kill switch: while it is on, no host is let through anywhere."""

from __future__ import annotations

from datetime import datetime

from patchflow.kernel import audit, queue, workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain.rollouts import ADVANCE
from releases.models import KillSwitch
from releases.queries.rollouts import due_rollouts


def at_hand() -> KillSwitch:
    """The one switch. Before its first use there is no row of it: it is made, and is off, which is what no row means too."""
    return KillSwitch.objects.get_or_create(name="all")[0]


def why_not(switch: KillSwitch, actor: User, *, on: bool) -> list[Blocker]:
    """Every reason why this person cannot turn it on (or off) now, the same as the verb raises."""
    if refused := failing([capability("kill_switch.set")], None, actor):
        return refused
    if on and switch.is_on:
        return [Blocker("conflict.state", "The kill switch is on already.")]
    if not on and not switch.is_on:
        return [Blocker("conflict.state", "The kill switch is off already.")]
    return []


@workflow.verb("settings.kill_switch")
def set_kill_switch(*, on: bool, reason: str, actor: User, at: datetime) -> KillSwitch:
    """Turns the switch on (nothing new starts, what is at work runs on) or off. Needs kill_switch.set and a reason.

    Raises NotAllowed, Invalid (no reason), Conflict (it is so already).
    """
    if refused := failing([capability("kill_switch.set")], None, actor):
        raise NotAllowed(refused)
    if not reason.strip():
        raise Invalid("Say why.", code="kill_switch.reason")
    at_hand()
    switch = KillSwitch.objects.select_for_update().get(name="all")
    if already := why_not(switch, actor, on=on):
        raise Conflict(already)
    switch.is_on, switch.reason, switch.set_by, switch.set_at = on, reason.strip(), actor, at
    switch.save(update_fields=["is_on", "reason", "set_by", "set_at"])
    for pk in due_rollouts().values_list("pk", flat=True):  # they say so, or go on, at once
        queue.enqueue(ADVANCE, rollout_id=pk)
    after = "on" if on else "off"
    audit.record(switch, f"settings.kill_switch_{after}", actor=actor, at=at, after=after, detail={"reason": reason})
    return switch
