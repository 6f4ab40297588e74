"""The catalogue: from advisories, and from what hosts report, to updates, their fixes, and what replaces what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from itertools import pairwise

from django.db.models import Exists, OuterRef, Q

from changes.domain import statements as reading
from changes.domain.statements import Statement, UpdateKey
from changes.enums_identify import UpdateKind, UpdateOrigin
from changes.feeds.base import AdvisoryDraft
from changes.models import Advisory, Fix, SoftwareUpdate, Supersedence, UpdateAdvisory
from changes.rules import start_by
from cmdb.domain import recordsets
from patchflow.kernel import audit
from patchflow.kernel.models import User

_CHUNK = 1000
_STATED = [column.name for column in fields(Statement)]
_TYPES = {name: "bool" if name in ("modular", "module_sure", "is_kernel") else "text" for name in _STATED}


@dataclass(slots=True)
class Derived:
    """Ids of what must be evaluated again."""

    fixes: set[int] = field(default_factory=set)
    updates: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Announced:
    draft: AdvisoryDraft
    advisory: Advisory
    statements: list[Statement]


def derive(touched: Sequence[tuple[Advisory, AdvisoryDraft]], *, at: datetime) -> Derived:
    """Makes the updates and fixes of new and changed advisories. Inside the caller's transaction.

    A fix that is stated as before stays; one that no longer is, ends. An update of origin *reported* that an advisory
    now names becomes one of origin *advisory*, by a logged merge.
    """
    stated = {row.pk: [] if draft.withdrawn_at else reading.statements_of(draft) for row, draft in touched}
    announced: dict[UpdateKey, list[_Announced]] = defaultdict(list)
    for row, draft in touched:
        for key, members in reading.updates_of(draft, stated[row.pk]).items():
            announced[key].append(_Announced(draft, row, members))
    updates = _updates_for(announced, at=at)
    belongs = {
        (each.advisory.pk, statement): updates[key].pk
        for key, several in announced.items()
        for each in several
        for statement in each.statements
    }
    links = [
        {"update_id": updates[key].pk, "advisory_id": each.advisory.pk}
        for key, several in announced.items()
        for each in several
    ]
    recordsets.insert(UpdateAdvisory, {"update_id": "int", "advisory_id": "int"}, links, {})
    derived = Derived(updates={update.pk for update in updates.values()})
    _write_fixes(stated, belongs, derived, at=at)
    return derived


def _updates_for(announced: dict[UpdateKey, list[_Announced]], *, at: datetime) -> dict[UpdateKey, SoftwareUpdate]:
    known = _known_updates(announced)
    fresh: dict[UpdateKey, SoftwareUpdate] = {}
    graver: list[SoftwareUpdate] = []
    for key, several in announced.items():
        word, rank = max(
            (reading.severity_of(each.draft, each.statements) for each in several), key=lambda pair: pair[1]
        )
        kind = reading.kind_of(max(several, key=lambda each: each.draft.kind == "security").draft.kind)
        update = known.get(key)
        if update is None:
            update_class, reason = reading.class_of(rank=rank, exploited=False, kind=kind)
            fresh[key] = SoftwareUpdate(
                **asdict(key),
                fixed_key=reading.key_of(key.ecosystem, key.fixed_version),
                title=several[0].draft.title[:500],
                origin=UpdateOrigin.ADVISORY,
                kind=kind,
                severity=word,
                severity_rank=rank,
                update_class=update_class,
                class_reason=reason,
                known_at=at,
            )
        elif update.origin == UpdateOrigin.REPORTED:
            _merge(update, several[0], kind=kind, word=word, rank=rank, at=at)
        elif rank > update.severity_rank:
            update.severity, update.severity_rank = word, rank
            graver.append(update)
    SoftwareUpdate.objects.bulk_create(fresh.values(), batch_size=_CHUNK)
    for update in graver:
        reclassify_by_rule(update)
    columns = ["severity", "severity_rank", "update_class", "class_reason", "start_by"]
    SoftwareUpdate.objects.bulk_update(graver, columns, batch_size=200)
    return {**{key: known[key] for key in announced if key in known}, **fresh}


def _known_updates(announced: Iterable[UpdateKey]) -> dict[UpdateKey, SoftwareUpdate]:
    """Known updates by key; one that hosts reported also where only its text, not its version, differs."""
    wanted = {(key.distribution, key.release, key.name, key.flavour, key.fixed_version): key for key in announced}
    by_order = {
        (key.distribution, key.release, key.name, key.flavour, reading.key_of(key.ecosystem, key.fixed_version)): key
        for key in announced
    }
    names = sorted({key.name for key in announced})
    found: dict[UpdateKey, SoftwareUpdate] = {}
    for start in range(0, len(names), _CHUNK):
        for update in SoftwareUpdate.objects.filter(name__in=names[start : start + _CHUNK]):
            place = (update.distribution, update.release, update.name, update.flavour)
            key = wanted.get((*place, update.fixed_version))
            if key is not None:
                found[key] = update
            elif update.origin == UpdateOrigin.REPORTED and update.fixed_key is not None:
                same = by_order.get((*place, update.fixed_key))
                if same is not None:
                    found.setdefault(same, update)
    return found


def _merge(
    update: SoftwareUpdate, announced: _Announced, *, kind: UpdateKind, word: str, rank: int, at: datetime
) -> None:
    """The advisory and the hosts' report name the same update: the row stays, so that what refers to it stays."""
    before = {"origin": update.origin, "kind": update.kind, "severity": update.severity}
    update.origin, update.kind = UpdateOrigin.ADVISORY, kind
    update.severity, update.severity_rank = word, rank
    update.title = announced.draft.title[:500]
    reclassify_by_rule(update)
    update.save()
    audit.record(
        update,
        "change.update.merged",
        actor=User.bot(),
        at=at,
        detail={"advisory": announced.advisory.advisory_id, "before": before},
    )


