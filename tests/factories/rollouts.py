"""A release whose manifest is signed and which is deploying, on simulated hosts; what comes later goes through the verbs.

The release, its manifest and the passed round over it are written as rows: building and signing have tests of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from changes.enums_identify import VerificationOutcome
from changes.models import RFC, Artifact, RepositoryIndex, Verification
from cmdb.domain import recordsets
from cmdb.models import ConfigurationItem, Connection, Fact, Host, HostGroup, ServiceWindow
from patchflow.kernel import registry
from patchflow.kernel.integrity import digest, plain
from patchflow.kernel.models import Instance, SignOff, SignOffLevel, SignOffRound
from patchflow.kernel.numbers import next_number
from releases.domain import advance, jobs, rollouts
from releases.executors.base import PackageChange
from releases.executors.simulator import SimulatorExecutor, simulated_artifact
from releases.executors.simulator_plan import Habit, Habits
from releases.models import Build, HostStep, InstallProfile, Job, JobEvent, Manifest, Release, ReleaseRFC, Ring, Rollout
from tests.factories import changes
from tests.factories.cmdb import host_key
from tests.factories.people import Cast

_numbers = count(1)
QUICK = Habits(staging=(0.1, 0.2), installing=(0.2, 0.4), restarting=(0.2, 0.3), verifying=(0.1, 0.2))
PACKAGE = {"name": "openssl", "arch": "amd64", "from": "1.0-1", "to": "3.0.15-1~deb12u2"}


class WorkerDied(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@dataclass
class Clock:
    """A time that passes only by waiting."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Deployment:
    """A release that is deploying, and the means to let time pass for it."""

    cast: Cast
    world: changes.World
    rfc: RFC
    release: Release
    manifest: Manifest
    window: ServiceWindow
    clock: Clock
    simulator: SimulatorExecutor
    hosts: list[Host] = field(default_factory=list)

    @property
    def rollout(self) -> Rollout:
        return Rollout.objects.filter(release=self.release).latest("pk")

    def ring(self, position: int = 0) -> Ring:
        return Ring.objects.get(rollout=self.rollout, position=position)

    def job(self, number: int = 0) -> Job:
        return Job.objects.get(rollout=self.rollout, host=self.hosts[number])

    def states(self) -> list[str]:
        """The state of the job of each host, in order."""
        found = dict(Job.objects.filter(rollout=self.rollout).values_list("host_id", "state"))
        return [found[host.pk] for host in self.hosts]

    def habit(self, number: int, habit: Habit | None) -> None:
        self.simulator.switch(self.hosts[number].name, habit)

    def start(self) -> Rollout:
        return rollouts.start(release_id=self.release.pk, actor=self.cast.rex, at=self.clock.at)

    def tick(self) -> int:
        return advance.advance(rollout_id=self.rollout.pk, now=self.clock.at)

    def visit(self, number: int = 0) -> str:
        """One visit of a worker to the job of a host."""
        return jobs.run(job_id=self.job(number).pk, owner="test", now=self.clock.now, wait=self.clock.wait)

    def work(self, *, turns: int = 40, until: Callable[[], bool] = lambda: False, together: bool = False) -> None:
        """Lets ticks and workers run until nothing more is done, or `until` holds. `together`: by crews."""
        for _turn in range(turns):
            if until():
                return
            claimed = self.tick()
            live = list(Job.objects.filter(jobs.DUE, rollout=self.rollout).order_by("pk").values_list("pk", flat=True))
            if together:
                jobs.run_many(job_ids=live, owner="test", now=self.clock.now, wait=self.clock.wait)
                self.clock.wait(1)
                live = list(Job.objects.filter(pk__in=live, state__in=jobs.AWAY).values_list("pk", flat=True))
            for pk in live:
                jobs.run(job_id=pk, owner="test", now=self.clock.now, wait=self.clock.wait)
                self.clock.wait(1)
            if not live and not claimed:
                return

    def killed_when(self, moment: Callable[[], bool], number: int = 0) -> None:
        """A visit whose worker dies as soon as `moment` holds; its lease is over at once."""

        def wait(seconds: float) -> None:
            if moment():
                raise WorkerDied
            self.clock.wait(seconds)

        try:
            jobs.run(job_id=self.job(number).pk, owner="doomed", now=self.clock.now, wait=wait)
        except WorkerDied:
            self.lease_ends(number)
        else:
            raise AssertionError(f"the visit ended before: {self.job(number).state}")

    def lease_ends(self, number: int = 0) -> None:
        Job.objects.filter(pk=self.job(number).pk).update(lease_until=datetime(2000, 1, 1, tzinfo=UTC), not_before=None)

    def pass_time(self, **span: float) -> None:
        """Time passes; leases and waiting times end, as on a real clock."""
        self.clock.at += timedelta(**span)


