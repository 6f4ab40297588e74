"""Host groups. Members are rows, also of groups by rule: they change with the host or the rule, in the same transaction,
and each change is in the group's trail. A group is a scope, so membership decides who may see and do what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cmdb.domain import points
from cmdb.domain.permission import demand, said
from cmdb.enums import Criticality, Environment, GroupKind
from cmdb.models import GroupMember, Host, HostGroup
from cmdb.models.host import GROUP_SCOPE
from cmdb.queries.groups import RULE_FIELDS, matching, rule_of
from patchflow.kernel import audit, registry, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Invalid
from patchflow.kernel.models import User


@workflow.verb("cmdb.group.added")
def add(
    *,
    name: str,
    actor: User,
    at: datetime,
    kind: str = GroupKind.STATIC,
    description: str = "",
    host_ids: Iterable[int] = (),
    **rule: Any,
) -> HostGroup:
    """Makes a group: static with `host_ids`, or by rule (`rule_environment`, `rule_distribution`, `rule_release`,
    `rule_criticality`: those that are not empty must all be equal). Needs group.edit everywhere: a group is a scope."""
    demand("group.edit", None, actor)
    group = HostGroup(name=_free(name), kind=kind, description=description.strip()[:300], made_at=at)
    _set_rule(group, rule)
    group.save()
    audit.record(group, "cmdb.group.added", actor=actor, at=at, detail={"kind": kind, "rule": rule_of(group)})
    if group.kind == GroupKind.RULE:
        _refresh(group, actor=actor, at=at)
    else:
        join(group, _seen(host_ids, actor), actor=actor, at=at)
    return group


def _free(name: str, *, but: int = 0) -> str:
    name = said("name", name, what="A name", limit=80)
    if HostGroup.objects.live().filter(name=name).exclude(pk=but).exists():
        raise Invalid([Blocker("invalid.name", english("There is a group named %(name)s already.", name=name))])
    return name


def _set_rule(group: HostGroup, rule: dict[str, Any]) -> None:
    if group.kind not in GroupKind.values:
        raise Invalid("A group is static or by rule.", code="invalid.kind")
    if unknown := set(rule) - set(RULE_FIELDS):
        raise Invalid(
            [
                Blocker(f"invalid.{field}", english("%(field)s is no part of a rule.", field=field))
                for field in sorted(unknown)
            ]
        )
    for field in RULE_FIELDS:
        default: Any = None if field == "rule_criticality" else ""
        setattr(group, field, (rule.get(field) or default) if group.kind == GroupKind.RULE else default)
    if group.rule_environment and group.rule_environment not in Environment.values:
        raise Invalid("This environment is not known.", code="invalid.rule_environment")
    if group.rule_criticality is not None and group.rule_criticality not in Criticality.values:
        raise Invalid("Criticality is a number from 1 to 4.", code="invalid.rule_criticality")
    if group.kind == GroupKind.RULE and not rule_of(group):
        raise Invalid("A rule names at least one thing: without any it would take every host.", code="invalid.rule")


def _seen(host_ids: Iterable[int], actor: User) -> list[int]:
    wanted = set(host_ids)
    found = set(Host.objects.live().visible_to(actor).filter(pk__in=wanted).values_list("pk", flat=True))
    if missing := wanted - found:
        raise Invalid(
            [Blocker("invalid.hosts", english("%(missing)s of these hosts do not exist.", missing=len(missing)))]
        )
    return sorted(found)


@workflow.verb("cmdb.group.revised", HostGroup, "group_id")
def revise(*, group_id: int, actor: User, at: datetime, name: str, description: str = "", **rule: Any) -> HostGroup:
    """Renames or describes a group, and changes its rule if it has one; members follow the rule at once. Needs
    group.edit, for another rule everywhere: it could widen the own scope."""
    group = _locked(group_id, actor)
    before = {"name": group.name, "rule": rule_of(group)}
    group.name, group.description = _free(name, but=group.pk), description.strip()[:300]
    if group.kind == GroupKind.RULE:
        _set_rule(group, rule)
    if rule_of(group) != before["rule"]:
        demand("group.edit", None, actor)
    detail = {"before": before, "after": {"name": group.name, "rule": rule_of(group)}}
    audit.record(group, "cmdb.group.revised", actor=actor, at=at, detail=detail)
    group.save()
    if group.kind == GroupKind.RULE:
        _refresh(group, actor=actor, at=at)
    return group


def _locked(group_id: int, actor: User) -> HostGroup:
    group = workflow.lock(HostGroup, group_id)
    demand("group.edit", group, actor)
    if group.retired_at is not None:
        raise Blocked([Blocker("group.retired", english("%(group)s is retired.", group=group))])
    return group


@workflow.verb("cmdb.group.members_changed", HostGroup, "group_id")
def set_members(*, group_id: int, host_ids: Iterable[int], actor: User, at: datetime) -> HostGroup:
    """Makes the members of a static group exactly these hosts, all of which `actor` must see. Needs group.edit everywhere:
    who could add hosts to the own scope would widen it."""
    group = _locked(group_id, actor)
    demand("group.edit", None, actor)
    if group.kind != GroupKind.STATIC:
        raise Invalid("The members of this group follow its rule.", code="invalid.kind")
    wanted = set(_seen(host_ids, actor))
    have = set(group.memberships.values_list("host_id", flat=True))
    _change(group, wanted - have, have - wanted, actor=actor, at=at)
    return group


def join(group: HostGroup, host_ids: Iterable[int], *, actor: User, at: datetime) -> None:
    """Adds hosts to a static group. Inside a verb that has looked at permission."""
    if group.kind != GroupKind.STATIC:
        raise Invalid("The members of this group follow its rule.", code="invalid.group")
    _change(workflow.lock(HostGroup, group.pk), set(host_ids), set(), actor=actor, at=at)


def _refresh(group: HostGroup, *, actor: User, at: datetime) -> None:
    wanted = set(matching(rule_of(group)).values_list("pk", flat=True))
    have = set(group.memberships.values_list("host_id", flat=True))
    _change(group, wanted - have, have - wanted, actor=actor, at=at)


def refresh_for_host(host: Host, *, actor: User, at: datetime) -> None:
    """Makes the host's memberships in groups by rule what the rules say now. Inside the verb that changed the host."""
    rules = list(HostGroup.objects.live().filter(kind=GroupKind.RULE))
    have = set(GroupMember.objects.filter(host=host, group__kind=GroupKind.RULE).values_list("group_id", flat=True))
    fits = {group.pk for group in rules if host.retired_at is None and _fits(group, host)}
    for group in rules:
        if (group.pk in fits) != (group.pk in have):
            joins = {host.pk} if group.pk in fits else set[int]()
            _change(workflow.lock(HostGroup, group.pk), joins, {host.pk} - joins, actor=actor, at=at)


