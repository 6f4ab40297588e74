"""What apt is asked, and what its words mean. A dry run first; what it did not announce is not done."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import look

if TYPE_CHECKING:  # an older Python over there cannot evaluate these
    # name, arch, from_version and to_version of a package; what (name, arch) goes from and to.
    Packages = Sequence[Mapping[str, str]]
    Changes = Mapping[tuple[str, str], tuple[str, str]]

INST = re.compile(r"^Inst (\S+?)(?::\S+)? (?:\[([^\]]*)\] )?\((\S+) .*?\[([^\]]+)\]\)", re.M)
REMOVAL = re.compile(r"^(?:Remv|Purg) (\S+?)(?::\S+)? \[([^\]]*)\]", re.M)
URI = re.compile(r"^'([^']+)' (\S+) (\d+) (?:(\w+):(\S+))?", re.M)
COMMON = (
    "-y", "-q", "-o", "APT::Install-Recommends=false", "-o", "Acquire::ForceHash=SHA256", "-o", "Dpkg::Use-Pty=0",
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Acquire::http::Timeout=20",
)  # fmt: skip
# Words of apt -> (code, whether waiting cannot help). First match wins.
MEANING = (
    (r"Could not get lock|Unable to acquire the dpkg frontend lock|dpkg frontend lock was locked", "dpkg_locked", False),
    (r"dpkg was interrupted|Unmet dependencies\. Try 'apt --fix-broken", "dpkg_unfinished", False),
    (r"don't have enough free space|No space left on device", "disk_full", False),
    (r"Hash Sum mismatch|unexpected size|NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|no longer has a Release|"
     r"not valid yet|is expired|invalid since|signatures (?:were|couldn't)|"
        r"not be authenticated|GPG error|Splitting up",
        "repository_untrusted", True),
    (r"[Hh]eld packages were changed", "held", True),
    (r"Packages were downgraded", "downgrade", True),
    (r"Packages need to be removed|Essential packages were removed|remove is disabled", "removal", True),
    (r"was not found|Unable to locate package|has no installation candidate|held broken packages|unmet dependencies|"
     r"Unable to correct problems", "impossible", True),
    (r"Failed to fetch|Could not connect|Could not resolve|Connection (?:timed out|failed|refused)|Unable to fetch|"
     r"index files failed to download", "repository_unreachable", False),
)  # fmt: skip


class Refused(Exception):
    """Why nothing is done. `permanent`: waiting does not help."""

    def __init__(self, code: str, reason: str, permanent: bool) -> None:
        super().__init__(reason)
        self.code, self.reason, self.permanent = code, reason, permanent


def run(argv: list[str], log: str | None = None, seconds: float | None = None) -> tuple[int, str]:
    """(exit status, all that apt said). With `seconds` the program is killed then: only for what changes nothing."""
    env = dict(os.environ, NEEDRESTART_MODE="l", APT_LISTCHANGES_FRONTEND="none", **look.WORDS)
    env.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if log is None:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=seconds
        )
        return done.returncode, done.stdout.decode(errors="replace")
    with open(log, "ab") as file:
        file.write(f"\n$ {' '.join(argv)}\n".encode())
        file.flush()
        start = file.tell()
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env, timeout=seconds)
    with open(log, "rb") as file:
        file.seek(start)
        return done.returncode, file.read().decode(errors="replace")


def meaning(text: str, otherwise: str = "failed") -> Refused:
    """What apt's words come to, as a Refused that quotes them."""
    lines = [line for line in text.splitlines() if line.startswith(("E:", "Err:", "W:", "dpkg:"))] or text.splitlines()
    quote = " ".join(line.strip() for line in lines[-4:])[:600]
    for pattern, code, permanent in MEANING:
        if re.search(pattern, text):
            return Refused(code, quote, permanent)
    return Refused(otherwise, quote or "apt said nothing", True)


def refresh(log: str | None = None) -> None:
    """Fetches the lists. A list that cannot be had or verified refuses, though apt itself would go on with old ones."""
    patience = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"]
    status, text = run(["apt-get", "update", "-q", "-eany", *patience], log, seconds=600)
    doubtful = re.search(r"^(Err:|W: (Failed to fetch|GPG error|An error occurred|Some index files))", text, re.M)
    if status or doubtful:
        raise meaning(text, "repository_untrusted")


def words_for(packages: Packages) -> list[str]:
    """The packages as apt wants them named: exact versions, and a dash for those that go."""
    own, found = look.native(), []
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


def simulate(
    packages: Packages, archives: str, downgrade: bool, log: str | None = None
) -> tuple[dict[tuple[str, str], tuple[str, str]], dict[str, str]]:
    """({(name, arch): (from, to)}, {name: version that goes}) that apt would do now. Raises Refused in apt's words."""
    status, text = run(install_words(packages, archives, downgrade, "-s"), log, seconds=300)
    if status:
        raise meaning(text, "impossible")
    changes = {(name, arch): (old or "", new) for name, old, new, arch in INST.findall(text)}
    return changes, dict(REMOVAL.findall(text))


def announced(packages: Packages, archives: str, downgrade: bool) -> list[dict[str, Any]]:
    """The files that would be fetched, by the host's signed lists. What is in `archives` already is not among them."""
    status, text = run(install_words(packages, archives, downgrade, "--print-uris", "-qq"), seconds=300)
    if status:
        raise meaning(text, "impossible")
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


def contained(changes: Changes, removals: Mapping[str, str], packages: Packages) -> None:
    """Nothing may happen that was not signed: raises Refused with everything that is too much."""
    signed = {(p["name"], p["arch"], p["to_version"]) for p in packages}
    going = {p["name"] for p in packages if not p["to_version"]}
    extra = [f"{name} {to}" for (name, arch), (_, to) in sorted(changes.items()) if (name, arch, to) not in signed]
    extra += [f"removal of {name}" for name in sorted(removals) if name not in going]
    if extra:
        raise Refused("not_contained", "the host would also do what was not signed: " + ", ".join(extra), True)


def compare_files(
    archives: str, changes: Changes, artifacts: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Every file against the signed list: none missing, none extra, each the very bytes and the very package.

    apt itself looks only at the size of a file that is there already. Returns {path: artifact}.
    """
    wanted = {(a["package"], a["version"], a["arch"]): a for a in artifacts}
    needed = {(name, to, arch) for (name, arch), (_, to) in changes.items()}
    found = {}
    for filename in sorted(os.listdir(archives)):
        if filename in ("lock", "partial"):
            continue
        path = os.path.join(archives, filename)
        status, fields, words = look.say(
            ["dpkg-deb", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}", path]
        )
        key = tuple(fields.split("\t"))
        if status or key not in wanted:
            raise Refused("artifact_extra", f"{filename} is not among the signed files {words.strip()[:200]}", True)
        if key not in needed:
            raise Refused("artifact_extra", f"{filename} was fetched but is not part of the change", True)
        digest, size = sha256(path), os.path.getsize(path)
        if (digest, size) != (wanted[key]["sha256"], wanted[key]["size"]):
            reason = "%s is not the signed file: SHA-256 %s and %d bytes, signed are %s and %d bytes"
            raise Refused(
                "artifact_mismatch", reason % (filename, digest, size, wanted[key]["sha256"], wanted[key]["size"]), True
            )
        found[path] = wanted[key]
    missing = needed - {(a["package"], a["version"], a["arch"]) for a in found.values()}
    if missing:
        raise Refused(
            "artifact_missing", "not there: " + ", ".join(" ".join(key[:2]) for key in sorted(missing)), False
        )
    return found


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
