"""Many people at the same moment: exactly one outcome (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest

from changes.domain import approvals, revisions
from changes.models import RFC
from changes.queries.authorization import authorization_for
from patchflow.kernel import signoffs, trail
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import AuditEntry, SignOffRound, User
from tests.crowd import CROWD, together
from tests.factories import changes as made
from tests.factories.changes import World, make_world
from tests.factories.people import make_cast, make_user

pytestmark = [CROWD, pytest.mark.pg, pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(transactional_db: None, now: datetime) -> World:
    return make_world(make_cast(), now)


def at_once(acts: Sequence[Callable[[], object]]) -> list[str]:
    """ "done", or the name of the refusal, for each."""
    return [type(told).__name__ if isinstance(told, Refusal) else "done" for told in together(acts)]


def signing(round_id: int, user_id: int, at: datetime) -> Callable[[], object]:
    return lambda: approvals.decide(round_id=round_id, verdict="approve", actor=User.objects.get(pk=user_id), at=at)


def test_fifty_at_once_authorize_once(world: World) -> None:
    board = [make_user(f"m{i:02d}", "cab_member") for i in range(50)]
    rfc = made.awaiting(world)
    made.approve(rfc, world.cast.sam, at=world.at)
    round_ = made.round_of(rfc)
    results = at_once([signing(round_.pk, person.pk, world.at) for person in board])
    assert sorted(set(results)) == ["Conflict", "done"]
    assert results.count("done") == 2
    assert AuditEntry.objects.filter(verb="change.rfc.authorized", outcome="done").count() == 1
    assert SignOffRound.objects.get(pk=round_.pk).signoffs.count() == 3
    assert authorization_for(rfc_id=rfc.pk, at=world.at).valid
    assert trail.verify().faults == []


def test_one_person_fifty_times_counts_once(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    results = at_once([signing(round_.pk, world.cast.sam.pk, world.at)] * 50)
    assert results.count("done") == 1
    assert set(results) == {"done", "NotAllowed"}
    assert round_.signoffs.count() == 1


def test_last_signature_against_an_edit(world: World) -> None:
    """Whichever comes first, what stands there afterwards was not signed, and nothing is authorized."""
    outcomes = set()
    for turn in range(10):
        rfc = made.awaiting(world)
        made.approve(rfc, world.cast.sam, world.cast.cal, at=world.at)
        round_ = made.round_of(rfc)
        text = f"other {turn}"
        results = at_once(
            [
                signing(round_.pk, world.cast.mia.pk, world.at),
                lambda rfc=rfc, text=text: revisions.revise(
                    rfc_id=rfc.pk, actor=User.objects.get(username="ann"), at=world.at, test_plan=text
                ),
            ]
        )
        assert results[1] == "done"
        found = authorization_for(rfc_id=rfc.pk, at=world.at)
        assert (found.state, found.valid) == ("evaluating", False)
        state = SignOffRound.objects.get(pk=round_.pk).state
        assert (results[0], state) in {("done", "passed"), ("Conflict", "void")}
        assert signoffs.open_round_of(rfc) is None
        assert RFC.objects.get(pk=rfc.pk).revisions.get().voided == {"passed": "authorization", "void": "round"}[state]
        outcomes.add(state)
    assert outcomes <= {"passed", "void"}
    assert trail.verify().faults == []
