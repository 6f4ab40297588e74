"""The repository of simulated hosts: signed and listed like a real one, and refused like one when it was changed."""

from __future__ import annotations

from datetime import datetime

from changes.sources.apt import fetch_repository
from releases.executors.base import PackageChange
from releases.executors.simulator import simulated_artifact
from releases.executors.simulator_repository import Shelf, publish


def spec_of(name: str, version: str, arch: str = "amd64"):
    return simulated_artifact(PackageChange(name=name, arch=arch, from_version="", to_version=version))


def test_every_file_stands_in_the_signed_index_with_its_hash_and_source(now: datetime) -> None:
    wanted = [spec_of("libcrystal3", "3.2.1-3+sim1"), spec_of("notes", "1.0", "all")]
    spec, shelf = publish(wanted, sources={("libcrystal3", "3.2.1-3+sim1"): ("libcrystal", "3.2.1-3")}, at=now)
    repository = fetch_repository(spec, fetcher=shelf, now=now)
    assert repository.result.ok, repository.result
    found = {(p.name, p.version, p.sha256, p.source_name, p.source_version) for p in repository.packages()}
    assert found == {
        ("libcrystal3", "3.2.1-3+sim1", wanted[0].sha256, "libcrystal", "3.2.1-3"),
        ("notes", "1.0", wanted[1].sha256, "notes", "1.0"),
    }
    assert "simulator" in repository.result.signer_name


def test_an_index_that_was_changed_is_refused(now: datetime) -> None:
    spec, shelf = publish([spec_of("notes", "1.0")], sources={}, at=now)
    other = publish([spec_of("notes", "6.6")], sources={}, at=now)[1]
    mixed = {**shelf.files, **{uri: data for uri, data in other.files.items() if uri.endswith("Packages.gz")}}
    repository = fetch_repository(spec, fetcher=Shelf(mixed), now=now)
    assert not repository.result.ok
    assert repository.result.failed.startswith("index.")
