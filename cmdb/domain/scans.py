"""Scanning: requested, claimed under a lease, asked outside any transaction, recorded host by host.

Rows are the truth: a run whose worker died is claimed by the next one, which asks the hosts that are left.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import Q

from cmdb.domain import inventory
from cmdb.domain.permission import demand
from cmdb.enums import ResultState, ScanState
from cmdb.models import Connection, Host, ScanResult, ScanRun
from cmdb.queries.connections import endpoint_of
from cmdb.queries.scans import outcome_of
from cmdb.remote.connection import SIMULATED, Endpoint
from cmdb.remote.errors import RemoteError
from cmdb.scanners.ansible import AnsibleScanner
from cmdb.scanners.base import HostReport, Scanner
from cmdb.scanners.local import LocalScanner
from cmdb.scanners.ssh import SshScanner
from patchflow.kernel import audit, queue, registry, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Conflict, Invalid, Refusal
from patchflow.kernel.models import User

log = structlog.get_logger(__name__)

registry.scanners.add(AnsibleScanner.name, AnsibleScanner())
registry.scanners.add(LocalScanner.name, LocalScanner())
registry.scanners.add(SshScanner.name, SshScanner())

SIMULATOR = "simulator"
"""The scanner of simulated hosts, where one is registered (`releases`)."""
TIMEOUT_SECONDS = 300.0
PARALLEL = 8
BATCH, BATCHES_AT_ONCE = 10, 2
"""For scanners that ask many hosts in one go."""

MAX_ATTEMPTS = 3
OPEN = (ScanState.QUEUED, ScanState.RUNNING)
RESCAN_AFTER = timedelta(hours=24)
RETRY_AFTER = timedelta(hours=6)
"""Hosts are scanned daily by themselves; one that could not be asked is tried again after this."""


@workflow.verb("cmdb.scan.requested")
def request(*, host_ids: Iterable[int], actor: User, at: datetime, scanner: str = "", refresh: bool = False) -> ScanRun:
    """Queues a scan of these hosts and rings for it. `scanner` empty: the one that is set up (`default_scanner`); the local
    host is read by the local scanner whatever is asked. Hosts with a scan under way are left out.

    Needs scan.request for every host. Raises Invalid (no host, unknown scanner, a host not seen), Conflict (all of them
    are being scanned), NotAllowed.
    """
    wanted = set(host_ids)
    scanner = scanner or (SIMULATOR if _all_simulated(wanted) else default_scanner())
    if scanner not in registry.scanners:
        raise Invalid(
            english(
                "There is no scanner named %(scanner)s; known: %(scanners)s.",
                scanner=repr(scanner),
                scanners=", ".join(registry.scanners),
            ),
            code="invalid.scanner",
        )
    live = Host.objects.live().filter(pk__in=wanted).prefetch_related("memberships").order_by("pk")
    hosts = list(live.select_for_update(of=("self",), no_key=True))  # who asks second sees what the first has queued
    if not wanted or len(hosts) != len(wanted):
        raise Invalid("Choose hosts that are in service.", code="invalid.hosts")
    demand("scan.request", _Hosts(hosts), actor)
    busy = set(
        ScanResult.objects.filter(host_id__in=wanted, state=ResultState.PENDING).values_list("host_id", flat=True)
    )
    if busy == wanted:
        raise Conflict(
            "A scan of this host is under way already."
            if len(busy) == 1
            else "A scan of all these hosts is under way already.",
            code="scan.under_way",
        )
    run_ = ScanRun.objects.create(scanner=scanner, refresh=refresh, requested_by=actor, requested_at=at)
    ScanResult.objects.bulk_create([ScanResult(scan_run=run_, host=host) for host in hosts if host.pk not in busy])
    detail = {"scanner": scanner, "hosts": sorted(wanted - busy), "left_out": sorted(busy)}
    audit.record(run_, "cmdb.scan.requested", actor=actor, at=at, after=ScanState.QUEUED, detail=detail)
    queue.enqueue("cmdb.tasks.run_scan", scan_run_id=run_.pk)
    return run_


class _Hosts:
    """Several hosts as one object of a permission."""

    def __init__(self, hosts: list[Host]) -> None:
        self.hosts = hosts

    def scope_keys(self) -> list[frozenset[str]]:
        return [keys for host in self.hosts for keys in host.scope_keys()]


def _all_simulated(host_ids: set[int]) -> bool:
    """Whether these hosts exist in the simulator only, so that its scanner reads them and stands in the run."""
    if SIMULATOR not in registry.scanners:
        return False
    addresses = Connection.objects.filter(host_id__in=host_ids).values_list("address", flat=True)
    return bool(addresses) and all(address.endswith(SIMULATED) for address in addresses)


def default_scanner() -> str:
    """The one set as PATCHFLOW["SCANNER"]; else ansible if it is registered, else plain SSH."""
    chosen = str(settings.PATCHFLOW.get("SCANNER", ""))
    return chosen or ("ansible" if "ansible" in registry.scanners else "ssh")


def cancel(*, scan_run_id: int, actor: User, at: datetime) -> ScanRun:
    """Stops a scan: hosts that were not asked yet are left out; what is being read is still recorded. Needs scan.request."""
    run_ = workflow.fire(ScanRun, scan_run_id, "cancel", actor=actor, at=at)
    rest = ScanResult.objects.filter(scan_run=run_, state=ResultState.PENDING)
    workflow.fire_many(rest, "cancel", actor=actor, at=at)
    return run_


def run(*, scan_run_id: int, now: datetime, owner: str = "") -> None:
    """Claims the run and asks its hosts, a few at once, each outside any transaction; nothing if another worker has it.

    `now` is when the work begins; later times are counted from it. Ends as completed (all scanned), partial (some), or
    failed (none). A worker that lost its lease stops at once.
    """
    open_runs = ScanRun.objects.filter(pk=scan_run_id, state__in=OPEN)
    claims = queue.claim(open_runs, owner=owner or "scan", lease=_lease())
    if not claims:
        return
    bot, clock = User.bot(), _clock(now)
    run_ = ScanRun.objects.get(pk=scan_run_id)
    if run_.state == ScanState.QUEUED:
        workflow.fire(ScanRun, run_.pk, "start", actor=bot, at=now)
    if _ask_all(run_, claims[0], bot, clock):
        finish(scan_run_id=run_.pk, actor=bot, at=clock())


def _lease() -> timedelta:
    lease: timedelta = settings.PATCHFLOW["LEASE"]
    return lease


def _clock(now: datetime) -> Callable[[], datetime]:
    began = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - began)


Found = HostReport | RemoteError
Answer = Future[list[Found]]


def _ask_all(run_: ScanRun, held: queue.Claim, bot: User, clock: Callable[[], datetime]) -> bool:
    """Asks every pending host; False if the lease was lost or the run was ended by somebody else meanwhile."""
    rest = list(run_.results.filter(state=ResultState.PENDING).select_related("host").order_by("pk"))
    many = hasattr(registry.scanners[run_.scanner], "scan_many")
    size, at_once = (BATCH, BATCHES_AT_ONCE) if many else (1, PARALLEL)
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="scan") as pool:
        asked: dict[Answer, list[ScanResult]] = {}
        while rest or asked:
            while rest and len(asked) < at_once:
                batch, rest = rest[:size], rest[size:]
                asked |= _begin(pool, run_, batch, bot, clock())
            done, _ = wait(asked, timeout=settings.PATCHFLOW["RENEW"].total_seconds(), return_when=FIRST_COMPLETED)
            for answer in done:
                _keep(asked.pop(answer), answer, run_.scanner, bot, clock())
            ours = queue.renew(ScanRun, held, lease=_lease())
            if not ours or not ScanRun.objects.filter(pk=run_.pk, state=ScanState.RUNNING).exists():
                pool.shutdown(wait=False, cancel_futures=True)
                return False
    return True


def _begin(
    pool: ThreadPoolExecutor, run_: ScanRun, batch: list[ScanResult], bot: User, at: datetime
) -> dict[Answer, list[ScanResult]]:
    """Hands the batch to the scanner, the local host and simulated ones to their own; hosts that cannot be reached at all
    fail at once."""
    places: dict[str, list[tuple[ScanResult, Endpoint]]] = defaultdict(list)
    for result in batch:
        try:
            place = endpoint_of(result.host_id)
        except Refusal as refusal:
            _fail(result, refusal.blockers[0].code, str(refusal), bot, at)
        else:
            places[_scanner_of(place, run_.scanner)].append((result, place))
    asked: dict[Answer, list[ScanResult]] = {}
    for name, pairs in places.items():
        scanner: Scanner = registry.scanners[name]
        asked[pool.submit(_scan, scanner, [p for _, p in pairs], run_.refresh)] = [r for r, _ in pairs]
    return asked


def _scanner_of(place: Endpoint, asked: str) -> str:
    if place.kind == "local":
        return LocalScanner.name
    return SIMULATOR if place.is_simulated and SIMULATOR in registry.scanners else asked


def _scan(scanner: Scanner, places: list[Endpoint], refresh: bool) -> list[Found]:
    """In a thread without a database connection: what each place said, in the given order."""
    if hasattr(scanner, "scan_many"):
        return [found for _place, found in scanner.scan_many(places, timeout=TIMEOUT_SECONDS, refresh=refresh)]
    said: list[Found] = []
    for place in places:
        try:
            said.append(scanner.scan(place, timeout=TIMEOUT_SECONDS, refresh=refresh))
        except RemoteError as error:
            said.append(error)
    return said


def _keep(results: list[ScanResult], answer: Answer, source: str, bot: User, at: datetime) -> None:
    """Records what hosts answered, or why they did not."""
    try:
        said = answer.result()
        if len(said) != len(results):
            raise RuntimeError(f"{len(said)} answers for {len(results)} hosts")
    except Exception as error:
        log.exception("scan.broke", hosts=[r.host_id for r in results])
        for result in results:
            _fail(
                result,
                "error",
                english("The scanner broke: %(kind)s: %(error)s", kind=type(error).__name__, error=error)[:2000],
                bot,
                at,
            )
        return
    for result, found in zip(results, said, strict=True):
        if isinstance(found, RemoteError):
            _fail(result, found.code, found.reason, bot, at)
        else:
            _record(result, found, source, bot, at)


def _record(result: ScanResult, report: HostReport, source: str, bot: User, at: datetime) -> None:
    try:
        source = report.scanner or source
        taken = inventory.record(host_id=result.host_id, report=report, source=source, actor=bot, at=at)
    except Refusal as refusal:
        return _fail(result, refusal.blockers[0].code, str(refusal), bot, at)
    except Exception as error:
        log.exception("scan.not_recorded", host=result.host_id, scan_run=result.scan_run_id)
        return _fail(
            result,
            "error",
            english("The report could not be kept: %(kind)s.", kind=type(error).__name__)[:2000],
            bot,
            at,
        )
    facts = {"packages": taken.packages, "changed": taken.changed}
    if taken.outcome == "partial":
        reason = "; ".join(report.errors) or english("The host reported no packages.")
        _fire(result, "succeed_partly", bot, at, **facts, reason=reason[:2000])
    else:
        _fire(result, "succeed", bot, at, **facts)


def _fail(result: ScanResult, code: str, reason: str, bot: User, at: datetime) -> None:
    _fire(result, "fail", bot, at, code=code.removeprefix("connection.")[:40], reason=reason)


def _fire(result: ScanResult, name: str, bot: User, at: datetime, **facts: object) -> None:
    try:
        workflow.fire(ScanResult, result.pk, name, actor=bot, at=at, **facts)
    except Conflict:
        log.info("scan.result_over", result=result.pk)  # cancelled or taken over meanwhile: the first word stands


def finish(*, scan_run_id: int, actor: User, at: datetime) -> None:
    """Ends a running scan by what its hosts answered."""
    states = list(ScanResult.objects.filter(scan_run_id=scan_run_id).values_list("state", flat=True))
    good = states.count(ResultState.SCANNED)
    some = good + states.count(ResultState.PARTIAL)
    try:
        if good == len(states):
            workflow.fire(ScanRun, scan_run_id, "complete", actor=actor, at=at)
        elif some:
            reason = outcome_of(states)
            workflow.fire(ScanRun, scan_run_id, "complete_partly", actor=actor, at=at, reason=reason)
        else:
            workflow.fire(ScanRun, scan_run_id, "fail", actor=actor, at=at, reason=outcome_of(states))
    except Conflict:
        log.info("scan.run_over", scan_run=scan_run_id)


@registry.sweep("scans")
def find_due(*, now: datetime) -> int:
    """Rings for queued runs and for running ones whose worker is silent; gives those up that were tried too often."""
    due = queue.due(ScanRun.objects.filter(state__in=OPEN), now=now)
    for pk, attempts in due.values_list("pk", "attempts"):
        if attempts >= MAX_ATTEMPTS:
            give_up(scan_run_id=pk, actor=User.bot(), at=now)
        else:
            queue.enqueue("cmdb.tasks.run_scan", scan_run_id=pk)
    return due.count()


def give_up(*, scan_run_id: int, actor: User, at: datetime) -> None:
    """Ends a run whose workers never came back; its open results are lost, and the hosts can be scanned again."""
    reason = english("%(n)s workers took it and none came back.", n=MAX_ATTEMPTS)
    workflow.fire(ScanRun, scan_run_id, "lose", actor=actor, at=at, reason=reason)
    rest = ScanResult.objects.filter(scan_run_id=scan_run_id, state=ResultState.PENDING)
    workflow.fire_many(rest, "lose", actor=actor, at=at)


@registry.sweep("daily_scans")
def request_daily(*, now: datetime, limit: int = 200) -> int:
    """Requests, as the system, a scan of the hosts whose facts are a day old and that nobody asked lately."""
    asked = ScanResult.objects.filter(Q(state=ResultState.PENDING) | Q(ended_at__gt=now - RETRY_AFTER)).values(
        "host_id"
    )
    reachable = Q(connection__kind="local") | ~Q(connection__host_key="")
    old = Host.objects.live().filter(reachable, connection__isnull=False).exclude(pk__in=asked)
    old = old.filter(Q(audited_at__isnull=True, last_seen_at__isnull=False) | Q(audited_at__lt=now - RESCAN_AFTER))
    ids = list(old.order_by("audited_at").values_list("pk", flat=True)[:limit])
    try:
        if ids:
            request(host_ids=ids, actor=User.bot(), at=now)
    except Conflict:  # another scheduler's sweep was first
        return 0
    return len(ids)
