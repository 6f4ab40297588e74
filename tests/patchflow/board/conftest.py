"""One small Patchflow for all tests here: made once, on one worker; nothing that a test does to it stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.test import override_settings

from tests.fakes.repository import Repository
from tests.patchflow.board.board import Board, made, taken_back


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "board" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("board"))


@pytest.fixture(scope="package")
def small_world(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Board]:
    """One world for all cells; in the end all of it is taken back."""
    at, folder = datetime(2026, 11, 18, 9, 42, tzinfo=UTC), tmp_path_factory.mktemp("duties")
    given = {"KEYRINGS": folder / "keyrings", "OUTBOUND_ALLOW": ["127.0.0.1"], "EXECUTOR": "fake"}
    with (
        django_db_blocker.unblock(),
        time_machine.travel(at, tick=True),
        override_settings(PATCHFLOW={**django_settings.PATCHFLOW, **given}),
        Repository(at=at - timedelta(days=30)).served() as repository,
        taken_back(),
    ):
        yield made(at, Path(folder), repository)


@pytest.fixture
def board(small_world: Board) -> Iterator[Board]:
    """The world as it was made."""
    with taken_back():
        yield small_world