def make_deployment(
    cast: Cast, at: datetime, folder: Path, *, hosts: int = 3, rings: Sequence[dict[str, Any]] = (), earliest: datetime | None = None,
    latest: datetime | None = None, habits: Habits = QUICK, window: dict[str, Any] | None = None, profile: dict[str, Any] | None = None,
    names: Sequence[str] = (), steps: Sequence[HostStep] = (), machines: Sequence[str] = (),
) -> Deployment:  # fmt: skip
    """`rings`: dicts with `hosts` (how many) and any of a ring's numbers; default one ring with all hosts. `profile`: fields of
    the sealed profile that differ from the usual. `names`: of its hosts. `steps`: of the manifest, on every host.
    `machines`: the class of machine of each host, as the manifest names it."""
    world = changes.make_world(cast, at - timedelta(days=1), hosts=hosts, names=names)
    hosts = len(world.hosts)
    rfc = changes.implementing(world, host_ids=[host.pk for host in world.hosts], window_ids=[])
    opened = open_window(at, **(window or {}))
    for host in world.hosts:
        connect(host, cast, at)
    Instance.objects.get_or_create(
        pk=1, defaults={"key": "patchfl1"}
    )  # the course of a simulated job follows from its key
    clock = Clock(at)
    executor = f"simulator-{next(_numbers)}"
    simulator = SimulatorExecutor(folder / f"{executor}.sqlite3", clock=clock.now, habits=habits)
    registry.executors.add(executor, simulator)
    release = _release(cast, rfc, executor, at)
    document = _document(release, rfc, world, rings or [{"hosts": hosts}], opened, earliest, latest)
    document["profile"] |= profile or {}
    if steps:
        _carry(document, steps)
    for host, machine in zip(document["hosts"], machines, strict=False):
        host["machine"] = machine
    manifest = seal(release, document, cast, at)
    verify_files(document, cast, at)
    return Deployment(cast, world, rfc, release, manifest, opened, clock, simulator, world.hosts)


def open_window(at: datetime, **fields: Any) -> ServiceWindow:
    """A window of the group of all hosts that is open from an hour before `at`, for eight hours, each week."""
    starts = at - timedelta(hours=1)
    window = ServiceWindow.objects.create(**{
        "name": f"window {next(_numbers)}", "recurrence": "weekly", "weekday": starts.weekday(),
        "starts_local": time(starts.hour, starts.minute), "length_minutes": 480, "from_on": (starts - timedelta(days=30)).date(),
        "made_at": starts, **fields,
    })  # fmt: skip
    window.groups.add(HostGroup.objects.get(name="all"))
    return window


def connect(host: Host, cast: Cast, at: datetime) -> None:
    """Gives the host a fingerprint and a connection whose key a person has accepted."""
    key = host_key(host.name)
    Host.objects.filter(pk=host.pk).update(machine_id=f"{host.pk:032x}", ssh_host_key=key)
    host.refresh_from_db()
    Fact.objects.create(host=host, key="machine_kind", value="server", source="ssh", seen_at=at)
    Connection.objects.create(
        host=host,
        address=host.name,
        host_key=key,
        shown_key=key,
        host_key_accepted_by=cast.cora,
        host_key_accepted_at=at,
    )


def _release(cast: Cast, rfc: RFC, executor: str, at: datetime) -> Release:
    profile = InstallProfile.objects.create(
        name=f"profile {next(_numbers)}",
        restart="if_needed",
        restart_kinds=["server"],
        defined_by=cast.rex,
        defined_at=at,
    )
    release = Release.objects.create(
        number=next_number("REL", at=at), title="OpenSSL on the application servers",
        kind=rfc.kind, executor=executor, profile=profile, composed_by=cast.rex,
        composed_at=at, state_at=at, state="deploying", started_by=cast.rex, started_at=at,
    )  # fmt: skip
    ReleaseRFC.objects.create(release=release, rfc=rfc, digest=rfc.change_digest, joined_at=at)
    return release


