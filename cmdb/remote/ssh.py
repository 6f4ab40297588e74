"""A host by the system's own ssh: pinned host key only, key login only, never a prompt.

Three marks on the error stream tell how far we got: the shell over there runs, it is root, the command has ended.
So a broken line is not mistaken for a failed command (ssh exits 255 for both), nor a refused sudo.
"""

import contextlib
import hashlib
import os
import re
import shlex
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cmdb.remote.connection import Completed, Endpoint, HostKey, ProbeResult
from cmdb.remote.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    RemoteError,
    SudoRefused,
    TimedOut,
    Unreachable,
)
from patchflow.kernel.blockers import english

CONNECT_TIMEOUT = 5
SHARED_SECONDS = 20
ARRIVED = "patchflow:arrived"
BECAME = "patchflow:became"
ENDED = "patchflow:ended"
KEY_ORDER = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def fetch_host_key(endpoint: Endpoint, *, timeout: float = 10) -> HostKey:
    """The key the host shows now, for a person to compare and accept; trusts nothing and pins nothing.

    Behind a jump host, the jump host does the asking. Raises Unreachable when no key is shown.
    """
    argv = ["ssh-keyscan", "-T", str(CONNECT_TIMEOUT), "-p", str(endpoint.port), "-t", "ed25519,ecdsa,rsa"]
    argv += ["--", endpoint.address] if endpoint.jump is None else [endpoint.address]
    if endpoint.jump is not None:
        done = run(endpoint.jump, argv, timeout=timeout)
        shown, words = done.stdout, done.stderr
    else:
        try:
            scan = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Unreachable(
                english(
                    "%(endpoint)s shows no host key within %(seconds)s s", endpoint=endpoint, seconds=f"{timeout:.0f}"
                )
            ) from None
        shown, words = scan.stdout, scan.stderr
    keys = [HostKey(*line.split()[1:3]) for line in shown.splitlines() if line and not line.startswith("#")]
    keys = [key for key in keys if key.type in KEY_ORDER]
    if not keys:
        raise Unreachable(
            english("%(endpoint)s shows no host key: %(error)s", endpoint=endpoint, error=_last(words) or "no answer")
        )
    return min(keys, key=lambda key: KEY_ORDER.index(key.type))


def run(
    endpoint: Endpoint,
    argv: Sequence[str],
    *,
    stdin: bytes | str = b"",
    timeout: float = 60,
    become: bool | None = None,
) -> Completed:
    """One command on the host, by its words (no shell looks at them). `become` overrides the endpoint's own.

    Any exit status is a Completed. Raises a RemoteError when the host was not reached, is not the pinned one,
    does not let us in, refuses sudo, or did not end within `timeout` seconds; `started` on it says whether the
    command may have begun.
    """
    with options(endpoint) as opts:
        shared = _shared(endpoint)
        return _run(endpoint, argv, [*opts, *shared], stdin=stdin, timeout=timeout, become=_becomes(endpoint, become))


