"""Downloading from a server that may be slow, endless, redirecting or hostile."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import httpx2

from patchflow.kernel.addresses import Resolver, refusal, resolve

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(Exception):
    """A download that did not succeed. Its text says what happened and what to do.

    `retryable`: the same request may succeed later. `missing`: the server says that there is no such file.
    """

    def __init__(self, sentence: str, *, retryable: bool = False, missing: bool = False) -> None:
        super().__init__(sentence)
        self.retryable = retryable
        self.missing = missing


class TooLarge(DownloadError):
    """The answer is larger than allowed; reading stopped there."""


@dataclass(frozen=True, kw_only=True)
class DownloadLimits:
    """How much (bytes) and how long (seconds) a server is trusted. `total_seconds` ends an answer that only drips."""

    max_bytes: int = 512 * 1024 * 1024
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    total_seconds: float = 1800.0
    max_redirects: int = 5


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """What was written: the address that answered in the end, size in bytes, SHA-256 in hex."""

    url: str
    size: int
    sha256: str


def download(
    url: str,
    *,
    into: BinaryIO,
    limits: DownloadLimits | None = None,
    allow_private: bool = False,
    resolver: Resolver = resolve,
    transport: httpx2.BaseTransport | None = None,
) -> Downloaded:
    """Write what `url` answers into `into`, exactly as sent (no content encoding is undone).

    Only http and https; each redirect is judged like the first address, and none leads from https to http. The name is
    resolved once, its addresses are judged, and the connection goes to the judged address, so that a name cannot change
    its mind in between. `transport` replaces the network in tests. Raises DownloadError.
    """
    limits = limits or DownloadLimits()
    ends_at = time.monotonic() + limits.total_seconds
    timeout = httpx2.Timeout(limits.read_seconds, connect=limits.connect_seconds)
    target = _checked(url)
    with httpx2.Client(transport=transport, timeout=timeout, trust_env=False) as client:
        for _ in range(limits.max_redirects + 1):
            with _answer(client, target, allow_private=allow_private, resolver=resolver) as response:
                if response.status_code not in _REDIRECTS:
                    return _save(response, target, into=into, limits=limits, ends_at=ends_at)
                target = _next_hop(response, target)
    raise DownloadError(f"{url} redirects more than {limits.max_redirects} times. Enter the address it should end at.")


def _checked(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise DownloadError(f"{text!r} is no address ({error}). Correct it in the settings.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise DownloadError(f"{text!r} is not an http or https address. Correct it in the settings.")
    if url.userinfo:
        raise DownloadError(f"The address at {url.host} carries a password, which logs would show. Take it out.")
    return url


def _next_hop(response: httpx2.Response, at: httpx2.URL) -> httpx2.URL:
    location = response.headers.get("location", "")
    if not location:
        raise DownloadError(f"{at} redirects to nowhere. Ask its publisher for the new address.")
    try:
        joined = str(at.join(location))
    except (httpx2.InvalidURL, ValueError):
        raise DownloadError(f"{at} redirects to something that is no address: {location[:200]!r}.") from None
    url = _checked(joined)
    if at.scheme == "https" and url.scheme != "https":
        raise DownloadError(f"{at} redirects from https to http, which would drop the protection. Refused.")
    return url


@contextmanager
def _answer(
    client: httpx2.Client, url: httpx2.URL, *, allow_private: bool, resolver: Resolver
) -> Iterator[httpx2.Response]:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        addresses = resolver(url.host, port)
    except (OSError, UnicodeError) as error:
        raise DownloadError(
            f"{url.host} has no address ({error}). Check the name, or try later.", retryable=True
        ) from None
    if not addresses:
        raise DownloadError(f"{url.host} has no address. Check the name, or try later.", retryable=True)
    for address in addresses:
        why = refusal(address, allow_private=allow_private)
        if why:
            raise DownloadError(
                f"{url.host} is refused: {why}. If it is a server of your own, allow private addresses."
            )
    try:
        request = client.build_request(
            "GET",
            url.copy_with(host=addresses[0]),
            headers={
                "Host": url.netloc.decode("ascii"),
                "User-Agent": "Patchflow",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
            extensions={"sni_hostname": url.host},
        )
        response = client.send(request, stream=True)
        try:
            yield response
        finally:
            response.close()
    except httpx2.HTTPError as error:
        what = type(error).__name__
        raise DownloadError(
            f"{url} could not be read ({what}: {error}). It is tried again later.", retryable=True
        ) from error


def _save(
    response: httpx2.Response, url: httpx2.URL, *, into: BinaryIO, limits: DownloadLimits, ends_at: float
) -> Downloaded:
    status = response.status_code
    if status != 200:
        raise DownloadError(
            f"{url} answered with status {status}. Check the address and the right to read it.",
            retryable=status in _RETRY_STATUS,
            missing=status in (404, 410),
        )
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.max_bytes:
        raise TooLarge(f"{url} announces {announced} bytes, allowed are {limits.max_bytes}.")
    digest, size = hashlib.sha256(), 0
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > limits.max_bytes:
            raise TooLarge(f"{url} sends more than the allowed {limits.max_bytes} bytes.")
        if time.monotonic() > ends_at:
            raise DownloadError(f"{url} was not complete after {limits.total_seconds:g} s.", retryable=True)
        digest.update(chunk)
        into.write(chunk)
    return Downloaded(url=str(url), size=size, sha256=digest.hexdigest())
