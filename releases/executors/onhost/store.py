"""Files that lie on the host for a job to come: <root>/store/<sha256>.*, each compared again when it is used."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .packaging import Refused, sha256

if TYPE_CHECKING:
    from .packaging import Changes

HALF = ".new"
KEEP_STAGED = 30 * 86400
SPARE = 512 << 20
"""So many bytes stay free where files are laid ready: for the lists, and for whatever else the host does until its window."""


class Store:
    """What earlier stagings left. `suffix`: that of the manager's files; `spare`: bytes that stay free."""

    def __init__(self, root: str, suffix: str, spare: int = SPARE) -> None:
        self.folder, self.suffix, self.spare = os.path.join(root, "store"), suffix, spare

    def path_of(self, artifact: Mapping[str, Any]) -> str:
        return os.path.join(self.folder, artifact["sha256"] + self.suffix)

    def has(self, artifact: Mapping[str, Any]) -> bool:
        """Whether a file of the signed size lies there."""
        path = self.path_of(artifact)
        return os.path.isfile(path) and os.path.getsize(path) == artifact["size"]

    def want_room(self, artifacts: Iterable[Mapping[str, Any]], folder: str) -> None:
        """Raises Refused where these files cannot be fetched into `folder`, and lie here until the window, without the disk
        running short. Asked before anything is fetched: the sizes are those that were signed."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        wanted = list(artifacts)
        coming = sum(a["size"] for a in wanted if not self.has(a))
        if not coming:
            return
        apart = os.stat(folder).st_dev != os.stat(self.folder).st_dev
        for place, need in ((folder, sum(a["size"] for a in wanted) if apart else coming), (self.folder, coming)):
            free = free_at(place)
            if free < need + self.spare:
                words = "%s has %d MiB free: too few to lay %d MiB ready there and leave %d MiB for the rest"
                said = words % (place, free >> 20, -(-need >> 20), self.spare >> 20)
                lie = sum(entry.stat().st_size for entry in os.scandir(self.folder))
                if lie:
                    said += f"; {-(-lie >> 20)} MiB lie ready in {self.folder} already"
                raise Refused("disk_full", said, False)

    def give(self, changes: Changes, artifacts: Iterable[Mapping[str, Any]], folder: str) -> int:
        """Puts what these changes need into `folder`, compared; how many files. It takes no room a second time where it can be
        linked. One that is no longer what was signed is thrown away, and fetched."""
        wanted, used = {(a["package"], a["version"], a["arch"]): a for a in artifacts}, 0
        for (name, arch), (_, to) in changes.items():
            artifact = wanted.get((name, to, arch))
            if not artifact or "/" in artifact["filename"] or not self.has(artifact):
                continue
            stored = self.path_of(artifact)
            if sha256(stored) != artifact["sha256"]:
                os.unlink(stored)
                continue
            path = os.path.join(folder, artifact["filename"])
            try:
                os.link(stored, path)
            except OSError:  # on another disk, or one without links
                shutil.copyfile(stored, path)
            used += 1
        return used

    def take(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Keeps these compared files, {path: artifact}: all of them, or none. What lay here before stays, whatever happens: it was
        compared when it was given."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        kept = []
        try:
            for path, artifact in files.items():
                target = self.path_of(artifact)
                if self.has(artifact):
                    os.utime(target)
                    continue
                os.utime(path)  # it is kept from now on; the repository wrote it earlier
                kept += [target + HALF, target]
                shutil.move(path, target + HALF)
                os.replace(target + HALF, target)
        except OSError:
            for name in kept:
                with suppress(OSError):
                    os.unlink(name)
            raise

    def empty(self, artifacts: Iterable[Mapping[str, Any]]) -> None:
        """What this order wanted is installed, and what nobody came for in time is given up: neither is kept any longer."""
        mine = {os.path.basename(self.path_of(artifact)) for artifact in artifacts}
        for name in os.listdir(self.folder) if os.path.isdir(self.folder) else ():
            path = os.path.join(self.folder, name)
            with suppress(OSError):  # a file too many is no reason to lose how the job ended
                if name in mine or time.time() - os.path.getmtime(path) > KEEP_STAGED:
                    os.unlink(path)

    def clear_half(self) -> None:
        """Throws away what was being moved here when the host went down: no name of a signed file leads to it."""
        for name in os.listdir(self.folder) if os.path.isdir(self.folder) else ():
            if name.endswith(HALF):
                with suppress(OSError):
                    os.unlink(os.path.join(self.folder, name))

    def make_room(self, artifacts: Iterable[Mapping[str, Any]], *, times: int = 1) -> str:
        """Gives up what lies here for others where this very disk is short: a job that finds no room goes before one that is still
        to come. Short is less than so many `times` what is wanted, and the room that stays free. What was given up, in words."""
        wanted = list(artifacts)
        mine = {os.path.basename(self.path_of(artifact)) for artifact in wanted}
        if (
            not os.path.isdir(self.folder)
            or free_at(self.folder) >= times * sum(a["size"] for a in wanted) + self.spare
        ):
            return ""
        count = size = 0
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            if name not in mine:
                with suppress(OSError):
                    found = os.path.getsize(path)
                    os.unlink(path)
                    count, size = count + 1, size + found
        words = "%d files (%d MiB) that lay ready for other jobs were thrown away, as the disk of %s is short of space"
        return words % (count, -(-size >> 20), self.folder) if count else ""


def free_at(path: str) -> int:
    """Bytes that are free on the disk of this folder."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
