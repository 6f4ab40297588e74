"""What journeys walk through: a fleet for the session; for each test, hosts as new and a Patchflow of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.estate import HOSTS, Estate, RpmEstate
from tests.journeys.stack import Database, Installation, Stack, install, running
from tests.lab.fleet import started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here walks on real hosts with real processes; one after the other, on one worker."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for mark in (pytest.mark.journey, pytest.mark.lab, pytest.mark.pg, pytest.mark.timeout(900)):
                item.add_marker(mark)
            item.add_marker(pytest.mark.xdist_group("lab"))


@pytest.fixture(scope="session")
def database() -> Database:
    return Database()


@pytest.fixture(scope="session")
def installation(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Tables and people, to be copied."""
    name = f"pf_journey_{os.getpid()}"
    try:
        yield install(name, database.create(name), tmp_path_factory.mktemp("install"))
    finally:
        database.drop(name)


@pytest.fixture(scope="session")
def fleet(database: Database) -> Iterator[Estate]:
    """Four Debian hosts. Their repository says that it is Debian's: advisories speak of a distribution's own packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_ORIGIN", "Debian")
        with started(debian=len(HOSTS)) as lab:
            yield Estate(lab)


@pytest.fixture
def estate(fleet: Estate) -> Estate:
    """The hosts as new."""
    fleet.renew()
    return fleet


@pytest.fixture(scope="session")
def rpm_fleet() -> Iterator[RpmEstate]:
    """Three hosts of the RPM family."""
    with started(debian=0, rpm=len(RpmEstate.hosts)) as lab:
        yield RpmEstate(lab)


@pytest.fixture
def rpm_estate(rpm_fleet: RpmEstate) -> RpmEstate:
    """The hosts as new."""
    rpm_fleet.renew()
    return rpm_fleet


@pytest.fixture
def stack(
    request: pytest.FixtureRequest, database: Database, installation: Installation, estate: Estate, tmp_path: Path
) -> Iterator[Stack]:
    yield from _patchflow(request, database, installation, estate, tmp_path)


@pytest.fixture
def rpm_stack(
    request: pytest.FixtureRequest,
    database: Database,
    installation: Installation,
    rpm_estate: RpmEstate,
    tmp_path: Path,
) -> Iterator[Stack]:
    yield from _patchflow(request, database, installation, rpm_estate, tmp_path)


def _patchflow(
    request: pytest.FixtureRequest, database: Database, installation: Installation, estate: Estate, tmp_path: Path
) -> Iterator[Stack]:
    """A Patchflow of its own, which knows people and nothing else; its logs are shown when the test fails. Its executor is
    the parameter of the fixture."""
    folder = tmp_path / "var"
    keyrings = folder / "keyrings"
    keyrings.mkdir(parents=True)
    (keyrings / estate.archive_key.name).write_bytes(estate.archive_key.read_bytes())
    name = f"{installation.database}_run"
    patchflow = Stack(
        folder=folder,
        database_url=database.create(name, like=installation.database),
        passwords=installation.passwords,
        settings={
            "PATCHFLOW_EXECUTOR": getattr(request, "param", "ssh"),
            "PATCHFLOW_OUTBOUND_ALLOW": estate.archive_host,
        },
    )
    try:
        with running(patchflow):
            yield patchflow
            request.node.add_report_section("teardown", "patchflow", patchflow.every_log())
    finally:
        database.drop(name)
