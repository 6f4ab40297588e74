"""A worker that lays files ready: it looks at the room first, and leaves nothing half fetched; a manager stands in."""

import contextlib
import errno
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from releases.executors.onhost.ledger import Ledger, write
from releases.executors.onhost.packaging import Manager, Plan, Refused, run
from releases.executors.onhost.store import KEEP_STAGED, Store
from releases.executors.onhost.work import Job

CONTENT = b"the signed bytes"


class Shelf(Manager):
    """A package manager with one package to fetch; what it was asked is written down."""

    name, suffix = "shelf", ".deb"

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked, self.fails = list[str](), fails

    def state(self, name: str, arch: str) -> dict[str, str]:
        return {"name": name, "arch": arch, "version": "1.0", "status": "installed"}

    def newer(self, left: str, right: str) -> bool:
        return left > right

    def lock_holders(self) -> list[str]:
        return []

    def unfinished(self) -> list[str]:
        return []

    def torn(self) -> bool:
        return False

    def restart_needed(self) -> bool:
        return False

    def refresh(self, log: str | None = None) -> None:
        self.asked.append("refresh")

    def simulate(self, packages: Any, archives: str, downgrade: bool, log: str | None = None) -> Plan:
        return Plan({("one", "all"): ("1.0", "1.1")}, {})

    def fetch(self, packages: Any, archives: str, downgrade: bool, log: str, seconds: float) -> None:
        self.asked.append("fetch")
        path = Path(archives) / "one_1.1_all.deb"
        path.write_bytes(CONTENT[: 5 if self.fails else None])
        if self.fails:
            raise self.fails

    def identity(self, path: str) -> tuple[str, ...]:
        return tuple(Path(path).stem.split("_"))


def artifact(size: int = len(CONTENT)) -> dict[str, Any]:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return {
        "package": "one",
        "version": "1.1",
        "arch": "all",
        "filename": "one_1.1_all.deb",
        "sha256": digest,
        "size": size,
    }


def job(tmp_path: Path, manager: Manager, *, key: str = "job-1", action: str = "stage", **given: Any) -> Job:
    ledger = Ledger(str(tmp_path / "root"), key)
    ledger.make()
    order = {
        "action": action, "packages": [{"name": "one", "arch": "all", "from_version": "1.0", "to_version": "1.1"}],
        "artifacts": [artifact()], "machine_id": "", "refresh": True, "timeouts": {"lock": 1, "download": 1}, **given,
    }  # fmt: skip
    write(ledger.path("order.json"), json.dumps(order))
    ledger.append("accepted", "here")
    ledger.archives = str(tmp_path / "cache" / key)
    made = Job(ledger)
    made.manager, made.store = manager, Store(ledger.root, manager.suffix)
    return made


def result(made: Job) -> tuple[str, str]:
    told = made.ledger.result
    assert told is not None
    return told["outcome"], told["code"]


def left(tmp_path: Path) -> list[str]:
    """Every file that is in the store or in a job's own folder."""
    found = [*(tmp_path / "cache").rglob("*.*"), *(tmp_path / "root" / "store").glob("*")]
    return sorted(path.name for path in found)


def test_files_are_laid_ready_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    made = job(tmp_path, Shelf())
    made.go("work")
    assert result(made) == ("staged_only", "staged")
    assert left(tmp_path) == [f"{artifact()['sha256']}.deb"]


def test_without_room_nothing_is_fetched_not_even_lists_and_it_says_what_to_do(tmp_path: Path) -> None:
    shelf = Shelf()
    made = job(tmp_path, shelf, artifacts=[artifact(1 << 60)])
    made.go("work")
    assert result(made) == ("refused", "disk_full")
    assert shelf.asked == []
    told = made.ledger.result
    assert told is not None
    assert (told["permanent"], "MiB free" in told["reason"]) == (False, True)
    assert "What to do: free space on the host" in told["reason"]
    assert left(tmp_path) == []


def test_what_nobody_came_for_is_given_up_before_room_is_looked_for(tmp_path: Path) -> None:
    made = job(tmp_path, Shelf(), artifacts=[artifact(1 << 60)])
    store = Path(made.store.folder)
    store.mkdir()
    for name, age in (("old.deb", KEEP_STAGED + 60), ("young.deb", 60)):
        (store / name).write_bytes(b"for another release")
        os.utime(store / name, (time.time() - age,) * 2)
    made.go("work")
    assert result(made) == ("refused", "disk_full")
    assert left(tmp_path) == ["young.deb"]


def test_an_installation_is_not_asked_for_the_room_of_a_staging(tmp_path: Path) -> None:
    shelf = Shelf(Refused("repository_unreachable", "away", False))
    made = job(tmp_path, shelf, action="install", artifacts=[artifact(1 << 60)])
    made.go("work")
    assert shelf.asked == ["refresh", "fetch"]
    assert result(made) == ("refused", "repository_unreachable")


