"""Ways to get a repository's files, each bounded."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from changes.remote.downloads import DownloadLimits
from changes.sources.apt import fetch_repository
from changes.sources.base import FetchError, NotFound, TooMuchData
from changes.sources.fetchers import CallableFetcher, FileFetcher, HttpFetcher
from tests.changes.remote.serving import serving
from tests.changes.sources.building import URI, Built, spec


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    files = {uri.removeprefix("https://packages.example"): data for uri, data in Built().publish().items()}
    with serving(files) as address:
        yield address


def published(root: Path) -> str:
    for uri, data in Built().publish().items():
        path = root / uri.removeprefix(f"{URI}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return f"file://{root}"


def test_repository_comes_over_http(server: str, now: datetime) -> None:
    fetcher = HttpFetcher(allow_private=True)

    repository = fetch_repository(spec(uri=f"{server}/debian"), fetcher=fetcher, now=now)

    assert repository.result.ok
    assert len(list(repository.packages())) == 2


def test_repository_on_a_private_address_needs_to_be_allowed(server: str, now: datetime) -> None:
    repository = fetch_repository(spec(uri=f"{server}/debian"), fetcher=HttpFetcher(), now=now)

    assert repository.result.failed == "release.fetched"
    assert "is not on the public internet" in repository.result.reason


def test_http_errors_are_told_apart(server: str) -> None:
    fetcher = HttpFetcher(allow_private=True, limits=DownloadLimits(max_bytes=1_000_000))

    with pytest.raises(NotFound):
        fetcher.fetch(f"{server}/nothing", max_bytes=10)
    with pytest.raises(TooMuchData):
        fetcher.fetch(f"{server}/endless", max_bytes=100_000)
    with pytest.raises(TooMuchData):
        fetcher.fetch(f"{server}/endless", max_bytes=10_000_000_000)
    with pytest.raises(FetchError) as caught:
        fetcher.fetch(f"{server}/status/503", max_bytes=10)
    assert caught.value.retryable


def test_repository_comes_from_the_disk(tmp_path: Path, now: datetime) -> None:
    repository = fetch_repository(spec(uri=published(tmp_path)), fetcher=FileFetcher(root=tmp_path), now=now)

    assert repository.result.ok
    assert len(list(repository.packages())) == 2


def test_file_outside_of_the_root_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    os.symlink(tmp_path / "secret", inside / "link")
    fetcher = FileFetcher(root=inside)

    for uri in (f"file://{inside}/../secret", f"file://{inside}/%2e%2e/secret", f"file://{inside}/link"):
        with pytest.raises(FetchError, match="lies outside of"):
            fetcher.fetch(uri, max_bytes=100)
    with pytest.raises(FetchError, match=r"is not a file:// address of this machine"):
        fetcher.fetch("file://elsewhere/etc/passwd", max_bytes=100)
    with pytest.raises(NotFound):
        fetcher.fetch(f"file://{inside}/nothing", max_bytes=100)


def test_file_larger_than_the_bound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 11)
    fetcher = FileFetcher(root=tmp_path)

    assert fetcher.fetch(f"file://{tmp_path}/file", max_bytes=11) == b"x" * 11
    with pytest.raises(TooMuchData):
        fetcher.fetch(f"file://{tmp_path}/file", max_bytes=10)


def test_callable_may_answer_with_bytes_pieces_or_nothing() -> None:
    answers = {"whole": b"abc", "pieces": [b"a", b"bc"], "endless": itertools.repeat(b"x")}
    fetcher = CallableFetcher(answers.get)

    assert fetcher.fetch("whole", max_bytes=3) == fetcher.fetch("pieces", max_bytes=3) == b"abc"
    with pytest.raises(NotFound):
        fetcher.fetch("nothing", max_bytes=3)
    for name in ("whole", "endless"):
        with pytest.raises(TooMuchData):
            fetcher.fetch(name, max_bytes=2)
