#!/usr/bin/env python3
"""A tiny server that real inventory agents can report to.

It speaks just enough of the two protocols to make an agent hand over its inventory,
and writes every exchange to a folder: the headers, the body as sent, and the body
decoded.  A measuring instrument for whoever implements the real endpoint.

    agent_sink.py --dir FOLDER [--bind 127.0.0.1] [--port 8095] [--legacy-only]

Protocols
  legacy XML  (OCS Inventory, FusionInventory): POST, zlib or gzip body, PROLOG first,
              then INVENTORY;
  native JSON (GLPI agent): to a server it does not know, the agent too sends a legacy
              PROLOG first, with a GLPI-Agent-ID header to show that it can do better.
              Answered in JSON it goes on in JSON ("contact", "inventory"); answered in
              XML it stays with the legacy protocol (--legacy-only shows that).
"""

import argparse
import gzip
import http.server
import json
import pathlib
import re
import threading
import zlib

PROLOG_REPLY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<REPLY><RESPONSE>SEND</RESPONSE><PROLOG_FREQ>24</PROLOG_FREQ></REPLY>\n'
)
INVENTORY_REPLY = b'<?xml version="1.0" encoding="UTF-8"?>\n<REPLY><RESPONSE>ACCOUNT_UPDATE</RESPONSE></REPLY>\n'
MAX_BODY = 32 << 20


def decode(body: bytes) -> tuple[bytes, str]:
    """Undo the compression by looking at the bytes, not at the declared type."""
    if body[:2] == b"\x1f\x8b":
        return gzip.decompress(body), "gzip"
    if body[:1] == b"\x78":
        return zlib.decompress(body), "zlib"
    return body, "none"


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: pathlib.Path
    legacy_only = False
    counter = 0
    lock = threading.Lock()

    def do_GET(self):
        self.answer(b"", "text/plain", status=404)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MAX_BODY:
            self.answer(b"", "text/plain", status=413 if length else 411)
            return
        raw = self.rfile.read(length)
        try:
            body, coding = decode(raw)
        except (OSError, EOFError, zlib.error):
            body, coding = raw, "broken"
        reply, mime = self.reply_to(body)
        self.record(raw, body, coding, reply)
        # An agent that compressed its request can read a compressed answer.
        if coding == "zlib":
            reply = zlib.compress(reply)
            mime = "application/x-compress-zlib"
        elif coding == "gzip":
            reply, mime = gzip.compress(reply), "application/x-compress-gzip"
        self.answer(reply, mime)

    def reply_to(self, body: bytes) -> tuple[bytes, str]:
        """The reply, and its media type before compression."""
        native = body.lstrip()[:1] == b"{"
        prolog = b"<QUERY>PROLOG</QUERY>" in body
        if not self.legacy_only and (native or (prolog and self.headers.get("GLPI-Agent-ID"))):
            answer = {"status": "ok", "message": "taken", "expiration": "24h"}
            if prolog or json.loads(body).get("action") == "contact":
                answer["tasks"] = {"inventory": {"server": "glpi", "version": "10.0"}}
            return json.dumps(answer).encode(), "application/json"
        return (PROLOG_REPLY if prolog else INVENTORY_REPLY), "application/xml"

    def record(self, raw, body, coding, reply):
        with Sink.lock:
            Sink.counter += 1
            number = Sink.counter
        match = re.search(rb"<QUERY>(\w+)</QUERY>", body) or re.search(rb'"action"\s*:\s*"(\w+)"', body)
        kind = match.group(1).decode().lower() if match else "other"
        stem = self.folder / f"{number:03d}-{kind}"
        head = "".join(f"{k}: {v}\n" for k, v in self.headers.items())
        stem.with_suffix(".request").write_text(
            f"{self.command} {self.path} {self.request_version}\n{head}\n({len(raw)} bytes, {coding}, {len(body)} decoded)\n"
        )
        suffix = ".json" if body.lstrip()[:1] == b"{" else ".xml" if b"<REQUEST" in body else ".bin"
        stem.with_suffix(suffix).write_bytes(body)
        stem.with_suffix(".reply").write_bytes(reply)
        print(f"{number:03d} {kind} {self.headers.get('Content-Type')} {coding} {len(raw)} -> {len(body)}", flush=True)  # noqa: T201

    def answer(self, body, mime, status=200):
        self.send_response(status)
        self.send_header("Content-Type", mime)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8095)
    parser.add_argument("--legacy-only", action="store_true", help="answer JSON with XML")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    Sink.folder, Sink.legacy_only = args.dir, args.legacy_only
    http.server.ThreadingHTTPServer((args.bind, args.port), Sink).serve_forever()


if __name__ == "__main__":
    main()
