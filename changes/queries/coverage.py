"""What is known about each platform of the estate, by whom, and how old it is: silence is never reported as good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Count, Q

from changes.enums_identify import AdvisoryStatus
from changes.models import Feed, Fix
from changes.queries.feeds import standing_of, with_last_run
from cmdb.models import Host
from patchflow.kernel.blockers import English, english, english_n, here

if TYPE_CHECKING:
    from patchflow.kernel.models import User


@dataclass(frozen=True, slots=True)
class Coverage:
    """One platform of the estate: "feed X, as of T, N advisories, M hosts". `fresh` False: verdicts are unknown. `held`: feeds of
    these whose last answer is in doubt and waits for a person."""

    distribution: str
    release: str
    hosts: int
    feeds: tuple[str, ...]
    as_of: datetime | None
    advisories: int
    fresh: bool
    held: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.distribution} {self.release}".strip() or english("unknown platform")

    @property
    def sentence(self) -> str:
        """Why verdicts on this platform count, or why they are unknown."""
        if not self.distribution:
            return english("No known platform: what is missing on %(hosts)s is unknown.", hosts=_hosts(self.hosts))
        if not self.feeds:
            return english(
                "No feed speaks of %(platform)s: what is missing on %(hosts)s is unknown.",
                platform=self.label,
                hosts=_hosts(self.hosts),
            )
        names = ", ".join(self.feeds)
        if not self.fresh:
            return english(
                "%(feeds)s has not been read for too long: what is not known to be missing is unknown.", feeds=names
            )
        if self.held:
            return english(
                "%(feeds)s: %(n)s advisories, %(hosts)s. What %(held)s said last is held until a person decides.",
                feeds=names,
                n=self.advisories,
                hosts=_hosts(self.hosts),
                held=", ".join(self.held),
            )
        return english(
            "%(feeds)s: %(n)s advisories, %(hosts)s.", feeds=names, n=self.advisories, hosts=_hosts(self.hosts)
        )

    @property
    def said(self) -> str:
        """The sentence in the reader's language."""
        return here(self.sentence)


def _hosts(count: int) -> English:
    return english_n("%(n)s host", "%(n)s hosts", count)


def coverage(*, at: datetime, actor: User | None = None) -> list[Coverage]:
    """A line for each platform (distribution and release) that a live host has, those without a fresh feed first."""
    hosts = Host.objects.live() if actor is None else Host.objects.live().visible_to(actor)
    found: dict[tuple[str, str], int] = {}
    grouped = hosts.values_list("platform__ecosystem", "platform__distribution", "platform__release").annotate(
        n=Count("pk")
    )
    for ecosystem, distribution, release, count in grouped:
        place = (distribution or "", release_of(ecosystem or "", release or ""))
        found[place] = found.get(place, 0) + count
    feeds = list(with_last_run(Feed.objects.filter(enabled=True)))
    lines = [_line(place, count, feeds, at) for place, count in found.items()]
    return sorted(lines, key=lambda line: (line.fresh, -line.hosts, line.label))


def coverage_of(distribution: str, release: str, *, at: datetime, actor: User | None = None) -> Coverage:
    """The line of one platform, named as advisories name it; of the hosts that `actor` may see (None: all)."""
    hosts = Host.objects.live() if actor is None else Host.objects.live().visible_to(actor)
    count = hosts.filter(platform__distribution=distribution).filter(
        Q(platform__release=release) | Q(platform__ecosystem="rpm", platform__release__startswith=f"{release}.")
    )
    return _line((distribution, release), count.count(), list(with_last_run(Feed.objects.filter(enabled=True))), at)


def release_of(ecosystem: str, release: str) -> str:
    """A host's release as advisories name it: the major one for RPM distributions."""
    return release.partition(".")[0] if ecosystem == "rpm" else release


def _line(place: tuple[str, str], hosts: int, feeds: list[Feed], at: datetime) -> Coverage:
    name = ":".join(place)
    speaking = [feed for feed in feeds if name in feed.covers]
    fresh = [feed for feed in speaking if not feed.is_stale(at)]
    counted = fresh or speaking
    advisories = (
        Fix.objects.filter(
            distribution=place[0],
            release=place[1],
            withdrawn_at__isnull=True,
            advisory__feed__in=counted,
            advisory__status=AdvisoryStatus.CURRENT,
        )
        .values("advisory")
        .distinct()
        .count()
        if counted
        else 0
    )
    times = [feed.last_good_at for feed in counted if feed.last_good_at]
    return Coverage(
        distribution=place[0],
        release=place[1],
        hosts=hosts,
        feeds=tuple(feed.name for feed in counted),
        as_of=max(times, default=None),
        advisories=advisories,
        fresh=bool(fresh),
        held=tuple(feed.name for feed in speaking if standing_of(feed, at=at) == "held"),
    )
