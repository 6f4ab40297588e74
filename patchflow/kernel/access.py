"""Log-ins and grants, in the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from patchflow.kernel import audit
from patchflow.kernel.blockers import english
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Invalid, NotAllowed
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.roles import grantable
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.workflow import lock, verb


def _note(name: str, actor: User, detail: dict[str, Any], outcome: str = Outcome.DONE) -> None:
    with transaction.atomic():
        audit.record(audit.named("log-ins"), name, actor=actor, at=timezone.now(), detail=detail, outcome=outcome)


@receiver(user_logged_in, dispatch_uid="patchflow.logged_in")
def _logged_in(user: User, **_: Any) -> None:
    _note("access.user.logged_in", user, {})


@receiver(user_logged_out, dispatch_uid="patchflow.logged_out")
def _logged_out(user: User | None, **_: Any) -> None:
    if user is not None:
        _note("access.user.logged_out", user, {})


@receiver(user_login_failed, dispatch_uid="patchflow.login_failed")
def _login_failed(credentials: dict[str, Any], **_: Any) -> None:
    _note(
        "access.user.login_failed",
        User.bot(),
        {"username": str(credentials.get("username", ""))[:150]},
        Outcome.REFUSED,
    )


@verb("access.user.role_granted", User, "user_id")
def grant_role(*, user_id: int, role: str, scope: str = "", actor: User, at: datetime) -> RoleGrant:
    """Gives a role; checks that the actor may and that the role exists. Nobody gives a role to themselves."""
    if role not in {r.name for r in grantable()}:
        raise Invalid(english("There is no role %(role)s.", role=repr(role)), code="grant.role")
    user = lock(User, user_id)
    _may_grant(user, actor)
    grant, made = RoleGrant.objects.get_or_create(user=user, role=role, scope=scope, defaults={"granted_by": actor})
    if made:
        audit.record(user, "access.user.role_granted", actor=actor, at=at, detail={"role": role, "scope": scope})
    return grant


@verb("access.user.role_revoked", User, "user_id")
def revoke_role(*, user_id: int, role: str, scope: str = "", actor: User, at: datetime) -> None:
    """Takes a role away, at once for everything that asks later."""
    user = lock(User, user_id)
    _may_grant(user, actor)
    if RoleGrant.objects.filter(user=user, role=role, scope=scope).delete()[0]:
        audit.record(user, "access.user.role_revoked", actor=actor, at=at, detail={"role": role, "scope": scope})


def _may_grant(user: User, actor: User) -> None:
    if refused := failing([capability("grant.edit")], user, actor):
        raise NotAllowed(refused)
    if user.pk == actor.pk:
        raise NotAllowed("Nobody changes their own roles: ask another administrator.", code="grant.own")