def _fits(group: HostGroup, host: Host) -> bool:
    is_so = {
        "environment": host.ci.environment,
        "criticality": host.ci.criticality,
        "distribution": host.platform.distribution if host.platform else None,
        "release": host.platform.release if host.platform else None,
    }
    return all(is_so[name] == wanted for name, wanted in rule_of(group).items())


def leave_all(host: Host, *, actor: User, at: datetime) -> None:
    """Takes a retired host out of every group. Inside the retiring verb."""
    for group_id in GroupMember.objects.filter(host=host).order_by("group_id").values_list("group_id", flat=True):
        _change(workflow.lock(HostGroup, group_id), set(), {host.pk}, actor=actor, at=at)


def _change(group: HostGroup, joined: set[int], left: set[int], *, actor: User, at: datetime) -> None:
    if not joined and not left:
        return
    rows = [GroupMember(group=group, host_id=pk, since_at=at) for pk in sorted(joined)]
    GroupMember.objects.bulk_create(rows, ignore_conflicts=True)
    GroupMember.objects.filter(group=group, host_id__in=left).delete()
    detail = {"joined": sorted(joined), "left": sorted(left)}
    audit.record(group, "cmdb.group.members_changed", actor=actor, at=at, detail=detail)


@workflow.verb("cmdb.group.retired", HostGroup, "group_id")
def retire(*, group_id: int, reason: str, actor: User, at: datetime) -> HostGroup:
    """Ends a group: its members leave it, with them what it gave them (scope, windows). Needs group.edit everywhere.
    Raises NotAllowed, Invalid, Blocked while a distribution point serves it."""
    group = _locked(group_id, actor)
    demand("group.edit", None, actor)
    reason = said("reason", reason, what="A reason", limit=2000)
    if against := points.serving(actor, group_id=group.pk):
        raise Blocked(against)
    _change(group, set(), set(group.memberships.values_list("host_id", flat=True)), actor=actor, at=at)
    group.retired_at = at
    audit.record(group, "cmdb.group.retired", actor=actor, at=at, detail={"reason": reason})
    group.save()
    return group


def scopes() -> dict[str, str]:
    """The groups for whose hosts alone a role may be granted: scope key → name."""
    return {f"{GROUP_SCOPE}{pk}": name for pk, name in HostGroup.objects.live().values_list("pk", "name")}


registry.scopes.add("group", scopes)
