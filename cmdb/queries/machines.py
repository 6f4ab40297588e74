"""Classes of machine: which hosts are so much alike that what succeeds on one says something of the other.

A class is platform, kind of machine, hardware (make and model; of a virtual one what it runs on) and what rests on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cmdb.enums import ItemKind, ItemState, MachineKind, RelationKind
from cmdb.models import Fact, Host, Relation

KEYS = ("vendor", "product", "virtualization", "machine_kind")
ROLES = (ItemKind.SERVICE, ItemKind.APPLICATION, ItemKind.DATABASE, ItemKind.CLUSTER)
"""Kinds of items that tell what a host is for, where one rests on it directly or it is a member of one."""
PLATFORM = ("platform__distribution", "platform__release", "platform__codename", "platform__arch")
NO_HARDWARE = ("", "none")


@dataclass(frozen=True, slots=True)
class MachineClass:
    """`label`: what is known of the class, in the words of the facts. `known`: whether platform, kind and hardware are;
    a host of which one of them is not may be like no other (law 3). That nothing rests on a host is taken as said."""

    label: str
    known: bool


def machine_classes(host_ids: Iterable[int]) -> dict[int, MachineClass]:
    """Host id → its class of machine, by a person's word or else the newest facts. Four queries."""
    ids = list(host_ids)
    rows = Host.objects.filter(pk__among=ids).select_related("platform").order_by()
    hosts, told = list(rows.only("ci_id", *PLATFORM)), _told(ids)
    roles = _roles([host.ci_id for host in hosts])
    return {host.pk: _class_of(host, told[host.pk], roles[host.ci_id]) for host in hosts}


def _class_of(host: Host, facts: dict[str, str], roles: set[str]) -> MachineClass:
    platform = str(host.platform) if host.platform else ""
    kind = facts.get("machine_kind", "")
    kind = kind if kind in MachineKind.values else ""
    virtual = facts.get("virtualization", "")
    made = " ".join(facts[key] for key in ("vendor", "product") if facts.get(key, "") not in NO_HARDWARE)
    hardware = made if virtual in NO_HARDWARE else virtual
    carries = "+".join(str(role) for role in ROLES if role in roles)
    label = " · ".join(part for part in (platform, kind, hardware, carries) if part)
    return MachineClass(label, known=bool(platform and kind and hardware))


def _told(ids: list[int]) -> defaultdict[int, dict[str, str]]:
    """Host id → fact → value: what a person said outranks what is newer."""
    best: dict[tuple[int, str], tuple[bool, datetime, Any]] = {}
    rows = Fact.objects.filter(host_id__among=ids, key__in=KEYS).order_by()
    for pk, key, value, locked, seen_at in rows.values_list("host_id", "key", "value", "locked_by_id", "seen_at"):
        said = (locked is not None, seen_at, value)
        best[pk, key] = max(best.get((pk, key), said), said, key=lambda row: row[:2])
    found: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for (pk, key), (_locked, _seen, value) in best.items():
        found[pk][key] = "" if value is None else str(value)
    return found


def _roles(item_ids: Collection[int]) -> defaultdict[int, set[str]]:
    """Item id → kinds of what runs on it, depends on it, or has it as a member; not of what is retired. Two queries."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    on_it = Relation.objects.filter(
        target_id__among=list(item_ids), kind__in=[RelationKind.RUNS_ON, RelationKind.DEPENDS_ON], source__kind__in=ROLES
    )  # fmt: skip
    for item, kind in (
        on_it.exclude(source__state=ItemState.RETIRED).order_by().values_list("target_id", "source__kind")
    ):
        found[item].add(kind)
    around = Relation.objects.filter(
        source_id__among=list(item_ids), kind=RelationKind.MEMBER_OF, target__kind__in=ROLES
    )
    for item, kind in (
        around.exclude(target__state=ItemState.RETIRED).order_by().values_list("source_id", "target__kind")
    ):
        found[item].add(kind)
    return found
