"""Files that lie on the host for a job to come: <root>/store/<sha256>.*, each compared again when it is used."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .packaging import sha256

if TYPE_CHECKING:
    from .packaging import Changes

KEEP_STAGED = 30 * 86400


class Store:
    """What earlier stagings left. `suffix`: that of the manager's files."""

    def __init__(self, root: str, suffix: str) -> None:
        self.folder, self.suffix = os.path.join(root, "store"), suffix

    def path_of(self, artifact: Mapping[str, Any]) -> str:
        return os.path.join(self.folder, artifact["sha256"] + self.suffix)

    def has(self, artifact: Mapping[str, Any]) -> bool:
        """Whether a file of the signed size lies there."""
        path = self.path_of(artifact)
        return os.path.isfile(path) and os.path.getsize(path) == artifact["size"]

    def give(self, changes: Changes, artifacts: Iterable[Mapping[str, Any]], folder: str) -> int:
        """Puts what these changes need into `folder`, compared; how many files. One that is no longer what was signed is thrown
        away, and fetched."""
        wanted, used = {(a["package"], a["version"], a["arch"]): a for a in artifacts}, 0
        for (name, arch), (_, to) in changes.items():
            artifact = wanted.get((name, to, arch))
            if not artifact or "/" in artifact["filename"] or not self.has(artifact):
                continue
            stored = self.path_of(artifact)
            if sha256(stored) != artifact["sha256"]:
                os.unlink(stored)
                continue
            shutil.copyfile(stored, os.path.join(folder, artifact["filename"]))
            used += 1
        return used

    def take(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Keeps these compared files: {path: artifact}."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        for path, artifact in files.items():
            target = self.path_of(artifact)
            shutil.copyfile(path, target + ".new")
            os.replace(target + ".new", target)

    def empty(self, artifacts: Iterable[Mapping[str, Any]]) -> None:
        """What this order wanted is installed, and what nobody came for in time is given up: neither is kept any longer."""
        mine = {os.path.basename(self.path_of(artifact)) for artifact in artifacts}
        for name in os.listdir(self.folder) if os.path.isdir(self.folder) else ():
            path = os.path.join(self.folder, name)
            with suppress(OSError):  # a file too many is no reason to lose how the job ended
                if name in mine or time.time() - os.path.getmtime(path) > KEEP_STAGED:
                    os.unlink(path)
