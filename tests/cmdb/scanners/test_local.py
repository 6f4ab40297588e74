"""This very computer, whatever it is: read-only, and without root too."""

import json
import os
import shutil
import subprocess

import pytest

from cmdb.remote.connection import THIS_COMPUTER
from cmdb.remote.transport import BOOTSTRAP, MARK, zipped
from cmdb.scanners.local import LocalScanner
from cmdb.scanners.reading import COLLECTOR, report_from

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (shutil.which("dpkg-query") or shutil.which("rpm")), reason="neither dpkg nor rpm here"),
]


def test_scan_of_this_computer_agrees_with_its_package_manager() -> None:
    report = LocalScanner().scan()

    assert report.fingerprint.machine_id
    assert report.boot_id
    assert report.kernel == os.uname().release
    if report.package_manager == "dpkg":
        form = "${Package} ${Version} ${db:Status-Status}\n"
        lines = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True)
        installed = {tuple(line.split()[:2]) for line in lines.stdout.splitlines() if line.endswith(" installed")}
        assert {(p.name, p.version) for p in report.packages if p.status == "installed"} == installed
        assert all(p.source_name and p.source_version for p in report.packages)
        assert {p.name for p in report.pending if p.installed} <= {p.name for p in report.packages}


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/usr/bin/python3"), reason="only root can become nobody")
def test_scan_without_any_right_says_the_same_packages() -> None:
    request = {"package": "collector", "mark": MARK, "request": {"refresh": False}}
    done = subprocess.run(
        ["/usr/bin/python3", "-c", BOOTSTRAP],
        input=json.dumps(request).encode() + b"\n" + zipped(COLLECTOR),
        capture_output=True,
        user="nobody",
        group="nogroup",
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    line = next(line for line in done.stdout.decode().splitlines() if line.startswith(MARK))
    report = report_from(json.loads(line.removeprefix(MARK)), endpoint=THIS_COMPUTER, scanner="local")

    assert report.packages == LocalScanner().scan().packages
    assert report.errors == ()
