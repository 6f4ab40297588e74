"""The journal of one job on its host, and the locks around it.

<root>/lock                  held by the one job at work (flock)
<root>/current               the key of the last job that was accepted
<root>/store/<sha256>.*      files staged for later, checked again when used
<root>/jobs/<key>/           order.json way.json fence journal.jsonl begun cancel log result.json work.lock gate.lock
/var/cache/patchflow/<key>/  the job's own folder for packages, gone when it ends
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

ROOT = "/var/lib/patchflow"
CACHE = "/var/cache/patchflow"  # apart, because apt's unprivileged downloader must be able to enter
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
STARTING = 60
BEFORE_INSTALLING = ("accepted", "staged")


class Ledger:
    """One job's folder. Reading never changes it."""

    def __init__(self, root: str, key: str) -> None:
        if not KEY.fullmatch(key):
            raise ValueError(f"not a job key: {key!r}")
        self.root, self.key = root, key
        self.folder = os.path.join(root, "jobs", key)
        self.archives = os.path.join(CACHE, key)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def make(self) -> None:
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    @property
    def known(self) -> bool:
        return os.path.exists(self.path("order.json"))

    @property
    def order(self) -> Any:
        return json.loads(read(self.path("order.json")))

    @property
    def way(self) -> dict[str, Any] | None:
        """Through which distribution point it downloads, if through one."""
        text = read(self.path("way.json"))
        return json.loads(text) if text else None

    @property
    def result(self) -> dict[str, Any] | None:
        text = read(self.path("result.json"))
        return json.loads(text) if text else None

    @property
    def fence(self) -> int:
        return int(read(self.path("fence")) or 0)

    @property
    def begun(self) -> bool:
        return os.path.exists(self.path("begun"))

    @property
    def starting(self) -> bool:
        """Whether its worker was launched a moment ago and has not come up yet: a busy host takes its time."""
        if not self.known or self.begun or self.result is not None:
            return False
        return 0 <= time.time() - os.path.getmtime(self.path("order.json")) < STARTING

    @property
    def cancelled(self) -> bool:
        return os.path.exists(self.path("cancel"))

    @property
    def alive(self) -> bool:
        """Whether a worker of this job runs: it holds a lock that the kernel drops with it."""
        try:
            with held(self.path("work.lock"), create=False):
                return False
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What was written down, in order. A line torn by a power cut does not count."""
        found = []
        for line in read(self.path("journal.jsonl")).splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event["seq"] > after:
                found.append(event)
        return found

    @property
    def stage(self) -> str | None:
        events = self.events()
        return events[-1]["stage"] if events else None

    def append(self, stage: str, message: str, **data: Any) -> None:
        """Writes down, on the disk and not only in memory, what is about to be done or was found."""
        events = self.events()
        event = {
            "seq": events[-1]["seq"] + 1 if events else 1,
            "at": now(),
            "stage": stage,
            "message": message,
            "data": data,
        }
        torn = read(self.path("journal.jsonl"))[-1:] not in ("", "\n")
        with open(self.path("journal.jsonl"), "a") as file:
            file.write(("\n" if torn else "") + json.dumps(event) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self, outcome: str, message: str, code: str = "", permanent: bool = False, **facts: Any) -> None:
        """The last words. First the journal, then the result: a result is always in the journal too."""
        self.append(outcome, message, code=code)
        write(
            self.path("result.json"),
            json.dumps(dict(facts, outcome=outcome, reason=message, code=code, permanent=permanent)),
        )

    def raise_fence(self, fence: int) -> bool:
        """False when a newer claim has been here: the caller acts on an old right and must not be obeyed."""
        if fence < self.fence:
            return False
        write(self.path("fence"), str(fence))
        return True

    def enter_installing(self, message: str, **data: Any) -> bool:
        """Past this nothing is called off. False when it was called off before."""
        with held(self.path("gate.lock"), wait=True):
            if self.cancelled:
                return False
            self.append("installing", message, **data)
            return True

    def cancel(self) -> bool:
        """Whether the job will surely install nothing."""
        with held(self.path("gate.lock"), wait=True):
            if self.stage not in (*BEFORE_INSTALLING, None):
                return False
            write(self.path("cancel"), now())
            return True


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat()  # noqa: UP017 - older Pythons over there


def read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path: str, text: str) -> None:
    """All or nothing, also through a power cut."""
    with open(path + ".new", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def held(path: str, wait: bool = False, create: bool = True) -> Iterator[None]:
    """Holds a lock file. Without `wait` raises BlockingIOError when another process holds it."""
    file = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(file)
