"""Downloads through a distribution point, on real hosts whose direct way to their repository is cut."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from releases.executors.base import JobOrder, JobProgress, Stage, Way
from releases.executors.ssh import SshExecutor
from tests.lab.fleet import FreshHost, FreshRpmHost, Lab
from tests.releases.executors.orders import ended, order_for, start

pytestmark = pytest.mark.lab

PORT = 3142
PROXY = Path(__file__).resolve().parents[2] / "fakes" / "proxy.py"


@dataclass
class Point:
    """A proxy beside the repository, under an address of its own."""

    address: str
    log: Path
    spoiled: Path

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def forget(self) -> None:
        self.log.unlink(missing_ok=True)

    def way(self, throttle_kib: int = 0) -> Way:
        return Way(point="dp-berlin", address=f"http://{self.address}:{PORT}", throttle_kib=throttle_kib)


@contextlib.contextmanager
def serving(lab: Lab) -> Iterator[Point]:
    point = Point(f"{lab.net}.3", lab.folder / "point.log", lab.folder / "point.spoiled")
    point.forget()
    inside = ["ip", "netns", "exec", f"{lab.tag}-repo"]
    subprocess.run([*inside, "ip", "addr", "replace", f"{point.address}/24", "dev", "eth0"], check=True)
    argv = [sys.executable, str(PROXY), point.address, str(PORT), str(point.log), str(point.spoiled)]
    proxy = subprocess.Popen([*inside, *argv])
    try:
        knock = f"exec 3<>/dev/tcp/{point.address}/{PORT}"
        for _ in range(50):
            if subprocess.run([*inside, "bash", "-c", knock], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        yield point
    finally:
        proxy.kill()
        proxy.wait()
        point.spoiled.unlink(missing_ok=True)
        subprocess.run([*inside, "ip", "addr", "del", f"{point.address}/24", "dev", "eth0"], check=False)


def cut(host: FreshHost) -> None:
    """From now on the host reaches its repository by no way of its own."""
    host.lab.exec(host.name, "ip", "route", "add", "unreachable", f"{host.lab.net}.2/32")


def done(host: FreshHost, order: JobOrder, way: Way | None) -> JobProgress:
    executor = SshExecutor()
    return ended(executor, start(executor, replace(order, way=way)), seconds=100)


def test_apt_downloads_through_the_point_alone_and_what_it_falsifies_is_refused(fresh_host: FreshHost) -> None:
    tool = order_for(SshExecutor(), fresh_host.endpoint, ("acme-tool", "1.1"))
    web = order_for(SshExecutor(), fresh_host.endpoint, ("acme-web", "1.1"))
    cut(fresh_host)
    past = f'Acquire::http::Proxy {{ {fresh_host.lab.net}.2 "DIRECT"; }};'
    fresh_host.ssh(f"echo '{past}' | sudo tee /etc/apt/apt.conf.d/99past")  # the host's own rule leads past every proxy

    directly = done(fresh_host, replace(tool, job_key="direct.1"), None).result
    assert directly is not None
    assert (directly.outcome, directly.code) == (Stage.REFUSED, "repository_unreachable")
    assert fresh_host.state("acme-tool") == "1.0 installed"

    with serving(fresh_host.lab) as point:
        through = done(fresh_host, tool, point.way(throttle_kib=200))
        assert through.result is not None
        assert through.result.outcome is Stage.SUCCEEDED, through.result.reason
        assert fresh_host.state("acme-tool") == "1.1 installed"
        told = [event.message for event in through.events if "downloads" in event.message]
        assert told == [f"downloads through dp-berlin (http://{point.address}:{PORT}, 200 KiB/s at most)"]
        staged = next(event for event in through.events if event.stage is Stage.STAGED)
        assert staged.data["point"] == "dp-berlin"
        fetched = [place for place in point.asked if place.endswith(".deb")]
        assert [place.rpartition("/")[2] for place in fetched] == ["acme-tool_1.1_all.deb"]
        assert any(place.endswith("/InRelease") for place in point.asked)
        settings = fresh_host.ssh(f"sudo cat /var/lib/patchflow/jobs/{tool.job_key}/way.conf")
        assert re.findall(r'^Acquire::https?::Dl-Limit "200";$', settings, re.MULTILINE)

        point.spoiled.write_text("acme-web_1.1")
        point.forget()
        falsified = done(fresh_host, web, point.way()).result
        assert falsified is not None
        assert (falsified.outcome, falsified.code) == (Stage.REFUSED, "repository_untrusted")
        assert "downloads through dp-berlin" in falsified.reason
        assert any("acme-web_1.1" in place for place in point.asked)
        assert fresh_host.state("acme-web") == "1.0 installed"

    silent = done(fresh_host, replace(web, job_key="silent.1"), point.way()).result
    assert silent is not None
    assert (silent.outcome, silent.code, silent.permanent) == (Stage.REFUSED, "repository_unreachable", False)


def test_apt_fetches_the_lists_of_a_dry_run_through_the_point_alone(fresh_host: FreshHost) -> None:
    executor, wanted = SshExecutor(), [("acme-tool", "1.1")]
    cut(fresh_host)
    past = f'Acquire::http::Proxy {{ {fresh_host.lab.net}.2 "DIRECT"; }};'
    fresh_host.ssh(f"echo '{past}' | sudo tee /etc/apt/apt.conf.d/99past")
    assert executor.dry_run(fresh_host.endpoint, wanted).code == "repository_unreachable"
    with serving(fresh_host.lab) as point:
        plan = executor.dry_run(fresh_host.endpoint, wanted, way=point.way())
        assert (plan.refused, [change.to_version for change in plan.changes]) == ("", ["1.1"])
        assert any(place.endswith("/InRelease") for place in point.asked)
        assert not [place for place in point.asked if place.endswith(".deb")]
    silent = executor.dry_run(fresh_host.endpoint, wanted, way=point.way())
    assert silent.code == "repository_unreachable"
    assert "(it downloads through dp-berlin" in silent.refused
    assert fresh_host.state("acme-tool") == "1.0 installed"


def test_dnf_fetches_the_lists_of_a_dry_run_through_the_point_alone(fresh_rpm_host: FreshRpmHost) -> None:
    executor, wanted = SshExecutor(), [("acme-tool", "1.1-1")]
    cut(fresh_rpm_host)
    fresh_rpm_host.ssh("echo proxy=_none_ | sudo tee -a /etc/yum.repos.d/*.repo")  # the host's own rule: directly
    assert executor.dry_run(fresh_rpm_host.endpoint, wanted).code == "repository_unreachable"
    with serving(fresh_rpm_host.lab) as point:
        plan = executor.dry_run(fresh_rpm_host.endpoint, wanted, way=point.way())
        assert (plan.refused, [change.to_version for change in plan.changes]) == ("", ["1.1-1"])
        assert any(place.endswith("/repomd.xml") for place in point.asked)
        assert not [place for place in point.asked if place.endswith(".rpm")]


def test_dnf_downloads_through_the_point_alone(fresh_rpm_host: FreshRpmHost) -> None:
    tool = order_for(SshExecutor(), fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    cut(fresh_rpm_host)
    fresh_rpm_host.ssh("echo proxy=_none_ | sudo tee -a /etc/yum.repos.d/*.repo")  # the host's own rule: directly

    with serving(fresh_rpm_host.lab) as point:
        through = done(fresh_rpm_host, tool, point.way(throttle_kib=200))
        assert through.result is not None
        assert through.result.outcome is Stage.SUCCEEDED, through.result.reason
        assert fresh_rpm_host.state("acme-tool") == "1.1-1"
        fetched = [place.rpartition("/")[2] for place in point.asked if place.endswith(".rpm")]
        assert len(fetched) == 1
        assert fetched[0].startswith("acme-tool-1.1-1")
        assert any(place.endswith("/repomd.xml") for place in point.asked)
