"""What faults strike: a database of a planned rollout, made once, and for each test a running Patchflow over a copy of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.faults.dose import LONG, dose
from tests.faults.postgres import Server
from tests.faults.site import Pace, Site, Yard, make_yard
from tests.journeys.stack import Database, running

MakeSite = Callable[..., AbstractContextManager[Site]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with processes of their own run one after the other, and what they need is PostgreSQL."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "site" in getattr(item, "fixturenames", ()):
            for mark in (pytest.mark.integration, pytest.mark.pg, pytest.mark.timeout(14400 if LONG else 900)):
                item.add_marker(mark)
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture(scope="session")
def yards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Yard]]:
    """Planned rollouts of so many hosts, so many of them at once (three tenths), each made once."""
    database, made = Database(), dict[tuple[int, int], Yard]()
    kept = Path(tempfile.gettempdir()) / "pf_faults" if os.environ.get("FAULTS_KEEP") else None

    def yard(hosts: int, at_once: int = 0) -> Yard:
        size = (hosts, at_once or max(60, hosts * 3 // 10))
        if size not in made:
            made[size] = kept_yard(kept, size) or new(size)
        return made[size]

    def new(size: tuple[int, int]) -> Yard:
        hosts, at_once = size
        name = f"pf_faults_{'kept' if kept else os.getpid()}_{hosts}_{at_once}"
        rings = f"{hosts // 10},{hosts - hosts // 10}"
        folder = tmp_path_factory.mktemp(f"yard{hosts}")
        one = make_yard(name, database.create(name), folder, rings=rings, concurrency=at_once, rfcs=40)
        if kept:
            kept.mkdir(exist_ok=True)
            (kept / f"{hosts}-{at_once}.json").write_text(json.dumps(asdict(one)))
        return one

    try:
        yield yard
    finally:
        for one in () if kept else made.values():
            database.drop(one.database)


def kept_yard(folder: Path | None, size: tuple[int, int]) -> Yard | None:
    """The yard that an earlier run has left (FAULTS_KEEP=1), for whoever runs one fault again and again."""
    path = folder / f"{size[0]}-{size[1]}.json" if folder else None
    return Yard(**json.loads(path.read_text())) if path and path.exists() else None


@pytest.fixture
def site(request: pytest.FixtureRequest, yards: Callable[..., Yard], tmp_path: Path) -> Iterator[MakeSite]:
    """`with site(hosts=200) as running:`; its logs are shown when the test fails."""
    database = Database()
    made: list[Site] = []

    @contextmanager
    def make(
        *, hosts: int = 200, at_once: int = 0, pace: Pace | None = None, server: Server | None = None, **settings: str
    ) -> Iterator[Site]:
        yard = yards(hosts, at_once)
        name = f"{yard.database}_run"
        folder = tmp_path / f"var{len(made)}"
        if server is None:
            url = database.create(name, like=yard.database)
        else:
            server.copy(database.url(yard.database))
            url = server.url
        one = Site(folder=folder, database_url=url, yard=yard, pace=pace or Pace(), settings=settings)
        made.append(one)
        try:
            with running(one):
                yield one
        finally:
            database.drop(name)

    yield make
    for one in made:
        request.node.add_report_section("teardown", "patchflow", one.every_log())


__all__ = ["MakeSite", "dose"]
