"""The yard in which releases are tested."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.factories.people import Cast
from tests.factories.releases import Yard, make_yard
from tests.fakes.repository import Repository


@pytest.fixture
def repository(now: datetime) -> Iterator[Repository]:
    """A signed repository on loopback."""
    with Repository(at=now).served() as served:
        yield served


@pytest.fixture
def yard(cast: Cast, now: datetime, repository: Repository, tmp_path: Path, settings: Any) -> Yard:
    """Three hosts that miss an update, a test host, a repository, machines behind an executor, and the cast."""
    settings.PATCHFLOW = {
        **settings.PATCHFLOW, "KEYRINGS": tmp_path / "keyrings", "OUTBOUND_ALLOW": ["127.0.0.1"], "EXECUTOR": "fake",
    }  # fmt: skip
    return make_yard(cast, now, repository, tmp_path / "keyrings")
