"""What is so on this host by dpkg's own database. Changes nothing."""

from __future__ import annotations

import os
import re

from . import look
from .look import say

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")


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


def newer(left: str, right: str) -> bool:
    return say(["dpkg", "--compare-versions", left, "gt", right])[0] == 0


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


def lock_holders() -> list[str]:
    return look.lock_holders(LOCKS)


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
    return rebuilt or any(newer(version, mine) for version in kernels.values())
