"""People: made, sent away and taken back by an administrator, each with a password that is told once.

A person is never removed: the trail names who acted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from knox.models import get_token_model

from patchflow.kernel import audit
from patchflow.kernel.access import demand, demand_a_keeper, lock_with_keepers
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid
from patchflow.kernel.models import User
from patchflow.kernel.models.user import BOT
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.signals import person_deactivated
from patchflow.kernel.workflow import lock, verb

LIMIT = 150


def persons() -> QuerySet[User]:
    """Everybody who can log in and answer for something: neither the bot nor programs."""
    return User.objects.filter(is_active=True, is_service=False).exclude(username=BOT)


def visible_to(actor: User) -> QuerySet[User]:
    """Everybody but the bot, for who keeps people."""
    return User.objects.exclude(username=BOT) if actor.holds("user.edit") else User.objects.none()


@verb("access.user.created")
def add(
    *, username: str, actor: User, at: datetime, first_name: str = "", last_name: str = "", email: str = ""
) -> tuple[User, str]:
    """A new person, without a role, and the password for the first log-in, which is told this once.

    Needs user.edit. Raises NotAllowed, Invalid (a name that is taken or cannot be used, an address that is none).
    """
    demand(failing([capability("user.edit")], None, actor))
    user = User(
        username=User.normalize_username(username.strip()),
        first_name=first_name.strip(),
        last_name=last_name.strip(),
        email=email.strip(),
    )
    password = _new_password(user)
    insert(user)
    audit.record(user, "access.user.created", actor=actor, at=at, detail={"roles": []})
    return user, password


def insert(user: User) -> None:
    """Writes a new account; raises Invalid for a name that is taken or cannot be used, or an address that is none."""
    if wrong := [*_against_name(user.username), *_against_rest(user)]:
        raise Invalid(wrong)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise Invalid(_taken(user.username)) from None


@verb("access.user.password_changed")
def change_password(*, password: str, actor: User, at: datetime) -> User:
    """The actor's own new password, which nobody told them: it opens everything again. Tokens made with the old one end."""
    user = lock(User, actor.pk)
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    get_token_model().objects.filter(user=user).delete()
    audit.record(user, "access.user.password_changed", actor=actor, at=at)
    return user


@verb("access.user.deactivated", User, "user_id")
def deactivate(*, user_id: int, actor: User, at: datetime, reason: str = "") -> User:
    """Shuts somebody out at once: sessions, tokens and the password end for good, roles stay for when they come back.

    Needs user.edit. Raises NotAllowed (nobody does it to themselves; the last administrator stays), Conflict (done already).
    """
    user = lock_with_keepers(user_id)
    demand(against_switching(user, actor))
    if not user.is_active:
        raise Conflict("They are deactivated already.", code="conflict.state")
    user.is_active = False
    user.set_unusable_password()  # sessions are bound to it: none of them is alive again after a reactivation
    user.save(update_fields=["is_active", "password"])
    get_token_model().objects.filter(user=user).delete()
    demand_a_keeper()
    person_deactivated.send(sender=User, user=user, actor=actor, at=at)
    detail = {"reason": reason.strip()}
    audit.record(user, "access.user.deactivated", actor=actor, at=at, before="active", after="inactive", detail=detail)
    return user


@verb("access.user.reactivated", User, "user_id")
def reactivate(*, user_id: int, actor: User, at: datetime) -> tuple[User, str]:
    """Lets somebody in again, with the roles that they have kept and a new password, which is told this once; a program
    without a password, to be given a new token.

    Needs user.edit. Raises NotAllowed, Conflict (they can log in).
    """
    user = lock(User, user_id)
    demand(against_switching(user, actor))
    if user.is_active:
        raise Conflict("They are not deactivated.", code="conflict.state")
    user.is_active = True
    password = "" if user.is_service else _new_password(user)
    user.save(update_fields=["is_active", "password", "must_change_password"])
    audit.record(user, "access.user.reactivated", actor=actor, at=at, before="inactive", after="active")
    return user, password


def against_switching(user: User, actor: User) -> list[Blocker]:
    """Every reason why `actor` may not deactivate or reactivate `user`."""
    found = failing([capability("user.edit")], None, actor)
    if user.is_bot:
        found.append(Blocker("person.bot", "Patchflow itself cannot be deactivated."))
    if user.pk == actor.pk:
        found.append(Blocker("person.own", "Nobody deactivates themselves: ask another administrator."))
    return found


def _new_password(user: User) -> str:
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.must_change_password = True
    return password


def _taken(username: str) -> Blocker:
    return Blocker("person.username", english("The user name %(name)s is taken.", name=username))


def _against_name(username: str) -> list[Blocker]:
    if len(username) > LIMIT or not _passes(UnicodeUsernameValidator(), username):
        return [Blocker("person.username", "A user name has at most 150 letters, digits and @ . + - _, and no spaces.")]
    taken = username.lower() == BOT or User.objects.filter(username__iexact=username).exists()
    return [_taken(username)] if taken else []


def _against_rest(user: User) -> list[Blocker]:
    wrong = [
        Blocker(f"person.{name}", "This has more than 150 characters.")
        for name in ("first_name", "last_name")
        if len(getattr(user, name)) > LIMIT
    ]
    if user.email and (len(user.email) > 254 or not _passes(validate_email, user.email)):
        wrong.append(Blocker("person.email", "This is no mail address."))
    return wrong


def _passes(validate: Callable[[str], None], value: str) -> bool:
    try:
        validate(value)
    except ValidationError:
        return False
    return True
