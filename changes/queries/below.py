"""What would lift hosts to their baseline: the hosts that are below, and the updates of the packages that hold them there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from changes.enums_identify import AppliesVerdict
from changes.models import VersionFix
from cmdb.enums import BaselineResult
from cmdb.models import Baseline, Host, HostGroup
from cmdb.queries import standing
from patchflow.kernel.models import User


@dataclass(frozen=True)
class Lift:
    """Hosts below a baseline for which `actor` may raise changes, and the updates for what is below."""

    host_ids: list[int]
    update_ids: list[int]


def lift_of_group(group_id: int, *, at: datetime, actor: User) -> Lift:
    """The members of a group that are below; nothing for a group out of sight."""
    group = HostGroup.objects.all().visible_to(actor).filter(pk=group_id).first()
    return _lift(standing.of_group(group, at=at, actor=actor).hosts if group else [], actor)


def lift_of_baseline(baseline_id: int, *, at: datetime, actor: User) -> Lift:
    """The hosts below one baseline; nothing for a baseline out of sight."""
    baseline = Baseline.objects.all().visible_to(actor).filter(pk=baseline_id).first()
    return _lift(standing.of_baseline(baseline, at=at, actor=actor).hosts if baseline else [], actor)


def lift_of_host(host_id: int, *, actor: User) -> Lift:
    """One host, whatever its result: a way back, or a freeze, is a change too. It names no update."""
    found = Host.objects.live().within(actor, "rfc.raise").filter(pk=host_id)
    return Lift(list(found.values_list("pk", flat=True)), [])


def _lift(rows: Collection[standing.HostStanding], actor: User) -> Lift:
    below = {row.host_id: row for row in rows if row.result == BaselineResult.BELOW}
    mine = Host.objects.live().within(actor, "rfc.raise").filter(pk__in=list(below))
    host_ids = list(mine.order_by("name").values_list("pk", flat=True))
    baselines = {row.baseline.pk for pk in host_ids if (row := below[pk]).baseline is not None}
    versions = standing.below_versions(baselines, host_ids)
    fixes = VersionFix.objects.filter(package_version_id__in=versions, verdict=AppliesVerdict.APPLICABLE)
    live = fixes.filter(fix__update__withdrawn_at__isnull=True, fix__update__superseded_by__isnull=True)
    updates = live.exclude(fix__update=None).values_list("fix__update", flat=True).distinct()
    return Lift(host_ids, sorted(updates))
