"""Log-ins and grants, in the audit trail. Somebody who can grant roles is always left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.db.models import Q, QuerySet
from django.dispatch import receiver
from django.utils import timezone

from patchflow.kernel import audit, registry
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.roles import grantable, roles_with
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


def scopes() -> dict[str, str]:
    """For what a role may be granted beside everywhere: key → name."""
    return {key: name for kind in registry.scopes for key, name in registry.scopes[kind]().items()}


@verb("access.user.role_granted", User, "user_id")
def grant_role(*, user_id: int, role: str, scope: str = "", actor: User, at: datetime) -> RoleGrant:
    """Gives a role, everywhere or for a scope; it is given once. Nobody gives a role to themselves.

    Needs grant.edit. Raises NotAllowed, Invalid (no such role, no such scope).
    """
    user = lock(User, user_id)
    demand(against_granting(user, actor))
    if role not in {r.name for r in grantable()}:
        raise Invalid(english("There is no role %(role)s.", role=repr(role)), code="grant.role")
    if scope and scope not in scopes():
        raise Invalid(english("There is no scope %(scope)s.", scope=repr(scope)), code="grant.scope")
    grant, made = RoleGrant.objects.get_or_create(user=user, role=role, scope=scope, defaults={"granted_by": actor})
    if made:
        audit.record(user, "access.user.role_granted", actor=actor, at=at, detail={"role": role, "scope": scope})
    return grant


@verb("access.user.role_revoked", User, "user_id")
def revoke_role(*, user_id: int, role: str, scope: str = "", actor: User, at: datetime) -> None:
    """Takes a role away, at once for everything that asks later.

    Needs grant.edit. Raises NotAllowed (nobody takes their own; the last administrator stays), Conflict (not held).
    """
    user = lock_with_keepers(user_id)
    demand(against_granting(user, actor))
    if not RoleGrant.objects.filter(user=user, role=role, scope=scope).delete()[0]:
        raise Conflict("This role is not held, or no longer.", code="conflict.gone")
    demand_a_keeper()
    audit.record(user, "access.user.role_revoked", actor=actor, at=at, detail={"role": role, "scope": scope})


def against_granting(user: User, actor: User) -> list[Blocker]:
    """Every reason why `actor` may not change the roles of `user`."""
    found = failing([capability("grant.edit")], None, actor)
    if user.is_bot:
        found.append(Blocker("grant.bot", "What Patchflow itself may do is no grant: it cannot be changed."))
    if user.pk == actor.pk:
        found.append(Blocker("grant.own", "Nobody changes their own roles: ask another administrator."))
    return found


def keepers() -> QuerySet[User]:
    """Who can log in and change anybody's roles."""
    held = RoleGrant.objects.filter(role__in=roles_with("grant.edit"), scope="")
    return User.objects.filter(is_active=True, is_service=False, pk__in=held.values("user"))


def lock_with_keepers(user_id: int) -> User:
    """The person, locked with all administrators and in one order: of two who take away each other's role one comes second."""
    wanted = Q(pk=user_id) | Q(pk__in=keepers().values("pk"))
    list(User.objects.select_for_update(no_key=True).filter(wanted).order_by("pk").values_list("pk"))
    return lock(User, user_id)


def demand_a_keeper() -> None:
    """Raises NotAllowed if nobody is left who could grant a role; asked after the act, within its transaction."""
    if not keepers().exists():
        raise NotAllowed("This is the last administrator: make another one first.", code="grant.last")


def demand(refused: list[Blocker]) -> None:
    """Raises NotAllowed if anything stands against it."""
    if refused:
        raise NotAllowed(refused)
