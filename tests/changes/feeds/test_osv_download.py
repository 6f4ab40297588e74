"""OSV records from an address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from changes.feeds.base import FeedError
from changes.feeds.osv import OsvFeed
from changes.remote.downloads import DownloadLimits
from tests.changes.feeds.material import all_documents, as_tar_xz, as_zip
from tests.changes.remote.serving import serving


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    files = {
        "/all.zip": as_zip(all_documents()),
        "/all.tar.xz": as_tar_xz(all_documents()),
        "/one": all_documents()["DSA-9001-1.json"],
        "/page": b"<html>Sign in</html>",
    }
    with serving(files) as address:
        yield address


@pytest.mark.parametrize(("path", "count"), [("/all.zip", 8), ("/all.tar.xz", 8), ("/one", 1)])
def test_records_come_from_an_address(server: str, path: str, count: int) -> None:
    feed = OsvFeed(name="osv-test", location=server + path, allow_private=True)

    assert len(list(feed.fetch(since=None))) == count
    assert (feed.tally.drafts, feed.tally.complete) == (count, True)


def test_page_instead_of_records_is_put_aside(server: str) -> None:
    feed = OsvFeed(name="osv-test", location=f"{server}/page", allow_private=True)

    (aside,) = feed.fetch(since=None)

    assert aside.error.startswith("It is not JSON")  # type: ignore[union-attr]
    assert feed.tally.drafts == 0


def test_private_address_needs_to_be_allowed(server: str) -> None:
    feed = OsvFeed(name="osv-test", location=f"{server}/all.zip")

    with pytest.raises(FeedError, match="not on the public internet") as caught:
        list(feed.fetch(since=None))
    assert not caught.value.retryable


def test_server_in_trouble_may_be_tried_again(server: str) -> None:
    feed = OsvFeed(name="osv-test", location=f"{server}/status/503", allow_private=True)

    with pytest.raises(FeedError, match="status 503") as caught:
        list(feed.fetch(since=None))
    assert caught.value.retryable
    assert not feed.tally.complete


def test_endless_answer_is_an_error_of_the_feed(server: str) -> None:
    limits = DownloadLimits(max_bytes=1_000_000)
    feed = OsvFeed(name="osv-test", location=f"{server}/endless", allow_private=True, download_limits=limits)

    with pytest.raises(FeedError, match="more than the allowed 1000000 bytes"):
        list(feed.fetch(since=None))
