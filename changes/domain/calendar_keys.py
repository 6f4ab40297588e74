"""The secret address of a person's calendar feed: made and revoked by that person. Shown once; only its hash is kept."""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.dispatch import receiver

from changes.models import CalendarKey
from patchflow.kernel import audit, workflow
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.signals import person_deactivated


@workflow.verb("change.calendar.key_made")
def make(*, actor: User, at: datetime) -> str:
    """A new secret for the actor's own feed; an earlier one is revoked by it. Returns the secret, which nobody sees again."""
    _revoke_live(actor, at)
    secret = secrets.token_urlsafe(32)
    key = CalendarKey.objects.create(user=actor, digest=digest_of(secret), made_at=at)
    audit.record(key, "change.calendar.key_made", actor=actor, at=at)
    return secret


@workflow.verb("change.calendar.key_revoked")
def revoke(*, actor: User, at: datetime) -> bool:
    """Ends the actor's own feed address at once. Returns whether there was one."""
    return _revoke_live(actor, at)


@workflow.verb("change.calendar.key_revoked", CalendarKey, "key_id")
def revoke_of(*, key_id: int, reason: str, actor: User, at: datetime) -> CalendarKey:
    """Ends the feed address of another person (a leaked one). Needs user.edit and a reason."""
    key = workflow.lock(CalendarKey, key_id)
    if refused := failing([capability("user.edit")], None, actor):
        raise NotAllowed(refused)
    if not reason.strip():
        raise Invalid("Say why.", code="invalid.reason")
    if key.revoked_at is not None:
        raise Conflict("It is revoked already.", code="conflict.state")
    key.revoked_at = at
    audit.record(key, "change.calendar.key_revoked", actor=actor, at=at, detail={"reason": reason.strip()})
    key.save()
    return key


@receiver(person_deactivated, dispatch_uid="changes.calendar_keys")
def end_with_its_person(sender: Any, *, user: User, actor: User, at: datetime, **_: Any) -> None:
    """Whoever may no longer log in comes back without the old address."""
    _revoke_live(user, at, by=actor)


def _revoke_live(user: User, at: datetime, *, by: User | None = None) -> bool:
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    keys = list(CalendarKey.objects.select_for_update().filter(user=user, revoked_at__isnull=True))
    for key in keys:
        key.revoked_at = at
        audit.record(key, "change.calendar.key_revoked", actor=by or user, at=at)
        key.save()
    return bool(keys)


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode()).hexdigest()


def owner_of(secret: str) -> User | None:
    """Whose feed this secret opens now; None for one that is unknown or revoked, or whose owner may no longer log in."""
    key = CalendarKey.objects.filter(digest=digest_of(secret), revoked_at__isnull=True, user__is_active=True).first()
    return key.user if key else None
