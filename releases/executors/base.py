"""The port of an executor, and the words it speaks: dataclasses only.

A job key names one attempt. Giving the same order twice is answered "already" and done once. Whatever is cancelled,
timed out, unreachable or silent has an unknown outcome: it is observed, never repeated blindly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import RemoteError
from cmdb.remote.proxies import proxy_address
from patchflow.kernel.values import value
from releases.executors.onhost.packaging import DRY_RUN, LISTS


class Action(StrEnum):
    """What an order wants. Only ROLLBACK may lower a version; removals are changes to no version, in any action."""

    INSTALL = "install"
    ROLLBACK = "rollback"
    UNINSTALL = "uninstall"
    STAGE = "stage"  # download and compare only
    RECOVER = "recover"  # finish what was interrupted (`dpkg --configure -a`, or its own files again), then verify


class Stage(StrEnum):
    """Where a job is, in the order of its life; the last six are ends."""

    ACCEPTED = "accepted"
    STAGED = "staged"
    INSTALLING = "installing"
    RESTARTING = "restarting"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_NEEDED = "not_needed"
    CANCELLED = "cancelled"
    STAGED_ONLY = "staged_only"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Stage.SUCCEEDED, Stage.FAILED, Stage.REFUSED, Stage.NOT_NEEDED, Stage.CANCELLED, Stage.STAGED_ONLY})


@value(kw_only=True)
class PackageChange:
    """One package from one exact version to another. Empty `from_version`: new; empty `to_version`: removed."""

    name: str
    arch: str
    from_version: str
    to_version: str


@value(kw_only=True)
class ArtifactSpec:
    """One file that may be installed: `size` in bytes, `sha256` in lower-case hex, `filename` as the manager names it."""

    filename: str
    package: str
    version: str
    arch: str
    sha256: str
    size: int
    uri: str = ""


@value(kw_only=True)
class RestartPolicy:
    """Whether the host may be restarted by the job, how long it may take to be back, and how long before the restart
    those who are logged in are told (seconds)."""

    mode: Literal["never", "if_needed", "always"] = "never"
    timeout: int = 600
    countdown: int = 0


@value(kw_only=True)
class HealthCheck:
    """A question asked on the host after the change, until it passes or `attempts` are spent.

    http: `target` is a URL, `expect` the status (default 200). tcp: "host:port". service: a systemd unit that must
    be active. command: a shell line that must exit 0. Seconds throughout.
    """

    name: str
    kind: Literal["http", "tcp", "service", "command"]
    target: str
    expect: str = ""
    attempts: int = 5
    interval: float = 1
    timeout: float = 5


@value(kw_only=True)
class Timeouts:
    """Seconds. `install` is when to worry: a running package manager is never killed."""

    lock: int = 60
    download: int = 900
    install: int = 1800

    @property
    def staging(self) -> int:
        """Until a host has fetched the files of an order, or has given up: it waits for the lock of its package manager, fetches
        lists, asks what would be done, and downloads."""
        return self.lock + LISTS + DRY_RUN + self.download


@value(kw_only=True)
class Step:
    """Something that is done on the host before or after the installation, for `limit` seconds at most.

    `kind` and what it needs (`target`, `body`, `secret_file`, `amount`, `expect`) are told in `onhost/steps.py`, which does
    it. `on_failure`: stop (before: nothing is installed; after: the job has failed) or note. `runs`, of a step after it:
    success; intact (or nothing was installed); always.
    """

    name: str
    revision: int
    moment: Literal["before", "after"]
    kind: str
    target: str = ""
    body: str = ""
    secret_file: str = ""
    amount: int = 0
    expect: str = ""
    limit: int = 60
    on_failure: Literal["stop", "note"] = "stop"
    runs: Literal["success", "intact", "always"] = "success"


@value(kw_only=True)
class Way:
    """Through which distribution point the host downloads; `throttle_kib`: KiB in a second at most, 0: as fast as it goes.

    Raises ValueError for an address that is not as `proxy_address` writes it: it reaches root on the host.
    """

    point: str
    address: str
    throttle_kib: int = 0

    def __post_init__(self) -> None:
        if self.address != proxy_address(self.address) or self.throttle_kib < 0:
            raise ValueError(f"{self.address!r} cannot be used as a proxy")


@value(kw_only=True)
class JobOrder:
    """One attempt on one host. `fence` grows with every claim of the job: an older one is answered "stale".

    `packages` is the whole set that may change, dependencies included; `artifacts` every file that may be installed.
    `machine_id` empty: any machine behind the pinned host key; otherwise another machine is refused. `way` is no part of
    what is signed, nor of what must be the same when the order is given again: the host keeps the first one that it got.
    """

    job_key: str
    fence: int
    endpoint: Endpoint
    action: Action
    packages: tuple[PackageChange, ...]
    artifacts: tuple[ArtifactSpec, ...] = ()
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    health: tuple[HealthCheck, ...] = ()
    steps: tuple[Step, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    machine_id: str = ""
    refresh: bool = True
    way: Way | None = None


@value(kw_only=True)
class Batch:
    """Orders that are started together, at most one per host."""

    orders: tuple[JobOrder, ...]


StartWord = Literal["accepted", "already", "different", "stale", "busy", "unsupported", "unreachable"]


@value(kw_only=True)
class StartAnswer:
    """What the host said to an order. Only "accepted" and "already" mean that it has it.

    different: the key is known there for another order. stale: a newer claim of this job was seen. busy: another
    job lives on the host. unsupported: not a host this executor can work on. unreachable: not asked, or no answer;
    `unknown` then says that the order may have arrived all the same.
    """

    word: StartWord
    reason: str = ""
    unknown: bool = False

    @property
    def has_it(self) -> bool:
        return self.word in ("accepted", "already")


@value(kw_only=True)
class StartedJob:
    job_key: str
    fence: int
    endpoint: Endpoint
    answer: StartAnswer


@value(kw_only=True)
class Handle:
    """What is needed to find the jobs again: nothing but keys and endpoints, so it can be made anew from the orders."""

    executor: str
    jobs: tuple[StartedJob, ...]


@value(kw_only=True)
class JobEvent:
    """One line of a job's journal, written on the host before the act it tells of."""

    job_key: str
    seq: int
    at: datetime
    stage: Stage
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


