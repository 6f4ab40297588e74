"""Applicability at the size that is promised: 10,000 hosts with 600 packages each against 50,000 fixes.

Not part of the suite (`make bench`, or `pytest tests/bench/test_applicability.py` with PATCHFLOW_DATABASE_URL naming a
PostgreSQL of one's own). PATCHFLOW_BENCH_HOSTS makes it smaller. The generator is seeded: two runs compare the same.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from changes.domain import applicability
from changes.models import Fix, SoftwareUpdate, VersionFix
from changes.queries.applicability import updates_missing_on
from cmdb.domain import recordsets
from cmdb.models import Host, PackageVersion, Platform
from tests.factories import identify as make

HOSTS = int(os.environ.get("PATCHFLOW_BENCH_HOSTS", "10000"))
PER_HOST = 600
FIXES = 50_000
NAMES = 4_500
VERSIONS = 11
RELEASES = (("deb", "debian", "11"), ("deb", "debian", "12"), ("deb", "ubuntu", "22.04"), ("rpm", "almalinux", "9"))
AT = datetime(2026, 11, 18, 9, 42, tzinfo=UTC)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.pg, pytest.mark.timeout(3600)]


def timed(act: Callable[[], Any]) -> float:
    """Seconds of wall time."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def run(sql: str, *params: object) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchone() if cursor.description else None


@pytest.fixture
def estate(transactional_db: None) -> None:
    """The rows: package versions and fixes by the keys' own encoder, installations by one INSERT."""
    chance = random.Random(7)
    run("SET session_replication_role = replica")  # the generator's rows refer to one another by construction
    for ecosystem, distribution, release in RELEASES:
        platform = make.make_platform(distribution, release, ecosystem=ecosystem)
        recordsets.insert(
            PackageVersion, _COLUMNS, list(_versions(ecosystem)), {"platform_id": platform.pk, "key_version": 1}
        )
        _fixes(chance, ecosystem, distribution, release)
    _hosts()
    for table in ("cmdb_packageversion", "cmdb_installation", "cmdb_host", "changes_fix", "changes_softwareupdate"):
        run(f"ANALYZE {table}")


_COLUMNS = dict.fromkeys(
    ("name", "version", "arch", "source_name", "source_version", "module", "origin_class", "key", "source_key"), "text"
)


def _version(ecosystem: str, number: int) -> str:
    return f"1.{number}-{number % 3}" if ecosystem == "deb" else f"1.{number}-{number % 3}.el9"


def _versions(ecosystem: str) -> Any:
    for name in range(NAMES):
        for number in range(VERSIONS):
            text = _version(ecosystem, number)
            key = make.key_of(ecosystem, text)
            yield {
                "name": f"package-{name}", "version": text, "arch": "amd64", "source_name": f"package-{name}",
                "source_version": text, "module": "", "origin_class": "distribution", "key": key, "source_key": key,
            }  # fmt: skip


