"""The column of version keys compares byte by byte on both databases; constraints hold what the code promises."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, models, transaction

from cmdb.models import Host, Installation, PackageVersion
from cmdb.models.fields import VersionKeyField, check_collation
from tests.factories.cmdb import make_host, make_platform


def make_version(key: str) -> PackageVersion:
    return PackageVersion.objects.create(
        platform=make_platform(),
        name=f"p{key}",
        version=key,
        arch="amd64",
        source_name="p",
        source_version=key,
        key=key,
    )


@pytest.mark.django_db
def test_keys_are_ordered_as_bytes() -> None:
    keys = ["!", "#", "0", "A", "B", "a", "b", "~"]
    for key in reversed(keys):
        make_version(key)
    assert list(PackageVersion.objects.order_by("key").values_list("key", flat=True)) == keys
    assert PackageVersion.objects.filter(key__lt="a").count() == 5


@pytest.mark.django_db
def test_check_collation_is_content_with_the_migrated_column() -> None:
    assert check_collation(databases=["default"]) == []
    assert check_collation(databases=None) == []


@pytest.mark.pg
@pytest.mark.django_db
def test_check_collation_sees_a_linguistic_column() -> None:
    with connection.cursor() as cursor:
        cursor.execute('ALTER TABLE cmdb_packageversion ALTER COLUMN key TYPE varchar(511) COLLATE "en-x-icu"')
    assert [problem.id for problem in check_collation(databases=["default"])] == ["cmdb.E002"]


def test_field_keeps_its_collation_out_of_migrations() -> None:
    """The vendor picks it, so one migration serves both."""
    field = VersionKeyField(null=True)
    field.set_attributes_from_name("key")
    assert "db_collation" not in field.deconstruct()[3]
    assert isinstance(field, models.CharField)
    assert field.db_parameters(connection)["collation"] in {"C", "BINARY"}


def test_installation_open_once(db: None, now: datetime) -> None:
    host, version = make_host(), make_version("1")
    row = Installation.objects.create(host=host, package_version=version, installed_seen_at=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Installation.objects.create(host=host, package_version=version, installed_seen_at=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Installation.objects.filter(pk=row.pk).update(gone_seen_at=now - timedelta(seconds=1))
    Installation.objects.filter(pk=row.pk).update(gone_seen_at=now)
    Installation.objects.create(host=host, package_version=version, installed_seen_at=now)


def test_fingerprint_once_among_the_living(db: None, now: datetime) -> None:
    first = make_host("a")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_host("b", machine_id=first.machine_id, ssh_host_key=first.ssh_host_key)
    Host.objects.filter(pk=first.pk).update(retired_at=now)
    make_host("b", machine_id=first.machine_id, ssh_host_key=first.ssh_host_key)


def test_fingerprint_of_a_local_host_without_ssh(db: None) -> None:
    assert make_host("a", ssh_host_key="").fingerprint == ""
    assert make_host("b", ssh_host_key="", machine_id="m", is_local=True).fingerprint == "m/local"