@value(kw_only=True)
class PackageState:
    """What the package manager says of one package. Absent: version and status empty."""

    name: str
    arch: str
    version: str
    status: str


@value(kw_only=True)
class JobResult:
    """How a job ended, by its own account. Nothing was installed unless `outcome` is succeeded or failed; nor where it failed
    with the code `step_before`.

    `code` is a short word for the cause; `permanent` says that a refusal cannot pass by waiting.
    """

    outcome: Stage
    code: str = ""
    reason: str = ""
    permanent: bool = False
    packages: tuple[PackageState, ...] = ()
    restart_needed: bool = False
    restarted: bool = False
    boot_id: str = ""
    log_tail: str = ""


@value(kw_only=True)
class JobProgress:
    """What is new of one job. Not `reachable`, not `known` there, or neither `alive` nor with a result: unknown."""

    job_key: str
    reachable: bool
    known: bool = False
    alive: bool = False
    stage: Stage | None = None
    events: tuple[JobEvent, ...] = ()
    result: JobResult | None = None
    reason: str = ""
    pause: float = 0
    """Seconds for which nothing is to be expected: a person is at work, not a machine. 0: ask again soon."""


@value(kw_only=True)
class ObserveSpec:
    """Which host to look at, and what the job wanted of it. `health` is asked again, once each."""

    endpoint: Endpoint
    job_key: str
    action: Action
    packages: tuple[PackageChange, ...]
    health: tuple[HealthCheck, ...] = ()


class Verdict(StrEnum):
    """What looking at a host says about a job whose outcome was unknown."""

    RUNNING = "running"  # it, or some package manager, is still at work: look again later
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNDONE = "undone"  # everything is as before: a new attempt may be made
    INTERRUPTED = "interrupted"  # half-done work: recover first


@value(kw_only=True)
class Observed:
    """What is there, by the host's own package database; the ledger only adds what the job wrote about itself."""

    verdict: Verdict
    reason: str
    packages: tuple[PackageState, ...]
    apt_running: tuple[str, ...]
    audit: str
    interrupted: bool
    boot_id: str
    machine_id: str
    restart_needed: bool
    health_failures: tuple[str, ...]
    ledger_stage: Stage | None
    ledger_alive: bool
    result: JobResult | None
    attested: bool = False
    """Nothing showed it but a person, who was not the one that did it."""


CancelWord = Literal["cancelled", "too_late", "ended", "stale", "not_known", "unreachable"]


@value(kw_only=True)
class CancelAnswer:
    """cancelled: nothing was or will be installed. too_late: it is at work and runs on, look later."""

    job_key: str
    word: CancelWord
    reason: str = ""


@value(kw_only=True)
class DryRun:
    """What the host would do for the wanted versions, its dependencies included, by its own signed lists.

    `refused` in words when it would not; then nothing else counts. `removals` are named, never implied.
    """

    changes: tuple[PackageChange, ...] = ()
    removals: tuple[str, ...] = ()
    artifacts: tuple[ArtifactSpec, ...] = ()
    refused: str = ""
    code: str = ""


PROFILE_RULES = (
    "restart", "countdown_seconds", "postponements", "deadline_hours", "close_programs", "steps", "stage_hours",
)  # fmt: skip
"""Rules of an install profile that only whoever acts on the host can keep, by the names of their columns."""


class Executor(Protocol):
    """One way to act on hosts. Nothing here raises for what a single host does; it is told in the answers."""

    name: str
    honours: frozenset[str]
    """The rules of an install profile that it can carry out, of `PROFILE_RULES`; a profile that wants another is refused."""
    needs_connection: bool
    """Whether a host without a usable connection is out of its reach."""

    def start(self, batch: Batch) -> Handle:
        """Gives the orders and returns; the work goes on without us. Repeating an order starts nothing twice."""
        ...

    def attach(self, orders: Sequence[JobOrder]) -> Handle:
        """The handle of jobs started before, by whichever process. Asks nobody."""
        ...

    def events(self, handle: Handle, *, after: Mapping[str, int] | None = None) -> list[JobProgress]:
        """What happened since the given sequence number of each job. Lets a restarted host go on to verify."""
        ...

    def observe(self, spec: ObserveSpec) -> Observed:
        """Looks at the host itself. Raises RemoteError when it cannot be asked."""
        ...

    def observe_all(self, specs: Sequence[ObserveSpec]) -> list[Observed | RemoteError]:
        """Looks at many hosts together, in the order given; the error in the place of a host that cannot be asked."""
        ...

    def cancel(self, handle: Handle) -> list[CancelAnswer]:
        """Asks every job to stop before it installs; says what could not be stopped."""
        ...

    def dry_run(
        self, endpoint: Endpoint, wanted: Sequence[tuple[str, str]], *, refresh: bool = True, way: Way | None = None
    ) -> DryRun:
        """What installing these exact versions (empty: removal) would do, by lists that are fetched anew through `way` (None:
        directly). Changes nothing. Raises RemoteError."""
        ...
