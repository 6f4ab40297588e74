"""Downloads from servers that are good, slow, endless, or lead astray."""

from __future__ import annotations

import hashlib
import io
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest

from changes.remote.downloads import DownloadError, DownloadLimits, TooLarge, download
from tests.changes.remote.serving import certificate_for, serving

PUBLIC = "151.101.2.132"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving({"/file": b"content", "/big": b"x" * 5_000}) as address:
        yield address


class Names:
    """A resolver of our own: names to addresses, and which were asked for."""

    def __init__(self, **known: Sequence[str]) -> None:
        self._known = {name.replace("_", "."): list(found) for name, found in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        if host not in self._known:
            raise OSError("unknown name")
        return self._known[host]


def answering(**by_path: httpx2.Response) -> tuple[httpx2.MockTransport, list[httpx2.Request]]:
    """A network in which each path has one answer, and the requests it saw."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return by_path[request.url.path.strip("/")]

    return httpx2.MockTransport(answer), seen


def moved(location: str) -> httpx2.Response:
    return httpx2.Response(302, headers={"Location": location})


def test_download_writes_what_was_sent(server: str) -> None:
    buffer = io.BytesIO()

    done = download(f"{server}/file", into=buffer, allow_private=True)

    assert buffer.getvalue() == b"content"
    assert (done.url, done.size, done.sha256) == (
        f"{server}/file",
        7,
        hashlib.sha256(b"content").hexdigest(),
    )


def test_download_follows_a_redirect(server: str) -> None:
    buffer = io.BytesIO()

    done = download(f"{server}/to/{server}/file", into=buffer, allow_private=True)

    assert (buffer.getvalue(), done.url) == (b"content", f"{server}/file")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1]:8000/x",
    ],
)
def test_private_address_is_refused_however_it_is_written(address: str) -> None:
    with pytest.raises(DownloadError, match=r"is refused|has no address"):
        download(address, into=io.BytesIO())


def test_name_with_one_private_address_among_public_ones_is_refused() -> None:
    transport, seen = answering()

    with pytest.raises(DownloadError, match=r"10\.0\.0\.5 is not on the public internet"):
        download(
            "https://feed.example/x",
            into=io.BytesIO(),
            resolver=Names(feed_example=[PUBLIC, "10.0.0.5"]),
            transport=transport,
        )
    assert seen == []


def test_redirect_to_a_private_address_is_refused() -> None:
    names = Names(feed_example=[PUBLIC], meta_example=["169.254.169.254"])
    transport, seen = answering(x=moved("https://meta.example/latest"))

    with pytest.raises(DownloadError, match=r"meta\.example is refused: 169\.254\.169\.254"):
        download("https://feed.example/x", into=io.BytesIO(), resolver=names, transport=transport)
    assert [request.url.path for request in seen] == ["/x"]


def test_connection_goes_to_the_judged_address_under_the_server_name() -> None:
    names = Names(feed_example=[PUBLIC])
    transport, seen = answering(x=httpx2.Response(200, content=iter([b"ok"])))

    download("https://feed.example:8443/x", into=io.BytesIO(), resolver=names, transport=transport)

    assert names.asked == ["feed.example:8443"]
    assert (seen[0].url.host, seen[0].url.port, seen[0].headers["host"]) == (PUBLIC, 8443, "feed.example:8443")
    assert seen[0].extensions["sni_hostname"] == "feed.example"


@pytest.mark.parametrize(("certified", "fits"), [("feed.example", True), ("other.example", False)])
def test_certificate_is_judged_by_the_name_not_the_address(tmp_path: Path, certified: str, fits: bool) -> None:
    pem = certificate_for(certified, tmp_path / "server.pem")
    trust = ssl.create_default_context(cafile=pem)
    with serving({"/file": b"content"}, certificate=pem) as address:
        url = f"https://feed.example:{address.rpartition(':')[2]}/file"
        settings = {"resolver": Names(feed_example=["127.0.0.1"]), "transport": httpx2.HTTPTransport(verify=trust)}
        if fits:
            assert download(url, into=io.BytesIO(), allow_private=True, **settings).size == 7
        else:
            with pytest.raises(DownloadError, match="certificate"):
                download(url, into=io.BytesIO(), allow_private=True, **settings)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://feed.example/x", "from https to http"),
        ("file:///etc/passwd", "not an http or https address"),
        ("gopher://feed.example/", "not an http or https address"),
        ("", "redirects to nowhere"),
        ("https://feed.example/x", "redirects more than 5 times"),
    ],
)
def test_redirect_that_leads_astray_is_refused(location: str, error: str) -> None:
    transport, _ = answering(x=moved(location))

    with pytest.raises(DownloadError, match=error) as caught:
        download(
            "https://feed.example/x", into=io.BytesIO(), resolver=Names(feed_example=[PUBLIC]), transport=transport
        )
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("ftp://feed.example/x", "not an http or https address"),
        ("file:///etc/passwd", "not an http or https address"),
        ("feed.example/x", "not an http or https address"),
        ("https://user:secret@feed.example/x", "carries a password"),
        ("https://", "not an http or https address"),
    ],
)
def test_address_that_is_none_is_refused(address: str, error: str) -> None:
    with pytest.raises(DownloadError, match=error) as caught:
        download(address, into=io.BytesIO())
    assert "secret" not in str(caught.value)


def test_unknown_name_may_be_tried_again() -> None:
    with pytest.raises(DownloadError, match=r"nowhere\.example has no address") as caught:
        download("https://nowhere.example/x", into=io.BytesIO(), resolver=Names())
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("status", "retryable", "missing"),
    [(404, False, True), (403, False, False), (503, True, False), (429, True, False)],
)
def test_status_tells_whether_to_try_again(server: str, status: int, retryable: bool, missing: bool) -> None:
    with pytest.raises(DownloadError, match=f"answered with status {status}") as caught:
        download(f"{server}/status/{status}", into=io.BytesIO(), allow_private=True)
    assert (caught.value.retryable, caught.value.missing) == (retryable, missing)


def test_announced_size_over_the_limit_is_refused_before_reading(server: str) -> None:
    buffer = io.BytesIO()

    with pytest.raises(TooLarge, match="announces 5000 bytes"):
        download(f"{server}/big", into=buffer, allow_private=True, limits=DownloadLimits(max_bytes=4_999))
    assert buffer.getvalue() == b""


def test_endless_answer_stops_at_the_limit(server: str) -> None:
    buffer = io.BytesIO()

    with pytest.raises(TooLarge, match="sends more than the allowed 1000000 bytes"):
        download(f"{server}/endless", into=buffer, allow_private=True, limits=DownloadLimits(max_bytes=1_000_000))
    assert len(buffer.getvalue()) <= 1_000_000


def test_dripping_answer_ends_with_its_time(server: str) -> None:
    began = time.monotonic()

    with pytest.raises(DownloadError, match=r"not complete after 0\.3 s") as caught:
        download(f"{server}/drip", into=io.BytesIO(), allow_private=True, limits=DownloadLimits(total_seconds=0.3))
    assert caught.value.retryable
    assert time.monotonic() - began < 5


def test_answer_cut_off_may_be_tried_again(server: str) -> None:
    with pytest.raises(DownloadError, match="could not be read") as caught:
        download(f"{server}/cut", into=io.BytesIO(), allow_private=True)
    assert caught.value.retryable
