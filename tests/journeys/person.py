"""A person at the REST door: logs in by token, acts, and is told the same reasons as on the page."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A problem document (RFC 9457): the status and the reasons."""

    status: int
    detail: str
    codes: tuple[str, ...]
    body: Body


class Person:
    """Somebody with a name, a password and a token. Every call states what it expects and fails the test otherwise."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url, self.name, self.password = url, name, password
        self.token = ""

    def login(self) -> None:
        answer = self.post("login/", {"username": self.name, "password": self.password})
        self.token = answer["token"]

    # ------------------------------------------------------------- asking
    def get(self, path: str) -> Any:
        return self._expect("GET", path, None)

    def all(self, path: str) -> Iterator[Any]:
        """Every row of a paged list."""
        following: str | None = path
        while following:
            page = self.get(following)
            yield from page["results"]
            following = page["next"]

    def only(self, path: str) -> Any:
        """The one row of a list."""
        rows = list(self.all(path))
        assert len(rows) == 1, f"{path} has {len(rows)} rows: {rows[:3]}"
        return rows[0]

    # ------------------------------------------------------------- acting
    def post(self, path: str, body: Body | None = None) -> Any:
        return self._expect("POST", path, {} if body is None else body)

    def refused(self, path: str, body: Body | None = None, *, status: int = 0, code: str = "") -> Refused:
        """Acts, and must be refused with reasons; `code` must be among them."""
        got, answer = self._call("POST", path, {} if body is None else body)
        assert 400 <= got < 500, f"{self.name} POST {path}: {got}, was to be refused\n{_shown(answer)}"
        assert isinstance(answer, dict)
        codes = tuple(b["code"] for b in answer.get("blockers", []))
        assert codes, f"{self.name} POST {path}: refused without a reason: {_shown(answer)}"
        assert not status or got == status, f"{self.name} POST {path}: {got}\n{_shown(answer)}"
        assert not code or code in codes, f"{self.name} POST {path}: {code} is not among the reasons\n{_shown(answer)}"
        return Refused(got, str(answer["detail"]), codes, answer)

    def attempt(self, path: str, body: Body, *, but: str) -> Any:
        """Acts, and may be refused for this one reason; None then."""
        got, answer = self._call("POST", path, body)
        if 400 <= got < 500 and [b["code"] for b in answer.get("blockers", [])] == [but]:
            return None
        assert 200 <= got < 300, f"{self.name} POST {path}: {got}\n{_shown(answer)}"
        return answer

    def until(
        self, path: str, good: Callable[[Any], bool], *, seconds: float = 60, bad: Callable[[Any], bool] | None = None
    ) -> Any:
        """Looks again until `good` holds of what is there; fails at once when `bad` does, or after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            found = self.get(path)
            if good(found):
                return found
            if bad is not None and bad(found):
                raise AssertionError(f"{path} ended badly:\n{_shown(found)}")
            if time.monotonic() > end:
                raise AssertionError(f"{path} after {seconds:.0f} s:\n{_shown(found)}")
            time.sleep(0.3)

    def until_state(self, path: str, state: str, *, seconds: float = 60, bad: tuple[str, ...] = ()) -> Any:
        return self.until(path, lambda o: o["state"] == state, seconds=seconds, bad=lambda o: o["state"] in bad)

    # ------------------------------------------------------------- the wire
    def _expect(self, method: str, path: str, body: Body | None) -> Any:
        got, answer = self._call(method, path, body)
        assert 200 <= got < 300, f"{self.name} {method} {path}: {got}\n{_shown(answer)}\nsent: {_shown(body)}"
        return answer

    def _call(self, method: str, path: str, body: Body | None) -> tuple[int, Any]:
        url = path if path.startswith("http") else f"{self.url}/api/v1/{path}"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310  our own address
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _read(error.read())


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")[:4000]


def _shown(found: Any) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False)[:6000]
