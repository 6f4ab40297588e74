"""The lab itself: it skips with a reason, and what a killed test run leaves behind goes away."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import fleet

ROOT = Path(__file__).resolve().parents[2]


def test_without_a_base_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATCHFLOW_LAB_BASE", str(tmp_path))
    monkeypatch.delenv("PATCHFLOW_REQUIRE_LAB", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^no lab: "), fleet.started():
        raise AssertionError("a lab without a base")


def test_without_a_base_it_fails_where_a_lab_is_required(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATCHFLOW_LAB_BASE", str(tmp_path))
    monkeypatch.setenv("PATCHFLOW_REQUIRE_LAB", "1")
    with pytest.raises(pytest.fail.Exception, match=r"^no lab: "), fleet.started():
        raise AssertionError("a lab without a base")


@pytest.mark.lab
def test_lab_of_a_killed_run_is_removed_at_the_next_start() -> None:
    if reason := fleet.why_not():
        fleet._give_up(reason)
    code = "import time; from tests.lab.fleet import Lab; l = Lab.take(); l.up(1); print(l.tag, l.folder, flush=True); time.sleep(99)"
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stdout is not None
    tag, folder = run.stdout.readline().split()
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    assert f"{tag}-h01" in left

    fleet.Lab.take().down()

    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split()
    assert [name for name in names if name.startswith(f"{tag}-")] == []
    assert folder not in Path("/proc/mounts").read_text()
    assert not Path(folder).exists()
    assert f"{tag}br0" not in subprocess.run(["ip", "link"], capture_output=True, text=True).stdout
    commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert folder not in commands
