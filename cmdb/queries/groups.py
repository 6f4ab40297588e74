"""Which hosts a rule names, before and after it is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cmdb.models import GroupMember, Host, HostGroup
from cmdb.models.host import GROUP_SCOPE, HostQuerySet

RULE_FIELDS = ("rule_environment", "rule_distribution", "rule_release", "rule_criticality")
COLUMNS = {
    "environment": "ci__environment",
    "criticality": "ci__criticality",
    "distribution": "platform__distribution",
    "release": "platform__release",
}


def rule_of(group: HostGroup) -> dict[str, Any]:
    """What the rule asks, as name → value; empty for a static group."""
    asked = {field.removeprefix("rule_"): getattr(group, field) for field in RULE_FIELDS}
    return {name: value for name, value in asked.items() if value not in ("", None)}


def matching(rule: Mapping[str, Any]) -> HostQuerySet:
    """The live hosts that a rule names: all that it asks must be equal. An empty rule names none."""
    asked = {COLUMNS[name.removeprefix("rule_")]: value for name, value in rule.items() if value not in ("", None)}
    return Host.objects.live().filter(**asked) if asked else Host.objects.none()


def scope_keys_of(host_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """Host id → its scope keys (`group:<id>`), one set for each host, empty for one in no group. One query."""
    found: dict[int, set[str]] = {pk: set() for pk in host_ids}
    for host_id, group_id in GroupMember.objects.filter(host_id__in=list(found)).values_list("host_id", "group_id"):
        found[host_id].add(f"{GROUP_SCOPE}{group_id}")
    return {pk: frozenset(keys) for pk, keys in found.items()}