@pytest.mark.parametrize(
    "fails", [Refused("disk_full", "No space left on device", False), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_disk_that_fills_up_meanwhile_leaves_nothing_half_fetched(tmp_path: Path, fails: Exception) -> None:
    made = job(tmp_path, Shelf(fails))
    with contextlib.suppress(OSError):  # what no manager put into words is also told where the worker writes
        made.go("work")
    assert result(made) == ("refused", "disk_full")
    assert left(tmp_path) == []


def test_a_job_without_room_goes_before_what_lies_ready_for_others(tmp_path: Path) -> None:
    elsewhere = job(tmp_path, Shelf(Refused("disk_full", "full", False)), action="install")
    os.makedirs(elsewhere.store.folder)
    other = Path(elsewhere.store.folder) / "other.deb"
    other.write_bytes(b"for another release")
    elsewhere.go("work")
    assert result(elsewhere) == ("refused", "disk_full")
    assert other.exists(), "another disk is full"

    made = job(tmp_path, Shelf(Refused("disk_full", "full", False)), key="job-2", action="install")
    made.store.spare = 1 << 60
    made.go("work")
    assert result(made) == ("refused", "disk_full")
    told = made.ledger.result
    assert told is not None
    assert "full; 1 files (1 MiB) that lay ready for other jobs were thrown away" in told["reason"]
    assert not other.exists()

    staging = job(tmp_path, Shelf(Refused("disk_full", "full", False)), key="job-3", artifacts=[])
    staging.store.spare = 1 << 60
    other.write_bytes(b"for another release")
    staging.go("work")
    assert other.exists(), "a staging takes nobody's files"


class Eager(Shelf):
    """A package manager that installs; what lay in the store by then is written down."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.store, self.found = store, list[str]()

    def install(self, *given: Any) -> tuple[int, str]:
        self.found = sorted(os.listdir(self.store))
        return 1, "no"

    def audit(self) -> str:
        return ""

    def meaning(self, text: str, otherwise: str = "failed") -> Refused:
        return Refused(otherwise, text, True)


@pytest.mark.parametrize(("spare", "found"), [(0, ["other.deb"]), (1 << 60, [])])
def test_before_packages_are_unpacked_on_a_short_disk_others_files_make_room(
    tmp_path: Path, spare: int, found: list[str]
) -> None:
    store = tmp_path / "root" / "store"
    eager = Eager(store)
    made = job(tmp_path, eager, action="install", restart={"mode": "never"})
    store.mkdir()
    (store / "other.deb").write_bytes(b"for another release")
    made.store.spare = spare
    made.go("work")
    assert result(made) == ("failed", "package_kept")
    assert eager.found == found
    told = [event["message"] for event in made.ledger.events()]
    assert any("lay ready for other jobs were thrown away" in message for message in told) == (not found)


class Left(Shelf):
    """A package manager whose installation ends so, and says so."""

    def __init__(self, version: str, status: str, *, meant: str = "", audit: str = "") -> None:
        super().__init__()
        self.after, self.meant, self.audited, self.began = (version, status), meant, audit, False

    def state(self, name: str, arch: str) -> dict[str, str]:
        version, status = self.after if self.began else ("0", "installed")
        return {"name": name, "arch": arch, "version": version, "status": status}

    def install(self, *given: Any) -> tuple[int, str]:
        self.began = True
        return 100, "E: it did not go."

    finish = install

    def audit(self) -> str:
        return self.audited

    def meaning(self, text: str, otherwise: str = "failed") -> Refused:
        return Refused(self.meant or otherwise, text, True)


FORWARD, BACK = ("1.0", "1.1"), ("1.1", "1.0")
REPAIRED = "bring a repaired version by a release of its own, or restore the host from a backup"


@pytest.mark.parametrize(
    ("action", "way", "left", "code", "says"),
    [
        ("install", FORWARD, Left("1.0", "installed"), "package_kept", "roll back, or bring a repaired version"),
        ("install", FORWARD, Left("1.1", "half-configured"), "package_state", "roll back, or bring a repaired version"),
        ("install", FORWARD, Left("1.0", "installed", audit="two"), "package_state", "roll back, or bring a repaired"),
        ("rollback", BACK, Left("1.1", "installed"), "no_way_back", f"{REPAIRED}; until then the host stays at"),
        ("rollback", BACK, Left("1.0", "half-configured"), "back_half", f"{REPAIRED}; the host cannot stay as it is"),
        ("recover", BACK, Left("1.1", "installed"), "no_way_back", f"{REPAIRED}; until then the host stays at"),
        ("recover", FORWARD, Left("1.1", "duplicate"), "package_state", "roll back, or bring a repaired version"),
        ("install", FORWARD, Left("1.0", "installed", meant="disk_full"), "disk_full", "free space on the host, then retry it"),
        ("rollback", BACK, Left("1.1", "unpacked", meant="disk_full"), "disk_full", "free space on the host, then retry it"),
    ],
)  # fmt: skip
def test_what_a_failed_change_is_called_the_package_database_decides(
    tmp_path: Path, action: str, way: tuple[str, str], left: Left, code: str, says: str
) -> None:
    """What is whole is not called half-installed, a full disk is called one, and nobody is told to roll back a way back."""
    package = {"name": "one", "arch": "all", "from_version": way[0], "to_version": way[1]}
    signed = [{**artifact(), "version": way[1]}]
    left.simulate = lambda *given: Plan({("one", "all"): ("0", way[1])}, {}, frozenset([("one", "all")]))  # type: ignore[method-assign]
    made = job(tmp_path, left, action=action, packages=[package], artifacts=signed, restart={"mode": "never"})
    made.go("work")
    assert result(made) == ("failed", code), made.ledger.result
    reason = (made.ledger.result or {})["reason"]
    assert f"one is {' '.join(left.after)}, wanted {way[1]}" in reason or left.audited in reason
    assert f"E: it did not go. What to do: {says}" in reason
    assert "by itself" not in reason


@pytest.mark.parametrize(
    ("action", "way", "code", "says"),
    [
        ("install", FORWARD, "unhealthy", "installed, but web is not healthy: "),
        ("rollback", BACK, "back_unhealthy", "taken back, and web is still not healthy: "),
    ],
)
def test_a_service_is_asked_after_either_way(
    tmp_path: Path, action: str, way: tuple[str, str], code: str, says: str
) -> None:
    """A host whose packages are back, and whose service is not, is not well; and there is nowhere to roll back to."""
    package = {"name": "one", "arch": "all", "from_version": way[0], "to_version": way[1]}
    check = {
        "name": "web",
        "kind": "tcp",
        "target": "127.0.0.1:1",
        "expect": "",
        "timeout": 1,
        "attempts": 2,
        "interval": 0,
    }
    kept = Left(way[1], "installed")
    kept.simulate = lambda *given: Plan({("one", "all"): ("0", way[1])}, {}, frozenset([("one", "all")]))  # type: ignore[method-assign]
    signed = [{**artifact(), "version": way[1]}]
    made = job(
        tmp_path, kept, action=action, packages=[package], artifacts=signed, restart={"mode": "never"}, health=[check]
    )
    made.go("work")
    assert result(made) == ("failed", code)
    reason = (made.ledger.result or {})["reason"]
    assert reason.startswith(says)
    assert ("roll back" in reason) == (action == "install")


@pytest.mark.parametrize(
    ("code", "asked"),
    [("disk_full", ["fetch"]), ("locked", ["fetch"]), ("repository_unreachable", ["fetch", "refresh", "fetch"])],
)
def test_what_fetching_again_cannot_mend_is_not_fetched_again(tmp_path: Path, code: str, asked: list[str]) -> None:
    job(tmp_path, Shelf(), key="ahead").go("work")
    shelf = Shelf(Refused(code, "no", False))
    made = job(tmp_path, shelf, action="install", refresh=True)
    made.go("work")
    assert result(made) == ("refused", code)
    assert shelf.asked == asked


class Slow(Shelf):
    """A package manager one of whose programs hangs, and by then somebody wants the host."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase, self.cancel, self.children = phase, lambda: False, ""

    def hang(self, phase: str, log: str | None) -> None:
        if phase != self.phase:
            return
        self.cancel()
        run(["sh", "-c", f"sleep 60 & echo $! > {self.children}; wait"], log, seconds=60, meanwhile=self.meanwhile)

    def refresh(self, log: str | None = None) -> None:
        self.hang("refresh", log)

    def simulate(self, packages: Any, archives: str, downgrade: bool, log: str | None = None) -> Plan:
        self.hang("simulate", log)
        return super().simulate(packages, archives, downgrade, log)

    def fetch(self, packages: Any, archives: str, downgrade: bool, log: str, seconds: float) -> None:
        (Path(archives) / "partial" / "one_1.1_all.deb").write_bytes(CONTENT[:5])
        self.hang("fetch", log)


@pytest.mark.parametrize("phase", ["refresh", "simulate", "fetch"])
def test_a_staging_makes_way_at_once_whatever_hangs(tmp_path: Path, phase: str) -> None:
    slow = Slow(phase)
    made = job(tmp_path, slow)
    slow.cancel, slow.children = made.ledger.cancel, str(tmp_path / "child")
    began = time.monotonic()
    made.go("work")
    assert result(made) == ("cancelled", "cancelled")
    assert time.monotonic() - began < 20
    assert left(tmp_path) == []
    stat = Path(f"/proc/{Path(slow.children).read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z", "what the program had started is ended too"


def test_what_jobs_left_that_were_cut_off_before_installing_is_thrown_away(tmp_path: Path) -> None:
    for key, stage in (("cut", "accepted"), ("torn", "installing")):
        gone = job(tmp_path, Shelf(), key=key)
        gone.ledger.append(stage, "and then the power was cut")
        os.makedirs(gone.archives)
        (Path(gone.archives) / f"{key}.deb").write_bytes(b"half")
    (tmp_path / "cache" / "stranger").mkdir()
    (tmp_path / "root" / "store").mkdir()
    (tmp_path / "root" / "store" / "0f.deb.new").write_bytes(b"half")
    job(tmp_path, Shelf(), key="next").go("work")
    assert left(tmp_path) == sorted([f"{artifact()['sha256']}.deb", "torn.deb"]), "its files may still be needed"
    assert (tmp_path / "cache" / "stranger").is_dir()