def _run(
    endpoint: Endpoint, argv: Sequence[str], opts: list[str], *, stdin: bytes | str, timeout: float, become: bool
) -> Completed:
    started = time.monotonic()
    command = ["ssh", *opts, "-T", "--", endpoint.address, remote_command(argv, become=become)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as ssh:
        try:
            out, err = ssh.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(ssh.pid, signal.SIGKILL)  # with it the ssh of a jump host
            _, err = ssh.communicate()
            if ARRIVED.encode() not in err:
                raise Unreachable(
                    english(
                        "%(endpoint)s does not answer within %(seconds)s s", endpoint=endpoint, seconds=f"{timeout:.0f}"
                    )
                ) from None
            raise TimedOut(
                english("%(endpoint)s: no end within %(seconds)s s", endpoint=endpoint, seconds=f"{timeout:.0f}"),
                started=True,
            ) from None
    words = err.decode(errors="replace")
    return judge(
        endpoint,
        Completed(
            rc=ssh.returncode, stdout=out.decode(errors="replace"), stderr=words, seconds=time.monotonic() - started
        ),
        become=become,
    )


def probe(endpoint: Endpoint, *, timeout: float = 15) -> ProbeResult:
    """Tries the connection step by step and says in words what is in the way. Changes nothing on the host."""
    started = time.monotonic()

    def result(**found: object) -> ProbeResult:
        return ProbeResult(seconds=time.monotonic() - started, **found)  # type: ignore[arg-type]

    asks = 'id -un; python3 --version 2>&1 || true; test "$(id -u)" = 0 || sudo -n true 2>&1 && echo root:yes'
    try:
        with options(endpoint) as opts:  # a connection of its own: an open one would prove nothing
            done = _run(endpoint, ["sh", "-c", asks], opts, stdin=b"", timeout=timeout, become=False)
    except HostKeyChanged as error:
        with contextlib.suppress(RemoteError):
            shown = fetch_host_key(endpoint)
            return result(reachable=True, host_key_matches=False, shown_key=shown, reasons=(error.reason,))
        return result(reachable=True, host_key_matches=False, reasons=(error.reason,))
    except AuthenticationFailed as error:
        return result(reachable=True, host_key_matches=True, authenticated=False, reasons=(error.reason,))
    except RemoteError as error:
        return result(reachable=False, reasons=(error.reason,))
    lines = done.stdout.splitlines()
    python = next((line.split()[1] for line in lines if re.match(r"Python 3\.\d+", line)), "")
    root = "root:yes" in lines
    reasons = []
    if not python:
        reasons.append("python3 is missing on the host; scans and jobs need it")
    if endpoint.become and not root:
        reasons.append(
            english(
                "%(user)s may not become root by sudo without a password: %(error)s",
                user=endpoint.user,
                error=_last(done.stdout),
            )
        )
    return result(
        reachable=True,
        host_key_matches=True,
        authenticated=True,
        sudo=root,
        python=python,
        account=lines[0] if lines else "",
        reasons=tuple(reasons),
    )


@contextlib.contextmanager
def options(endpoint: Endpoint) -> Iterator[list[str]]:
    """The ssh options for this endpoint. They name files that vanish at the end of the block.

    Nothing of the invoking account's configuration, agent or known hosts counts.
    """
    with tempfile.TemporaryDirectory(prefix="patchflow-ssh-") as folder:
        yield _options(endpoint, Path(folder), depth=0)


def remote_command(argv: Sequence[str], *, become: bool) -> str:
    """One line for whatever login shell is over there: the marks, sudo where wanted, and the command quoted."""
    command = f'sudo -n -- sh -c \'echo {BECAME} >&2; exec "$@"\' sh "$@"' if become else '"$@"'
    script = f'echo {ARRIVED} >&2; {command}; rc=$?; printf "\\n{ENDED} %s\\n" $rc >&2; exit $rc'
    return f"exec sh -c {shlex.quote(script)} sh {shlex.join(argv)}"


def judge(endpoint: Endpoint, done: Completed, *, become: bool) -> Completed:
    """The command's own result without our marks, or the error that kept it from running or from being heard."""
    lines = done.stderr.splitlines()
    arrived, became = ARRIVED in lines, BECAME in lines
    ended = next((line.split()[1] for line in reversed(lines) if re.fullmatch(rf"{ENDED} \d+", line)), None)
    told = [line for line in lines if line not in (ARRIVED, BECAME) and not line.startswith(f"{ENDED} ")]
    words = "\n".join(told).removesuffix("\n")  # the last mark begins on a line of its own
    if not arrived:
        raise _refusal(endpoint, words)
    if ended is None:
        reason = english(
            "%(endpoint)s: the line was cut while the command ran: %(error)s",
            endpoint=endpoint,
            error=_last(words) or "closed",
        )
        raise Unreachable(reason, started=True)
    if become and not became:
        raise SudoRefused(
            english(
                "%(user)s may not become root on %(address)s: %(error)s",
                user=endpoint.user,
                address=endpoint.address,
                error=_last(words) or "sudo failed",
            )
        )
    return Completed(rc=int(ended), stdout=done.stdout, stderr=words, seconds=done.seconds)


def _shared(endpoint: Endpoint) -> list[str]:
    """Options to share one connection for a while, also between processes: questions come in swarms.

    The socket's name holds everything that makes the endpoint, so another key or account never finds it.
    """
    folder = Path(tempfile.gettempdir()) / f"patchflow-ssh-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        return []  # somebody else's: every question by a connection of its own
    name = hashlib.sha256(repr(endpoint).encode()).hexdigest()[:24]
    return ["-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/{name}", "-o", f"ControlPersist={SHARED_SECONDS}"]


def _options(endpoint: Endpoint, folder: Path, *, depth: int) -> list[str]:
    if not endpoint.host_key:
        raise HostKeyChanged(english("no host key of %(endpoint)s has been accepted yet", endpoint=endpoint))
    key = HostKey.from_line(endpoint.host_key)
    alias, known = f"patchflow-{depth}", folder / f"known_hosts_{depth}"
    known.write_text(f"{alias} {key.line}\n")
    algorithms = "rsa-sha2-512,rsa-sha2-256" if key.type == "ssh-rsa" else key.type
    settings = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": alias,
        "HostKeyAlgorithms": algorithms,
        "UpdateHostKeys": "no",
        "PreferredAuthentications": "publickey",
        "ConnectTimeout": str(CONNECT_TIMEOUT),
        "ConnectionAttempts": "1",
        "ServerAliveInterval": "3",
        "ServerAliveCountMax": "3",
        "ForwardAgent": "no",
        "LogLevel": "ERROR",
    }
    if endpoint.key_path:
        settings |= {"IdentityFile": endpoint.key_path, "IdentitiesOnly": "yes", "IdentityAgent": "none"}
    opts = ["-F", "none", "-p", str(endpoint.port), "-l", endpoint.user]
    if endpoint.jump is not None:
        inner = ["ssh", *_options(endpoint.jump, folder, depth=depth + 1)]
        target = f"[{endpoint.address}]:{endpoint.port}"
        settings["ProxyCommand"] = shlex.join([*inner, "-W", target, "--", endpoint.jump.address]).replace("%", "%%")
    return opts + [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _refusal(endpoint: Endpoint, words: str) -> RemoteError:
    if re.search(r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED|no matching host key type", words):
        shown = re.search(r"SHA256:[A-Za-z0-9+/]+", words)
        pinned = HostKey.from_line(endpoint.host_key).fingerprint
        return HostKeyChanged(
            f"{endpoint} does not show the pinned host key {pinned}" + (f" but {shown.group()}" if shown else "")
        )
    if re.search(r"Permission denied|Too many authentication failures|UNPROTECTED PRIVATE KEY|Load key .*: ", words):
        return AuthenticationFailed(
            english("%(endpoint)s does not let us in: %(error)s", endpoint=endpoint, error=_last(words))
        )
    return Unreachable(
        english(
            "%(endpoint)s cannot be reached: %(error)s", endpoint=endpoint, error=_last(words) or "the line was closed"
        )
    )


def _becomes(endpoint: Endpoint, become: bool | None) -> bool:
    return endpoint.become if become is None else become


def _last(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
