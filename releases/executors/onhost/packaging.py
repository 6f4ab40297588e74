"""What a package manager must be able to do for a job, whichever it is; and the comparison that none of them makes."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from . import look, ways

if TYPE_CHECKING:  # an older Python over there cannot evaluate these
    # name, arch, from_version and to_version of a package; what (name, arch) goes from and to.
    Packages = Sequence[Mapping[str, str]]
    Changes = Mapping[tuple[str, str], tuple[str, str]]
    Meanings = Sequence[tuple[str, str, bool]]

LISTS, DRY_RUN = 600, 300
"""Seconds that fetching the lists, and asking what would be done, may take at most."""
EACH, GRACE = 1.0, 5.0
"""So often somebody looks up while a program runs that may be ended; so long it has to end by itself."""


class Refused(Exception):
    """Why nothing is done. `permanent`: waiting does not help."""

    def __init__(self, code: str, reason: str, permanent: bool) -> None:
        super().__init__(reason)
        self.code, self.reason, self.permanent = code, reason, permanent


def too_slow(seconds: float) -> Refused:
    """A manager that does not say in time what it would do: the host is busy, or its lists lie on a slow disk."""
    return Refused("slow", f"it did not say within {seconds:g} s what would be done", False)


def said_with_way(no: Refused, way: dict[str, Any] | None) -> Refused:
    """Of what came, or did not come, through a point it is told through which."""
    if not way or not no.code.startswith(("repository_", "artifact_")):
        return no
    return Refused(no.code, f"{no.reason} (it downloads {ways.named(way)})", no.permanent)


class Plan(NamedTuple):
    """What the host would do now: {(name, arch): (from, to)}, {name: version that goes}, and the (name, arch) that come
    without a file, because they lie there beside a newer one."""

    changes: dict[tuple[str, str], tuple[str, str]]
    removals: dict[str, str]
    kept: frozenset[tuple[str, str]] = frozenset()

    @property
    def fetched(self) -> dict[tuple[str, str], tuple[str, str]]:
        """The changes that need a file."""
        return {place: change for place, change in self.changes.items() if place not in self.kept}


class Manager:
    """One family of package managers. Everything that changes packages says first what it would do."""

    name = ""
    suffix = ""
    lists_within: float = LISTS
    dry_run_within: float = DRY_RUN
    way: dict[str, Any] | None = None
    """The distribution point through which lists and files are fetched; None: as the host itself would."""
    meanwhile: Callable[[], None] | None = None
    """Called each second while a program runs that changes nothing: what it raises ends that program."""

    def go_through(self, way: dict[str, Any], folder: str) -> None:
        """Fetches through this point from now on; `folder` takes a file of settings where the manager wants one."""
        self.way = way

    @property
    def aside(self) -> Sequence[str]:
        """Variables that its programs do not get to see, as they would lead past the point."""
        return ways.ASIDE if self.way else ()

    # ------------------------------------------------------------- what is so

    def native(self) -> str:
        """The host's own architecture, in the manager's words."""
        raise NotImplementedError

    def state(self, name: str, arch: str) -> dict[str, str]:
        """name, arch, version and status of one package; the last two empty when it is not there."""
        raise NotImplementedError

    def newer(self, left: str, right: str) -> bool:
        """Whether the left version comes after the right one."""
        raise NotImplementedError

    def lock_holders(self) -> list[str]:
        """Who is at work on packages now, as "name (pid)"."""
        raise NotImplementedError

    def audit(self) -> str:
        """What is unfinished, in words. Says something only while no lock is held."""
        raise NotImplementedError

    def unfinished(self) -> list[str]:
        """Names of packages that are neither as before nor installed."""
        raise NotImplementedError

    def torn(self) -> bool:
        """Whether the manager was stopped in the middle, and nobody has finished since."""
        raise NotImplementedError

    def restart_needed(self) -> bool:
        raise NotImplementedError

    # ------------------------------------------------------------- what would be, what is done

    def refresh(self, log: str | None = None) -> None:
        """Fetches the lists. A list that cannot be had in time, or verified, is Refused."""
        raise NotImplementedError

    def simulate(self, packages: Packages, archives: str, downgrade: bool, log: str | None = None) -> Plan:
        """What would be done now, dependencies and removals included. Raises Refused in the manager's words."""
        raise NotImplementedError

    def announced(self, packages: Packages, archives: str, downgrade: bool) -> list[dict[str, Any]]:
        """The files of the plan, by the host's signed lists."""
        raise NotImplementedError

    def fetch(self, packages: Packages, archives: str, downgrade: bool, log: str, seconds: float) -> None:
        """Downloads what is not there yet into `archives`, and nothing else. Raises Refused."""
        raise NotImplementedError

    def identity(self, path: str) -> tuple[str, ...]:
        """(name, version, arch) that a file says it is. Raises ValueError where it is no package."""
        raise NotImplementedError

    def rehearse(self, packages: Packages, plan: Plan, files: Iterable[str], downgrade: bool, log: str) -> None:
        """Asks the manager once more, with the very files, whether it could. Raises Refused. Changes nothing."""

    def install(
        self, packages: Packages, plan: Plan, archives: str, downgrade: bool, log: str, lock: int
    ) -> tuple[int, str]:
        """Does it, from the compared files in `archives`, without network. (exit status, all that was said)."""
        raise NotImplementedError

    def finish(self, interrupted: Sequence[str], log: str) -> tuple[int, str]:
        """Finishes what was stopped in the middle, from the compared files of the job that was. (exit status, words)."""
        raise NotImplementedError

    def automatic(self) -> set[str]:
        """Names of packages that are there for others only, where an update would lose that mark."""
        return set()

    def mark_automatic(self, names: Sequence[str], log: str) -> None:
        raise NotImplementedError

    def meaning(self, text: str, otherwise: str = "failed") -> Refused:
        """What the manager's words come to, as a Refused that quotes them."""
        raise NotImplementedError

    def warnings(self, text: str) -> list[str]:
        """What a person should know although the package is there: scripts that failed, settings that were kept."""
        return []

    # ------------------------------------------------------------- the same for all

    def states(self, packages: Packages) -> list[dict[str, str]]:
        return [self.state(package["name"], package["arch"]) for package in packages]