def _document(
    release: Release, rfc: RFC, world: changes.World, rings: Sequence[dict[str, Any]], window: ServiceWindow,
    earliest: datetime | None, latest: datetime | None,
) -> dict[str, Any]:  # fmt: skip
    places: list[int] = []
    lanes = []
    for number, ring in enumerate(rings):
        numbers = {
            "concurrency": 2,
            "failure_limit": 1,
            "success_percent": 95,
            "soak_seconds": 0,
            "name": f"ring {number}",
            **ring,
        }
        places += [number] * int(numbers.pop("hosts"))
        lanes.append({"ring": number, **numbers})
    forward = simulated_artifact(_change(PACKAGE["from"], PACKAGE["to"]))
    back = simulated_artifact(_change(PACKAGE["to"], PACKAGE["from"]))
    profile = release.profile
    assert profile is not None
    return dict(plain({
        "schema": 1, "release": release.number, "revision": 1, "rfcs": [{"rfc": rfc.number, "digest": rfc.change_digest}],
        "updates": [{"distribution": "debian", "release": "12", "name": "openssl", "fixed_version": PACKAGE["to"]}],
        "classes": [{
            "class": "debian-12-amd64", "distribution": "debian", "release": "12",
            "packages": [{
                "name": "openssl", "arch": "amd64", "to": PACKAGE["to"], "source": "openssl", "source_version": PACKAGE["to"],
                "dependency": False,
            }],
        }],
        "artifacts": [_file(forward)],
        "hosts": [
            {
                "host": host.pk, "name": host.name, "fingerprint": host.fingerprint, "class": "debian-12-amd64", "ring": place,
                "packages": [dict(PACKAGE)],
            }
            for host, place in zip(world.hosts, places, strict=True)
        ],
        "rings": lanes,
        "windows": [{"window": window.pk, "revision": window.revision, "name": window.name}],
        "start": {"earliest": earliest, "latest": latest},
        "profile": {
            "name": profile.name, "revision": 1, "restart": "if_needed", "restart_kinds": ["server"], "max_minutes_each": 30,
            "max_minutes_total": 120, "checks": [],
        },
        "way_back": {
            "kind": "reinstall_previous", "artifacts": [_file(back)],
            "hosts": [
                {"host": h.pk, "packages": [{"name": "openssl", "arch": "amd64", "to": PACKAGE["from"]}]} for h in world.hosts
            ],
        },
    }))  # fmt: skip


def _carry(document: dict[str, Any], chosen: Sequence[HostStep]) -> None:
    document["profile"]["steps"] = [{"name": step.name, "revision": step.revision} for step in chosen]
    document["steps"] = [{**step.content(), "digest": step.digest} for step in chosen]
    for host in document["hosts"]:
        host["steps"] = [f"{step.name} | {step.revision}" for step in chosen]


def _change(old: str, new: str) -> PackageChange:
    return PackageChange(name="openssl", arch="amd64", from_version=old, to_version=new)


def _file(spec: Any) -> dict[str, Any]:
    return {
        "package": spec.package, "version": spec.version, "arch": spec.arch, "filename": spec.filename, "sha256": spec.sha256,
        "size": spec.size, "origin": "made",
    }  # fmt: skip


def seal(release: Release, document: dict[str, Any], cast: Cast, at: datetime) -> Manifest:
    """A manifest with this document, signed by gus in a passed round."""
    build, _made = Build.objects.get_or_create(
        release=release, number=1, defaults={"requested_by": cast.rex, "requested_at": at, "state": "built"}
    )
    sealed = digest(document)
    revision = release.manifests.count() + 1
    manifest = Manifest.objects.create(
        release=release,
        build=build,
        revision=revision,
        document=document,
        digest=sealed,
        sealed_at=at,
        sealed_by=cast.rex,
    )
    round_ = SignOffRound.objects.create(
        subject_type="releases.release", subject_id=release.pk, subject_label=release.number, number=revision, kind="readiness",
        digest=sealed, document=document, state="passed", opened_by=cast.rex, opened_at=at, closed_at=at,
    )  # fmt: skip
    level = SignOffLevel.objects.create(round=round_, position=1, name="Readiness", quorum="first")
    SignOff.objects.create(round=round_, level=level, user=cast.gus, verdict="approve", digest=sealed, decided_at=at)
    return manifest


def verify_files(document: dict[str, Any], cast: Cast, at: datetime) -> None:
    """Registers the files of the document, from an index whose verification passed."""
    index = RepositoryIndex.objects.create(
        uri=f"made:{next(_numbers)}",
        suite="stable",
        signer="F" * 40,
        release_sha256="0" * 64,
        index_sha256="0" * 64,
        registered_at=at,
    )
    for one in [*document["artifacts"], *document["way_back"]["artifacts"]]:
        Artifact.objects.create(
            package=one["package"], version=one["version"], arch=one["arch"], filename=one["filename"], size=one["size"],
            sha256=one["sha256"], origin=index.uri, index=index,
        )  # fmt: skip
    Verification.objects.create(
        index=index,
        outcome=VerificationOutcome.PASSED,
        subject=index.uri,
        verified_by=cast.bot,
        verified_at=at - timedelta(hours=1),
    )


# --- very many ----------------------------------------------------------------------------------------------------------
RINGS_AT_SIZE = (("Pilot", 10), ("Early", 490), ("Broad", 2500), ("All others", 7000))
TROUBLES = (
    (
        "failed",
        "package_state",
        "openssl is 1.0-1 half-configured, wanted 3.0.15-1~deb12u2: the script after it ended with 1.",
    ),
    ("failed", "unhealthy", "installed, but the web page is not healthy: it answers 502."),
    ("unknown", "", "It has not answered for 5 minutes: connection timed out."),
    ("refused", "machine", "it is another machine than the one that was signed"),
)


