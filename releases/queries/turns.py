"""What a cycle's releases came to, for its page: their rings with the hosts in sight, their reviews, and what is owed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, OuterRef, QuerySet, Subquery

from changes.models import Cycle
from cmdb.models import Host
from patchflow.kernel.models import User
from releases.enums import ReleaseState
from releases.enums_rollout import BAD, GOOD, JobState
from releases.models import Job, PlannedHost, PlannedRing, PostImplementationReview, Release, Ring, Rollout


@dataclass(frozen=True, slots=True)
class RingStanding:
    """A ring of the newest deployment, or of the plan (`state` is then empty), with its hosts in sight. `good`: done,
    and not taken back since; `taken_back`: done, and back at what it was; `aside`: withdrawn, refused or cancelled; `waiting`: all
    others that have not ended, on the way back too."""

    name: str
    state: str
    state_at: datetime | None
    hosts: int
    good: int = 0
    bad: int = 0
    aside: int = 0
    taken_back: int = 0

    @property
    def waiting(self) -> int:
        return self.hosts - self.good - self.bad - self.aside - self.taken_back


@dataclass(frozen=True, slots=True)
class Turn:
    """A release of the cycle. `rollout`: its newest deployment that the actor may see; `back`: its way back, if it took one."""

    release: Release
    rollout: Rollout | None
    back: Rollout | None
    rings: Sequence[RingStanding] = field(default=())
    review: PostImplementationReview | None = None
    sees_review: bool = False

    @property
    def owes_review(self) -> bool:
        """Whether its deployment has ended and nobody has completed its review, as far as the actor may know."""
        done = self.review is not None and self.review.completed_at is not None
        return self.sees_review and not done and self.release.state in (ReleaseState.DEPLOYED, ReleaseState.ROLLED_BACK)


ASIDE = (JobState.REFUSED, JobState.CANCELLED)


def turns_of(cycle: Cycle, actor: User) -> list[Turn]:
    """The releases that the actor may see, the newest first. A fixed number of queries."""
    rows = Release.objects.visible_to(actor).filter(links__rfc__cycle=cycle).distinct().order_by("-pk")
    releases = list(rows)
    ids = [release.pk for release in releases]
    forward: dict[int, Rollout] = {}
    back: dict[int, Rollout] = {}
    for rollout in Rollout.objects.visible_to(actor).filter(release__in=ids).order_by("pk"):
        (back if rollout.is_way_back else forward)[rollout.release_id] = rollout
    rings = _rings([rollout.pk for rollout in forward.values()], actor)
    planned = _planned([pk for pk in ids if pk not in forward], actor)
    reviews = {
        review.release_id: review
        for review in PostImplementationReview.objects.visible_to(actor).filter(release__in=ids)
    }
    sees_reviews = actor.holds_somewhere("review.view")
    return [
        Turn(
            release=release, rollout=forward.get(release.pk), back=back.get(release.pk), review=reviews.get(release.pk),
            rings=rings[forward[release.pk].pk] if release.pk in forward else planned[release.pk],
            sees_review=sees_reviews,
        )
        for release in releases
    ]  # fmt: skip


def _rings(rollout_ids: Sequence[int], actor: User) -> dict[int, list[RingStanding]]:
    """Rollout → its rings with the jobs in sight. Two queries."""
    back = Job.objects.filter(rollout__reverses=OuterRef("rollout"), host=OuterRef("host")).exclude(state__in=ASIDE)
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    jobs = Job.objects.filter(rollout__in=rollout_ids).visible_to(actor).order_by()
    stand = jobs.annotate(back=Subquery(back.order_by("-pk").values("state")[:1]))
    for ring_id, state, back_state, count in stand.values_list("ring_id", "state", "back").annotate(n=Count("pk")):
        counts[ring_id][_standing(state, back_state)] += count
    found: dict[int, list[RingStanding]] = defaultdict(list)
    for ring in Ring.objects.filter(rollout__in=rollout_ids).order_by("rollout_id", "position"):
        mine = counts[ring.pk]
        found[ring.rollout_id].append(
            RingStanding(
                ring.name, ring.state, ring.state_at, hosts=sum(mine.values()),
                good=mine["good"], bad=mine["bad"], aside=mine["aside"], taken_back=mine["taken_back"],
            )
        )  # fmt: skip
    return found


def _standing(state: str, back: str | None) -> str:
    """How a host counts, by its job and, if it had been done, by the one that takes it back."""
    if state in GOOD and back is not None:
        return "taken_back" if back in GOOD else "bad" if back in BAD else "waiting"
    return "good" if state in GOOD else "bad" if state in BAD else "aside" if state in ASIDE else "waiting"


def _planned(release_ids: Sequence[int], actor: User) -> dict[int, list[RingStanding]]:
    """Release → its planned rings with the hosts in sight. Two queries."""
    hosts: QuerySet[PlannedHost] = PlannedHost.objects.filter(release__in=release_ids, ring__isnull=False)
    hosts = hosts.filter(host__in=Host.objects.within(actor, "release.view")).order_by()
    counts = dict(hosts.values_list("ring_id").annotate(n=Count("pk")))
    found: dict[int, list[RingStanding]] = defaultdict(list)
    for ring in PlannedRing.objects.filter(release__in=release_ids).order_by("release_id", "number"):
        found[ring.release_id].append(RingStanding(ring.name, "", None, hosts=counts.get(ring.pk, 0)))
    return found
