"""How the hosts of a release are shared out among rings: by hand, by rule, by share, so that each class of machine comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from cmdb.enums import Criticality, Environment
from cmdb.models import Host, HostGroup
from cmdb.queries.machines import machine_classes
from patchflow.kernel.blockers import Blocker, english, english_n
from patchflow.kernel.errors import Invalid
from releases import confidence, diversity
from releases.models import PlannedRing, Release
from releases.models.plan import share

FAILURE_PERCENT = 5
"""Where nothing else is said a ring halts at 5 % of its hosts, and at the first failure of a small one."""
BY_DEMAND = (Environment.PRODUCTION, Environment.STAGING, Environment.TEST, Environment.LAB)


@dataclass(frozen=True)
class RingPlan:
    """One ring: hosts chosen by hand, and those that a rule names, of which `percent` are taken (rounded up).

    The rule asks for environments, groups and criticalities; what is empty is not asked. Without a rule `percent` is of all
    hosts of the release, 100 takes all that are left. `diverse`: a host of every class of machine that is still free is
    taken first, also beyond the share. At once: a number or `concurrency_percent`; failures that halt: a number or
    `failure_percent` (neither: 5 %, at least one). `bound_percent`: what the lower bound of the share of success must reach
    with `confidence_percent`; None: the usual of the environment, if so many hosts can prove it; 0: not asked.
    `class_hosts`: good hosts of each class of machine that production hosts of later rings have, in this ring and those
    before it; None: the usual, of those classes that these rings have; 0: not asked.
    `soak_seconds`: how long it is watched before the next ring.
    """

    name: str
    host_ids: Sequence[int] = field(default=())
    percent: int | None = None
    environments: Sequence[str] = field(default=())
    group_ids: Sequence[int] = field(default=())
    criticalities: Sequence[int] = field(default=())
    diverse: bool = False
    concurrency: int = 1
    concurrency_percent: int | None = None
    failure_limit: int | None = None
    failure_percent: int | None = None
    success_percent: int = 95
    confidence_percent: int = confidence.USUAL_CONFIDENCE
    bound_percent: int | None = None
    class_hosts: int | None = None
    soak_seconds: int = 86400

    @property
    def asks(self) -> diversity.Rule:
        """What it asks of classes of machine."""
        if self.class_hosts is None:
            return diversity.Rule(diversity.USUAL_CLASS_HOSTS)
        return diversity.Rule(self.class_hosts, must=self.class_hosts > 0)

    @property
    def has_rule(self) -> bool:
        return bool(self.environments or self.group_ids or self.criticalities)

    def rule(self) -> dict[str, Any]:
        """How its hosts are chosen, as it is kept with the ring and shown again."""
        return {
            "hosts": list(self.host_ids), "percent": self.percent, "environments": list(self.environments),
            "groups": list(self.group_ids), "criticalities": list(self.criticalities), "diverse": self.diverse,
            "bound": self.bound_percent, "class_hosts": self.class_hosts,
        }  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A host of the release as a rule sees it. `look`: what is known of its class of machine; `known`: whether that is all."""

    host_id: int
    environment: str
    criticality: int
    groups: frozenset[int]
    look: str
    known: bool = False

    @property
    def machine(self) -> diversity.Machine:
        """As those see it who ask what was tried for it, or what it tries."""
        return diversity.Machine(self.look if self.known else "", self.environment == Environment.PRODUCTION)


def candidates(release: Release) -> list[Candidate]:
    """The hosts of the release; what matters most comes last. A fixed number of queries."""
    return candidates_among(Host.objects.filter(planned_in__release=release))


def candidates_among(hosts: QuerySet[Host]) -> list[Candidate]:
    """The same of any hosts."""
    rows = hosts.order_by("-ci__criticality", "-name").values_list("pk", "ci__environment", "ci__criticality")
    ids = [pk for pk, _environment, _criticality in rows]
    groups: dict[int, set[int]] = {pk: set() for pk in ids}
    members = hosts.filter(memberships__isnull=False)
    for pk, group in members.values_list("pk", "memberships__group_id"):
        groups[pk].add(group)
    looks = machine_classes(ids)
    return [Candidate(pk, env, crit, frozenset(groups[pk]), looks[pk].label, looks[pk].known) for pk, env, crit in rows]