def _fixes(chance: random.Random, ecosystem: str, distribution: str, release: str) -> None:
    place = {"ecosystem": ecosystem, "distribution": distribution, "release": release}
    kind = "source" if ecosystem == "deb" else "binary"
    wanted = [(chance.randrange(NAMES), chance.choice((0, 0, 1, 1, 2, 3))) for _ in range(FIXES // len(RELEASES))]
    texts = sorted({(name, number) for name, number in wanted})
    updates = SoftwareUpdate.objects.bulk_create(
        [
            SoftwareUpdate(
                **place, name=f"package-{name}", fixed_version=_version(ecosystem, number), origin="advisory", known_at=AT,
                fixed_key=make.key_of(ecosystem, _version(ecosystem, number)), severity_rank=chance.randrange(6),
            )
            for name, number in texts
        ],
        batch_size=2000,
    )  # fmt: skip
    by_text = dict(zip(texts, updates, strict=True))
    Fix.objects.bulk_create(
        [
            Fix(
                **place, advisory_id=1, update=by_text[each], name=f"package-{each[0]}", name_kind=kind, state="fixed",
                fixed_version=by_text[each].fixed_version, fixed_key=by_text[each].fixed_key, known_at=AT,
            )
            for each in wanted
        ],
        batch_size=2000,
    )  # fmt: skip


def _hosts() -> None:
    platforms = list(Platform.objects.order_by("pk"))
    from cmdb.models import ConfigurationItem

    items = ConfigurationItem.objects.bulk_create(
        [ConfigurationItem(kind="host", name=f"host-{n}", state="in_service") for n in range(HOSTS)], batch_size=2000
    )
    hosts = Host.objects.bulk_create(
        [
            Host(ci=item, name=item.name, platform=platforms[n % len(platforms)], audited_at=AT, added_at=AT)
            for n, item in enumerate(items)
        ],
        batch_size=2000,
    )
    first = hosts[0].pk
    firsts = {
        p.pk: PackageVersion.objects.filter(platform=p).order_by("pk").values_list("pk", flat=True)[0]
        for p in platforms
    }
    start = " ".join(f"WHEN {pk} THEN {at}" for pk, at in firsts.items())
    # Version numbers lean towards the newest; names are a stretch of the catalogue that differs from host to host.
    run(
        f"""INSERT INTO cmdb_installation (host_id, package_version_id, status, held, installed_seen_at)
        SELECT h.id, (CASE h.platform_id {start} END) + mod(h.id * 37 + n * 7, {NAMES}) * {VERSIONS}
               + floor({VERSIONS} * power(mod(h.id * 7919 + n * 104729, 10007) / 10007.0, 0.85))::int,
               'installed', false, %s
        FROM cmdb_host h CROSS JOIN generate_series(1, {PER_HOST}) n WHERE h.id >= {first}""",
        AT - timedelta(days=30),
    )


BARE = """SELECT count(*) FROM cmdb_packageversion pv JOIN cmdb_platform p ON p.id = pv.platform_id
    JOIN changes_fix f ON f.distribution = p.distribution AND f.release = p.release AND f.name = pv.source_name
    WHERE pv.source_key < f.fixed_key"""


def test_evaluation_is_within_five_times_the_bare_sql_and_a_report_within_25_ms(estate: None, capsys: Any) -> None:
    """Two promises in one run, since the rows take long to make."""
    pairs = applicability.evaluate_all()
    bare, full = [], []
    for _ in range(5):
        bare.append(timed(lambda: run(BARE)))
        full.append(timed(applicability.evaluate_all))
    hosts = random.Random(3).sample(list(Host.objects.values_list("pk", flat=True)), min(60, HOSTS))
    reports = [timed(lambda pk=pk: _report(pk, changed=10)) for pk in hosts]  # type: ignore[misc]
    firsts = [timed(lambda pk=pk: _report(pk, changed=PER_HOST)) for pk in hosts[:20]]  # type: ignore[misc]
    shown = [len(updates_missing_on(pk)) for pk in hosts[:5]]
    ratio = statistics.median(full) / statistics.median(bare)
    with capsys.disabled():
        print(
            f"\n{HOSTS} hosts, {HOSTS * PER_HOST} installations, {PackageVersion.objects.count()} versions, "
            f"{Fix.objects.count()} fixes, {pairs} open pairs\n"
            f"bare SQL  median {statistics.median(bare):.3f} s ({min(bare):.3f}-{max(bare):.3f})\n"
            f"evaluate  median {statistics.median(full):.3f} s ({min(full):.3f}-{max(full):.3f}), {ratio:.1f} x\n"
            f"a report with 10 changed packages, to its findings ({shown}): p50 {percentile(reports, 0.5) * 1000:.1f} ms, "
            f"p95 {percentile(reports, 0.95) * 1000:.1f} ms\n"
            f"a first report ({PER_HOST} packages): p50 {percentile(firsts, 0.5) * 1000:.1f} ms"
        )
    assert VersionFix.objects.count() == pairs
    assert ratio <= 5
    assert percentile(reports, 0.5) <= 0.025


def _report(host_id: int, *, changed: int) -> int:
    """What follows a report: its new versions are evaluated, and what the host misses is read."""
    ids = Host.objects.get(pk=host_id).installations.values_list("package_version_id", flat=True)[:changed]
    applicability.evaluate_versions(ids)
    return len(updates_missing_on(host_id))
