"""Three production hosts and a test host in the lab, and what can be seen on them without Patchflow."""

from __future__ import annotations

import hashlib
import subprocess
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

    def renew(self) -> None:
        """Every host as new. They know the suites `lab` and `lab-security` only: what is newer elsewhere would replace
        the fixes that the journeys deploy."""
        self.lab.repair()
        for host in HOSTS:  # one after the other: they share the list of known hosts
            self.lab.reset(host)
        with ThreadPoolExecutor(len(HOSTS)) as pool:
            list(pool.map(self._prepare, HOSTS))

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

    def states(self, package: str, hosts: tuple[str, ...] = HOSTS) -> dict[str, str]:
        return {host: self.state(host, package) for host in hosts}

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

    def quiet(self, host: str) -> bool:
        """Whether the package database is whole and nobody works on it."""
        return not self.ssh(host, "sudo dpkg --audit; pgrep -x dpkg; pgrep -x apt-get; true")

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
