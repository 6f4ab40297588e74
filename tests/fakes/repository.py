"""A signed Debian-style repository in memory, served on loopback. It can be tampered with after signing."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from pysequoia import SignatureMode, Tsk, sign

SUITE = "bookworm-security"
INDEX = "main/binary-amd64/Packages.gz"


@lru_cache(maxsize=4)
def key(name: str) -> Tsk:
    """The secret key of this name; made once, for keys take time."""
    return Tsk.generate(f"{name} <{name}@example.org>")


@dataclass(frozen=True)
class Package:
    """One file of the repository. `source` empty: its own."""

    name: str
    version: str
    source: str = ""
    source_version: str = ""
    arch: str = "amd64"

    @property
    def filename(self) -> str:
        return f"pool/{self.name}_{self.version}_{self.arch}.deb"

    @property
    def body(self) -> bytes:
        return f"{self.name} {self.version} {self.arch}".encode()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def stanza(self) -> str:
        source = self.source or self.name
        version = f" ({self.source_version})" if self.source_version and self.source_version != self.version else ""
        return (
            f"Package: {self.name}\nSource: {source}{version}\nVersion: {self.version}\nArchitecture: {self.arch}\n"
            f"Filename: {self.filename}\nSize: {len(self.body)}\nSHA256: {self.sha256}\nDescription: made\n\n"
        )


@dataclass
class Repository:
    """Packages, signed as of `at` by `signer`. `publish` makes the files; `tampered` changes the index after signing."""

    at: datetime
    packages: list[Package] = field(default_factory=list)
    signer: str = "archive"
    tampered: bool = False
    uri: str = ""

    def public_key(self) -> bytes:
        return bytes(key("archive").extract_certificate())

    def publish(self) -> dict[str, bytes]:
        """Path → bytes."""
        index = gzip.compress("".join(p.stanza() for p in self.packages).encode(), mtime=0)
        release = "\n".join(
            [
                "Origin: Made", f"Suite: {SUITE}", f"Codename: {SUITE}",
                f"Date: {format_datetime(self.at).replace('+0000', 'UTC')}",
                f"Valid-Until: {format_datetime(self.at + timedelta(days=365)).replace('+0000', 'UTC')}",
                "SHA256:", f" {hashlib.sha256(index).hexdigest()} {len(index)} {INDEX}", "",
            ]
        )  # fmt: skip
        if self.tampered:
            index = gzip.compress("".join(p.stanza() for p in self.packages).replace("made", "evil").encode(), mtime=0)
        signed = bytes(sign(key(self.signer).signer(), release.encode(), mode=SignatureMode.CLEAR))
        return {f"/dists/{SUITE}/InRelease": signed, f"/dists/{SUITE}/{INDEX}": index}

    @contextmanager
    def served(self) -> Iterator[Repository]:
        """Serves what `publish` gives at each request, on a free port of 127.0.0.1."""
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = repository.publish().get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.uri = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