def run(
    argv: list[str],
    log: str | None = None,
    seconds: float | None = None,
    given: bytes = b"",
    shown: str = "",
    without: Iterable[str] = (),
    meanwhile: Callable[[], None] | None = None,
) -> tuple[int, str]:
    """(exit status, all that was said). With `seconds` the program is killed then, with `meanwhile` where that raises: only for
    what changes nothing. `without` these variables."""
    kept = {name: value for name, value in os.environ.items() if name not in without}
    env = dict(kept, NEEDRESTART_MODE="l", APT_LISTCHANGES_FRONTEND="none", **look.WORDS)
    env.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if log is None:
        done = subprocess.run(
            argv, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=seconds
        )
        return done.returncode, done.stdout.decode(errors="replace")
    with open(log, "ab") as file:
        file.write(f"\n$ {shown or ' '.join(argv)}\n".encode())
        file.flush()
        start = file.tell()
        if meanwhile is None:
            done = subprocess.run(argv, input=given, stdout=file, stderr=file, env=env, timeout=seconds)
            status = done.returncode
        else:
            status = run_meanwhile(argv, given, seconds, meanwhile, stdout=file, stderr=file, env=env)
    with open(log, "rb") as file:
        file.seek(start)
        return status, file.read().decode(errors="replace")


def run_meanwhile(
    argv: list[str], given: bytes, seconds: float | None, meanwhile: Callable[[], None], **streams: Any
) -> int:
    """The exit status of a program that is ended, and whatever it has started, when `meanwhile` raises or its time is over."""
    until = None if seconds is None else time.monotonic() + seconds
    with tempfile.TemporaryFile() as words:
        words.write(given)
        words.seek(0)
        child = subprocess.Popen(argv, stdin=words, start_new_session=True, **streams)
        try:
            while True:
                left = EACH if until is None else until - time.monotonic()
                with suppress(subprocess.TimeoutExpired):
                    return child.wait(timeout=max(0, min(EACH, left)))
                meanwhile()
                if seconds is not None and left <= EACH:
                    raise subprocess.TimeoutExpired(argv, seconds)
        finally:
            if child.returncode is None:
                end_group(child)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Ends a program that leads a group of its own, with the whole group."""
    os.killpg(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=GRACE)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def first_meaning(meanings: Meanings, text: str, quote: str, otherwise: str) -> Refused:
    for pattern, code, permanent in meanings:
        if re.search(pattern, text):
            return Refused(code, quote, permanent)
    return Refused(otherwise, quote, True)


def contained(plan: Plan, packages: Packages) -> None:
    """Nothing may happen that was not signed: raises Refused with everything that is too much."""
    signed = {(p["name"], p["arch"], p["to_version"]) for p in packages}
    going = {p["name"] for p in packages if not p["to_version"]}
    extra = [f"{name} {to}" for (name, arch), (_, to) in sorted(plan.changes.items()) if (name, arch, to) not in signed]
    extra += [f"removal of {name}" for name in sorted(plan.removals) if name not in going]
    if extra:
        raise Refused("not_contained", "the host would also do what was not signed: " + ", ".join(extra), True)


def compare_files(
    manager: Manager, archives: str, changes: Changes, artifacts: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Every file against the signed list: none missing, none extra, each the very bytes and the very package.

    Package managers look only at the size, or at nothing, of a file that is there already. Returns {path: artifact}.
    """
    wanted = {(a["package"], a["version"], a["arch"]): a for a in artifacts}
    needed = {(name, to, arch) for (name, arch), (_, to) in changes.items()}
    found = {}
    for filename in sorted(os.listdir(archives)):
        if filename in ("lock", "partial"):
            continue
        path, words = os.path.join(archives, filename), ""
        try:
            key = manager.identity(path)
        except ValueError as error:
            key, words = (), str(error)
        if key not in wanted:
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
