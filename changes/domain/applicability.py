"""Working out what applies: by one SQL comparison, incremental or in full. Both give the same rows, as a test proves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from changes.domain import catalogue, cycles, reported
from changes.enums_identify import AppliesVerdict
from changes.models import EvaluationOrder, SoftwareUpdate, VersionFix
from changes.queries import findings, matching
from changes.rules import start_by
from patchflow.kernel import audit, queue
from patchflow.kernel.models import User
from patchflow.kernel.registry import sweep

FULL_ABOVE = 20_000
"""More touched rows than this are evaluated in full: one pass over all is then cheaper."""

MISSING = (AppliesVerdict.APPLICABLE, AppliesVerdict.APPLICABLE_AFTER_CHANNEL)
_CHUNK = 5_000
_LOCK = 7_042_001
_LEASE = timedelta(minutes=5)
_AT_ONCE = timedelta(seconds=5)
_RECOUNT = "changes.reach.due"


def evaluate_all() -> int:
    """Works out every pair anew and writes only what differs, in one transaction. Returns how many pairs there are."""
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor)
        cursor.execute("DROP TABLE IF EXISTS fresh_versionfix")
        if connection.vendor == "postgresql":
            # All rows are wanted: the planner, misled by the many conditions, would look each one up by itself.
            cursor.execute("SET LOCAL enable_nestloop = off")
            cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute(f"CREATE TEMPORARY TABLE fresh_versionfix AS {matching.select()}")
        if connection.vendor == "postgresql":  # a transaction around this one goes on with the planner's own judgement
            cursor.execute("SET LOCAL enable_nestloop = DEFAULT")
            cursor.execute("SET LOCAL work_mem = DEFAULT")
        cursor.execute("SELECT count(*) FROM fresh_versionfix")
        (count,) = cursor.fetchone()
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE fresh_versionfix")
        for statement in _DIFFERENCE:
            cursor.execute(statement)
            changed = cursor.rowcount
        cursor.execute("DROP TABLE fresh_versionfix")
        if connection.vendor == "postgresql" and changed > count // 10:
            cursor.execute("ANALYZE changes_versionfix")
    return int(count)


_COLUMNS = "package_version_id, fix_id, verdict, basis, low_confidence"
_SAME = " AND ".join(f"o.{name} = n.{name}" for name in _COLUMNS.split(", "))
_DIFFERENCE = (
    f"""DELETE FROM changes_versionfix AS o WHERE NOT EXISTS (SELECT 1 FROM fresh_versionfix n WHERE {_SAME})""",  # noqa: S608
    f"""INSERT INTO changes_versionfix ({_COLUMNS}) SELECT {_COLUMNS} FROM fresh_versionfix n WHERE NOT EXISTS
    (SELECT 1 FROM changes_versionfix o WHERE o.package_version_id = n.package_version_id AND o.fix_id = n.fix_id)""",  # noqa: S608
)


def evaluate_versions(version_ids: Iterable[int]) -> None:
    """Works out these package versions against all fixes."""
    _evaluate(sorted(set(version_ids)), "package_version_id", "versions")


def evaluate_fixes(fix_ids: Iterable[int]) -> None:
    """Works out all package versions against these fixes (new, changed or ended ones)."""
    _evaluate(sorted(set(fix_ids)), "fix_id", "fixes")


def _evaluate(ids: Sequence[int], column: str, kind: str) -> None:
    if len(ids) > FULL_ABOVE:
        evaluate_all()
        return
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        listed = ", ".join(str(int(each)) for each in chunk)
        with transaction.atomic(), connection.cursor() as cursor:
            _lock(cursor)
            cursor.execute(f"DELETE FROM changes_versionfix WHERE {column} IN ({listed})")  # noqa: S608  whole numbers
            cursor.execute(_insert(matching.select(**{kind: chunk})))


def _insert(select: str) -> str:
    return f"INSERT INTO changes_versionfix (package_version_id, fix_id, verdict, basis, low_confidence) {select}"


def _lock(cursor: object) -> None:
    """One evaluation at a time: two that overlap would insert the same pair. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        cursor.execute("SET LOCAL jit = off")  # type: ignore[attr-defined]  # compiling takes longer than the statement
        cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")  # type: ignore[attr-defined]


