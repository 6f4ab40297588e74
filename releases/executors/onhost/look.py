"""What is so on this host, by its kernel, locks, services and processes. Changes nothing."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .ledger import read

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


def lock_holders(paths: Iterable[str]) -> list[str]:
    """Who holds one of these lock files now, as "name (pid)"."""
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


def boot_id() -> str:
    return read("/proc/sys/kernel/random/boot_id").strip()


def machine_id() -> str:
    return read("/etc/machine-id").strip()


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
