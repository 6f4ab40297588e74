from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cmdb.versions.native import SYSTEM_PYTHON, NativeOrder, has_module


@pytest.fixture(scope="session")
def pair_count() -> int:
    """Pairs each comparator is asked for; PATCHFLOW_PAIRS=1000000 makes the long run."""
    return int(os.environ.get("PATCHFLOW_PAIRS", "50000"))


@pytest.fixture(scope="session")
def apt() -> Iterator[NativeOrder]:
    if not has_module("apt_pkg"):
        pytest.skip(f"{SYSTEM_PYTHON} has no apt_pkg (Debian: apt install python3-apt)")
    order = NativeOrder.of_apt()
    yield order
    order.close()


@pytest.fixture(scope="session")
def librpm() -> Iterator[NativeOrder]:
    if not has_module("rpm"):
        pytest.skip(f"{SYSTEM_PYTHON} has no rpm (apt or dnf install python3-rpm)")
    order = NativeOrder.of_rpm()
    yield order
    order.close()


@pytest.fixture(scope="session")
def dpkg() -> None:
    if shutil.which("dpkg") is None:
        pytest.skip("no dpkg here (apt or dnf install dpkg)")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published data: PATCHFLOW_TEST_DATA, or shared/data beside the checkout."""
    beside = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("PATCHFLOW_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no published data at {folder} (set PATCHFLOW_TEST_DATA)")
    return folder
