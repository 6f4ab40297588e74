"""What asks for a restart on a host, and how those who are logged in are told; programs stand in for the host's own."""

import os
import shutil
from pathlib import Path

import pytest

from releases.executors.onhost import dpkg
from releases.executors.onhost.ledger import Ledger, write
from releases.executors.onhost.work import Job

RUNNING = os.uname().release


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg to compare versions")
@pytest.mark.parametrize(
    ("rows", "newer"),
    [
        ([(RUNNING, "6.1.90-1", "installed"), ("6.1.0-99-amd64", "6.1.200-1", "installed")], True),
        ([(RUNNING, "6.1.90-1", "installed"), ("6.1.0-10-amd64", "6.1.20-1", "installed")], False),
        ([(RUNNING, "6.1.90-1", "installed"), ("6.1.0-99-amd64", "6.1.200-1", "config-files")], False),
        ([("6.1.0-99-amd64", "6.1.200-1", "installed")], False),
        ([], False),
    ],
)
def test_a_newer_kernel_asks_for_a_restart(
    rows: list[tuple[str, str, str]], newer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "Debian" in os.uname().version and rows:
        rows = [(name, os.uname().version if name == RUNNING else version, state) for name, version, state in rows]
    told = "".join(f"linux-image-{name}\\t{version}\\t{state}\\n" for name, version, state in rows)
    program(tmp_path, "dpkg-query", f"printf '{told}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert dpkg.newer_kernel() is newer


def ordered(root: Path) -> Job:
    ledger = Ledger(str(root), "here-RO-2026-00001-1-1")
    ledger.make()
    write(ledger.path("order.json"), '{"packages": [], "action": "install"}')
    return Job(ledger)


def test_those_who_are_logged_in_are_told_before_the_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "wall", f'echo "$1" > {tmp_path}/heard')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    job = ordered(tmp_path / "state")
    job.announce(1)
    assert (tmp_path / "heard").read_text().startswith("Software was updated. This computer restarts in 1 seconds")
    assert [event["message"] for event in job.ledger.events()] == ["restarts in 1 s; whoever is logged in is told"]


def test_that_nobody_could_be_told_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "wall", "echo no terminals >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    job = ordered(tmp_path / "state")
    job.announce(1)
    assert job.ledger.events()[-1]["message"] == "nobody could be told: no terminals"


def test_without_a_countdown_nobody_is_told(tmp_path: Path) -> None:
    job = ordered(tmp_path / "state")
    job.announce(0)
    assert job.ledger.events() == []
