"""Steps before and after an installation. Each runs in a process of its own, which is ended at its limit.

What a step says reaches the journal only in short, and without anything that looks like a secret; a token is read from a
file of this host when it is needed, and never leaves it but in the request that it is for.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import look

if TYPE_CHECKING:
    from .ledger import Ledger
    from .packaging import Manager

    Step = Mapping[str, Any]

GRACE = 2
"""Seconds between asking a step to end and ending it."""
TOLD = 300
HIDDEN = "[hidden]"
SECRET = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|authorization|bearer)\S*?\s*[:= ]\s*)(?:bearer\s+|basic\s+)?\S+"
)
"""`password=…`, `Authorization: Bearer …` and their like."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **look.WORDS}


class StepFailed(Exception):
    """A step before the installation failed that stops it; the text says which, and why."""


# --- words ------------------------------------------------------------------------------------------------------------
def named(step: Step) -> str:
    return f"{step['name']} (revision {step['revision']})"


def begins(step: Step) -> str:
    return f"{step['moment']} the installation: {named(step)} begins, for {step['limit']} s at most"


def ended(step: Step, ill: str) -> str:
    """What is written down of its end; `ill` is empty where it went well."""
    if not ill:
        return f"{named(step)}: done"
    return f"{named(step)}: {ill}; it was only to be noted" if step["on_failure"] == "note" else f"{named(step)}: {ill}"


def without_secrets(text: str, secret: str = "") -> str:
    return SECRET.sub(r"\1" + HIDDEN, text.replace(secret, HIDDEN) if secret else text)


# --- in their order ---------------------------------------------------------------------------------------------------
class Steps:
    """The steps of one job, and which of them its journal shows already: none is carried out twice."""

    def __init__(self, ledger: Ledger, steps: Iterable[Step], manager: Manager) -> None:
        self.ledger, self.manager, self.steps = ledger, manager, list(steps)

    @property
    def begun(self) -> set[tuple[str, int, str]]:
        return {tuple(event["data"]["step"]) for event in self.ledger.events() if "step" in event["data"]}

    def of(self, moment: str) -> Iterator[Step]:
        for step in self.steps:
            if step["moment"] == moment and place(step) not in self.begun:
                yield step

    def before(self, may_go_on: Callable[[], None]) -> None:
        """All of them, each after asking `may_go_on`. Raises StepFailed at the first that stops the job."""
        for step in self.of("before"):
            may_go_on()
            ill = self.carry_out(step)
            if ill and step["on_failure"] == "stop":
                raise StepFailed(f"nothing was installed, because of a step before it: {named(step)}: {ill}")

    def after(self) -> str:
        """All that follow a verified installation, until one fails that counts: which, and why."""
        for step in self.of("after"):
            ill = self.carry_out(step)
            if ill and step["on_failure"] == "stop":
                return f"{named(step)}: {ill}"
        return ""

    def give_back(self, intact: bool) -> str:
        """What must follow although the job did not succeed: those for every end, and where nothing was changed those that
        put back what the steps before it took away. Says what did not work."""
        if intact and not self.begun:
            return ""
        wanted = ("always", "intact") if intact else ("always",)
        ills = [(step, self.carry_out(step)) for step in self.of("after") if step["runs"] in wanted]
        return "".join(f"; and after it {named(step)}: {ill}" for step, ill in ills if ill)

    def carry_out(self, step: Step) -> str:
        """Runs one, and writes it down before and afterwards. What is wrong, or nothing."""
        stage = self.ledger.stage or "accepted"
        stage = "verifying" if stage == "restarting" else stage
        self.ledger.append(stage, begins(step), step=place(step), moment=step["moment"])
        begun = time.monotonic()
        ill = limited(step, self.manager, self.ledger.key)
        self.ledger.append(
            stage, ended(step, ill), step=place(step), moment=step["moment"], ended=True, ill=ill,
            effect=step["on_failure"] if ill else "", milliseconds=int(1000 * (time.monotonic() - begun)),
        )  # fmt: skip
        return ill

    def notes(self) -> list[str]:
        """What was only to be noted, and what failed elsewhere on the way."""
        return [event["message"] for event in self.ledger.events() if event["data"].get("ill")]


def place(step: Step) -> tuple[str, int, str]:
    return step["name"], step["revision"], step["moment"]


# --- one step, in a process of its own --------------------------------------------------------------------------------
def limited(step: Step, manager: Manager, key: str) -> str:
    """What is wrong with the step, in words; its process, and what that started, is ended at its limit."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _say(writer, step, manager, key)
    os.close(writer)
    try:
        heard = _heard(reader, step["limit"])
    finally:
        os.close(reader)
        _end(child)
    if heard is None:
        return f"it was ended at its limit of {step['limit']} s"
    try:
        return str(json.loads(heard))
    except ValueError:
        return "it ended without a word"


def _say(writer: int, step: Step, manager: Manager, key: str) -> None:
    """In the child: does it, says what is wrong, and is gone whatever happens."""
    try:
        os.setsid()
        signal.alarm(int(step["limit"]) + GRACE)  # should nobody be left to end it
        try:
            act = KINDS.get(step["kind"])
            ill = act(step, manager, key) if act else f"a step of kind {step['kind']} is not known here"
        except Exception as error:
            ill = f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps(without_secrets(ill)[:4000]).encode())
    finally:
        os._exit(0)


def _heard(reader: int, seconds: float) -> str | None:
    """What the child wrote until it closed the pipe; None if that took too long."""
    deadline, text = time.monotonic() + seconds, b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None
        block = os.read(reader, 65536)
        if not block:
            return text.decode(errors="replace")
        text += block


def _end(child: int) -> None:
    """Ends the child's group: asked first, then without asking; what it was is reaped."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _gone(child, 0):
            break
        _signal(child, number)
        if _gone(child, GRACE):
            break
    _signal(child, signal.SIGKILL)  # whatever it left behind in its group


