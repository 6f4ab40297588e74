"""Silence on rounds that are not about a change: whoever is asked, or stands in, is told; then reminded, then told above."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from changes.domain import change_models, reminders
from cmdb.domain import baselines
from patchflow.kernel import signoffs, substitutes
from patchflow.kernel.models import SignOffRound
from patchflow.notices.models import Delivery
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
Ask = Callable[[World], SignOffRound]


def model_round(world: World) -> SignOffRound:
    model = change_models.draft(kind="standard", name="Browsers", actor=world.cast.che, at=world.at)
    change_models.propose(model_id=model.pk, actor=world.cast.che, at=world.at)
    return signoffs.rounds_of(model).get()


def baseline_round(world: World) -> SignOffRound:
    platform = made.make_platform().pk
    baseline = baselines.propose(
        name="Debian", platform_id=platform, items=[("bash", "amd64", "5.2-1")], actor=world.cast.cora, at=world.at
    )
    return signoffs.rounds_of(baseline).first() or baselines.request_approval(
        baseline_id=baseline.pk, actor=world.cast.cora, at=world.at
    )


def told(kind: str) -> set[str]:
    return set(Delivery.objects.filter(notice__kind=kind).values_list("user__username", flat=True))


@pytest.mark.parametrize(
    ("ask", "asked", "above"),
    [(model_round, {"sam"}, {"che"}), (baseline_round, {"sam"}, {"cora"})],
    ids=["model", "baseline"],
)
def test_every_round_reminds_and_escalates(ask: Ask, asked: set[str], above: set[str], world: World) -> None:
    round_ = ask(world)
    _silence(round_, world.at, asked, above)


def _silence(round_: SignOffRound, at: datetime, asked: set[str], above: set[str]) -> None:
    level = round_.levels.get(position=1)
    assert level.deadline_at is not None
    length = level.deadline_at - round_.opened_at
    reminders.due_reminders(now=at)
    assert told("approval_requested") >= asked
    assert told("approval_reminded") == set()
    reminders.due_reminders(now=round_.opened_at + length / 2)
    assert told("approval_reminded") == asked
    assert told("approval_escalated") == set()
    reminders.due_reminders(now=round_.opened_at + length * 3 / 4)
    assert told("approval_escalated") == above
    assert reminders.due_reminders(now=level.deadline_at) == 0
    round_.refresh_from_db()
    assert round_.state == "open"


def test_who_stands_in_is_asked_and_reminded_too(world: World) -> None:
    sue = make_user("sue", "cab_member")
    substitutes.name_substitute(
        user_id=world.cast.sam.pk, substitute_id=sue.pk, starts_at=world.at, ends_at=world.at + timedelta(days=9),
        actor=world.cast.sam, at=world.at,
    )  # fmt: skip
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    assert told("approval_requested") == {"sam", "sue"}
    level = round_.levels.get(position=1)
    assert level.deadline_at is not None
    reminders.due_reminders(now=level.deadline_at - timedelta(hours=1))
    assert told("approval_reminded") == {"sam", "sue"}
