"""What a foreign key promises holds where the database asks once for all rows of a statement."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.migrations.state import ProjectState

from patchflow.kernel import audit
from patchflow.kernel.append_only import lifted
from patchflow.kernel.models import AuditEntry, User
from patchflow.kernel.references import CheckedByStatement
from releases.models import Job, JobEvent, PermissionSlip
from tests.factories.people import Cast
from tests.factories.rollouts import make_deployment

REPLACED = {("kernel_auditentry", "actor_id"), ("releases_jobevent", "job_id"), ("releases_permissionslip", "job_id"),
            ("releases_permissionslip", "rollout_id")}  # fmt: skip


def _foreign_keys() -> set[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, attname FROM pg_constraint"
            " JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'"
        )
        return set(cursor.fetchall())


def _by_itself(write: Callable[[], object]) -> None:
    with transaction.atomic():
        write()
        connection.check_constraints()


@pytest.mark.django_db
def test_what_refers_to_nothing_is_refused(cast: Cast, now: datetime) -> None:
    entry = audit.record(audit.named("x"), "toy.box.opened", actor=cast.ann, at=now)
    fields = {f.attname: getattr(entry, f.attname) for f in AuditEntry._meta.concrete_fields if not f.has_db_default()}
    nobody = User.objects.order_by("-pk")[0].pk + 1000
    late = [
        lambda: AuditEntry.objects.bulk_create(
            [
                AuditEntry(**fields | {"id": None, "seq": 2}),
                AuditEntry(**fields | {"id": None, "seq": 3, "actor_id": nobody}),
            ]
        ),
        lambda: JobEvent.objects.create(job_id=1, attempt=1, seq=1, at=now, stage="staged"),
        lambda: PermissionSlip.objects.create(rollout_id=1, asked_at=now, verdict="run", statement="", gates=[]),
    ]
    for write in late:
        with pytest.raises(IntegrityError):
            _by_itself(write)
    assert AuditEntry.objects.filter(chain=entry.chain).count() == 1, "none of a statement stays"


@pytest.mark.django_db
def test_who_is_referred_to_is_not_deleted(cast: Cast, now: datetime) -> None:
    audit.record(audit.named("x"), "toy.box.opened", actor=cast.ann, at=now)
    with pytest.raises(IntegrityError):
        _by_itself(lambda: User.objects.filter(pk=cast.ann.pk)._raw_delete("default"))
    assert User.objects.filter(pk=cast.ann.pk).exists()


@pytest.mark.pg
@pytest.mark.django_db
def test_who_is_referred_to_keeps_the_key(cast: Cast, now: datetime, tmp_path: Path) -> None:
    made = make_deployment(cast, now, tmp_path)
    made.start()
    JobEvent.objects.create(job=made.job(), attempt=1, seq=1, at=now, stage="staged")
    with pytest.raises(IntegrityError):
        _by_itself(lambda: Job.objects.filter(pk=made.job().pk).update(id=10**6))
    _by_itself(lambda: Job.objects.filter(pk=made.job().pk).update(reason="as before"))


@pytest.mark.pg
@pytest.mark.django_db
def test_only_these_are_asked_for_by_statement() -> None:
    assert not REPLACED & _foreign_keys()
    assert len(_foreign_keys()) > 100, "all others are foreign keys"


@pytest.mark.pg
@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_meanwhile_is_waited_for(cast: Cast, now: datetime) -> None:
    """One deletes somebody, another writes an entry of them: the second waits, and is refused."""
    person = User.objects.create(username="leaving")
    refused: list[str] = []

    def write() -> None:
        try:
            with transaction.atomic():
                audit.record(audit.named("x"), "toy.box.opened", actor=person, at=now)
        except IntegrityError as error:
            refused.append(str(error))
        finally:
            connections.close_all()

    thread = threading.Thread(target=write)
    with transaction.atomic():
        User.objects.filter(pk=person.pk)._raw_delete("default")
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits for who is being deleted"
    thread.join(10)
    assert "kernel_user" in refused[0]
    assert not AuditEntry.objects.filter(actor_id=person.pk).exists()


@pytest.mark.pg
@pytest.mark.django_db(transaction=True)
def test_it_can_be_taken_back() -> None:
    """The migration backwards makes foreign keys of it again."""
    operation, state = CheckedByStatement("releases_jobevent", "job_id", "releases_job"), ProjectState()
    with lifted():
        try:
            with connection.schema_editor() as editor:
                operation.database_backwards("releases", editor, state, state)
            assert ("releases_jobevent", "job_id") in _foreign_keys()
        finally:
            with connection.schema_editor() as editor:
                operation.database_forwards("releases", editor, state, state)
    assert not REPLACED & _foreign_keys()
