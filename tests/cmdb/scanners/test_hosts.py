"""Scans of real hosts, by each scanner."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from cmdb.remote.errors import AuthenticationFailed, HostKeyChanged, SudoRefused, Unreachable
from cmdb.scanners.ansible import AnsibleScanner
from cmdb.scanners.base import HostReport, PendingUpdate
from cmdb.scanners.ssh import SshScanner
from tests.lab.fleet import FreshHost, Lab, started

pytestmark = pytest.mark.lab


def pending(report: HostReport, name: str) -> PendingUpdate:
    return next(update for update in report.pending if update.name == name)


@pytest.fixture(scope="module")
def mixed() -> Iterator[Lab]:
    with started(debian=1, rpm=1) as lab:
        yield lab


def test_debian_host(fresh_host: FreshHost) -> None:
    report = SshScanner().scan(fresh_host.endpoint)

    assert report.errors == ()
    assert (report.distribution, report.release, report.codename) == ("debian", "12", "bookworm")
    assert (report.package_manager, report.virtualization, report.hostname) == ("dpkg", "systemd-nspawn", "h01")
    assert report.fingerprint.host_key == fresh_host.lab.host_key("h01") == report.host_keys[0]
    assert report.fingerprint.machine_id == fresh_host.ssh("cat /etc/machine-id")
    assert report.boot_id == fresh_host.ssh("cat /proc/sys/kernel/random/boot_id")
    assert {p.name: p.version for p in report.packages} == dict(
        line.split() for line in fresh_host.ssh("dpkg-query -W -f '${Package} ${Version}\\n'").splitlines()
    )
    ssl = next(package for package in report.packages if package.name == "libssl3")
    assert (ssl.source_name, ssl.source_version, ssl.arch) == ("openssl", ssl.version, "amd64")
    tool = next(package for package in report.packages if package.name == "acme-tool")
    assert (tool.origin.origin, tool.origin.label) == ("PatchflowLab", "lab")
    (source,) = report.sources
    assert source.suites == ("lab", "lab-security", "lab-updates")
    assert source.signed_by == "/etc/apt/keyrings/lab-archive.gpg"
    assert report.restart.needed is False


def test_pending_updates_of_a_debian_host(fresh_host: FreshHost) -> None:
    fresh_host.ssh("sudo apt-mark hold acme-web")

    report = SshScanner().scan(fresh_host.endpoint)

    tool, app, web = (pending(report, name) for name in ("acme-tool", "acme-app", "acme-web"))
    assert (tool.installed, tool.candidate, tool.available) == ("1.0", "2.0", ("2.0", "1.1"))
    assert (tool.origin.label, tool.security, tool.kept_back) == ("lab-updates", True, False)
    assert (app.security, app.available) == (False, ("2.0",))
    assert web.kept_back is True
    assert next(package for package in report.packages if package.name == "acme-web").held is True


def test_scan_changes_nothing_and_refreshes_only_when_asked(fresh_host: FreshHost) -> None:
    fresh_host.ssh("sudo rm -rf /var/lib/apt/lists")
    before = fresh_host.ssh("sudo find /etc /var/lib/dpkg /usr -newer /proc/1/stat -type f | sort")

    without = SshScanner().scan(fresh_host.endpoint)
    assert without.pending == ()
    assert fresh_host.ssh("sudo find /etc /var/lib/dpkg /usr -newer /proc/1/stat -type f | sort") == before

    after = SshScanner().scan(fresh_host.endpoint, refresh=True)
    assert pending(after, "acme-tool").candidate == "2.0"


def test_unfinished_package_and_restart_flag_are_told(fresh_host: FreshHost) -> None:
    fresh_host.ssh("sudo apt-get -qq -y install acme-brittle=1.1", check=False)
    fresh_host.ssh("sudo apt-get -qq -y install acme-kernel=1.1", check=False)

    report = SshScanner().scan(fresh_host.endpoint)

    brittle = next(package for package in report.packages if package.name == "acme-brittle")
    assert (brittle.version, brittle.status) == ("1.1", "half-configured")
    assert (report.restart.needed, report.restart.packages) == (True, ("acme-kernel",))


def test_host_that_fails_half_way_is_a_report_with_its_errors(fresh_host: FreshHost) -> None:
    fresh_host.ssh("echo nonsense | sudo tee /etc/apt/sources.list.d/broken.list")

    report = SshScanner().scan(fresh_host.endpoint)

    assert not report.complete
    assert "pending" in report.errors[0]
    assert "acme-tool" in {package.name for package in report.packages}
    assert report.fingerprint


def test_tampered_repository_is_an_error_of_the_refresh(fresh_host: FreshHost) -> None:
    fresh_host.lab.tamper("key")
    try:
        report = SshScanner().scan(fresh_host.endpoint, refresh=True)
    finally:
        fresh_host.lab.repair()

    assert [error.split(":")[0] for error in report.errors] == ["refresh"]
    assert pending(report, "acme-tool").candidate == "2.0"


def test_host_that_cannot_be_asked_is_an_error_with_its_reason(fresh_host: FreshHost) -> None:
    with pytest.raises(Unreachable, match="No route to host"):
        SshScanner().scan(replace(fresh_host.endpoint, address=f"{fresh_host.lab.net}.99"))
    with pytest.raises(AuthenticationFailed, match="Permission denied"):
        SshScanner().scan(replace(fresh_host.endpoint, user="nobody"))


def test_rpm_host(mixed: Lab) -> None:
    report = SshScanner().scan(mixed.endpoint("r01"), refresh=True)

    assert report.errors == ()
    assert (report.package_manager, report.distribution, report.release) == ("rpm", "lablinux", "9")
    tool = next(package for package in report.packages if package.name == "acme-tool")
    assert (tool.version, tool.source_name, tool.source_version) == ("1.0-1", "acme-tool", "1.0-1")
    update = pending(report, "acme-tool")
    assert (update.installed, update.candidate, update.security) == ("1.0-1", "2.0-1", True)
    assert report.sources[0].uris == (f"http://{mixed.net}.2/rpm",)
    assert report.restart.needed is False

    mixed.ssh("r01", "sudo dnf -q -y upgrade-minimal --advisory=PFSA-2026:0004")
    assert SshScanner().scan(mixed.endpoint("r01")).restart.needed is True


def test_ansible_asks_many_hosts_and_has_a_reason_for_each_that_failed(mixed: Lab) -> None:
    good = mixed.endpoint("h01")
    asked = [
        good,
        mixed.endpoint("r01"),
        replace(good, host_key=mixed.host_key("r01")),
        replace(good, host_key=""),
        replace(good, address=f"{mixed.net}.99"),
        replace(good, user="nobody"),
    ]

    found = dict(AnsibleScanner(forks=3).scan_many(asked, timeout=200))

    kinds = [type(found[endpoint]) for endpoint in asked]
    assert kinds == [HostReport, HostReport, HostKeyChanged, HostKeyChanged, Unreachable, AuthenticationFailed]
    by_ansible, by_ssh = found[good], SshScanner().scan(good)
    assert isinstance(by_ansible, HostReport)
    assert (by_ansible.packages, by_ansible.fingerprint) == (by_ssh.packages, by_ssh.fingerprint)


def test_ansible_without_sudo_says_so(fresh_host: FreshHost) -> None:
    fresh_host.ssh("sudo sed -i s/NOPASSWD:// /etc/sudoers.d/deploy")
    try:
        with pytest.raises(SudoRefused):
            AnsibleScanner().scan(fresh_host.endpoint)
    finally:
        fresh_host.lab.reset("h01")