def reclassify_by_rule(update: SoftwareUpdate) -> None:
    """Sets class and start-by on the instance (unsaved) unless a person set the class. The clock keeps its start."""
    if update.class_by_person:
        return
    update.update_class, update.class_reason = reading.class_of(
        rank=update.severity_rank, exploited=update.exploited, kind=update.kind
    )
    if update.notified_at is not None:
        update.start_by = start_by(update.update_class, update.notified_at)


def _write_fixes(
    stated: dict[int, list[Statement]], belongs: dict[tuple[int, Statement], int], derived: Derived, *, at: datetime
) -> None:
    again = list(Fix.objects.filter(advisory__in=stated, withdrawn_at__isnull=True))
    known = {(fix.advisory_id, Statement(**{name: getattr(fix, name) for name in _STATED})): fix for fix in again}
    wanted = {(advisory, each): None for advisory, several in stated.items() for each in several}
    ended = [fix.pk for place, fix in known.items() if place not in wanted]
    revived = [fix.pk for place, fix in known.items() if place in wanted and fix.vanished_at is not None]
    fresh = [
        {"advisory_id": advisory, "update_id": belongs.get((advisory, each)), **_columns(each)}
        for advisory, each in wanted
        if (advisory, each) not in known
    ]
    recordsets.insert(Fix, {"advisory_id": "int", "update_id": "int", **_TYPES}, fresh, {"known_at": at})
    for start in range(0, len(ended), _CHUNK):
        Fix.objects.filter(pk__in=ended[start : start + _CHUNK]).update(withdrawn_at=at)
    Fix.objects.filter(pk__in=revived).update(vanished_at=None)
    made = Fix.objects.filter(advisory__in={row["advisory_id"] for row in fresh}, withdrawn_at__isnull=True)
    derived.fixes |= set(made.values_list("pk", flat=True)) | set(ended) | set(revived)
    derived.updates |= {fix.update_id for fix in again if fix.update_id is not None}


def _columns(statement: Statement) -> dict[str, object]:
    return {name: getattr(statement, name) for name in _STATED}


def settle(update_ids: Iterable[int], *, at: datetime) -> None:
    """After fixes changed: updates without a statement in force are withdrawn, supersedence is ordered anew."""
    ids = sorted(update_ids)
    in_force = Exists(Fix.objects.filter(update=OuterRef("pk"), withdrawn_at__isnull=True))
    for start in range(0, len(ids), _CHUNK):
        several = SoftwareUpdate.objects.filter(pk__in=ids[start : start + _CHUNK])
        gone = list(several.filter(~in_force, withdrawn_at__isnull=True))
        for update in gone:
            update.withdrawn_at = at
            update.save(update_fields=["withdrawn_at"])
            audit.record(update, "change.update.withdrawn", actor=User.bot(), at=at)
        several.filter(in_force, withdrawn_at__isnull=False).update(withdrawn_at=None)
        order_supersedence({(u.distribution, u.release, u.name, u.flavour) for u in several})


def order_supersedence(groups: Iterable[tuple[str, str, str, str]]) -> None:
    """Within one (distribution, release, name, flavour) the later version replaces the earlier (matching.md, section 9)."""
    wanted = set(groups)
    names = sorted({group[2] for group in wanted})
    rows: dict[tuple[str, str, str, str], list[SoftwareUpdate]] = defaultdict(list)
    found = SoftwareUpdate.objects.filter(name__in=names, withdrawn_at__isnull=True, fixed_key__isnull=False)
    for update in found.only("pk", "distribution", "release", "name", "flavour", "fixed_key", "superseded_by"):
        place = (update.distribution, update.release, update.name, update.flavour)
        if place in wanted:
            rows[place].append(update)
    edges, moved = [], []
    for several in rows.values():
        several.sort(key=lambda update: (update.fixed_key or "", update.pk))
        newest = several[-1]
        for older, newer in pairwise(several):
            if older.fixed_key != newer.fixed_key:
                edges.append(Supersedence(newer=newer, older=older))
        for update in several:
            head = newest.pk if update.fixed_key != newest.fixed_key else None
            if update.superseded_by_id != head:
                update.superseded_by_id = head
                moved.append(update)
    members = [update.pk for several in rows.values() for update in several]
    stale = Q(pk__in=[])
    present = set(
        Supersedence.objects.filter(older__in=members, origin="version_order").values_list("newer_id", "older_id")
    )
    wanted_edges = {(edge.newer_id, edge.older_id) for edge in edges}
    for newer_id, older_id in present - wanted_edges:
        stale |= Q(newer=newer_id, older=older_id)
    Supersedence.objects.filter(stale).delete()
    Supersedence.objects.bulk_create(
        [edge for edge in edges if (edge.newer_id, edge.older_id) not in present],
        batch_size=_CHUNK,
        ignore_conflicts=True,
    )
    SoftwareUpdate.objects.bulk_update(moved, ["superseded_by"], batch_size=500)
