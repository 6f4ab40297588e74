"""Production hosts and a test host in the lab, and what can be seen on them without Patchflow."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab.fleet import Lab

PILOT, SECOND, THIRD, TEST = "h01", "h02", "h03", "h04"
PRODUCTION = (PILOT, SECOND, THIRD)
HOSTS = (*PRODUCTION, TEST)


@dataclass(frozen=True)
class Estate:
    """The lab's hosts, each with its own sshd, package database and signed repository."""

    lab: Lab
    hosts: tuple[str, ...] = HOSTS
    """The pilot first, the test host last; those before it are production."""
    _AT_WORK = "sudo dpkg --audit; pgrep -lx 'dpkg|apt-get'; true"

    @property
    def pilot(self) -> str:
        return self.hosts[0]

    @property
    def production(self) -> tuple[str, ...]:
        return self.hosts[:-1]

    @property
    def test(self) -> str:
        return self.hosts[-1]

    def renew(self) -> None:
        """Every host as new. They know the suites `lab` and `lab-security` only: what is newer elsewhere would replace
        the fixes that the journeys deploy."""
        self._repair()
        self.lab.reset(*self.hosts)
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(self._prepare, self.hosts))

    def _repair(self) -> None:
        self.lab.repair()

    def _prepare(self, host: str) -> None:
        self.ssh(
            host,
            "sudo sed -i 's/ lab-updates//' /etc/apt/sources.list.d/lab.sources && sudo apt-get -qq update -eany"
            " && sudo truncate -s 0 /var/log/dpkg.log",
        )

    def ssh(self, host: str, command: str, *, check: bool = True) -> str:
        return self.lab.ssh(host, command, check=check)

    # ------------------------------------------------------------- what a host shows
    def state(self, host: str, package: str) -> str:
        """`version status`, by dpkg's own words."""
        return self.ssh(host, f"dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {package}", check=False)

    def states(self, package: str, hosts: tuple[str, ...] = ()) -> dict[str, str]:
        """Of these hosts, or of all."""
        return {host: self.state(host, package) for host in hosts or self.hosts}

    def began(self, host: str) -> list[str]:
        """What dpkg's own log says it began since the host was made new: `upgrade acme-tool 1.0 1.1`, oldest first."""
        return [line.removeprefix(f"{line[:19]} ").replace(":all ", " ") for line in self._began(host)]

    def began_at(self, host: str) -> str:
        """When it began first, as its log says; the lab's hosts share one clock."""
        return self._began(host)[0][:19]

    def _began(self, host: str) -> list[str]:
        log = self.ssh(host, "grep -E '^[^ ]+ [^ ]+ (upgrade|install|remove|purge) ' /var/log/dpkg.log || true")
        return log.splitlines()

    def file_hashes(self, host: str, package: str) -> dict[str, str]:
        """Path → SHA-256 of every file of an installed package, as it lies on the host's disk."""
        listed = self.ssh(host, f'dpkg -L {package} | while read f; do [ -f "$f" ] && sha256sum "$f"; done; true')
        return {path: digest for digest, path in (line.split(maxsplit=1) for line in listed.splitlines())}

    def at_work(self, host: str, *, seconds: float = 60) -> str:
        """Who is still at the packages of this host, and what dpkg finds half done; empty when all is quiet. A scan reads with
        the same tools, and one follows every rollout: it may come to its end first."""
        end = time.monotonic() + seconds
        while (said := self.ssh(host, self._AT_WORK)) and time.monotonic() < end:
            time.sleep(0.5)
        return said

    # ------------------------------------------------------------- the repository
    @property
    def repository(self) -> Path:
        return self.lab.folder / "www" / "debian"

    @property
    def archive_key(self) -> Path:
        return self.lab.folder / "www" / "lab-archive.gpg"

    @property
    def archive_host(self) -> str:
        return f"{self.lab.net}.2"

    def deb(self, package: str, version: str) -> Path:
        (found,) = self.repository.glob(f"pool/*/{package}_{version}_all.deb")
        return found

    def packed_hashes(self, package: str, version: str, unpacked: Path) -> dict[str, str]:
        """Path → SHA-256 of every file inside the repository's own .deb."""
        subprocess.run(["dpkg-deb", "-x", str(self.deb(package, version)), str(unpacked)], check=True)
        files = [path for path in unpacked.rglob("*") if path.is_file()]
        return {f"/{path.relative_to(unpacked)}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def swap(self, package: str, version: str, scratch: Path) -> None:
        """Puts other content under the same name and version into the repository, and has all of it indexed and signed
        by the archive's own key: what somebody could do who has that key. Every signature and hash holds."""
        deb = self.deb(package, version)
        subprocess.run(["dpkg-deb", "-R", str(deb), str(scratch)], check=True)
        (scratch / "usr" / "share" / package / "version").write_text("swapped\n")
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-b", str(scratch), str(deb)], check=True, capture_output=True
        )
        self.lab.script("debrepo", "publish")

    def sha256(self, package: str, version: str) -> str:
        return hashlib.sha256(self.deb(package, version).read_bytes()).hexdigest()


@dataclass(frozen=True)
class RpmEstate(Estate):
    """The same of the RPM family: dnf's own history says what was done, rpm's database what is there."""

    hosts: tuple[str, ...] = ("r01", "r02", "r03")
    _AT_WORK = "pgrep -lx 'dnf|rpm'; true"

    def _repair(self) -> None:
        self.lab.repair_rpm()

    def _prepare(self, host: str) -> None:
        self.ssh(host, "sudo dnf -qy makecache")

    def state(self, host: str, package: str) -> str:
        """`version-release`, of several installed versions each, by rpm's own words."""
        return self.ssh(host, f"rpm -q --qf '%{{VERSION}}-%{{RELEASE}} ' {package}", check=False)

    def began(self, host: str) -> list[str]:
        """What dnf's own history says was altered since the host was made new: `Upgraded acme-tool-1.0-1.noarch`, oldest
        transaction first."""
        numbers = self.ssh(host, "sudo dnf history list 2>/dev/null | grep -oE '^ +[0-9]+' || true").split()
        told = [self.ssh(host, f"sudo dnf history info {n} 2>/dev/null") for n in sorted(numbers, key=int)]
        altered = r"^ +(Install|Upgrade|Upgraded|Downgrade|Downgraded|Removed|Reinstall) +(\S+)"
        return [" ".join(found) for text in told for found in re.findall(altered, text, re.MULTILINE)]

    @property
    def archive_key(self) -> Path:
        return self.lab.folder / "www" / "lab-rpm.asc"

    def package(self, name: str, version: str) -> Path:
        (found,) = (self.lab.folder / "www" / "rpm" / "Packages").glob(f"{name}-{version}-1.noarch.rpm")
        return found

    def sha256(self, package: str, version: str) -> str:
        return hashlib.sha256(self.package(package, version).read_bytes()).hexdigest()
