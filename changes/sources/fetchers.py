"""Ways to get a repository's files: over HTTP, from this machine's disk, or through somebody else (a host, a lab)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from changes.remote.downloads import DownloadError, DownloadLimits, TooLarge, download
from changes.sources.base import FetchError, NotFound, TooMuchData
from patchflow.kernel.addresses import Resolver, resolve


class HttpFetcher:
    """Gets http and https addresses, guarded as `changes.remote.downloads` says. `limits.max_bytes` stays the roof."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        limits: DownloadLimits | None = None,
        resolver: Resolver = resolve,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._limits = limits or DownloadLimits()
        self._resolver, self._transport = resolver, transport

    def fetch(self, uri: str, *, max_bytes: int) -> bytes:
        buffer = io.BytesIO()
        limits = DownloadLimits(
            max_bytes=min(max_bytes, self._limits.max_bytes),
            connect_seconds=self._limits.connect_seconds,
            read_seconds=self._limits.read_seconds,
            total_seconds=self._limits.total_seconds,
            max_redirects=self._limits.max_redirects,
        )
        try:
            download(
                uri,
                into=buffer,
                limits=limits,
                allow_private=self._allow_private,
                resolver=self._resolver,
                transport=self._transport,
            )
        except TooLarge as error:
            raise TooMuchData(str(error)) from error
        except DownloadError as error:
            raise (NotFound if error.missing else FetchError)(str(error), retryable=error.retryable) from error
        return buffer.getvalue()


class FileFetcher:
    """Gets file:// addresses below `root`; links that lead out of it are refused."""

    def __init__(self, *, root: Path) -> None:
        self._root = root.resolve()

    def fetch(self, uri: str, *, max_bytes: int) -> bytes:
        parts = urlsplit(uri)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
            raise FetchError(f"{uri!r} is not a file:// address of this machine.")
        path = Path(unquote(parts.path)).resolve()
        if not path.is_relative_to(self._root):
            raise FetchError(f"{uri!r} lies outside of {self._root}.")
        if not path.is_file():
            raise NotFound(f"There is no file {path}.")
        try:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
        except OSError as error:
            raise FetchError(f"{path} cannot be read ({error.strerror}).") from error
        if len(data) > max_bytes:
            raise TooMuchData(f"{path} is larger than the allowed {max_bytes} bytes.")
        return data


class CallableFetcher:
    """Gets files through `call(uri)`, which returns bytes or pieces, or None where there is no such file.

    What it returns is cut off at the bound: it may come from a host that is not trusted.
    """

    def __init__(self, call: Callable[[str], bytes | Iterable[bytes] | None]) -> None:
        self._call = call

    def fetch(self, uri: str, *, max_bytes: int) -> bytes:
        answer = self._call(uri)
        if answer is None:
            raise NotFound(f"There is no file {uri}.")
        buffer, size = io.BytesIO(), 0
        for piece in [answer] if isinstance(answer, bytes) else answer:
            size += len(piece)
            if size > max_bytes:
                raise TooMuchData(f"{uri} is larger than the allowed {max_bytes} bytes.")
            buffer.write(piece)
        return buffer.getvalue()
