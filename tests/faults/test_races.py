"""F9: many people at the same moment over REST: one winner, the others are told 409, and what was signed is what stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from changes.models import RFC
from changes.queries.authorization import authorization_for
from patchflow.kernel import trail
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import AuditEntry, SignOffRound, User
from releases.domain import rollouts
from releases.models import Job, Rollout
from tests.crowd import CROWD, together
from tests.factories import changes as made
from tests.factories.people import make_cast, make_user
from tests.factories.rollouts import make_deployment
from tests.faults.dose import dose, report

pytestmark = [CROWD, pytest.mark.pg, pytest.mark.integration, pytest.mark.django_db(transaction=True)]
Post = tuple[Any, str, dict[str, Any]]


@pytest.fixture
def world(transactional_db: None) -> made.World:
    return made.make_world(make_cast(), timezone.now())


def at_once(posts: Sequence[Post]) -> list[int]:
    """Sends all at the same moment, each as its person over a connection of its own; the status of each."""

    def send(post: Post) -> int:
        person, path, body = post
        client = APIClient(raise_request_exception=False)
        client.force_authenticate(User.objects.get(pk=person.pk))
        return int(client.post(f"/api/v1/{path}", body, format="json").status_code)

    return together([partial(send, post) for post in posts])


def signing(round_: SignOffRound, person: Any, verdict: str = "approve") -> Post:
    body = {"verdict": verdict, "digest_seen": round_.digest, "comment": "in a race"}
    return person, f"rounds/{round_.pk}/decide/", body


def one_left(world: made.World) -> tuple[RFC, SignOffRound]:
    """An RFC whose round the next approval passes."""
    rfc = made.awaiting(world)
    made.approve(rfc, world.cast.sam, world.cast.cal, at=world.at)
    return rfc, made.round_of(rfc)


def fired(rfc: RFC, verb: str) -> int:
    return AuditEntry.objects.filter(
        object_type="changes.rfc", object_id=str(rfc.pk), verb=verb, outcome="done"
    ).count()


def test_one_approval_of_many_authorizes(world: made.World) -> None:
    board = [make_user(f"m{n:02d}", "cab_member") for n in range(dose("F9", "people"))]
    for _round in range(dose("F9", "rounds")):
        rfc, round_ = one_left(world)
        assert Counter(at_once([signing(round_, person) for person in board])) == {200: 1, 409: len(board) - 1}
        assert fired(rfc, "change.rfc.authorized") == 1
        assert round_.signoffs.count() == 3
        assert authorization_for(rfc_id=rfc.pk, at=timezone.now()).valid
    assert trail.verify().faults == []
    report("F9", what="approvals at once", people=len(board), rounds=dose("F9", "rounds"), winners_a_round=1)


def test_an_approval_and_a_rejection_have_one_winner(world: made.World) -> None:
    outcomes: Counter[str] = Counter()
    for _round in range(dose("F9", "rounds")):
        rfc, round_ = one_left(world)
        statuses = at_once(
            [signing(round_, world.cast.mia), (world.cast.che, f"rfcs/{rfc.pk}/reject/", {"reason": "no"})]
        )
        state = RFC.objects.get(pk=rfc.pk).state
        assert (state, statuses) in [("authorized", [200, 409]), ("rejected", [409, 200])]
        assert fired(rfc, "change.rfc.authorized") + fired(rfc, "change.rfc.rejected") == 1
        outcomes[state] += 1
    assert trail.verify().faults == []
    report("F9", what="approve + reject", rounds=dose("F9", "rounds"), outcomes=dict(outcomes))


def test_an_edit_voids_what_was_signed_whichever_comes_first(world: made.World) -> None:
    outcomes: Counter[str] = Counter()
    for n in range(dose("F9", "rounds")):
        rfc, round_ = one_left(world)
        edit = (world.cast.ann, f"rfcs/{rfc.pk}/revise/", {"test_plan": f"another {n}"})
        statuses = at_once([signing(round_, world.cast.mia), edit])
        round_.refresh_from_db()
        assert (round_.state, statuses) in [("passed", [200, 200]), ("void", [409, 200])]
        found = authorization_for(rfc_id=rfc.pk, at=timezone.now())
        assert (found.state, found.valid) == ("evaluating", False)
        outcomes[round_.state] += 1
    assert trail.verify().faults == []
    report("F9", what="approve + edit", rounds=dose("F9", "rounds"), outcomes=dict(outcomes))


@pytest.mark.parametrize("turn", range(dose("F9", "rounds")))
def test_a_start_and_a_cancel_have_one_winner(turn: int, transactional_db: None, tmp_path: Path) -> None:
    """The planned rollout runs, or it is cancelled and none of its jobs is left to be let through: never both."""
    cast = make_cast()
    deployment = make_deployment(cast, timezone.now(), tmp_path, hosts=2)
    planned = rollouts.plan(release_id=deployment.release.pk, actor=cast.rex, at=timezone.now())
    acts: list[Callable[[], Any]] = [
        lambda d=deployment: rollouts.start(release_id=d.release.pk, actor=cast.rex, at=timezone.now()),  # type: ignore[misc]
        lambda p=planned: rollouts.cancel(rollout_id=p.pk, reason="no", actor=cast.rex, at=timezone.now()),  # type: ignore[misc]
    ]
    refused = [type(told).__name__ for told in together(acts) if isinstance(told, Refusal)]
    state = Rollout.objects.get(pk=planned.pk).state
    pending = Job.objects.filter(rollout=planned, state="pending").count()
    others = list(
        Rollout.objects.filter(release=deployment.release).exclude(pk=planned.pk).values_list("state", flat=True)
    )
    # Where the start comes later it plans another rollout of the same manifest, or is told that this one is gone.
    assert (state, pending, refused, others) in [
        ("running", 2, ["Conflict"], []),
        ("cancelled", 0, [], ["running"]),
        ("cancelled", 0, ["Conflict"], []),
    ]
    report("F9", what="cancel + start", turn=turn, outcome=state)
