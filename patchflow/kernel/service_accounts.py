"""Accounts of programs: made by an administrator, with roles as people have them, entered by token alone.

A token is told once and kept hashed; it ends on its day, when it is revoked, or with the account. Nothing that a person
answers for is done with it (`roles.PERSONAL`, `signoffs`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from knox.models import get_token_model

from patchflow.kernel import audit
from patchflow.kernel.access import demand
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid
from patchflow.kernel.models import User
from patchflow.kernel.people import insert
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.workflow import lock, verb

LONGEST = 366
"""Days that a token lives at most."""
MOST = 20
"""Tokens of one account at a time."""
SHOWN = 8
"""So many characters of a token name it, in lists and in the trail."""


@verb("access.user.created")
def add(*, username: str, actor: User, at: datetime, name: str = "") -> User:
    """A new account for a program, without role, password and token. `name` says what it is for.

    Needs user.edit. Raises NotAllowed, Invalid (a name that is taken or cannot be used).
    """
    demand(failing([capability("user.edit")], None, actor))
    user = User(username=User.normalize_username(username.strip()), first_name=name.strip(), is_service=True)
    user.set_unusable_password()
    insert(user)
    audit.record(user, "access.user.created", actor=actor, at=at, detail={"roles": [], "service": True})
    return user


@verb("access.user.token_given", User, "user_id")
def give_token(*, user_id: int, days: int, actor: User, at: datetime) -> tuple[Any, str]:
    """A new token for a program and its text, which is told this once; it ends in `days` days.

    Needs user.edit. Raises NotAllowed, Conflict (a person's account, a deactivated one, too many tokens), Invalid (days).
    """
    user = lock(User, user_id)
    demand(against_keeping(actor))
    if found := not_now(user, at=at):
        raise Conflict(found)
    if not 1 <= days <= LONGEST:
        raise Invalid(english("A token lives from 1 to %(days)s days.", days=LONGEST), code="token.days")
    get_token_model().objects.filter(user=user, expiry__lte=at).delete()
    row, text = get_token_model().objects.create(user=user, expiry=timedelta(days=days))
    row.expiry = at + timedelta(days=days)
    row.save(update_fields=["expiry"])
    detail = {"begins": name_of(row), "expires_at": row.expiry}
    audit.record(user, "access.user.token_given", actor=actor, at=at, detail=detail)
    return row, text


@verb("access.user.token_revoked", User, "user_id")
def revoke_token(*, user_id: int, token: str, actor: User, at: datetime) -> User:
    """Ends a token of a program at once; `token` is how it begins, as lists show it.

    Needs user.edit. Raises NotAllowed, Conflict (there is none, or no longer).
    """
    user = lock(User, user_id)
    demand(against_keeping(actor))
    found = [row for row in tokens_of(user, at=at) if name_of(row) == token]
    if not found:
        raise Conflict("There is no such token, or no longer.", code="conflict.gone")
    for row in found:
        row.delete()
    audit.record(user, "access.user.token_revoked", actor=actor, at=at, detail={"begins": token})
    return user


def tokens_of(user: User, *, at: datetime) -> QuerySet[Any]:
    """The tokens with which a program can enter now, in the order in which they end; a person's are their own affair."""
    rows: QuerySet[Any] = get_token_model().objects.filter(user=user, expiry__gt=at).order_by("expiry", "created")
    return rows if user.is_service else rows.none()


def name_of(token: Any) -> str:
    """How a token begins: what names it without giving it away."""
    return str(token.token_key[:SHOWN])


def against_keeping(actor: User) -> list[Blocker]:
    """Every reason why `actor` may not give or revoke tokens."""
    return failing([capability("user.edit")], None, actor)


def not_now(user: User, *, at: datetime) -> list[Blocker]:
    """Every reason why this account can be given no token now."""
    if not user.is_service:
        return [Blocker("conflict.state", "This is a person, who gets a token by logging in.")]
    if not user.is_active:
        return [Blocker("conflict.state", "It is deactivated: reactivate it first.")]
    if tokens_of(user, at=at).count() >= MOST:
        return [Blocker("conflict.state", english("It has %(n)s tokens already: revoke one first.", n=MOST))]
    return []