# --- after an evaluation ------------------------------------------------------------------------------------------------
def announce(update_ids: Iterable[int] | None, *, actor: User, at: datetime) -> list[int]:
    """Notifies of updates that now apply to a host and were not notified before: class and start-by count from `at`.

    What a newer applicable update replaces is left out: it is covered. Then the cycle is told. Returns the ids.
    """
    with transaction.atomic():
        applying = set(findings.reach(update_ids))
        fresh = SoftwareUpdate.objects.select_for_update().filter(notified_at__isnull=True, withdrawn_at__isnull=True)
        if len(applying) <= 20_000:
            fresh = fresh.filter(pk__in=applying)
        chosen = [
            update
            for update in fresh.order_by("pk")
            if update.pk in applying and update.superseded_by_id not in applying
        ]
        for update in chosen:
            update.notified_at = at
            update.start_by = start_by(update.update_class, at)
            entry = audit.entry_for(
                update,
                "change.update.notified",
                actor=actor,
                at=at,
                detail={"class": update.update_class, "why": update.class_reason, "start_by": update.start_by},
            )
            update.save(update_fields=["notified_at", "start_by", "audit_length", "audit_head"])
            entry.save(force_insert=True)
        ids = [update.pk for update in chosen]
        if ids:
            cycles.notified(actor=actor, at=at, update_ids=ids)
    return ids


def count_reach(update_ids: Iterable[int] | None = None) -> None:
    """Counts anew how many hosts miss each update: the column by which lists are ordered."""
    counts = findings.reach(update_ids)
    rows = SoftwareUpdate.objects.filter(Q(reach__gt=0) | Q(pk__in=list(counts)))
    if update_ids is not None:
        rows = rows.filter(pk__in=list(update_ids))
    moved = []
    for update in rows.only("pk", "reach"):
        if update.reach != counts.get(update.pk, 0):
            update.reach = counts.get(update.pk, 0)
            moved.append(update)
    SoftwareUpdate.objects.bulk_update(moved, ["reach"], batch_size=500)


# --- due: hosts that reported -------------------------------------------------------------------------------------------
def order(*, host_id: int, version_ids: Sequence[int], at: datetime) -> EvaluationOrder:
    """Writes down that a host's new versions are to be evaluated, and rings for it after commit."""
    row = EvaluationOrder.objects.create(host_id=host_id, version_ids=list(version_ids), ordered_at=at)
    queue.enqueue("changes.tasks.evaluate_order", order_id=row.pk)
    return row


def carry_out_due(*, order_id: int, now: Callable[[], datetime]) -> int:
    """Carries out this order, and others that are due, the oldest first, for some seconds; returns how many. Hosts report by
    the hundred, and each message has to wait for a worker."""
    began, done = now(), 0
    following: int | None = order_id
    while following is not None:
        done += carry_out(order_id=following, now=now())
        if now() - began >= _AT_ONCE:
            break
        following = _waiting().first()
    return done


def _waiting() -> QuerySet[EvaluationOrder, int]:
    """The keys of orders that are due and that nobody holds."""
    due = queue.due(EvaluationOrder.objects.all(), now=queue.database_now())
    return due.order_by("pk").values_list("pk", flat=True)


def carry_out(*, order_id: int, now: datetime) -> bool:
    """Evaluates what an order names, makes updates of what the host reports, notifies of what is new. False: not due."""
    held = queue.claim(EvaluationOrder.objects.filter(pk=order_id), owner="evaluate", lease=_LEASE)
    if not held:
        return False
    row = EvaluationOrder.objects.get(pk=order_id)
    bot = User.bot()
    with transaction.atomic():
        evaluate_versions(row.version_ids)
        derived = reported.derive(host_id=row.host_id, at=now)
        evaluate_fixes(derived.fixes)
        catalogue.settle(derived.updates, at=now)
        touched = set(
            VersionFix.objects.filter(
                package_version__installations__host=row.host_id, package_version__installations__gone_seen_at=None
            ).values_list("fix__update", flat=True)
        ) - {None}
        announce(touched, actor=bot, at=now)
        EvaluationOrder.objects.filter(pk=order_id, fence=held[0].fence).delete()
    cache.set(_RECOUNT, True, timeout=None)
    return True


@sweep("changes.evaluation")
def sweep_orders(*, now: datetime) -> int:
    """Rings once where orders wait: who follows takes the others, too."""
    oldest = _waiting().first()
    if oldest is None:
        return 0
    queue.enqueue("changes.tasks.evaluate_order", order_id=oldest)
    return 1


@sweep("changes.reach")
def sweep_reach(*, now: datetime) -> int:
    """Rings for a new count of who misses what, if hosts have reported since the last one; four times a minute at most.

    Only the order of lists hangs on these counts, so the reminder may live in the cache.
    """
    if not cache.get(_RECOUNT) or not cache.add(f"{_RECOUNT}.lately", True, timeout=15):
        return 0
    cache.delete(_RECOUNT)
    queue.enqueue("changes.tasks.count_reach")
    return 1
