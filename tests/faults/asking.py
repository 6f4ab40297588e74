"""A client that sees everything that may come back: an answer with its headers, or a line that broke."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

BROKEN = 0
"""The status of a request to which nothing came back."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def hinted(self) -> bool:
        """A refusal for the moment that says when to come again, and shows nothing of the inside."""
        return self.status == 503 and self.headers.get("retry-after", "").isdigit() and "Traceback" not in self.text


def ask(url: str, *, token: str = "", body: Any = None, key: str = "", cookie: str = "", timeout: float = 30) -> Answer:
    headers = {"Accept": "application/json" if token else "text/html", "Content-Type": "application/json"}
    headers |= {"Authorization": f"Token {token}"} if token else {}
    headers |= {"Idempotency-Key": key} if key else {}
    headers |= {"Cookie": cookie} if cookie else {}
    request = urllib.request.Request(  # noqa: S310  our own address
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers=headers,
        method="GET" if body is None else "POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return Answer(answer.status, _lower(answer.headers), answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, _lower(error.headers), error.read().decode())
    except (OSError, http.client.HTTPException) as error:
        return Answer(BROKEN, {}, repr(error))


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@dataclass
class Sender:
    """Somebody who sends acts one after the other and repeats each with its key until it is answered."""

    token: str
    done: list[tuple[str, Any]] = field(default_factory=list)
    seen: Counter[int] = field(default_factory=Counter)
    unhinted: list[Answer] = field(default_factory=list)
    refused: list[Answer] = field(default_factory=list)

    def send(self, url: str, body: Any, *, patience: float = 120) -> Any:
        key, end = str(uuid4()), time.monotonic() + patience
        while True:
            answer = ask(url, token=self.token, body=body, key=key)
            self.seen[answer.status] += 1
            if answer.good:
                self.done.append((url, json.loads(answer.text)))
                return self.done[-1][1]
            if 400 <= answer.status < 500:
                self.refused.append(answer)
                return None
            if answer.status != BROKEN and not answer.hinted:
                self.unhinted.append(answer)
            assert time.monotonic() < end, f"{url}: never answered; {dict(self.seen)}"
            time.sleep(0.05)


def beside(*acts: Any) -> list[threading.Thread]:
    """Runs each in a thread of its own; the threads, started."""
    threads = [threading.Thread(target=act, daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    return threads
