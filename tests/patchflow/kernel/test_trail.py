"""The trail can be proven whole: whatever is changed, deleted, swapped or cut off is found and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from patchflow.kernel import append_only, audit, trail, workflow
from patchflow.kernel.integrity import chain_hash
from patchflow.kernel.models import AuditEntry, AuditLeaf, AuditSeal
from tests.factories.people import Cast
from tests.toys.domain import rename
from tests.toys.models import Box

pytestmark = pytest.mark.django_db


@pytest.fixture
def written(cast: Cast, now: datetime) -> list[Box]:
    """Three boxes with four entries each, sealed in two seals and published."""
    boxes = [Box.objects.create(maker=cast.ann, name=f"b{i}") for i in range(3)]
    for turn in range(2):
        for box in boxes:
            rename(box_id=box.pk, name=f"{box.name} {turn}", actor=cast.ann, at=now)
            workflow.fire(Box, box.pk, "open" if turn == 0 else "shut", actor=cast.cal, at=now)
        assert trail.seal(at=now)
        assert trail.publish(at=now)
    return boxes


def test_an_untouched_trail_is_whole(written: list[Box]) -> None:
    found = trail.verify()
    assert (found.faults, found.entries, found.seals, found.unsealed, found.unpublished) == ([], 12, 2, 0, 0)


def test_seal_takes_each_entry_once(written: list[Box], now: datetime) -> None:
    assert trail.seal(at=now) is None
    assert AuditLeaf.objects.count() == AuditEntry.objects.count() == 12


def test_an_entry_committed_late_is_sealed_later(written: list[Box], cast: Cast, now: datetime) -> None:
    """Ids are no order: an entry with a smaller id than sealed ones still gets its leaf."""
    first = AuditEntry.objects.order_by("pk")[0]
    with append_only.lifted():
        AuditLeaf.objects.filter(entry=first).delete()
    assert trail.seal(at=now)
    assert AuditLeaf.objects.filter(entry=first).exists()


def test_what_is_not_published_is_said(written: list[Box], cast: Cast, now: datetime) -> None:
    rename(box_id=written[0].pk, name="late", actor=cast.ann, at=now)
    found = trail.verify()
    assert (found.unsealed, found.whole) == (1, True)
    trail.seal(at=now)
    assert trail.verify().unpublished == 1


@pytest.mark.parametrize("table", ["kernel_auditentry", "kernel_auditleaf", "kernel_auditseal"])
def test_a_migrated_database_refuses_change(table: str, written: list[Box]) -> None:
    """Row triggers need a row; that of the sign-offs is tried in test_signoffs.py."""
    assert table in append_only.TABLES
    for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):  # noqa: S608  table names of ours
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.pg
def test_truncate_is_refused(written: list[Box]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE kernel_auditentry CASCADE")


def _edit(entry: AuditEntry) -> None:
    AuditEntry.objects.filter(pk=entry.pk).update(actor_name="somebody else")


def _edit_and_rehash(entry: AuditEntry) -> None:
    entry.actor_name = "somebody else"
    AuditEntry.objects.filter(pk=entry.pk).update(
        actor_name=entry.actor_name, hash=chain_hash(entry.previous, entry.document())
    )


def _redate(entry: AuditEntry) -> None:
    AuditEntry.objects.filter(pk=entry.pk).update(recorded_at=entry.recorded_at - timedelta(days=1))


def _delete(entry: AuditEntry) -> None:
    AuditLeaf.objects.filter(entry=entry).delete()
    AuditEntry.objects.filter(pk=entry.pk).delete()


def _swap(entry: AuditEntry) -> None:
    other = AuditEntry.objects.filter(chain=entry.chain).exclude(pk=entry.pk).order_by("pk")[0]
    one, two = entry.seq, other.seq
    AuditEntry.objects.filter(pk=entry.pk).update(seq=1_000_000)
    AuditEntry.objects.filter(pk=other.pk).update(seq=one)
    AuditEntry.objects.filter(pk=entry.pk).update(seq=two)


def _truncate(entry: AuditEntry) -> None:
    """Cuts the chain's end off and mends the object's own head, as a careful forger would."""
    AuditLeaf.objects.filter(entry__chain=entry.chain, entry__seq__gte=entry.seq).delete()
    AuditEntry.objects.filter(chain=entry.chain, seq__gte=entry.seq).delete()
    last = AuditEntry.objects.filter(chain=entry.chain).order_by("-seq").first()
    Box.objects.filter(pk=int(entry.object_id)).update(
        audit_length=last.seq if last else 0, audit_head=last.hash if last else "0" * 64
    )


def _drop_last_seal(_entry: AuditEntry) -> None:
    last = AuditSeal.objects.order_by("-number")[0]
    AuditLeaf.objects.filter(seal=last).delete()
    AuditSeal.objects.filter(pk=last.pk).delete()


@pytest.mark.parametrize("forge", [_edit, _edit_and_rehash, _redate, _delete, _swap, _truncate, _drop_last_seal])
def test_every_forgery_is_found_and_named(forge: Callable[[AuditEntry], None], written: list[Box]) -> None:
    rng = random.Random(7)
    with append_only.lifted():
        for _ in range(5):
            entry = rng.choice(list(AuditEntry.objects.all()))
            with transaction.atomic():
                forge(entry)
                found = trail.verify()
                assert not found.whole
                named = (
                    entry.chain
                    if forge in (_edit, _delete, _swap)
                    else "seal"
                    if forge is not _drop_last_seal
                    else "published head"
                )
                assert any(named in fault for fault in found.faults), found.faults
                transaction.set_rollback(True)


def test_secrets_and_nul_never_reach_the_trail(cast: Cast, now: datetime) -> None:
    box = Box.objects.create(maker=cast.ann)
    entry = audit.record(
        box,
        "toy.box.renamed",
        actor=cast.ann,
        at=now,
        detail={"password": "hunter2", "note": "a\x00b", "deep": {"api_token": "t"}},
    )
    entry.refresh_from_db()
    assert entry.detail == {"password": "***", "note": "a�b", "deep": {"api_token": "***"}}
