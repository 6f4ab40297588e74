"""What the gates of many hosts look at: read once for a batch of one ring, in a fixed number of queries, when first asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.utils.functional import cached_property as once_read  # the library's takes a lock, for each host

from changes.models import Artifact
from changes.queries.files import verified
from cmdb.enums import ItemKind
from cmdb.models import ConfigurationItem, Host, ServiceWindow
from cmdb.queries.hosts import ActingFacts, acting_facts, supported_services
from cmdb.queries.points import Choice, choices_for
from cmdb.queries.windows import Opening, openings, shared_openings, windows_of
from cmdb.remote.connection import Endpoint
from patchflow.kernel import registry
from releases.domain.profiles import run_minutes
from releases.domain.slips import Answer, Told
from releases.enums_rollout import BAD, JobState
from releases.executors.base import Way
from releases.models import Job, Ring, Rollout
from releases.queries.reach import endpoints_for
from releases.queries.rollouts import Signed, signed
from releases.queries.window_changes import narrowed

LOOK_AHEAD = 3
WHOLES = (ItemKind.SERVICE, ItemKind.CLUSTER)
"""Kinds of items that are never taken away whole."""


@dataclass
class Batch:
    """Hosts of one ring asked together. `through`: those let through so far, which redundancy counts as away."""

    rollout: Rollout
    ring: Ring
    jobs: Sequence[Job]
    at: datetime
    through: set[int] = field(default_factory=set)
    reached: Callable[[int], Endpoint] | None = None
    kinds: Mapping[int, str] | None = None
    """Their endpoints, and what kinds of machine they are, where the caller has read them at this very moment."""
    same: dict[tuple[Any, ...], Answer] = field(default_factory=dict)
    """Answers that are equal for all hosts that are alike in what the gate looks at."""
    told: Told = field(default_factory=dict)
    ways: dict[int, Way] = field(default_factory=dict)
    """Host → the distribution point through which it was let; of those that download directly nothing."""
    starts: dict[tuple[Any, ...], datetime | None] = field(default_factory=dict)
    """(class, windows) → when they let a host begin at the earliest; of who asks for it."""

    def once(self, *alike: Any, answer: Callable[[], Answer]) -> Answer:
        """The answer for all hosts that are `alike` (the gate's name, and what it looks at of the host)."""
        if alike not in self.same:
            self.same[alike] = answer()
        return self.same[alike]

    @cached_property
    def signed(self) -> Signed:
        return signed(self.rollout.manifest_id)

    @cached_property
    def host_ids(self) -> list[int]:
        return [job.host_id for job in self.jobs]

    @cached_property
    def bad(self) -> int:
        """How many hosts of the ring count against its failure limit."""
        return self.ring.jobs.filter(state__in=BAD).count()

    @cached_property
    def facts(self) -> dict[int, ActingFacts]:
        return acting_facts(self.host_ids, at=self.at, kinds=self.kinds)

    @cached_property
    def windows(self) -> dict[int, list[ServiceWindow]]:
        return windows_of(self.host_ids)

    @cached_property
    def openings(self) -> dict[int, list[Opening]]:
        return {}

    @cached_property
    def narrowed(self) -> dict[int, ServiceWindow]:
        """Windows edited since they were signed, as they were signed."""
        return narrowed(self.rollout.pk, self.signed.document)

    def openings_of(self, window: ServiceWindow) -> list[Opening]:
        """The next openings; of a window that was edited since, what is left of those that were signed."""
        if window.pk not in self.openings:
            self.openings[window.pk] = self._openings_after(window, self.at)
        return self.openings[window.pk]

    def allowed_openings_of(self, window: ServiceWindow) -> list[Opening]:
        """The next openings that end after the signed earliest start."""
        earliest = self.signed.moment("earliest")
        if earliest is None or earliest <= self.at:
            return self.openings_of(window)
        return self._openings_after(window, earliest)

    def _openings_after(self, window: ServiceWindow, after: datetime) -> list[Opening]:
        was = self.narrowed.get(window.pk) if window.revision != self.signed_windows.get(window.pk) else None
        if was:
            return shared_openings(was, window, after=after, count=LOOK_AHEAD)
        return openings(window, after=after, count=LOOK_AHEAD)

    @cached_property
    def others(self) -> dict[int, str]:
        """Host → the live job of another attempt there."""
        mine = [job.pk for job in self.jobs]
        rows = Job.objects.live().filter(host_id__among=self.host_ids).exclude(pk__among=mine).order_by()
        return dict(rows.values_list("host_id", "job_key"))

    @cached_property
    def supports(self) -> dict[int, tuple[int, ...]]:
        """Host → the services and clusters that rest on it."""
        items = {facts.ci_id: pk for pk, facts in self.facts.items()}
        return {items[item]: found for item, found in supported_services(items, kinds=WHOLES).items()}

    @cached_property
    def members(self) -> dict[int, set[int]]:
        """Service or cluster → all hosts in service that support it."""
        wanted = {service for services in self.supports.values() for service in services}
        if not wanted:
            return {}
        hosts = dict(Host.objects.live().values_list("ci_id", "pk"))
        found: dict[int, set[int]] = defaultdict(set)
        for item, services in supported_services(hosts, kinds=WHOLES).items():
            for service in wanted & set(services):
                found[service].add(hosts[item])
        return found

    @cached_property
    def rules(self) -> dict[int, ConfigurationItem]:
        """Service or cluster → its row, of those with a rule of their own for how many of its hosts stay."""
        rows = ConfigurationItem.objects.filter(pk__in=self.members)
        ruled = rows.filter(Q(min_alive__isnull=False) | Q(min_alive_percent__isnull=False))
        return {item.pk: item for item in ruled}

    @cached_property
    def away(self) -> set[int]:
        """Hosts that are not to be counted on: at work or out of sight anywhere, or failed and lost in this rollout."""
        live = set(Job.objects.live().order_by().values_list("host_id", flat=True))
        if self.rollout.is_way_back:
            return live
        bad = Job.objects.filter(rollout=self.rollout, state__in=[JobState.FAILED, JobState.LOST])
        return live | set(bad.order_by().values_list("host_id", flat=True))

    @cached_property
    def endpoints(self) -> Callable[[int], Endpoint]:
        """The endpoint of a host, or the refusal why there is none."""
        return self.reached or endpoints_for(self.rollout.executor, self.host_ids)

    @cached_property
    def choices(self) -> dict[int, Choice]:
        """Host → the distribution point that serves it; hosts without one are missing."""
        return choices_for(self.host_ids)

    @cached_property
    def fetches(self) -> bool:
        """Whether the executor has hosts download; a person sees to the files otherwise."""
        found = registry.executors.get(self.rollout.executor)
        return found is None or bool(found.needs_connection)

    def size_of(self, target: Target) -> int:
        """Bytes of the files that are for the host."""
        side = self.signed.back.get(target.host_id) if self.rollout.is_way_back else target.entry
        wanted = {(p["name"], p["to"], p["arch"]) for p in side["packages"] if p["to"]} if side else set()
        return sum(a["size"] for a in self.artifacts if (a["package"], a["version"], a["arch"]) in wanted)

    @cached_property
    def artifacts(self) -> list[Mapping[str, Any]]:
        document = self.signed.document
        return list(document["way_back"]["artifacts"] if self.rollout.is_way_back else document["artifacts"])

    @cached_property
    def named_files(self) -> dict[tuple[str, str, str], str]:
        """(package, version, arch) → the hash that was signed."""
        return {(a["package"], a["version"], a["arch"]): a["sha256"] for a in self.artifacts}

    @cached_property
    def signed_windows(self) -> dict[int, int]:
        """Window → the revision that was signed."""
        return {w["window"]: w["revision"] for w in self.signed.document["windows"]}

    @cached_property
    def lacking(self) -> set[int]:
        """Hosts that are not to be counted on, and those let through so far; asked for only where a service needs its hosts."""
        return self.away | self.through

    def let_through(self, host_id: int) -> None:
        """Counts a host among those let through."""
        self.through.add(host_id)
        if "lacking" in self.__dict__:
            self.lacking.add(host_id)

    def forget(self) -> None:
        """As before the first host was asked."""
        self.through.clear()
        self.ways.clear()
        self.same.clear()
        self.__dict__.pop("lacking", None)

    @cached_property
    def proven(self) -> set[tuple[str, str, str, str]]:
        """(package, version, arch, sha256) of every file whose latest verification passed."""
        rows = Artifact.objects.filter(sha256__in={a["sha256"] for a in self.artifacts})
        ids = {pk: tuple(place) for pk, *place in rows.values_list("pk", "package", "version", "arch", "sha256")}
        good = verified(list(ids), at=self.at)
        return {ids[pk] for pk, ok in good.items() if ok}  # type: ignore[misc]

    @cached_property
    def minutes(self) -> dict[str, int]:
        """Class → expected minutes (`run_minutes`)."""
        return run_minutes(self.signed.document)

    def minutes_of(self, job: Job) -> int:
        """The expected minutes on the host of a job."""
        return self.minutes[self.signed.hosts[job.host_id]["class"]]


class Target:
    """One host of a batch. What is read of it is read at the first gate that asks."""

    def __init__(self, batch: Batch, job: Job) -> None:
        self.batch, self.job, self.host_id = batch, job, job.host_id

    @once_read
    def entry(self) -> Mapping[str, Any] | None:
        """What the manifest says of it."""
        return self.batch.signed.hosts.get(self.host_id)

    @once_read
    def facts(self) -> ActingFacts | None:
        """What is known of it now."""
        return self.batch.facts.get(self.host_id)