def _signal(child: int, number: int) -> None:
    try:
        os.killpg(child, number)
    except (ProcessLookupError, PermissionError):
        return


def _gone(child: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if os.waitpid(child, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)


# --- what steps do ----------------------------------------------------------------------------------------------------
def _stop_service(step: Step, manager: Manager, key: str) -> str:
    status, out, err = look.say(["systemctl", "stop", step["target"]], step["limit"])
    if status:
        return (err.strip() or out.strip())[-TOLD:] or f"systemctl ends with {status}"
    word = look.say(["systemctl", "is-active", step["target"]], step["limit"])[1].strip()
    return "" if word in ("inactive", "failed") else f"{step['target']} is {word or 'unknown'}"


def _start_service(step: Step, manager: Manager, key: str) -> str:
    status, out, err = look.say(["systemctl", "start", step["target"]], step["limit"])
    if status:
        return (err.strip() or out.strip())[-TOLD:] or f"systemctl ends with {status}"
    return look.ill({"kind": "service", "target": step["target"], "expect": "", "timeout": step["limit"]})


def _call(step: Step, manager: Manager, key: str) -> str:
    """A POST to whoever keeps the pool or watches the host; `{host}`, `{job}` and `{until}` are filled in."""
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=step["amount"])  # noqa: UP017
    facts = {"host": socket.gethostname(), "job": key, "until": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
    filled = {
        name: re.sub(r"\{(host|job|until)\}", lambda m: facts[m.group(1)], step[name]) for name in ("target", "body")
    }
    if not filled["target"].startswith(("http://", "https://")):
        return f"{step['target']} is not an http address"
    headers, token = {"Content-Type": "application/json"}, ""
    if step["secret_file"]:
        with open(step["secret_file"]) as file:
            token = file.read().strip()
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(filled["target"], filled["body"].encode(), headers, method="POST")  # noqa: S310 - see above
    try:
        with urllib.request.urlopen(asked, timeout=step["limit"]) as answer:  # noqa: S310
            return "" if 200 <= answer.status < 300 else f"it answers {answer.status}"
    except urllib.error.HTTPError as error:
        return without_secrets(f"it answers {error.code}: {error.read(TOLD).decode(errors='replace').strip()}", token)
    except OSError as error:
        return without_secrets(f"it does not answer: {error}", token)


def _command(step: Step, manager: Manager, key: str) -> str:
    """A program with its arguments, without a shell and with an environment of its own."""
    process = subprocess.Popen(
        shlex.split(step["target"]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
        env=dict(ENVIRONMENT, PATCHFLOW_JOB=key),
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101
    tail, pipe = b"", process.stdout.fileno()
    while True:
        if select.select([pipe], [], [], 0.1)[0]:
            block = os.read(pipe, 65536)
            tail = (tail + block)[-4000:]
            if block:
                continue
        if process.poll() is not None:  # a daemon that it left may hold the pipe for ever
            break
    if not process.returncode:
        return ""
    words = " ".join(without_secrets(tail.decode(errors="replace")).split())[-TOLD:]
    return f"it ended with {process.returncode}" + (f": {words}" if words else "")


def _space(step: Step, manager: Manager, key: str) -> str:
    found = os.statvfs(step["target"])
    free = found.f_bavail * found.f_frsize // 1048576
    return "" if free >= step["amount"] else f"{step['target']} has {free} MiB free, {step['amount']} are asked for"


def _backup(step: Step, manager: Manager, key: str) -> str:
    """The age of a file, or of the newest file in a folder."""
    path = step["target"]
    inside = [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else [path]
    times = [os.stat(one).st_mtime for one in inside if os.path.isfile(one) and os.path.getsize(one)]
    if not times:
        return f"there is no backup in {path}"
    hours = max(0, time.time() - max(times)) / 3600
    return (
        ""
        if hours <= step["amount"]
        else f"the newest backup in {path} is {int(hours)} hours old, {step['amount']} are allowed"
    )


def _no_restart(step: Step, manager: Manager, key: str) -> str:
    return "the host waits for a restart since an earlier change" if manager.restart_needed() else ""


def _asked(kind: str) -> Callable[[Step, Manager, str], str]:
    """A health check, asked until it passes or the step's time is over."""

    def ask(step: Step, manager: Manager, key: str) -> str:
        check = {"kind": kind, "target": step["target"], "expect": step["expect"], "timeout": 5}
        deadline = time.monotonic() + step["limit"] - 1
        while True:
            ill = look.ill(check)
            if not ill or time.monotonic() >= deadline:
                return ill
            time.sleep(0.5)

    return ask


KINDS: dict[str, Callable[[Step, Manager, str], str]] = {
    "space": _space,
    "backup": _backup,
    "no_restart": _no_restart,
    "stop_service": _stop_service,
    "start_service": _start_service,
    "leave_pool": _call,
    "join_pool": _call,
    "silence": _call,
    "unsilence": _call,
    "command": _command,
    "service_runs": _asked("service"),
    "http_answers": _asked("http"),
    "port_open": _asked("tcp"),
}
