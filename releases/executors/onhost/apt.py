"""What apt is asked, and what its words mean. A dry run first; what it did not announce is not done."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.parse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import dpkg, look, ways
from .packaging import Manager, Plan, Refused, first_meaning, run, too_slow

if TYPE_CHECKING:
    from .packaging import Packages

INST = re.compile(r"^Inst (\S+?)(?::\S+)? (?:\[([^\]]*)\] )?\((\S+) .*?\[([^\]]+)\]\)", re.M)
REMOVAL = re.compile(r"^(?:Remv|Purg) (\S+?)(?::\S+)? \[([^\]]*)\]", re.M)
URI = re.compile(r"^'([^']+)' (\S+) (\d+) (?:(\w+):(\S+))?", re.M)
KEPT = re.compile(r"^Configuration file '([^']+)'\n(?: ==> .*\n)* ==> Keeping old config file as default", re.M)
COMMON = (
    "-y", "-q", "-o", "APT::Install-Recommends=false", "-o", "Acquire::ForceHash=SHA256", "-o", "Dpkg::Use-Pty=0",
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Acquire::http::Timeout=20",
)  # fmt: skip
# Words of apt -> (code, whether waiting cannot help). First match wins.
MEANING = (
    (r"Could not get lock|Unable to acquire the dpkg frontend lock|dpkg frontend lock was locked", "locked", False),
    (r"dpkg was interrupted|Unmet dependencies\. Try 'apt --fix-broken", "unfinished", False),
    (r"don't have enough free space|No space left on device", "disk_full", False),
    (r"Hash Sum mismatch|unexpected size|NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|"
     r"not valid yet|is expired|invalid since|signatures (?:were|couldn't)|"
        r"not be authenticated|GPG error|Splitting up",
        "repository_untrusted", True),
    (r"Cannot initiate the connection|\b407 +Proxy", "repository_unreachable", False),
    (r"no longer has a Release", "repository_untrusted", True),  # also said of what was not reached at all
    (r"[Hh]eld packages were changed", "held", True),
    (r"Packages were downgraded", "downgrade", True),
    (r"Packages need to be removed|Essential packages were removed|remove is disabled", "removal", True),
    (r"was not found|Unable to locate package|has no installation candidate|held broken packages|unmet dependencies|"
     r"Unable to correct problems", "impossible", True),
    (r"Failed to fetch|Could not connect|Could not resolve|Connection (?:timed out|failed|refused)|Unable to fetch|"
     r"index files failed to download", "repository_unreachable", False),
)  # fmt: skip


class Apt(Manager):
    """apt over dpkg: Debian, Ubuntu and what descends from them."""

    name = "apt"
    suffix = ".deb"

    native = staticmethod(dpkg.native)
    state = staticmethod(dpkg.state)
    newer = staticmethod(dpkg.newer)
    lock_holders = staticmethod(dpkg.lock_holders)
    audit = staticmethod(dpkg.audit)
    unfinished = staticmethod(dpkg.unfinished)
    torn = staticmethod(dpkg.torn)
    restart_needed = staticmethod(dpkg.restart_needed)

    def __init__(self) -> None:
        self._fetching: list[str] = []
        """What apt is told beside the rest wherever it fetches something."""

    def go_through(self, way: dict[str, Any], folder: str) -> None:
        self.way = way
        path = os.path.join(folder, "way.conf")
        with open(path, "w") as file:
            file.write(ways.apt_settings(way))
        self._fetching = ["-c", path]

    def refresh(self, log: str | None = None) -> None:
        """Fetches the lists. A list that cannot be had or verified refuses, though apt itself would go on with old ones."""
        patience = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"]
        words = ["apt-get", "update", "-q", "-eany", *patience, *self._fetching]
        try:
            status, text = run(words, log, seconds=self.lists_within, without=self.aside, meanwhile=self.meanwhile)
        except subprocess.TimeoutExpired:
            raise Refused("repository_unreachable", "the lists did not come in time", False) from None
        doubtful = re.search(r"^(Err:|W: (Failed to fetch|GPG error|An error occurred|Some index files))", text, re.M)
        if status or doubtful:
            raise self.meaning(text, "repository_untrusted")

    def simulate(self, packages: Packages, archives: str, downgrade: bool, log: str | None = None) -> Plan:
        words = install_words(packages, archives, downgrade, "-s")
        status, text = self._dry_run(words, log)
        if status:
            raise self.meaning(text, "impossible")
        return Plan(
            {(name, arch): (old or "", new) for name, old, new, arch in INST.findall(text)}, dict(REMOVAL.findall(text))
        )

    def _dry_run(self, words: list[str], log: str | None = None) -> tuple[int, str]:
        try:
            return run(words, log, seconds=self.dry_run_within, meanwhile=self.meanwhile)
        except subprocess.TimeoutExpired:
            raise too_slow(self.dry_run_within) from None

    def announced(self, packages: Packages, archives: str, downgrade: bool) -> list[dict[str, Any]]:
        """The files that would be fetched, by the host's signed lists. What is in `archives` already is not among them."""
        words = install_words(packages, archives, downgrade, "--print-uris", "-qq")
        status, text = self._dry_run(words)
        if status:
            raise self.meaning(text, "impossible")
        found = []
        for uri, filename, size, kind, digest in URI.findall(text):
            name, version, arch = (urllib.parse.unquote(part) for part in filename[: -len(".deb")].split("_"))
            if kind != "SHA256":
                raise Refused("no_sha256", f"the signed lists have no SHA-256 for {filename}", True)
            found.append({
                "uri": uri, "filename": filename, "size": int(size), "sha256": digest,
                "package": name, "version": version, "arch": arch,
            })  # fmt: skip
        return found

    def fetch(self, packages: Packages, archives: str, downgrade: bool, log: str, seconds: float) -> None:
        try:
            words = install_words(packages, archives, downgrade, "--download-only", *self._fetching)
            status, text = run(words, log, seconds=seconds, without=self.aside, meanwhile=self.meanwhile)
        except subprocess.TimeoutExpired:
            raise Refused("repository_unreachable", "the download did not end in time", False) from None
        if status:
            raise self.meaning(text, "repository_unreachable")

    def identity(self, path: str) -> tuple[str, ...]:
        status, fields, words = look.say(
            ["dpkg-deb", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}", path]
        )
        if status:
            raise ValueError(words)
        return tuple(fields.split("\t"))

    def install(
        self, packages: Packages, plan: Plan, archives: str, downgrade: bool, log: str, lock: int
    ) -> tuple[int, str]:
        patience = f"DPkg::Lock::Timeout={lock}"
        return run(install_words(packages, archives, downgrade, "--no-download", "-o", patience), log)

    def finish(self, interrupted: Sequence[str], log: str) -> tuple[int, str]:
        """dpkg has unpacked what it needs: no file is asked for."""
        return run(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"], log)

    def automatic(self) -> set[str]:
        return set(look.say(["apt-mark", "showauto"])[1].split())

    def mark_automatic(self, names: Sequence[str], log: str) -> None:
        run(["apt-mark", "auto", *names], log, seconds=60)

    def meaning(self, text: str, otherwise: str = "failed") -> Refused:
        lines = [
            line for line in text.splitlines() if line.startswith(("E:", "Err:", "W:", "dpkg:"))
        ] or text.splitlines()
        quote = " ".join(line.strip() for line in lines[-4:])[:600]
        return first_meaning(MEANING, text, quote or "apt said nothing", otherwise)

    def warnings(self, text: str) -> list[str]:
        """Settings that a person changed and that the package changes too: theirs stay."""
        return [
            f"{path} was changed here and stays; the new one lies beside it, .dpkg-dist" for path in KEPT.findall(text)
        ]


def words_for(packages: Packages) -> list[str]:
    """The packages as apt wants them named: exact versions, and a dash for those that go."""
    own, found = dpkg.native(), []
    for package in packages:
        name = package["name"] if package["arch"] in ("all", own, "") else f"{package['name']}:{package['arch']}"
        found.append(f"{name}={package['to_version']}" if package["to_version"] else name + "-")
    return found


def install_words(packages: Packages, archives: str, downgrade: bool, *more: str) -> list[str]:
    return (
        ["apt-get", "install", *COMMON, "-o", "Dir::Cache::Archives=" + archives]
        + (["--allow-downgrades"] if downgrade else [])
        + list(more) + ["--"] + words_for(packages)
    )  # fmt: skip
