"""Questions about RFCs: relevance, what can be built now, what changed since it was signed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from changes.enums import RFCState
from changes.models import RFC, BreakGlass, RFCTarget
from changes.queries.applicability import hosts_missing
from cmdb.models import Host
from patchflow.kernel import fsm
from patchflow.kernel.enums import Outcome, RoundState, Verdict
from patchflow.kernel.errors import NotAllowed
from patchflow.kernel.integrity import difference, digest_as_read, plain
from patchflow.kernel.models import AuditEntry, RoleGrant, SignOff, SignOffRound, User
from patchflow.kernel.roles import roles_with
from patchflow.kernel.rules import failing
from patchflow.kernel.signoffs import rounds_of

Difference = list[dict[str, object]]


def relevance(rfc: RFC) -> dict[int, int]:
    """Update id → how many of the RFC's live targets miss it now. An update with 0 is not relevant to this change."""
    targets = set(rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).values_list("host_id", flat=True))
    return {
        update_id: len({m.host_id for m in hosts_missing(update_id)} & targets)
        for update_id in rfc.updates.filter(removed_at__isnull=True).values_list("update_id", flat=True)
    }


def in_sight(actor: User | None, path: str = "host") -> Q:
    """Of targets: those on hosts that the actor may see (None: all)."""
    if actor is None or actor.scopes_for("host.view") is None:
        return Q()
    return Q(**{f"{path}__in": Host.objects.visible_to(actor)})


def targets_seen(rfc: RFC, actor: User | None) -> QuerySet[RFCTarget]:
    """The change's live targets on hosts that the actor may see (None: all)."""
    return rfc.targets.filter(in_sight(actor), removed_at__isnull=True, left_at__isnull=True)


def unseen_targets(actor: User, rfc: Any) -> Exists:
    """Of a row whose change is `rfc`: whether it has a target, now or once, that the actor may not see."""
    return Exists(RFCTarget.objects.filter(rfc=rfc).exclude(host__in=Host.objects.visible_to(actor)))


def sees_all(rfc: RFC, actor: User) -> bool:
    """Whether the actor may see every host of the change, and so the figures that were written of them."""
    if actor.scopes_for("host.view") is None:
        return True
    return not RFC.objects.filter(unseen_targets(actor, rfc.pk), pk=rfc.pk).exists()


def demand_all(rfc: RFC, actor: User) -> None:
    """Raises NotAllowed unless the actor may see every host of the change."""
    if not sees_all(rfc, actor):
        raise NotAllowed("This document names hosts outside your scope.", code="rfc.scope")


def authorized(actor: User) -> list[RFC]:
    """The RFCs that a release may bundle now, as far as `actor` may see them, oldest clock first. One that was suspended
    and authorized again for the rest of its scope is among them, unless a release has it (the caller knows)."""
    rows = RFC.objects.visible_to(actor).filter(state__in=[RFCState.AUTHORIZED, RFCState.IMPLEMENTING])
    return list(rows.order_by("start_by", "pk"))


def changes_since_signed(rfc: RFC) -> Difference:
    """What differs from what the newest round asked, field by field; empty if nothing does, or nobody was asked yet."""
    newest = rounds_of(rfc).first()
    if newest is None:
        return []
    return renamed(newest, str(rfc)[:200]) + difference(newest.document, plain(rfc.change_document()))


def edited_since_signed(rfc: RFC) -> bool:
    """Whether it differs, its risk aside, from what the newest round asked; not where nobody was asked yet."""
    newest = rounds_of(rfc).first()
    if newest is None:
        return False
    asked = {key: value for key, value in newest.document.items() if key != "risk"}
    return digest_as_read(asked) != rfc.content_digest()


def renamed(round_: SignOffRound, label: str) -> Difference:
    """The title as the round asked about it and as the label has it now; empty if they are the same."""
    old, new = (one.partition(" · ")[2] for one in (round_.subject_label, label))
    return [] if old == new else [{"field": "title", "removed": [old], "added": [new]}]


def refusal_of(rfc: RFC) -> SignOff | None:
    """The signature that refused the newest round, as long as what it refused is unchanged; None otherwise."""
    newest = rounds_of(rfc).first()
    if newest is None or newest.state != RoundState.REFUSED or newest.digest != rfc.change_digest:
        return None
    return newest.signoffs.filter(verdict=Verdict.REFUSE).select_related("user").order_by("-pk").first()


def lapse_of(rfc: RFC) -> AuditEntry | None:
    """How its authorization lapsed, as long as it stands where that has put it; None otherwise."""
    newest = history_of(rfc).filter(object_type=rfc._meta.label_lower, after_state=rfc.state).first()
    return newest if newest is not None and newest.verb == "change.rfc.lapsed" else None


def may_break_glass(asked: BreakGlass) -> list[User]:
    """Who may answer the request as the second person, by name: by the rules of breaking it, whatever holds the change itself
    back now. Some queries for each who has the right; they are few."""
    rfc = asked.rfc
    way = fsm.find(RFC, "break_glass", rfc.state)
    if way is None:
        return []
    grants = RoleGrant.objects.filter(role__in=roles_with("rfc.break_glass"), user__is_active=True)
    people = User.objects.filter(pk__in=grants.values("user")).order_by("username")
    return [user for user in people if not failing(way.allowed, rfc, user)]


def round_before(round_: SignOffRound) -> SignOffRound | None:
    """The round on the same subject before this one."""
    rows = SignOffRound.objects.filter(subject_type=round_.subject_type, subject_id=round_.subject_id)
    return rows.filter(number__lt=round_.number).order_by("-number").first()


def last_voided(rfc: RFC) -> Difference:
    """The difference of the newest revision that ended a round or an authorization."""
    revision = rfc.revisions.exclude(voided="").first()
    return list(revision.difference) if revision else []


def overdue(*, at: datetime, actor: User) -> list[RFC]:
    """Open RFCs whose clock has run out before production started."""
    rows = RFC.objects.visible_to(actor).open().filter(start_by__lte=at, clock_stopped_at__isnull=True)
    return list(rows.order_by("start_by"))


def running_clocks(rfc_ids: Collection[int]) -> list[int]:
    """Those of these RFCs whose start-by clock still runs, in the order in which they are locked."""
    rows = RFC.objects.filter(pk__in=rfc_ids, clock_stopped_at__isnull=True)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def history_of(rfc: RFC) -> QuerySet[AuditEntry]:
    """The entries about the RFC and about its rounds, newest first. That a round was opened the RFC's own entry says, where the
    asking moved it on; a suspended one stays where it is, and has none."""
    rounds = [str(pk) for pk in rounds_of(rfc).values_list("pk", flat=True)]
    about = Q(object_type=rfc._meta.label_lower, object_id=str(rfc.pk))
    asked = AuditEntry.objects.filter(about, verb="change.rfc.approval_requested", outcome=Outcome.DONE)
    said = asked.filter(effective_at=OuterRef("effective_at"), actor=OuterRef("actor"))
    theirs = Q(object_type="kernel.signoffround", object_id__in=rounds) & ~(
        Q(verb="signoff.round.opened") & Exists(said)
    )
    return AuditEntry.objects.filter(about | theirs).order_by("-id")
