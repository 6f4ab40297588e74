"""Files laid ready on a real host by a rollout, hours before its window; in the window its repository is gone."""

from __future__ import annotations

import time as real
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from cmdb.models import Connection, Host
from cmdb.remote.connection import Endpoint
from releases.domain import gates, stagings
from releases.executors.base import Action, Stage
from releases.executors.ssh import SshExecutor
from releases.models import JobEvent, Release, Staging
from tests.factories.people import Cast
from tests.factories.rollouts import PACKAGE, Deployment, make_deployment, seal, verify_files
from tests.lab.fleet import FreshHost
from tests.releases.executors.orders import ended, order_for, start

pytestmark = [pytest.mark.lab, pytest.mark.django_db]
OPENS = datetime.fromisoformat("2026-11-18T15:42:00+00:00")


def on_a_real_host(deployment: Deployment, host: FreshHost, wanted: tuple[str, str]) -> None:
    """The deployment's only host is that one, and what is signed is what a dry run there says."""
    row, there = deployment.hosts[0], host.endpoint
    reach(row, there, machine_id=host.ssh("cat /etc/machine-id"))
    order = order_for(SshExecutor(), there, wanted)
    document = deployment.manifest.document
    packages = [{"name": p.name, "arch": p.arch, "from": p.from_version, "to": p.to_version} for p in order.packages]
    document["hosts"][0] |= {"fingerprint": Host.objects.get(pk=row.pk).fingerprint, "packages": packages}
    document["classes"][0]["packages"] = [
        {
            "name": p.name, "arch": p.arch, "to": p.to_version, "source": "openssl", "source_version": PACKAGE["to"],
            "dependency": False,
        }
        for p in order.packages
    ]  # fmt: skip
    document["artifacts"] = [
        {
            "package": a.package, "version": a.version, "arch": a.arch, "filename": a.filename, "sha256": a.sha256,
            "size": a.size, "origin": "made",
        }
        for a in order.artifacts
    ]  # fmt: skip
    document["way_back"] = {
        "kind": "reinstall_previous",
        "hosts": [
            {"host": row.pk, "packages": [{"name": p["name"], "arch": p["arch"], "to": p["from"]} for p in packages]}
        ],
        "artifacts": [  # nobody takes this way here
            {**one, "version": p["from"], "sha256": "b" * 64}
            for one, p in zip(document["artifacts"], packages, strict=True)
        ],
    }
    document["profile"]["restart"] = "never"
    document["revision"] = 2
    Release.objects.filter(pk=deployment.release.pk).update(executor="ssh")
    deployment.release.refresh_from_db()
    seal(deployment.release, document, deployment.cast, deployment.clock.at)
    verify_files(document, deployment.cast, deployment.clock.at)


def reach(row: Host, there: Endpoint, *, machine_id: str) -> None:
    Host.objects.filter(pk=row.pk).update(machine_id=machine_id.strip(), ssh_host_key=there.host_key)
    Connection.objects.filter(host=row).update(
        address=there.address, user=there.user, become=there.become, host_key=there.host_key, shown_key=there.host_key,
        key_kind="file", key_reference=there.key_path,
    )  # fmt: skip


def test_the_window_is_spent_installing(fresh_host: FreshHost, cast: Cast, now: datetime, tmp_path: Path) -> None:
    deployment = make_deployment(
        cast, now, tmp_path, hosts=1, window={"starts_local": time(15, 42)}, profile={"stage_hours": 4}
    )
    on_a_real_host(deployment, fresh_host, ("acme-tool", "1.1"))
    deployment.start()
    deployment.clock.at = OPENS - timedelta(hours=3)
    for _look in range(60):
        stagings.sweep(now=deployment.clock.at)
        stagings.run(ring_id=deployment.ring().pk, owner="test", now=deployment.clock.now)
        if Staging.objects.get().ended_at:
            break
        real.sleep(0.5)
        deployment.clock.wait(15)
    ahead = Staging.objects.get()
    assert ahead.state == "staged", (
        ahead.statement,
        gates.ask_whole(deployment.rollout, at=deployment.clock.at).sentence,
    )
    assert fresh_host.state("acme-tool") == "1.0 installed"
    assert deployment.states() == ["pending"]

    deployment.clock.at = OPENS + timedelta(minutes=1)
    deployment.clock.wait = lambda seconds: real.sleep(seconds)  # type: ignore[method-assign]
    fresh_host.lab.repository("down")
    try:
        for _turn in range(10):
            deployment.work()
            if deployment.job().ended_at:
                break
            deployment.pass_time(minutes=1)
    finally:
        fresh_host.lab.repository("up")

    assert deployment.states() == ["succeeded"], deployment.job().statement
    assert fresh_host.state("acme-tool") == "1.1 installed"
    staged = JobEvent.objects.get(job=deployment.job(), stage="staged")
    assert staged.message == "1 files are there and are the signed ones, 1 of them staged ahead"
    assert fresh_host.dpkg_ran("acme-tool") >= 1


def test_a_staging_whose_repository_does_not_answer_makes_way_at_once(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.lab.repository("down")
    try:
        handle = start(executor, replace(order, job_key="stage.1", action=Action.STAGE))
        real.sleep(1)
        assert [answer.word for answer in executor.cancel(handle)] == ["cancelled"]
        done = ended(executor, handle, seconds=10).result
    finally:
        fresh_host.lab.repository("up")
    assert done is not None
    assert (done.outcome, done.code) == (Stage.CANCELLED, "cancelled"), done.reason

    job = ended(executor, start(executor, order)).result
    assert job is not None
    assert job.outcome is Stage.SUCCEEDED, job.reason
