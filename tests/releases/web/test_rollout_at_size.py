"""The live page of ten thousand hosts: as many queries as for a few hundred, causes with counts, one host found by its name."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from releases.executors.onhost.advice import advised
from releases.models import Job
from releases.web.causes import CAUSES
from tests.factories.people import Cast
from tests.factories.rollouts import at_size, make_deployment

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(cast: Cast) -> Client:
    found = Client()
    found.force_login(cast.rex)
    return found


def queries(client: Client, address: str) -> tuple[int, str]:
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
    assert answer.status_code == 200
    return len(asked), answer.content.decode()


def test_ten_thousand_hosts_cost_no_more_queries_than_four_hundred(
    cast: Cast, now: datetime, tmp_path: Path, client: Client
) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1)
    small, _page = queries(client, at_size(deployment, 2000).get_absolute_url())
    many = at_size(deployment)
    large, page = queries(client, many.get_absolute_url())
    assert large == small
    assert large <= 75, large
    assert len(page) < 700_000, len(page)
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    failed = Job.objects.filter(rollout=many, state="failed", code="unhealthy").count()
    assert f'code=unhealthy">{failed}<' in page
    assert "Estimate: done" in text
    assert "hosts more in the list" in text
    assert "not yet tried: debian-12-amd64 · server · kvm" in text
    listed, _list = queries(client, f"{many.get_absolute_url()}hosts/?state=failed&code=unhealthy")
    assert listed < 25
    lines, log = queries(client, f"{many.get_absolute_url()}log/")
    assert lines < 25  # the shell of every page among them
    assert "openssl 1.0-1 -&gt; 3.0.15" in log


def test_beside_a_half_installed_package_stands_what_to_do_about_it(
    cast: Cast, now: datetime, tmp_path: Path, client: Client
) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=2)
    rollout = deployment.start()
    first, second = Job.objects.filter(rollout=rollout).order_by("pk")
    for job, code in ((first, "package_state"), (second, "unhealthy")):
        Job.objects.filter(pk=job.pk).update(state="failed", code=code, reason=advised(code, "It ended with 1."))
    shown = client.get(rollout.get_absolute_url()).content.decode()
    causes = shown.partition('id="h-causes"')[2].partition("</section>")[0]
    half, sick = sorted(causes.split("<tr>")[2:], key=lambda row: "half-installed" not in row)
    assert "a package is left half-installed" in half
    assert "Roll back, or bring a repaired version; " in half
    assert "dpkg --configure -a" in half
    assert "It ended with 1" in half
    assert "What to do" not in half, "it is said once"
    assert "dpkg" not in sick
    assert "What to do: roll back, or mend the service" in sick


def test_what_does_not_go_back_or_finds_no_room_is_not_called_half_installed(
    cast: Cast, now: datetime, tmp_path: Path, client: Client
) -> None:
    rollout = make_deployment(cast, now, tmp_path, hosts=4).start()
    codes = ("no_way_back", "back_half", "disk_full", "package_kept")
    for job, code in zip(Job.objects.filter(rollout=rollout).order_by("pk"), codes, strict=True):
        Job.objects.filter(pk=job.pk).update(state="failed", code=code, reason=advised(code, "It ended.", "failed"))
    shown = client.get(rollout.get_absolute_url()).content.decode()
    rows = shown.partition('id="h-causes"')[2].partition("</section>")[0].split("<tr>")[2:]
    told = {code: next(row for row in rows if str(CAUSES[code]) + "<" in row) for code in codes}
    assert "restore it from a backup" in told["no_way_back"]
    assert "restore it from a backup" in told["back_half"]
    assert "What to do: free space on the host, then retry it" in told["disk_full"]
    assert "The package is whole, at another version: roll back" in told["package_kept"]
    assert [code for code in codes if "dpkg" in told[code]] == ["back_half"]
    assert [code for code in codes if "half-installed" in told[code]] == ["back_half"]
    assert [code for code in codes if "roll back" in told[code].lower()] == ["package_kept"]


def test_what_is_tried_again_by_itself_is_not_to_be_retried(
    cast: Cast, now: datetime, tmp_path: Path, client: Client
) -> None:
    rollout = make_deployment(cast, now, tmp_path, hosts=1).start()
    said = advised("unfinished", "unfinished work on the host")
    Job.objects.filter(rollout=rollout).update(state="pending", code="unfinished", reason=said)
    shown = client.get(rollout.get_absolute_url()).content.decode()
    causes = shown.partition('id="h-causes"')[2].partition("</section>")[0]
    assert "then it is tried again by itself." in causes
    assert "retry" not in causes
    assert "What to do" not in causes


def test_a_host_is_found_by_its_name(cast: Cast, now: datetime, tmp_path: Path, client: Client) -> None:
    rollout = at_size(make_deployment(cast, now, tmp_path, hosts=1), 400)
    job = Job.objects.filter(rollout=rollout, code="window").select_related("host")[0]
    page = client.get(rollout.get_absolute_url(), {"host": job.host.name}).content.decode()
    assert f'{reverse("cmdb:host-detail", args=[job.host_id])}">{job.host.name}<' in page
    assert "because window “Nights” opens then" in page
    several = client.get(rollout.get_absolute_url(), {"host": "node000"}).content.decode()
    assert "Several match:" in several
    none = client.get(rollout.get_absolute_url(), {"host": "nowhere"}).content.decode()
    assert "No host of this rollout that you may see has this in its name." in none
