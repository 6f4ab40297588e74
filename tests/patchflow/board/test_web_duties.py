"""Duties on the pages: every address that takes a POST, with the form that somebody with every right is given there.

Who has no role, or one that only looks, sends the same form: it changes nothing, wherever it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from patchflow.kernel.models import User
from patchflow.kernel.roles import grantable
from tests.patchflow.board.board import NOBODY, ROOT, Board, Written, quiet, taken_back
from tests.patchflow.board.test_write_duties import changed
from tests.patchflow.board.web_duties import BY_RELATION, FILLED, LOOKED_AT_FIRST, row_of

APPS = ("changes", "cmdb", "releases", "reports", "web")
OWN_AFFAIRS = {
    "web:filter-save", "web:filter-edit", "web:filter-remove", "web:filter-begin", "changes:calendar-subscribe",
    "changes:calendar-revoke", "reports:notices-read", "reports:settings", "reports:settings-notices",
    "changes:substitute-name",
}  # fmt: skip
"""What concerns oneself alone."""
MAY = {("auditor", "reports:audit-verify")}
SEES = {"web:filter-remove"}
"""Who shared it alone finds it."""
NO_EFFECT = {"reports:audit-verify"}
"""It shows what it found, and keeps nothing."""
CELLS = {"changes": 800, "cmdb": 450, "releases": 650, "reports": 200, "web": 0}
"""So many answers at least are asked for: a role at an address."""
MET = 60
"""At so many addresses at least the form does something when it is sent by somebody with every right."""


def names(resolver: URLResolver | None = None, space: str = "") -> Iterator[tuple[str, URLPattern]]:
    for part in (resolver or get_resolver()).url_patterns:
        if isinstance(part, URLResolver):
            yield from names(part, part.namespace or space)
        elif space in APPS and part.name:
            yield f"{space}:{part.name}", part


WITHOUT_OBJECT = {"web:styleguide-page"}
"""Addresses that the world has no object for: it shows the toolkit, where nothing is kept."""


class Forms(HTMLParser):
    """The fields of the forms of a page that are sent by POST, filled in where they are empty."""

    def __init__(self) -> None:
        super().__init__()
        self.posts = False
        self.fields: dict[str, Any] = {}
        self.select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self.posts = given.get("method", "").lower() == "post" and "logout" not in given.get("action", "")
        elif not self.posts:
            return
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select and given.get("value"):
            if "selected" in given or self.select not in self.fields:
                self.fields[self.select] = given["value"]
        elif tag == "textarea" and name:
            self.fields.setdefault(name, "Because.")
        elif tag == "input" and name:
            self._input(name, given)

    def _input(self, name: str, given: dict[str, str]) -> None:
        kind = given.get("type", "text")
        if kind in ("checkbox", "radio"):
            if "checked" in given or name not in self.fields:
                self.fields[name] = given.get("value") or "on"
        elif kind != "file":
            made = {"number": "1", "datetime-local": "2026-11-27T10:00", "date": "2026-11-27", "time": "02:00"}
            self.fields.setdefault(name, given.get("value") or made.get(kind, "Because"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.posts = False
        elif tag == "select":
            self.select = ""


def send(client: Client, url: str, body: dict[str, Any]) -> tuple[int, list[str]]:
    """What a POST is answered, and what would stay of it."""
    answer, left = sent(client, url, body)
    return answer.status_code, left


def sent(client: Client, url: str, body: dict[str, Any]) -> tuple[Any, list[str]]:
    written = Written()
    for given in body.values():
        if hasattr(given, "seek"):
            given.seek(0)
    with taken_back(), quiet(), connection.execute_wrapper(written):
        answer = client.post(url, body)
    return answer, [sql for sql in changed(written.kept()) if '"django_session"' not in sql]


def form_of(client: Client, url: str, name: str) -> dict[str, Any]:
    """The fields of the page's forms, filled."""
    with quiet(), taken_back():
        page = client.get(url)
    forms = Forms()
    if page.status_code == 200 and page["Content-Type"].startswith("text/html"):
        forms.feed(page.content.decode())
    return forms.fields | FILLED.get(name, {})


def entered(person: User | None) -> Client:
    client = Client(raise_request_exception=False)
    if person:
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def addresses(board: Board) -> Iterator[tuple[str, str]]:
    for name, part in names():
        local = name.partition(":")[2]
        noun = local.partition("-")[0]
        wanted = set(part.pattern.converters)
        given = board.things.get(local) or board.things.get(noun) or {}
        if wanted <= set(given):
            yield name, reverse(name, kwargs={key: given[key] for key in wanted})


@pytest.mark.django_db
def test_what_concerns_oneself_is_an_address() -> None:
    assert {name for name, _part in names()} >= OWN_AFFAIRS | {name for _role, name in MAY}


def test_who_only_looks_changes_nothing_by_any_form(board: Board) -> None:
    everything = entered(board.people["everything"])
    others = {role: entered(board.people[role]) for role in (NOBODY, ROOT, "reader", "auditor")}
    others["nobody at all"] = entered(None)
    wrong, met = [], set()
    for name, url in addresses(board):
        if name in OWN_AFFAIRS:
            continue
        fields = form_of(everything, url, name)
        status, left = send(everything, url, fields)
        if status == 405:
            continue
        if left:
            met.add(name)
        for role, client in others.items():
            status, left = send(client, url, fields)
            if (left and (role, name) not in MAY) or status >= 500:
                wrong.append(f"{role} {name} {url}: {status} {left}")
    assert not wrong, "\n".join(wrong)
    assert {name for name, _part in names()} - {name for name, _url in addresses(board)} == WITHOUT_OBJECT
    assert len(met) >= MET, f"{len(met)}: {sorted(met)}"


@pytest.mark.parametrize("space", APPS)
def test_every_role_sends_the_forms_that_the_table_says_and_no_others(board: Board, space: str) -> None:
    """The same rows as over REST. Let pass is what leaves something; where the form does nothing as it stands, what is refused for
    another reason than a role."""
    everything = entered(board.people["everything"])
    roles = {role.name: entered(board.people[role.name]) for role in grantable()}
    wrong, cells, looked_at_first = [], 0, set()
    for name, url in addresses(board):
        if name in OWN_AFFAIRS | BY_RELATION | SEES or name.partition(":")[0] != space:
            continue
        fields = form_of(everything, url, name)
        answer, effect = sent(everything, url, fields)
        if answer.status_code == 405 or (answer.status_code in (200, 404) and not effect and name not in NO_EFFECT):
            continue  # a page that takes no form
        may = row_of(name)
        for role, client in roles.items():
            answer, left = sent(client, url, fields)
            passed = bool(left) if effect else not refused_by_role(answer)
            cells += 1
            if name in LOOKED_AT_FIRST and role not in may and not left:
                looked_at_first |= {name} if passed else set()
                continue
            if passed != (role in may) or answer.status_code >= 500:
                wrong.append(f"{role} {name} {url}: {answer.status_code}, leaves {left}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)
    first = {name for name in LOOKED_AT_FIRST if name.partition(":")[0] == space}
    assert looked_at_first == first, "what is told a role first is no exception"
    assert cells >= CELLS[space], cells


def refused_by_role(answer: Any) -> bool:
    return answer.status_code in (403, 404) or "This needs the role" in getattr(answer, "text", "")
