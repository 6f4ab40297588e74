"""This very computer, with the same functions as `cmdb.remote.ssh`: no connection, no key."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence

from cmdb.remote.connection import Completed, Endpoint, HostKey, ProbeResult
from cmdb.remote.errors import SudoRefused, TimedOut, Unreachable
from patchflow.kernel.blockers import english


def fetch_host_key(endpoint: Endpoint, *, timeout: float = 10) -> HostKey:
    """This computer is not asked for a key. Raises Unreachable, always."""
    raise Unreachable(english("this computer has no host key to accept: nothing lies in between"))


def run(
    endpoint: Endpoint,
    argv: Sequence[str],
    *,
    stdin: bytes | str = b"",
    timeout: float = 60,
    become: bool | None = None,
) -> Completed:
    """One command here, as this process's account, or as root by `sudo -n` where `become` asks for it.

    Raises SudoRefused, TimedOut (the command is killed), Unreachable when there is no such program.
    """
    started = time.monotonic()
    wants_root = (endpoint.become if become is None else become) and os.geteuid() != 0
    if wants_root:
        allowed = shutil.which("sudo") and subprocess.run(
            ["sudo", "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout
        )
        if not allowed or allowed.returncode:
            raise SudoRefused("this account may not become root by sudo without a password")
    try:
        done = subprocess.run(
            ["sudo", "-n", "--", *argv] if wants_root else list(argv),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(
            english("this computer: no end within %(seconds)s s", seconds=f"{timeout:.0f}"), started=True
        ) from None
    except FileNotFoundError as error:
        raise Unreachable(english("this computer has no program %(filename)s", filename=error.filename)) from None
    return Completed(
        rc=done.returncode,
        stdout=done.stdout.decode(errors="replace"),
        stderr=done.stderr.decode(errors="replace"),
        seconds=time.monotonic() - started,
    )


def probe(endpoint: Endpoint, *, timeout: float = 15) -> ProbeResult:
    """Whether root can be had where the endpoint asks for it. Changes nothing."""
    try:
        account = run(endpoint, ["id", "-un"], timeout=timeout).stdout.strip()
    except (SudoRefused, Unreachable) as error:
        refused = isinstance(error, SudoRefused)
        return ProbeResult(reachable=refused, sudo=False if refused else None, reasons=(error.reason,))
    return ProbeResult(
        reachable=True,
        host_key_matches=True,
        authenticated=True,
        sudo=account == "root",
        python=platform.python_version(),
        account=account,
    )
