"""Exemptions: asked for by one person, granted by another, for at most 180 days. Renewal is a new row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cmdb.domain.permission import demand, said
from cmdb.enums import ExemptionKind, ExemptionState
from cmdb.models import Exemption, Host, HostGroup
from patchflow.kernel import audit, registry, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User

LONGEST = timedelta(days=180)


@workflow.verb("cmdb.exemption.requested")
def request(
    *,
    kind: str,
    subject: str,
    reason: str,
    compensating_control: str,
    expires_at: datetime,
    actor: User,
    at: datetime,
    host_id: int | None = None,
    group_id: int | None = None,
    platform: str = "",
) -> Exemption:
    """Asks that a finding (package, CVE or baseline, by name) on one host or one group be left for now. Needs
    exemption.request there. Ends at `expires_at`, at most 180 days on."""
    workflow.demand_somewhere("exemption.request", actor=actor)
    host = Host.objects.live().visible_to(actor).filter(pk=host_id).first() if host_id else None
    group = HostGroup.objects.live().visible_to(actor).filter(pk=group_id).first() if group_id else None
    if (host is None) == (group is None):
        raise Invalid("Name one host or one group that exists.", code="invalid.host")
    demand("exemption.request", host or group, actor)
    if kind not in ExemptionKind.values:
        raise Invalid("An exemption is about a package, a vulnerability or a baseline.", code="invalid.kind")
    if not at < expires_at <= at + LONGEST:
        raise Invalid(
            english("It ends in the future, at most %(days)s days from now.", days=LONGEST.days),
            code="invalid.expires_at",
        )
    exemption = Exemption.objects.create(
        kind=kind,
        subject=said("subject", subject, what="What is exempt", limit=200),
        platform=platform[:100],
        host=host,
        group=group,
        reason=said("reason", reason, what="A reason", limit=2000),
        compensating_control=said(
            "compensating_control", compensating_control, what="What protects instead", limit=2000
        ),
        requested_by=actor,
        requested_at=at,
        expires_at=expires_at,
    )
    detail = {"kind": kind, "subject": subject, "host": host_id, "group": group_id, "expires_at": expires_at}
    audit.record(
        exemption, "cmdb.exemption.requested", actor=actor, at=at, after=ExemptionState.REQUESTED, detail=detail
    )
    return exemption


def grant(*, exemption_id: int, actor: User, at: datetime) -> Exemption:
    """Grants it: the finding counts as exempt until it ends. Needs exemption.grant; never by who asked."""
    return workflow.fire(Exemption, exemption_id, "grant", actor=actor, at=at)


def refuse(*, exemption_id: int, reason: str, actor: User, at: datetime) -> Exemption:
    """Refuses it, with a reason."""
    reason = said("reason", reason, what="A reason", limit=2000)
    return workflow.fire(Exemption, exemption_id, "refuse", actor=actor, at=at, reason=reason)


def revoke(*, exemption_id: int, reason: str, actor: User, at: datetime) -> Exemption:
    """Ends a granted one early: the finding counts again."""
    reason = said("reason", reason, what="A reason", limit=2000)
    return workflow.fire(Exemption, exemption_id, "revoke", actor=actor, at=at, reason=reason)


@registry.gate("cmdb.exemption", "grant")
def find_grant_blockers(exemption: Exemption, *, actor: User, at: datetime, facts: Any) -> list[Blocker]:
    """What has ended already is not granted."""
    if exemption.expires_at <= at:
        return [Blocker("exemption.over", "Its end has passed: ask for a new one.")]
    return []


@registry.sweep("exemptions")
def expire_due(*, now: datetime) -> int:
    """Ends granted exemptions whose time is over. (Findings count again at that moment whether this runs or not.)"""
    over = list(
        Exemption.objects.filter(state=ExemptionState.GRANTED, expires_at__lte=now).values_list("pk", flat=True)[:500]
    )
    for pk in over:
        workflow.fire(Exemption, pk, "expire", actor=User.bot(), at=now)
    return len(over)
