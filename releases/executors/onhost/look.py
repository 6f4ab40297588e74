"""What is so on this host, by its own package database, kernel and processes. Changes nothing."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import struct
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .ledger import read

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
WORDS = {"LC_ALL": "C.UTF-8", "LANGUAGE": "C", "DEBIAN_FRONTEND": "noninteractive"}


def say(argv: list[str], seconds: float = 60) -> tuple[int, str, str]:
    """(exit status, output, errors) of a program that only tells."""
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=dict(os.environ, **WORDS),
        timeout=seconds,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def native() -> str:
    return say(["dpkg", "--print-architecture"])[1].strip()


def state(name: str, arch: str) -> dict[str, str]:
    """Version and status in dpkg's words; both empty when the package is not there (its settings may be)."""
    form = "${Architecture}\\t${Version}\\t${db:Status-Status}\\n"
    rows = [line.split("\t") for line in say(["dpkg-query", "-W", "-f", form, name])[1].splitlines()]
    rows = [row for row in rows if row[2] not in ("not-installed", "config-files")]
    for want in (arch, "all"):
        for row in rows:
            if row[0] == want:
                return {"name": name, "arch": arch or row[0], "version": row[1], "status": row[2]}
    if len(rows) == 1:  # the architecture changes with the version
        return {"name": name, "arch": arch or rows[0][0], "version": rows[0][1], "status": rows[0][2]}
    return {"name": name, "arch": arch, "version": "", "status": ""}


def states(packages: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    return [state(package["name"], package["arch"]) for package in packages]


def compare(left: str, operator: str, right: str) -> bool:
    return say(["dpkg", "--compare-versions", left, operator, right])[0] == 0


def lock_holders(paths: Iterable[str] = LOCKS) -> list[str]:
    """Who holds a lock of dpkg or apt now, as "name (pid)"."""
    found = []
    for path in paths:
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:
            continue
        try:
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
        finally:
            os.close(file)
        if kind != fcntl.F_UNLCK:
            found.append(f"{read(f'/proc/{pid}/comm').strip() or 'a process'} ({pid})")
    return sorted(set(found))


def audit() -> str:
    """dpkg's own list of what is unfinished. Says something only while no lock is held."""
    return say(["dpkg", "--audit"])[1].strip()


def unfinished() -> list[str]:
    """Names of packages that are neither installed nor gone."""
    lines = say(["dpkg-query", "-W", "-f", "${Package}\\t${db:Status-Status}\\n"])[1].splitlines()
    return [
        line.split("\t")[0]
        for line in lines
        if line.split("\t")[1] not in ("installed", "not-installed", "config-files")
    ]


def torn() -> bool:
    """Whether dpkg was stopped in the middle: it left a journal of its own behind."""
    return any(re.match(r"^\d+$", name) for name in os.listdir("/var/lib/dpkg/updates"))


def boot_id() -> str:
    return read("/proc/sys/kernel/random/boot_id").strip()


def machine_id() -> str:
    return read("/etc/machine-id").strip()


def restart_needed() -> bool:
    """Whether something asks for a restart: the flag that packages leave, or a newer kernel than the one running."""
    return os.path.exists("/run/reboot-required") or newer_kernel()


def newer_kernel() -> bool:
    """Whether a newer kernel package is installed than that of the kernel running; no where kernels are no packages here."""
    form, kernels = "${Package}\\t${Version}\\t${db:Status-Status}\\n", {}
    for line in say(["dpkg-query", "-W", "-f", form, "linux-image-[0-9]*"])[1].splitlines():
        name, version, status = line.split("\t")
        if status == "installed" and not name.endswith("-dbg"):
            kernels[name[len("linux-image-") :].replace("unsigned-", "")] = version
    mine = kernels.get(os.uname().release)
    if mine is None:
        return False
    rebuilt = "Debian" in os.uname().version and mine not in os.uname().version
    return rebuilt or any(compare(version, "gt", mine) for version in kernels.values())


def ill(check: Mapping[str, Any]) -> str:
    """What is wrong with one health check, asked once; empty when it passes."""
    try:
        return ASK[check["kind"]](check["target"], check["expect"], check["timeout"])
    except KeyError:
        return f"unknown kind of check: {check['kind']}"
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return str(error)


def _http(target: str, expect: str, seconds: float) -> str:
    if not target.startswith(("http://", "https://")):
        return f"{target} is not an http address"
    try:
        got = urllib.request.urlopen(target, timeout=seconds).status  # noqa: S310 - http only, see above
    except urllib.error.HTTPError as error:
        got = error.code
    return "" if got == int(expect or 200) else f"{target} answers {got}, not {expect or 200}"


def _tcp(target: str, expect: str, seconds: float) -> str:
    host, port = target.rsplit(":", 1)
    socket.create_connection((host, int(port)), seconds).close()
    return ""


def _service(target: str, expect: str, seconds: float) -> str:
    word = say(["systemctl", "is-active", target], seconds)[1].strip()
    return "" if word == (expect or "active") else f"{target} is {word or 'unknown'}"


def _command(target: str, expect: str, seconds: float) -> str:
    status, out, err = say(["sh", "-c", target], seconds)
    return "" if status == int(expect or 0) else f"exit {status}: {(err.strip() or out.strip())[-200:]}"


ASK: dict[str, Callable[[str, str, float], str]] = {
    "http": _http,
    "tcp": _tcp,
    "service": _service,
    "command": _command,
}