def distribute(hosts: Sequence[Candidate], rings: Sequence[RingPlan]) -> list[list[Candidate]]:
    """Which of these hosts are in each ring. Raises Invalid with every reason."""
    known = {one.host_id: one for one in hosts}
    found: list[Blocker] = [] if rings else [Blocker("release.rings", "Plan at least one ring.")]
    for ring in rings:
        found += _problems(ring)
    chosen = [host_id for ring in rings for host_id in ring.host_ids]
    if len(chosen) != len(set(chosen)):
        found.append(Blocker("release.rings.twice", "A host was chosen for two rings."))
    if strangers := set(chosen) - set(known):
        found.append(
            Blocker(
                "release.rings.stranger",
                english("%(strangers)s chosen hosts are not in this release.", strangers=len(strangers)),
            )
        )
    if found:
        raise Invalid(found)
    reserved = set(chosen)
    free = [one for one in hosts if one.host_id not in reserved]
    places: list[list[Candidate]] = []
    for ring in rings:
        taken = _taken(ring, free, hosts)
        gone = {one.host_id for one in taken}
        free = [one for one in free if one.host_id not in gone]
        place = sorted([*(known[pk] for pk in ring.host_ids), *taken], key=lambda one: one.host_id)
        if not place:
            found.append(Blocker("release.rings.empty", english("Ring %(name)s has no host.", name=ring.name)))
        places.append(place)
    if free and not found:
        found.append(
            Blocker(
                "release.rings.left_over",
                english_n(
                    "%(n)s host is in no ring; let the last one take all that are left.",
                    "%(n)s hosts are in no ring; let the last one take all that are left.",
                    len(free),
                ),
            )
        )
    for ring, place in zip(rings, places, strict=True):
        found += provable(ring, len(place))
    if not found:
        found += find_untriable([ring.name for ring in rings], [ring.asks for ring in rings], places)
    if found:
        raise Invalid(found)
    return places


