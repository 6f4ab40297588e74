"""The consent block: one act of a member, a vote of their own for each item that they may vote on.

Each vote is a verb with a transaction and locks of its own, so that an item which refuses keeps none of the others from being
signed; what was refused is reported with its reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from changes.domain import approvals
from changes.domain.agendas import LIVE, in_state
from changes.enums_meeting import AgendaItemState
from changes.models import AgendaItem, Meeting
from changes.queries.meetings import consents_asked
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import Verdict
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SignOff, User


@dataclass(frozen=True)
class Consent:
    """What one member's consent did: the signatures, and for each other item why not."""

    signed: list[SignOff]
    refused: dict[int, list[Blocker]]


def consent(
    *, meeting_id: int, seen: Mapping[int, str], actor: User, at: datetime, comment: str = "",
    authenticated_at: datetime | None = None,
) -> Consent:  # fmt: skip
    """Signs for each item of the consent block named in `seen` (item id → the digest that was shown), as this member.

    An item that is no longer in the block, or on which this member has no vote, is refused by itself.
    """
    in_state(Meeting.objects.get(pk=meeting_id), *LIVE)
    block = {
        item.pk: item
        for item in AgendaItem.objects.filter(meeting=meeting_id, consent=True, state=AgendaItemState.OPEN)
    }
    signed: list[SignOff] = []
    refused: dict[int, list[Blocker]] = {}
    for item_id, digest in sorted(seen.items()):
        item = block.get(item_id)
        if item is None or item.round_id is None:
            gone = english("It has left the consent block: it is talked about, or decided.")
            refused[item_id] = [Blocker("agenda.not_in_block", gone)]
            continue
        try:
            signed.append(
                approvals.decide(
                    round_id=item.round_id, verdict=Verdict.APPROVE, comment=comment, actor=actor, at=at,
                    digest_seen=digest, authenticated_at=authenticated_at,
                )
            )  # fmt: skip
        except Refusal as refusal:
            refused[item_id] = refusal.blockers
    if signed:
        _note(meeting_id=meeting_id, rounds=[s.round_id for s in signed], comment=comment, actor=actor, at=at)
    return Consent(signed, refused)


def why_not(meeting: Meeting, actor: User, *, at: datetime) -> list[Blocker]:
    """Why this member has nothing to sign in the consent block now."""
    if meeting.state not in LIVE:
        return [Blocker("conflict.state", english("The meeting is %(state)s.", state=label_of(meeting)))]
    if consents_asked(meeting, actor, at=at):
        return []
    return [Blocker("agenda.no_vote", "No item of the consent block waits for your vote.")]


@workflow.verb("change.meeting.consented", Meeting, "meeting_id")
def _note(*, meeting_id: int, rounds: list[int], comment: str, actor: User, at: datetime) -> None:
    meeting = workflow.lock(Meeting, meeting_id)
    audit.record(meeting, "change.meeting.consented", actor=actor, at=at, detail={"rounds": rounds, "comment": comment})
