"""Who was given a token of a program acts through it: what the program did counts as theirs, and what they decided binds it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from changes.domain import approvals, glass, rfcs, risk
from changes.models import RFC
from patchflow.kernel import hands, service_accounts
from patchflow.kernel.errors import NotAllowed
from patchflow.kernel.models import RoleGrant, User
from tests.factories import changes as made
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


def program_of(cast: Cast, now: datetime, *roles: str, name: str = "pipeline", token: bool = True) -> User:
    """A program with these roles; ada, who also sits on the board, was given a token of it."""
    user = service_accounts.add(username=name, actor=cast.ada, at=now)
    RoleGrant.objects.bulk_create([RoleGrant(user=user, role=role) for role in roles])
    if token:
        row, _text = service_accounts.give_token(user_id=user.pk, days=1, actor=cast.ada, at=now)
        service_accounts.revoke_token(
            user_id=user.pk, token=service_accounts.name_of(row), actor=cast.ada, at=now + timedelta(hours=1)
        )
    return User.objects.get(pk=user.pk)


def told(error: Any) -> dict[str, str]:
    return {blocker.code: str(blocker.sentence) for blocker in error.value.blockers}


def raised_by(program: User, world: made.World, **given: Any) -> RFC:
    rfc = rfcs.raise_rfc(update_ids=[world.update.pk], actor=program, at=world.at, **{**made.PLANS, **given})
    return rfcs.submit(rfc_id=rfc.pk, actor=program, at=world.at)


def test_who_holds_a_token_is_not_asked_about_what_the_program_raised(cast: Cast, now: datetime) -> None:
    world = made.make_world(cast, now)
    for role in ("cab_member", "security_officer"):
        RoleGrant.objects.create(user=cast.ada, role=role)
    program = program_of(cast, now, "requester")
    rfc = raised_by(program, world)
    rfcs.evaluate(rfc_id=rfc.pk, actor=cast.che, at=now)
    risk.score(rfc_id=rfc.pk, actor=cast.che, at=now)
    round_ = approvals.request_approval(rfc_id=rfc.pk, actor=cast.che, at=now)
    assert not round_.levels.filter(voters__user=cast.ada).exists()
    said = "You were given a token of pipeline, whose act counts as yours: somebody else decides."
    assert round_.excluded[str(cast.ada.pk)] == said
    with pytest.raises(NotAllowed) as refused:
        approvals.decide(round_id=round_.pk, verdict="approve", comment="", actor=cast.ada, at=now)
    assert told(refused)["signoff.four_eyes"] == said
    other = program_of(cast, now, name="robot", token=False)
    assert hands.holders_of([other.pk, cast.ann.pk]) == {}


def test_who_holds_a_token_does_not_break_the_glass_for_what_the_program_raised(cast: Cast, now: datetime) -> None:
    world = made.make_world(cast, now)
    RoleGrant.objects.create(user=cast.ada, role="cab_chair")
    rfc = raised_by(program_of(cast, now, "requester"), world, kind="emergency")
    glass.ask(rfc_id=rfc.pk, reason="exploited", actor=cast.che, at=now)
    with pytest.raises(NotAllowed) as refused:
        glass.break_glass(rfc_id=rfc.pk, reason="now", actor=cast.ada, at=now)
    assert set(told(refused)) == {"rfc.four_eyes_program"}
    glass.break_glass(rfc_id=rfc.pk, reason="now", actor=cast.cal, at=now)
