"""People and their roles: who may, what ends with a deactivation, and that an administrator is always left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from knox.models import AuthToken

from changes.domain import calendar_keys
from patchflow.kernel import access, people
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed, Refusal
from patchflow.kernel.models import AuditEntry, RoleGrant, User
from tests.factories.cmdb import make_group
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db


def codes(error: Any) -> list[str]:
    return [blocker.code for blocker in error.value.blockers]


def test_a_person_is_made_without_a_role_and_with_a_password_that_is_nowhere_else(cast: Cast, now: datetime) -> None:
    user, password = people.add(username="liz", first_name="Liz", email="liz@example.org", actor=cast.ada, at=now)
    assert authenticate(None, username="liz", password=password) == user
    assert not user.role_grants.exists()
    entry = AuditEntry.objects.get(verb="access.user.created")
    assert (entry.actor, entry.object_id) == (cast.ada, str(user.pk))
    assert password not in str(entry.document())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"username": "MIA"}, "person.username"),
        ({"username": "bot"}, "person.username"),
        ({"username": ""}, "person.username"),
        ({"username": "two words"}, "person.username"),
        ({"username": "liz", "email": "liz"}, "person.email"),
        ({"username": "liz", "last_name": "x" * 151}, "person.last_name"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_field(
    cast: Cast, now: datetime, given: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        people.add(**given, actor=cast.ada, at=now)
    assert codes(refused) == [field]


def test_only_administrators_keep_people(cast: Cast, now: datetime) -> None:
    for actor in (
        cast.root,
        cast.aud,
        cast.sam,
        cast.bot,
        cast.eve,
        make_user("local", "administrator", scope="group:1"),
    ):
        for act in (
            lambda actor=actor: people.add(username="liz", actor=actor, at=now),
            lambda actor=actor: people.deactivate(user_id=cast.mia.pk, actor=actor, at=now),
            lambda actor=actor: people.reactivate(user_id=cast.mia.pk, actor=actor, at=now),
            lambda actor=actor: access.grant_role(user_id=cast.tia.pk, role="no such", actor=actor, at=now),
            lambda actor=actor: access.revoke_role(user_id=cast.mia.pk, role="cab_member", actor=actor, at=now),
        ):
            with pytest.raises(NotAllowed):
                act()
    assert User.objects.filter(is_active=False).count() == 0
    assert AuditEntry.objects.filter(verb__startswith="access.user", outcome=Outcome.REFUSED).count() == 30


def test_a_role_is_granted_for_a_scope_that_there_is(cast: Cast, now: datetime) -> None:
    group = make_group("web")
    with pytest.raises(Invalid) as refused:
        access.grant_role(user_id=cast.eve.pk, role="operator", scope="group:999999", actor=cast.ada, at=now)
    assert codes(refused) == ["grant.scope"]
    given = {"user_id": cast.eve.pk, "role": "operator", "scope": f"group:{group.pk}", "actor": cast.ada, "at": now}
    assert access.grant_role(**given) == access.grant_role(**given)
    assert User.objects.get(username="eve").scopes_for("job.observe") == {f"group:{group.pk}"}
    assert RoleGrant.objects.get(user=cast.eve).granted_by == cast.ada
    access.revoke_role(**given)
    with pytest.raises(Conflict):
        access.revoke_role(**given)
    assert not User.objects.get(username="eve").holds_somewhere("job.observe")


def test_nobody_changes_their_own_roles_or_shuts_themselves_out(cast: Cast, now: datetime) -> None:
    make_user("abe", "administrator")
    for act, code in (
        (lambda: access.grant_role(user_id=cast.ada.pk, role="cab_chair", actor=cast.ada, at=now), "grant.own"),
        (lambda: access.revoke_role(user_id=cast.ada.pk, role="administrator", actor=cast.ada, at=now), "grant.own"),
        (lambda: people.deactivate(user_id=cast.ada.pk, actor=cast.ada, at=now), "person.own"),
    ):
        with pytest.raises(NotAllowed) as refused:
            act()
        assert codes(refused) == [code]


@pytest.mark.parametrize("how", ["revoked", "deactivated"])
def test_the_last_administrator_stays(cast: Cast, now: datetime, how: str) -> None:
    """Two take away each other's role at once: the second was an administrator when asked, and is none any more."""
    second = make_user("abe", "administrator")
    make_user("local", "administrator", scope="group:1")
    make_user("gone", "administrator", is_active=False)
    assert second.holds("grant.edit")
    assert second.holds("user.edit")
    take_away(how, second, cast.ada, now)
    with pytest.raises(Refusal) as refused:
        take_away(how, cast.ada, second, now)
    assert codes(refused) == ["grant.last"]
    assert list(access.keepers()) == [cast.ada]


def take_away(how: str, user: User, actor: User, now: datetime) -> None:
    if how == "revoked":
        access.revoke_role(user_id=user.pk, role="administrator", actor=actor, at=now)
    else:
        people.deactivate(user_id=user.pk, actor=actor, at=now)


def test_what_somebody_has_open_ends_with_a_deactivation_for_good(cast: Cast, now: datetime) -> None:
    user, password = people.add(username="liz", actor=cast.ada, at=now)
    session = Client()
    assert session.login(username="liz", password=password)
    token = AuthToken.objects.create(user)[1]
    secret = calendar_keys.make(actor=user, at=now)
    rest = {"Authorization": f"Token {token}"}
    assert Client().get("/api/v1/preferences/", headers=rest).status_code == 200
    people.deactivate(user_id=user.pk, reason="Has left.", actor=cast.ada, at=now)
    assert session.get("/settings/").status_code == 302
    assert Client().get("/api/v1/preferences/", headers=rest).status_code == 401
    assert not Client().login(username="liz", password=password)
    assert AuditEntry.objects.get(verb="access.user.deactivated").detail == {"reason": "Has left."}
    back, new = people.reactivate(user_id=user.pk, actor=cast.ada, at=now)
    assert authenticate(None, username="liz", password=new) == back
    assert authenticate(None, username="liz", password=password) is None
    assert session.get("/settings/").status_code == 302
    assert Client().get("/api/v1/preferences/", headers=rest).status_code == 401
    assert calendar_keys.owner_of(secret) is None


def test_who_is_deactivated_or_active_already_is_said(cast: Cast, now: datetime) -> None:
    with pytest.raises(Conflict):
        people.reactivate(user_id=cast.mia.pk, actor=cast.ada, at=now)
    people.deactivate(user_id=cast.mia.pk, actor=cast.ada, at=now)
    with pytest.raises(Conflict):
        people.deactivate(user_id=cast.mia.pk, actor=cast.ada, at=now)


def test_the_bot_is_no_person(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        access.grant_role(user_id=cast.bot.pk, role="operator", actor=cast.ada, at=now)
    with pytest.raises(NotAllowed):
        people.deactivate(user_id=cast.bot.pk, actor=cast.ada, at=now)
    assert not people.visible_to(cast.ada).filter(pk=cast.bot.pk).exists()
    assert not people.visible_to(cast.aud).exists()
