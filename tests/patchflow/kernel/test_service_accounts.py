"""Accounts of programs: entered by token alone, with roles as people have them, signing nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import authenticate
from django.test import Client
from knox.models import AuthToken

from changes.domain import glass, meetings
from cmdb.domain import support
from patchflow.kernel import access, people, service_accounts, signoffs, substitutes
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed, Refusal
from patchflow.kernel.models import AuditEntry, SignOff, User
from patchflow.kernel.roles import PERSONAL, capabilities, grantable
from tests.factories import changes as made
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db


def codes(error: Any) -> list[str]:
    return [blocker.code for blocker in error.value.blockers]


def refused(act: Callable[[], object], *expected: str) -> None:
    with pytest.raises(Refusal) as error:
        act()
    assert set(expected) <= set(codes(error)), codes(error)


@pytest.fixture
def program(cast: Cast, now: datetime) -> User:
    made_ = service_accounts.add(username="pipeline", name="Build pipeline", actor=cast.ada, at=now)
    return User.objects.get(pk=made_.pk)


def rest(token: str, path: str = "preferences/") -> int:
    return Client().get(f"/api/v1/{path}", headers={"Authorization": f"Token {token}"}).status_code


def test_a_token_opens_rest_until_it_ends_is_revoked_or_the_account_is(
    cast: Cast, program: User, now: datetime
) -> None:
    def give(days: int = 30) -> tuple[str, str]:
        row, text = service_accounts.give_token(user_id=program.pk, days=days, actor=cast.ada, at=now)
        return service_accounts.name_of(row), text

    with time_machine.travel(now, tick=True):
        (first, one), (_second, two) = give(), give(1)
        assert (rest(one), rest(two)) == (200, 200)
        service_accounts.revoke_token(user_id=program.pk, token=first, actor=cast.ada, at=now)
        assert (rest(one), rest(two)) == (401, 200)
        people.deactivate(user_id=program.pk, actor=cast.ada, at=now)
        assert rest(two) == 401
        back, password = people.reactivate(user_id=program.pk, actor=cast.ada, at=now)
        assert (password, back.has_usable_password(), rest(two)) == ("", False, 401)
        _third, three = give(1)
        assert rest(three) == 200
    with time_machine.travel(now + timedelta(days=1, minutes=1)):
        assert rest(three) == 401
    told = AuditEntry.objects.filter(object_id=str(program.pk)).order_by("pk")
    assert [entry.verb.rpartition(".")[2] for entry in told] == [
        "created", "token_given", "token_given", "token_revoked", "deactivated", "reactivated", "token_given",
    ]  # fmt: skip
    kept = str([entry.document() for entry in told]) + str(list(AuthToken.objects.values()))
    assert not any(text in kept for text in (one, two, three))
    assert told[1].detail["begins"] == first


def test_no_password_lets_a_program_in(program: User, client: Client) -> None:
    """Not even one that is written into its row."""
    program.set_password("a long password of a program")
    program.save()
    assert authenticate(None, username="pipeline", password="a long password of a program") is None
    assert not client.login(username="pipeline", password="a long password of a program")
    body = {"username": "pipeline", "password": "a long password of a program"}
    assert client.post("/api/v1/login/", body, "application/json").status_code == 401
    client.post("/account/login/", {"login": "pipeline", "password": "a long password of a program"})
    assert client.get("/").status_code == 302


def test_only_administrators_keep_programs(cast: Cast, program: User, now: datetime) -> None:
    access.grant_role(user_id=program.pk, role="administrator", actor=cast.ada, at=now)
    row, _text = service_accounts.give_token(user_id=program.pk, days=1, actor=cast.ada, at=now)
    begins = service_accounts.name_of(row)
    local = make_user("local", "administrator", scope="group:1")
    for actor in (cast.aud, cast.root, cast.bot, cast.eve, cast.sam, local, User.objects.get(pk=program.pk)):
        for act in (
            lambda actor=actor: service_accounts.add(username="other", actor=actor, at=now),
            lambda actor=actor: service_accounts.give_token(user_id=program.pk, days=1, actor=actor, at=now),
            lambda actor=actor: service_accounts.revoke_token(user_id=program.pk, token=begins, actor=actor, at=now),
        ):
            with pytest.raises(NotAllowed):
                act()
    assert AuthToken.objects.count() == 1
    assert list(User.objects.filter(is_service=True)) == [program]


def test_what_cannot_be_is_refused(cast: Cast, program: User, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    def give(user: User, days: int = 1) -> object:
        return service_accounts.give_token(user_id=user.pk, days=days, actor=cast.ada, at=now)

    for days in (0, -1, 367):
        with pytest.raises(Invalid):
            give(program, days)
    with pytest.raises(Conflict):
        give(cast.mia)
    refused(lambda: service_accounts.add(username="MIA", actor=cast.ada, at=now), "person.username")
    with pytest.raises(Conflict):
        service_accounts.revoke_token(user_id=program.pk, token="", actor=cast.ada, at=now)
    monkeypatch.setattr(service_accounts, "MOST", 2)
    give(program), give(program)
    with pytest.raises(Conflict):
        give(program)
    token = AuthToken.objects.create(cast.mia)[0]
    with pytest.raises(Conflict):
        service_accounts.revoke_token(
            user_id=cast.mia.pk, token=service_accounts.name_of(token), actor=cast.ada, at=now
        )
    people.deactivate(user_id=program.pk, actor=cast.ada, at=now)
    with pytest.raises(Conflict):
        give(program)


def test_its_roles_hold_where_they_are_granted_and_nothing_personal(cast: Cast, program: User, now: datetime) -> None:
    group = made.make_group("web", at=now)
    access.grant_role(user_id=program.pk, role="operator", scope=group.scope_key, actor=cast.ada, at=now)
    assert User.objects.get(pk=program.pk).scopes_for("job.cancel") == {group.scope_key}
    for role in grantable():
        access.grant_role(user_id=program.pk, role=role.name, actor=cast.ada, at=now)
    everything, person = User.objects.get(pk=program.pk), make_user("everything", *(r.name for r in grantable()))
    nowhere = {one for one in capabilities() if person.holds_somewhere(one) and not everything.holds_somewhere(one)}
    assert nowhere == PERSONAL


def test_a_program_is_no_administrator_who_is_left(cast: Cast, program: User, now: datetime) -> None:
    access.grant_role(user_id=program.pk, role="administrator", actor=cast.ada, at=now)
    assert list(access.keepers()) == [cast.ada]


def test_a_program_signs_nothing_and_stands_in_for_nobody(cast: Cast, program: User, now: datetime) -> None:
    for role in grantable():
        access.grant_role(user_id=program.pk, role=role.name, actor=cast.ada, at=now)
    program = User.objects.get(pk=program.pk)
    world = made.make_world(cast, now)
    round_ = made.round_of(made.awaiting(world))
    assert not any(level.voters.filter(user=program).exists() for level in round_.levels.all())
    round_.levels.first().voters.create(user=program, via="by hand")
    given = {"round_id": round_.pk, "verdict": "approve", "comment": "", "digest_seen": round_.digest}
    refused(lambda: signoffs.decide(**given, actor=program, at=now), "signoff.service")
    assert not SignOff.objects.filter(user=program).exists()
    span = {"starts_at": now, "ends_at": now + timedelta(days=1)}
    refused(
        lambda: substitutes.name_substitute(
            user_id=cast.mia.pk, substitute_id=program.pk, **span, actor=cast.ada, at=now
        ),
        "substitute.substitute_id",
    )
    glassy = made.submitted(world, kind="emergency")
    refused(lambda: glass.ask(rfc_id=glassy.pk, reason="Now.", actor=program, at=now), "person.only")
    asked = made.glass_asked(world)
    refused(lambda: glass.break_glass(rfc_id=asked.pk, reason="Now.", actor=program, at=now), "person.only")
    refused(lambda: glass.review(rfc_id=asked.pk, justified=True, finding="x", actor=program, at=now), "person.only")


def test_a_program_answers_for_nothing(cast: Cast, program: User, now: datetime) -> None:
    when = {"kind": "cab", "starts_at": now + timedelta(days=1)}
    with pytest.raises(Invalid):
        meetings.plan(**when, actor=cast.che, at=now, member_ids=[program.pk])
    with pytest.raises(Invalid):
        support.define(name="Desk", lead="pipeline", actor=cast.cora, at=now)
    assert not people.persons().filter(pk=program.pk).exists()
    assert people.persons().filter(pk=cast.mia.pk).exists()
