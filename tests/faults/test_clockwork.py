"""F5: many schedulers do what one does, and a clock that jumps starts nothing outside its window."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from cmdb.models import ScanResult
from patchflow.kernel import queue
from patchflow.kernel.models import AuditEntry
from releases.models import Job
from tests.factories.people import Cast, make_cast
from tests.factories.rollouts import make_deployment
from tests.faults.dose import dose, report
from tests.faults.test_races import together

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = {
    "the hour is left out": (date(2026, 3, 29), time(1, 30), 120),
    "the hour comes twice": (date(2026, 10, 25), time(1, 30), 120),
    "a leap day": (date(2028, 2, 29), time(23, 0), 120),
    "an ordinary night": (date(2026, 11, 18), time(2, 0), 120),
}


def sweeping(now: datetime) -> None:
    try:
        found = queue.sweep(now=now)
        assert -1 not in found.values(), found
    finally:
        connection.close()


@pytest.mark.pg
@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_many_schedulers_at_once_have_one_effect_a_slot(tmp_path: Path, now: datetime) -> None:
    """Each slot is a day: hosts whose facts are a day old are to be scanned, once each, however many sweeps find them."""
    cast, schedulers = make_cast(), dose("F5", "schedulers")
    deployment = make_deployment(cast, now, tmp_path, hosts=3)
    slots = dose("F5", "slots")
    for slot in range(slots):
        at = now + timedelta(days=2 + slot)
        together([lambda at=at: sweeping(at)] * schedulers)  # type: ignore[misc]
        asked = Counter(ScanResult.objects.filter(scan_run__requested_at=at).values_list("host_id", flat=True))
        assert asked == {host.pk: 1 for host in deployment.hosts}, f"slot {slot}"
        ScanResult.objects.filter(scan_run__requested_at=at).update(state="failed", ended_at=at)
    entries = AuditEntry.objects.filter(verb="cmdb.scan.requested", outcome="done").count()
    assert entries == slots
    report(
        "F5",
        what="sweeps at once",
        schedulers=schedulers,
        slots=slots,
        scans=ScanResult.objects.count(),
        entries=entries,
    )


@pytest.mark.django_db
@pytest.mark.parametrize("night", NIGHTS)
@pytest.mark.parametrize("jump", [0, 2, -2], ids=lambda h: f"clock{h:+}h")
def test_no_job_starts_outside_its_window(night: str, jump: int, cast: Cast, tmp_path: Path) -> None:
    """The clock walks through the night in steps of ten minutes, or jumps by hours; jobs begin inside the opening only.

    When that is, is worked out here by elapsed time from the wall clock of the zone.
    """
    day, starts, minutes = NIGHTS[night]
    opens = datetime.combine(day, starts, BERLIN).astimezone(UTC)
    closes = opens + timedelta(minutes=minutes)
    window = {
        "zone": "Europe/Berlin", "recurrence": "weekly", "weekday": day.weekday(), "starts_local": starts, "length_minutes": minutes,
        "from_on": day - timedelta(days=60),
    }  # fmt: skip
    deployment = make_deployment(
        cast, opens - timedelta(hours=9), tmp_path, hosts=6, rings=[{"hosts": 6, "concurrency": 1}], window=window
    )
    deployment.start()
    began: dict[int, datetime] = {}
    clock = opens - timedelta(hours=4)
    while clock < closes + timedelta(hours=4):
        deployment.clock.at = clock + (timedelta(hours=jump) if clock.minute % 20 == 0 else timedelta())
        seen = deployment.clock.at
        deployment.tick()
        for pk, claimed in Job.objects.filter(claimed_at__isnull=False).values_list("pk", "claimed_at"):
            began.setdefault(pk, claimed)
        assert all(opens <= at < closes for at in began.values()), (seen, began)
        deployment.work(turns=1)
        clock += timedelta(minutes=10)
    assert began, "nothing began at all"
    report("F5", what=night, jump_hours=jump, opened=f"{opens:%H:%M}-{closes:%H:%M} UTC", began=len(began))
