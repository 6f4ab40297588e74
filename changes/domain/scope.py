"""The scope of an RFC: which updates, which hosts, in which windows. Chosen by people, filled in from what hosts miss."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from changes.enums import TargetOutcome
from changes.enums_identify import AppliesVerdict
from changes.models import RFC, RFCTarget, RFCUpdate, RFCWindow, SoftwareUpdate
from changes.queries.applicability import hosts_missing
from cmdb.models import GroupMember, Host, ServiceWindow
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing

AIMED_AT = (AppliesVerdict.APPLICABLE,)
"""Verdicts that make a host a target by themselves; `applicable_after_channel` needs another change first."""


def missing_hosts(update_ids: Iterable[int], *, actor: User) -> set[int]:
    """The hosts that miss at least one of the updates, among those for which `actor` may raise changes."""
    found = {m.host_id for pk in update_ids for m in hosts_missing(pk, actor=actor) if m.verdict in AIMED_AT}
    return set(Host.objects.live().within(actor, "rfc.raise").filter(pk__in=found).values_list("pk", flat=True))


def named_hosts(*, names: Collection[str], group_ids: Collection[int], actor: User) -> set[int]:
    """The hosts of these groups and of these names (`web-*`: all that begin so), among those for which `actor` may raise
    changes. Invalid for a name that is none of them: what was meant is never guessed."""
    rows = Host.objects.live().within(actor, "rfc.raise")
    wanted = {name.strip() for name in names if name.strip()}
    exact = {name for name in wanted if not name.endswith("*")}
    found = dict(rows.filter(name__in=exact).values_list("name", "pk"))
    unknown = sorted(exact - set(found))
    ids = set(found.values())
    for start in sorted(wanted - exact):
        begin = set(rows.filter(name__startswith=start[:-1]).values_list("pk", flat=True))
        ids |= begin
        unknown += [] if begin else [start]
    if unknown:
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        sentence = english(
            "No host of your scope is called %(unknown)s%(more)s.", unknown=", ".join(unknown[:10]), more=more
        )
        raise Invalid(sentence, code="rfc.host_names")
    members = GroupMember.objects.filter(group_id__in=list(group_ids)).values("host_id")
    return ids | set(rows.filter(pk__in=members).values_list("pk", flat=True))


def chosen_updates(update_ids: Collection[int]) -> list[SoftwareUpdate]:
    """The updates with these ids; Invalid if one does not exist or was withdrawn by its vendor."""
    found = list(SoftwareUpdate.objects.filter(pk__in=list(update_ids)).order_by("name", "pk"))
    if len(found) != len(set(update_ids)):
        raise Invalid("One of these updates does not exist.", code="rfc.update_ids")
    gone = [str(u) for u in found if u.withdrawn_at]
    if gone:
        raise Invalid(english("Withdrawn by the vendor: %(gone)s.", gone=", ".join(gone)), code="rfc.update_ids")
    return found


def chosen_hosts(host_ids: Collection[int], *, actor: User) -> list[Host]:
    """The live hosts with these ids; NotAllowed for those out of the actor's scope, which are not told from missing ones."""
    found = list(Host.objects.live().within(actor, "rfc.raise").filter(pk__in=list(host_ids)).select_related("ci"))
    if len(found) != len(set(host_ids)):
        raise NotAllowed(
            "Some of these hosts do not exist, are retired, or are not in your scope.", code="rfc.host_ids"
        )
    return found


def set_updates(rfc: RFC, updates: Collection[SoftwareUpdate], *, at: datetime) -> None:
    """Makes `updates` the RFC's updates; what is new is frozen as text, what is gone keeps its row."""
    wanted = {u.pk: u for u in updates}
    rows = {r.update_id: r for r in rfc.updates.filter(removed_at__isnull=True)}
    rfc.updates.filter(pk__in=[r.pk for pk, r in rows.items() if pk not in wanted]).update(removed_at=at)
    RFCUpdate.objects.bulk_create(
        RFCUpdate(
            rfc=rfc,
            update=u,
            distribution=u.distribution,
            release=u.release,
            name=u.name,
            fixed_version=u.fixed_version,
            added_at=at,
            told_successor_id=u.superseded_by_id,  # who chooses an older one knows it
        )
        for pk, u in wanted.items()
        if pk not in rows
    )