def _taken(ring: RingPlan, free: Sequence[Candidate], hosts: Sequence[Candidate]) -> list[Candidate]:
    if ring.percent is None and not ring.has_rule:
        return []
    fits, of = [one for one in free if _fits(ring, one)], [one for one in hosts if _fits(ring, one)]
    percent = 100 if ring.percent is None else ring.percent
    count = len(fits) if percent >= 100 else min(len(fits), -(-len(of) * percent // 100))
    if not ring.diverse:
        return fits[:count]
    first: dict[str, Candidate] = {}
    for one in fits:
        first.setdefault(one.look, one)
    picked = {one.host_id for one in first.values()}
    rest = [one for one in fits if one.host_id not in picked]
    return [*first.values(), *rest[: max(0, count - len(first))]]


def _fits(ring: RingPlan, one: Candidate) -> bool:
    return (
        (not ring.environments or one.environment in ring.environments)
        and (not ring.criticalities or one.criticality in ring.criticalities)
        and (not ring.group_ids or not one.groups.isdisjoint(ring.group_ids))
    )


def _problems(ring: RingPlan) -> list[Blocker]:
    found = []
    if not ring.name.strip():
        found.append(Blocker("release.rings.name", "Every ring needs a name."))
    shares = [one for one in (ring.percent, ring.concurrency_percent, ring.failure_percent) if one is not None]
    limit = 1 if ring.failure_limit is None else ring.failure_limit
    least, most = confidence.LEAST_CONFIDENCE, confidence.MOST_CONFIDENCE
    if (
        ring.concurrency < 1
        or limit < 1
        or not 1 <= ring.success_percent <= 100
        or not least <= ring.confidence_percent <= most
        or not 0 <= (ring.bound_percent or 0) <= 99
        or not 0 <= (ring.class_hosts or 0) <= diversity.MOST_CLASS_HOSTS
        or any(not 1 <= one <= 100 for one in shares)
        or ring.soak_seconds < 0
    ):
        found.append(
            Blocker("release.rings.bounds", english("Ring %(name)s: numbers are out of their range.", name=ring.name))
        )
    if ring.failure_limit is not None and ring.failure_percent is not None:
        found.append(
            Blocker(
                "release.rings.failures",
                english("Ring %(name)s: say failures as a number or as a share, not as both.", name=ring.name),
            )
        )
    if set(ring.environments) - set(Environment.values) or set(ring.criticalities) - set(Criticality.values):
        found.append(
            Blocker("release.rings.rule", english("Ring %(name)s: its rule names what is not known.", name=ring.name))
        )
    if ring.group_ids and HostGroup.objects.filter(pk__in=ring.group_ids).count() != len(set(ring.group_ids)):
        found.append(
            Blocker(
                "release.rings.rule",
                english("Ring %(name)s: its rule names a group that is not known.", name=ring.name),
            )
        )
    return found


def provable(ring: RingPlan, hosts: int) -> list[Blocker]:
    """A bound that so many hosts cannot prove, were all of them good, would only ever fail."""
    bound, sure = ring.bound_percent or 0, ring.confidence_percent
    if not hosts or confidence.proves(hosts, hosts, bound, confidence=sure):
        return []
    said = english_n("%(n)s host shows", "%(n)s hosts show", hosts)
    return [
        Blocker(
            "release.rings.unprovable",
            english(
                "Ring %(name)s: %(said)s at most %(lower_bound)s %% with %(sure)s %% confidence; %(bound)s %% take %(hosts_needed)s hosts.",
                name=ring.name,
                said=said,
                lower_bound=confidence.lower_bound(hosts, hosts, confidence=sure),
                sure=sure,
                bound=bound,
                hosts_needed=confidence.hosts_needed(bound, confidence=sure),
            ),
        )
    ]


def find_untriable(
    names: Sequence[str], rules: Sequence[diversity.Rule], places: Sequence[Sequence[Candidate]]
) -> list[Blocker]:
    """Where classes must be tried of which the rings so far have no hosts: such a plan would only ever fail."""
    found = diversity.trials(rules, [[one.machine for one in place] for place in places])
    return [
        blocker
        for name, trial in zip(names, found, strict=True)
        if trial is not None and trial.must
        for blocker in diversity.untriable(name, trial)
    ]


# --- numbers ----------------------------------------------------------------------------------------------------------
def numbers(ring: RingPlan, place: Sequence[Candidate]) -> Mapping[str, Any]:
    """The columns of the planned ring."""
    by_share = ring.failure_percent or (FAILURE_PERCENT if ring.failure_limit is None else None)
    at_once = share(ring.concurrency_percent, len(place)) if ring.concurrency_percent else ring.concurrency
    return {
        "name": ring.name.strip()[:60], "concurrency": at_once, "concurrency_percent": ring.concurrency_percent,
        "failure_limit": share(by_share, len(place)) if by_share else ring.failure_limit, "failure_percent": by_share,
        "success_percent": ring.success_percent, "confidence_percent": ring.confidence_percent,
        "bound_percent": usual_bound(ring, place) if ring.bound_percent is None else ring.bound_percent,
        "class_hosts": ring.asks.least, "soak_seconds": ring.soak_seconds, "rule": ring.rule(),
    }  # fmt: skip


def environment_of(place: Sequence[Candidate]) -> str:
    """The most demanding environment of a ring's hosts."""
    present = {one.environment for one in place}
    return next((str(one) for one in BY_DEMAND if one in present), "")


def usual_bound(ring: RingPlan, place: Sequence[Candidate]) -> int:
    """The usual bound of the environment; 0 where so few hosts could not prove it, were all of them good."""
    bound = confidence.USUAL_BOUND.get(environment_of(place), 0)
    provable = confidence.proves(len(place), len(place), bound, confidence=ring.confidence_percent)
    return bound if provable else 0


def unasked_bound(ring: PlannedRing) -> int:
    """The usual bound that the ring's hosts are too few to prove, where nothing else was asked; else 0."""
    if ring.bound_percent or ring.rule.get("bound") == 0:
        return 0
    present = set(ring.hosts.values_list("host__ci__environment", flat=True))
    return max((confidence.USUAL_BOUND.get(one, 0) for one in present), default=0)


# --- what is said of a planned ring -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Coverage:
    """Which classes of machine of the release the hosts of a ring stand for."""

    present: int
    every: int
    missing: tuple[str, ...]


def coverage(release: Release, ring: PlannedRing) -> Coverage:
    """How many classes of machine of the whole release are in the ring."""
    rows = dict(release.planned_hosts.values_list("host_id", "ring_id"))
    looks = {pk: one.label for pk, one in machine_classes(rows).items()}
    every = set(looks.values())
    present = {look for pk, look in looks.items() if rows[pk] == ring.pk}
    return Coverage(len(present), len(every), tuple(sorted(every - present)))
