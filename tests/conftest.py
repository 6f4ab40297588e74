"""Fixtures for everyone: the cast, the clock, the flush, the database by environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import TransactionTestCase
from django.utils import translation

from patchflow.web.pictures import NoBrowser, browser_path
from tests.factories.people import Cast, make_cast
from tests.flush import flush
from tests.lab.fleet import fresh_host, fresh_rpm_host, lab, rpm_lab  # noqa: F401 - fixtures: real hosts

SHARED_DATA = Path(os.environ.get("PATCHFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real advisories and inventories, where this machine has them."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real data: set PATCHFLOW_TEST_DATA to a folder that has it")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, settings: Any) -> None:
    """No test writes into the checkout's var folder."""
    settings.PATCHFLOW = {**settings.PATCHFLOW, "AUDIT_HEADS_FILE": tmp_path / "audit-heads.log",
                          "ATTACHMENTS": tmp_path / "attachments"}  # fmt: skip
    settings.VAR = tmp_path


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """The language of the last request of a test is none of the next test's."""
    yield
    translation.deactivate()


@pytest.fixture
def now() -> datetime:
    """The moment at which the tests play: a Wednesday forenoon."""
    return datetime(2026, 11, 18, 9, 42, tzinfo=UTC)


@pytest.fixture
def cast(db: None) -> Cast:
    """ann (requester), cal (CAB chair), mia (member), rex (release manager), otto (operator), eve (no role), … and the bot."""
    return make_cast()


@pytest.fixture(autouse=True, scope="session")
def _flush_what_is_there() -> Iterator[None]:
    """Transactional tests end with our flush: Django's takes seconds, and the append-only tables refuse it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _self: flush())
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What cannot be shown here is left out, and says so: on SQLite what needs PostgreSQL; without a browser what drives one
    (with PATCHFLOW_REQUIRE_BROWSER=1 that fails instead)."""
    on_postgresql = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
    no_browser = os.environ.get("PATCHFLOW_REQUIRE_BROWSER") != "1" and _no_browser()
    for item in items:
        if no_browser and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=no_browser))
        if not on_postgresql and item.get_closest_marker("pg"):
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL: make test-pg, or set PATCHFLOW_DATABASE_URL"))


def _no_browser() -> str:
    """Why no browser can be driven here; empty where one can."""
    try:
        browser_path()
    except NoBrowser as error:
        return str(error)
    return ""


def pytest_report_header() -> str:
    return f"database: {settings.DATABASES['default']['ENGINE'].rpartition('.')[2]}"
