"""Planning 10,000 jobs against one bare transaction that inserts the same rows, in the same run: at least 0.3 of its speed.

.venv/bin/python -m pytest tests/bench/test_planning.py -q -s
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

import pytest
from django.db import connection, transaction

from releases.domain import rollouts
from releases.models import Job
from tests.factories.people import Cast
from tests.factories.rollouts import make_deployment
from tests.releases.domain.test_plan_size import many_hosts

HOSTS = 10_000


@pytest.mark.django_db
def test_planning_ten_thousand_jobs(cast: Cast, now: datetime, tmp_path: Path) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1)
    many_hosts(deployment, HOSTS)
    begun = time.perf_counter()
    rollout = rollouts.plan(release_id=deployment.release.pk, actor=cast.rex, at=now)
    planned = time.perf_counter() - begun
    columns = [f.column for f in Job._meta.concrete_fields if not f.primary_key]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM releases_job WHERE rollout_id = %s", [rollout.pk])
        rows = [[json.dumps(v) if isinstance(v, list | dict) else v for v in row] for row in cursor.fetchall()]
        cursor.execute("DELETE FROM releases_job WHERE rollout_id = %s", [rollout.pk])
    marks = ", ".join(["%s"] * len(columns))
    begun = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO releases_job ({', '.join(columns)}) VALUES ({marks})", rows)
    bare = time.perf_counter() - begun
    print(
        f"\nplanned {len(rows):,} jobs in {planned:.2f} s ({len(rows) / planned:,.0f}/s); bare inserts {bare:.2f} s; ratio {bare / planned:.2f}"
    )
    assert Job.objects.filter(rollout=rollout).count() == HOSTS + 1
    assert bare / planned >= 0.3
