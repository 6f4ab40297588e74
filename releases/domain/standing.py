"""A release stands still, for a stated cause, until somebody resumes it: the verbs of holds, for a release."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changes.domain import holds
from changes.enums import HoldCause
from changes.models import Hold
from changes.queries.holds import hold_blocker, open_hold_of
from patchflow.kernel import queue, registry, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Conflict, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain.rollouts import ADVANCE
from releases.models import Release
from releases.models.release import CLOSED
from releases.queries.rollouts import due_rollouts


@workflow.verb("change.hold.placed", Release, "release_id")
def place(*, release_id: int, reason: str, actor: User, at: datetime, cause: str = HoldCause.PERSON) -> Hold:
    """Puts a release on hold. Needs rfc.hold over its hosts. Nothing of it starts until it is resumed; what is at work
    runs on, and so do its dates. Raises NotAllowed, Conflict (it has ended, or is on hold already), Invalid (no reason)."""
    release = workflow.lock(Release, release_id)
    if refused := _without_right(release, actor):
        raise NotAllowed(refused)
    if ended := _ended(release):
        raise Conflict(ended)
    hold = holds.place_on(subject=release, reason=reason, cause=cause, actor=actor, at=at)
    for pk in due_rollouts().filter(release=release).values_list("pk", flat=True):
        queue.enqueue(ADVANCE, rollout_id=pk)
    return hold


@workflow.verb("change.hold.resumed", Release, "release_id")
def resume(*, release_id: int, actor: User, at: datetime, reason: str = "") -> Hold:
    """Ends the hold of a release. Needs rfc.hold over its hosts. Raises NotAllowed, Conflict (it is not on hold)."""
    release = workflow.lock(Release, release_id)
    return holds.resume_on(subject=release, reason=reason, actor=actor, at=at)


def why_not_place(release: Release, actor: User) -> list[Blocker]:
    """Why this person does not put it on hold now: the right first, then where it stands."""
    on_hold = [Blocker("hold.open", "It is on hold already.")] if open_hold_of(release) else []
    return _without_right(release, actor) or _ended(release) or on_hold


def why_not_resume(release: Release, actor: User) -> list[Blocker]:
    """Why this person does not resume it now."""
    none = [] if open_hold_of(release) else [Blocker("hold.none", "It is not on hold.")]
    return _without_right(release, actor) or none


def _without_right(release: Release, actor: User) -> list[Blocker]:
    return failing([capability("rfc.hold")], release, actor)


def _ended(release: Release) -> list[Blocker]:
    if release.state not in CLOSED:
        return []
    return [Blocker("conflict.state", english("It is %(state)s: there is nothing to hold.", state=label_of(release)))]


@registry.gate("releases.release", "revise", "accept")
def find_hold(release: Release, **_: Any) -> list[Blocker]:
    """A hold blocks what takes the release on or back to its plan; not its leaving, its stop and its way back."""
    return hold_blocker(release)