def at_size(deployment: Deployment, total: int = 10_000) -> Rollout:
    """A running rollout of so many hosts in four rings, as rows: two rings done, the third at work with some trouble, the
    last waiting, part of it put off by a gate. The share of each ring is that of ten thousand."""
    at, like = deployment.clock.at, deployment.hosts[0]
    rollout = Rollout.objects.filter(release=deployment.release).first() or deployment.start()
    Ring.objects.filter(pk__in=Job.objects.filter(rollout=rollout, host=like).values("ring")).update(
        state="passed", position=99
    )
    before = Ring.objects.filter(rollout=rollout, position__lt=99)  # of an earlier call
    JobEvent.objects.filter(job__ring__in=before).delete()
    Job.objects.filter(ring__in=before).delete()
    before.delete()
    there = Host.objects.filter(name__startswith="node").count()  # of an earlier call
    names = [f"node{n:05d}" for n in range(there, total)]
    insert(ConfigurationItem, [{"name": name} for name in names], ConfigurationItem(kind="host", in_service_at=at))
    items = ConfigurationItem.objects.filter(name__startswith="node")
    seen: dict[str, Any] = {"platform": like.platform, "added_at": at, "audited_at": at, "last_seen_at": at}
    rows = [{"ci_id": pk, "name": name} for pk, name in items.values_list("pk", "name")]
    insert(Host, [row for row in rows if row["name"] >= f"node{there:05d}"], Host(**seen))
    hosts = Host.objects.filter(name__startswith="node").order_by("name")[:total]
    states = ("passed", "passed", "running", "pending")
    rings = Ring.objects.bulk_create([
        Ring(
            rollout=rollout, position=n, name=name, concurrency=max(1, share // 20), failure_limit=max(1, share // 10),
            success_percent=95, bound_percent=80, soak_seconds=3600, state=states[n], state_at=at, started_at=at,
            class_hosts=1, classes_asked=["debian-12-amd64 · server · kvm"] if states[n] == "running" else [],
        )
        for n, (name, share) in enumerate(RINGS_AT_SIZE)
    ])  # fmt: skip
    places = [
        ring for ring, (_name, share) in zip(rings, RINGS_AT_SIZE, strict=True) for _n in range(share * total // 10_000)
    ]
    places += [rings[-1]] * (total - len(places))
    insert(
        Job, [_job_at_size(ring, host.pk, n, at) for n, (ring, host) in enumerate(zip(places, hosts, strict=True))],
        Job(rollout=rollout, state_at=at),
    )  # fmt: skip
    made = Job.objects.filter(ring__in=rings)
    made.exclude(state="pending").update(claimed_at=at - timedelta(minutes=4))
    made.filter(state__in=["succeeded", "failed", "refused"]).update(ended_at=at)
    jobs_made = Job.objects.filter(ring=rings[2]).order_by("pk")[:40]
    JobEvent.objects.bulk_create(
        [
            JobEvent(job=job, attempt=1, seq=1, at=at, stage="installing", message="openssl 1.0-1 -> 3.0.15")
            for job in jobs_made
        ]
    )
    return rollout


def _job_at_size(ring: Ring, host_id: int, number: int, at: datetime) -> dict[str, Any]:
    state, code, why = "succeeded", "", ""
    if ring.state == "pending":
        state = "pending"
        if number % 3 == 0:
            code, why = "window", "Will run at 22:00 UTC, because window “Nights” opens then."
    elif ring.state == "running":
        state = ("succeeded", "succeeded", "succeeded", "installing", "pending")[number % 5]
        if number % 50 == 0:
            state, code, why = TROUBLES[number // 50 % len(TROUBLES)]
    ended = state in ("succeeded", "failed", "refused")
    return {
        "ring_id": ring.pk, "host_id": host_id, "state": state, "code": code, "statement": why,
        "reason": why if ended else "", "job_key": f"{ring.rollout.number}-{number}-1", "packages": [dict(PACKAGE)],
    }  # fmt: skip


COLUMNS = {"packages": "json", "ci_id": "int", "ring_id": "int", "host_id": "int"}


def insert(model: Any, rows: Sequence[dict[str, Any]], blank: Any) -> None:
    """Very many rows by one statement, what they do not say from `blank`."""
    if not rows:
        return
    columns = {name: COLUMNS.get(name, "text") for name in rows[0]}
    constants = {
        str(one.column): getattr(blank, one.attname)
        for one in model._meta.concrete_fields
        if one.column not in columns and not one.primary_key and getattr(blank, one.attname) is not None
    }
    recordsets.insert(model, columns, rows, constants)
