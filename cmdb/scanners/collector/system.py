"""What does not depend on the package manager: identity, operating system, kernel, processes."""

# ruff: noqa: UP006, UP022, UP035 - older Pythons over there

import glob
import os
import platform
import re
import shutil
import socket
import subprocess
from typing import Any, Dict, List, Sequence, Tuple

WORDS = {"LC_ALL": "C.UTF-8", "LANGUAGE": "C", "DEBIAN_FRONTEND": "noninteractive"}


class Failed(Exception):
    """A program that could not answer, with its last words."""


def say(argv: List[str], ok: Sequence[int] = (0,), seconds: float = 120) -> str:
    """The output of a program, in English. Raises Failed for any exit status not in `ok`."""
    env = dict(os.environ, **WORDS)
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=seconds
    )
    if done.returncode not in ok:
        words = (done.stderr.decode(errors="replace").strip() or "no words").splitlines()[-1]
        raise Failed(f"{argv[0]}: exit {done.returncode}: {words[:300]}")
    return done.stdout.decode(errors="replace")


def read(path: str) -> str:
    """A small file's text without surrounding white space, or nothing."""
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def facts() -> Dict[str, Any]:
    """Fingerprint, names, operating system and kernel."""
    release = dict(
        re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', read("/etc/os-release") or read("/usr/lib/os-release"), re.M)
    )
    return {
        "machine_id": read("/etc/machine-id"),
        "host_keys": sorted(" ".join(read(path).split()[:2]) for path in glob.glob("/etc/ssh/ssh_host_*_key.pub")),
        "hostname": socket.gethostname(),
        "fqdn": socket.getfqdn(),
        "distribution": release.get("ID", ""),
        "distribution_like": release.get("ID_LIKE", "").split(),
        "release": release.get("VERSION_ID", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "pretty_name": release.get("PRETTY_NAME", ""),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "kernel_build": platform.version(),
        "boot_id": read("/proc/sys/kernel/random/boot_id"),
        "virtualization": virtualization(),
        "facts": dict(hardware(), machine_kind=machine_kind()),
    }


def virtualization() -> str:
    """As systemd names it (`none` on bare metal); empty where nobody can tell."""
    if not shutil.which("systemd-detect-virt"):
        return ""
    return say(["systemd-detect-virt"], ok=(0, 1)).strip()


PORTABLE = {"8", "9", "10", "11", "14", "30", "31", "32"}
RACKED = {"17", "23", "25", "28", "29"}


def machine_kind() -> str:
    screen = os.path.lexists("/etc/systemd/system/display-manager.service")
    return kind_of(read("/sys/class/dmi/id/chassis_type"), screen, virtualization())


def kind_of(chassis: str, screen: bool, virtual: str) -> str:
    """`workstation`: carried about, or people log in at its screen. `server`: racked or virtual, without that. Empty where
    nobody can tell. The numbers are chassis types of SMBIOS."""
    if screen or chassis in PORTABLE:
        return "workstation"
    return "server" if chassis in RACKED or virtual not in ("", "none") else ""


def hardware() -> Dict[str, Any]:
    memory = re.search(r"^MemTotal:\s+(\d+) kB", read("/proc/meminfo"), re.M)
    uptime = read("/proc/uptime").split()
    return {
        "cpus": os.cpu_count() or 0,
        "memory_mib": int(memory.group(1)) // 1024 if memory else 0,
        "uptime_s": int(float(uptime[0])) if uptime else 0,
        "vendor": read("/sys/class/dmi/id/sys_vendor"),
        "product": read("/sys/class/dmi/id/product_name"),
        "serial": read("/sys/class/dmi/id/product_serial"),
        "product_uuid": read("/sys/class/dmi/id/product_uuid"),
        "python": platform.python_version(),
    }


def stale_processes() -> Tuple[List[str], bool]:
    """(names of processes that still run a library or program replaced on disk, whether all could be read)."""
    names, complete = set(), True
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            with open(folder + "/maps", errors="replace") as maps:
                gone = any(
                    re.search(r" r-xp .* /(usr|lib|bin|sbin|opt)\S* \(deleted\)$", line.rstrip()) for line in maps
                )
        except PermissionError:
            complete = False
            continue
        except OSError:
            continue  # it ended meanwhile
        if gone:
            unit = re.search(r"([^/\s]+\.service)\s*$", read(folder + "/cgroup"), re.M)
            names.add(unit.group(1) if unit else read(folder + "/comm"))
    return sorted(names), complete
