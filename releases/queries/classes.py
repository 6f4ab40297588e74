"""Which classes of machine a plan asks its rings to try, and which of them a rollout has tried so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cmdb.enums import Environment
from cmdb.models import Host
from cmdb.queries.machines import machine_classes
from releases.diversity import Machine, Rule, Trial, trials, tried
from releases.enums_rollout import GOOD
from releases.models import Job, Release, Ring, Rollout

Entry = dict[str, Any]


def with_trials(
    rings: Sequence[Entry], hosts: Sequence[Entry], rules: Mapping[int, Rule]
) -> tuple[list[Entry], list[Entry]]:
    """Rings and hosts of a manifest, with what each ring asks of classes of machine (`classes`; nothing where it asks nothing),
    and with the class of each host that is known (`machine`) where a ring asks. Five queries, none where no ring asks."""
    ids = [host["host"] for host in hosts] if any(rule.least for rule in rules.values()) else []
    if not ids or len({host["ring"] for host in hosts}) < 2:
        return list(rings), list(hosts)
    machines = _machines(ids)
    places: defaultdict[int | None, list[Machine]] = defaultdict(list)
    for host in hosts:
        places[host["ring"]].append(machines[host["host"]])
    found = trials([rules[ring["ring"]] for ring in rings], [places[ring["ring"]] for ring in rings])
    said = [
        ring if trial is None else {**ring, "classes": trial.entry()} for ring, trial in zip(rings, found, strict=True)
    ]
    if not any(trial and trial.asked for trial in found):
        return said, list(hosts)
    return said, [
        {**host, "machine": machine.label} if (machine := machines[host["host"]]).label else host for host in hosts
    ]


def planned_trials(release: Release) -> dict[int, Trial | None]:
    """Number of a planned ring → what it asks, of its hosts as they are now. Seven queries."""
    rings = list(release.planned_rings.order_by("number"))
    rows = list(release.planned_hosts.order_by().values_list("host_id", "ring_id"))
    machines = _machines([host_id for host_id, _ring in rows])
    places: defaultdict[int | None, list[Machine]] = defaultdict(list)
    for host_id, ring_id in rows:
        places[ring_id].append(machines[host_id])
    found = trials([ring.asks for ring in rings], [places[ring.pk] for ring in rings])
    return {ring.number: trial for ring, trial in zip(rings, found, strict=True)}


def _machines(host_ids: Sequence[int]) -> dict[int, Machine]:
    classes = machine_classes(host_ids)
    rows = Host.objects.filter(pk__among=list(host_ids)).order_by().values_list("pk", "ci__environment")
    return {
        pk: Machine(classes[pk].label if classes[pk].known else "", environment == Environment.PRODUCTION)
        for pk, environment in rows
    }


def tried_so_far(
    rings: Sequence[Ring], hosts: Mapping[int, Mapping[str, Any]], *, of: Collection[int]
) -> dict[int, dict[str, int]]:
    """Ring id → class that it asks → good hosts of it in this ring and those before, by the classes that were signed (`hosts`:
    the manifest's, by id). `rings`: all of one rollout, in order; `of`: those that are wanted. One query; none where none is."""
    if not of:
        return {}
    class_of = {host_id: host["machine"] for host_id, host in hosts.items() if host.get("machine")}
    good = _good(rings, class_of)
    here: defaultdict[int, set[str]] = defaultdict(set)
    for host_id, label in class_of.items():
        here[hosts[host_id]["ring"]].add(label)
    so_far: Counter[str] = Counter()
    waived: set[str] = set()
    found = {}
    for ring in rings:
        so_far += good[ring.pk]
        if ring.pk in of:
            found[ring.pk] = tried(ring.classes_asked, so_far, waived=waived, here=here[ring.position])
        if ring.accepted_partly:
            waived.update(ring.classes_asked)
    return found


def good_at(rollout: Rollout | None, hosts: Mapping[int, Mapping[str, Any]]) -> dict[int, Counter[str]]:
    """Number of a ring → class of machine → good hosts of it there, by the classes that were signed (`hosts`: as in
    `tried_so_far`); nothing before a rollout. Two queries."""
    rings = list(rollout.rings.order_by("position")) if rollout else []
    good = _good(rings, {host_id: host["machine"] for host_id, host in hosts.items() if host.get("machine")})
    return {ring.position: good[ring.pk] for ring in rings if ring.pk in good}


def _good(rings: Sequence[Ring], class_of: Mapping[int, str]) -> dict[int, Counter[str]]:
    """Ring id → class of machine → good hosts of it. One query."""
    good: defaultdict[int, Counter[str]] = defaultdict(Counter)
    jobs = Job.objects.filter(ring_id__in=[ring.pk for ring in rings], state__in=GOOD).order_by()
    for ring_id, host_id in jobs.values_list("ring_id", "host_id"):
        if host_id in class_of:
            good[ring_id][class_of[host_id]] += 1
    return good
