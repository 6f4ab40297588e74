"""A receiver of webhooks: a real HTTP server on this computer that keeps what it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are given one after the other; when none is left, 204. `location` goes with an answer of 3xx."""

    answers: list[int] = field(default_factory=list)
    location: str = ""
    got: list[Received] = field(default_factory=list)
    url: str = ""

    def take(self, received: Received) -> int:
        self.got.append(received)
        return self.answers.pop(0) if self.answers else 204

    @contextmanager
    def served(self) -> Iterator[Receiver]:
        """Listens on a free port of 127.0.0.1."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver.take(Received(self.path, headers, body)))
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            self.url = f"http://127.0.0.1:{server.server_port}/hook"
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)