def set_targets(rfc: RFC, hosts: Collection[Host], *, at: datetime) -> None:
    """Makes `hosts` the RFC's targets. A target that had left and is not chosen again is taken out for good."""
    wanted = {h.pk: h for h in hosts}
    rows = {r.host_id: r for r in rfc.targets.filter(removed_at__isnull=True)}
    rfc.targets.filter(pk__in=[r.pk for pk, r in rows.items() if pk not in wanted]).update(removed_at=at)
    rfc.targets.filter(pk__in=[r.pk for pk, r in rows.items() if pk in wanted and r.left_at]).update(
        left_at=None, left_reason=""
    )
    RFCTarget.objects.bulk_create(
        RFCTarget(
            rfc=rfc,
            host=h,
            host_name=h.name,
            criticality=h.ci.criticality,
            environment=h.ci.environment,
            added_at=at,
        )
        for pk, h in wanted.items()
        if pk not in rows
    )


def set_windows(rfc: RFC, windows: Collection[ServiceWindow]) -> None:
    """Makes `windows` the RFC's windows."""
    rfc.windows.exclude(window__in=windows).delete()
    known = set(rfc.windows.values_list("window_id", flat=True))
    RFCWindow.objects.bulk_create(RFCWindow(rfc=rfc, window=w, name=w.name) for w in windows if w.pk not in known)


def windows_of(hosts: Collection[Host]) -> list[ServiceWindow]:
    """The live windows that open these hosts."""
    return list(ServiceWindow.objects.live().filter(groups__memberships__host__in=hosts).distinct().order_by("pk"))


def drop_the_left(rfc: RFC, *, at: datetime) -> int:
    """Before a new round: what left, or is done already, is not asked about again (the rest of the scope)."""
    gone = rfc.targets.filter(removed_at__isnull=True)
    left = gone.filter(left_at__isnull=False) | gone.filter(outcome__in=[TargetOutcome.DONE, TargetOutcome.NOT_NEEDED])
    return left.update(removed_at=at)


# --- what happens to targets by itself -----------------------------------------------------------------------------------------
@workflow.verb("change.rfc.target_left", RFC, "rfc_id")
def leave(*, rfc_id: int, host_ids: Collection[int], reason: str, actor: User, at: datetime) -> int:
    """Targets leave because they retired or are exempt; nothing is voided, since less is done than was signed.

    Needs rfc.implement (the system, or who carries the change out). Returns how many left.
    """
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.implement")], rfc, actor):
        raise NotAllowed(refused)
    if not reason.strip():
        raise Invalid("Say why these targets leave.", code="rfc.reason")
    rows = rfc.targets.filter(host_id__in=list(host_ids), removed_at__isnull=True, left_at__isnull=True)
    names = list(rows.values_list("host_name", flat=True))
    if names:
        rows.update(left_at=at, left_reason=reason[:200], outcome=TargetOutcome.NOT_NEEDED)
        detail = {"hosts": names, "reason": reason}
        audit.record(rfc, "change.rfc.target_left", actor=actor, at=at, detail=detail)
    return len(names)


@workflow.verb("change.rfc.target_done", RFC, "rfc_id")
def record_outcomes(*, rfc_id: int, outcomes: dict[int, str], actor: User, at: datetime) -> int:
    """Writes what became of targets (host id → done, owed, not_needed). Needs rfc.implement; signed content stays as it is."""
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.implement")], rfc, actor):
        raise NotAllowed(refused)
    if unknown := set(outcomes.values()) - set(TargetOutcome.values):
        raise Invalid(english("Not an outcome: %(unknown)s.", unknown=", ".join(sorted(unknown))), code="rfc.outcome")
    changed = 0
    counts: dict[str, int] = {}
    for outcome in sorted(set(outcomes.values())):
        ids = [pk for pk, found in outcomes.items() if found == outcome]
        counts[outcome] = rfc.targets.filter(host_id__in=ids, removed_at__isnull=True).update(outcome=outcome)
        changed += counts[outcome]
    if changed != len(outcomes):
        raise Conflict("Some of these hosts are not targets of this change.", code="rfc.host_ids")
    if changed:
        audit.record(rfc, "change.rfc.target_done", actor=actor, at=at, detail=counts)
    return changed
