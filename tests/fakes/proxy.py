"""A forward proxy for HTTP, small and real: run by itself, it writes down each address that it was asked for.

    python3 proxy.py ADDRESS PORT LOG SPOILED

While the file SPOILED names a part of an address, what that address answers comes with its last byte turned over.
"""

from __future__ import annotations

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HOP = {"connection", "proxy-connection", "proxy-authorization", "keep-alive", "host"}


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log: Path
    spoiled: Path

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        with self.log.open("a") as file:
            file.write(f"{self.path}\n")
        if place.scheme != "http" or not place.hostname:
            self.send_error(400, "this is a proxy")
            return
        onward = http.client.HTTPConnection(place.hostname, place.port or 80, timeout=20)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            onward.request("GET", place.path + (f"?{place.query}" if place.query else ""), headers=headers)
            answer = onward.getresponse()
            body = answer.read()
        except OSError as error:
            self.send_error(502, str(error))
            return
        finally:
            onward.close()
        part = self.spoiled.read_text().strip() if self.spoiled.exists() else ""
        if part and part in self.path and body:
            body = body[:-1] + bytes([body[-1] ^ 0xFF])
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {*HOP, "transfer-encoding", "content-length", "server", "date"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main(address: str, port: str, log: str, spoiled: str) -> None:
    Proxy.log, Proxy.spoiled = Path(log), Path(spoiled)
    ThreadingHTTPServer((address, int(port)), Proxy).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
