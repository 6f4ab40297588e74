"""Duties over REST, the writing half: every address that writes × every role, each cell against a table written by hand.

Who may not is answered 401, 403 or 404 and nothing stays but the entry of the attempt; who may is answered anything else. No
cell passes because a body was wrong or a state was: whoever may not is refused before either is told. That each check is held
by a cell is shown by taking out each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from patchflow.kernel.models import User
from patchflow.kernel.roles import all_roles, capabilities, grantable
from tests.patchflow.board.board import NOBODY, ROOT, Board, Route, writes
from tests.patchflow.board.write_duties import EVERYBODY, OBJECTS, RELATED, WRITES

REFUSED = (401, 403, 404)
ENTRY = re.compile(
    r'INSERT INTO "kernel_(auditentry|namedchain)"|UPDATE "\w+" SET "audit_length" = \S+ "audit_head" = \S+ WHERE'
)
"""What a refused attempt may leave: its entry, at the end of a chain."""
ANONYMOUS = "nobody at all"


def asked() -> list[Route]:
    return [route for route in writes() if route.name not in EVERYBODY]


def object_of(board: Board, route: Route) -> Any:
    if not route.of_object:
        return ""
    found = OBJECTS.get(route.name)
    return found() if found else board.objects(route.noun)[0]


def done(route: Route, answer: Any) -> bool:
    """Whether it was let pass; the consent of a meeting answers item by item."""
    if route.path == "/meetings/{id}/consent/":
        return answer.status_code == 200 and bool(answer.json()["signed"])
    return answer.status_code not in REFUSED


def changed(kept: list[str]) -> list[str]:
    return [sql[:120] for sql in kept if not ENTRY.match(sql)]


def people(board: Board) -> Iterator[tuple[str, User | None]]:
    yield ANONYMOUS, None
    for role in (*(role.name for role in grantable()), NOBODY, ROOT):
        yield role, board.people[role]


@pytest.mark.django_db
def test_every_address_that_writes_has_its_row() -> None:
    assert {route.name for route in asked()} == set(WRITES)
    assert {*OBJECTS, *RELATED} <= set(WRITES)


def test_every_role_writes_where_the_table_says_and_nowhere_else(board: Board) -> None:
    wrong, cells = [], 0
    for route in asked():
        pk = object_of(board, route)
        for role, person in people(board):
            kept: list[str] = []
            answer = board.call(route, person, pk, kept)
            cells += 1
            passed, may = done(route, answer), role in WRITES[route.name]
            if passed != may or answer.status_code >= 500:
                wrong.append(f"{role} {route.name} {pk}: {answer.status_code} {answer.content[:150]!r}")
            if not may and changed(kept):
                wrong.append(f"{role} {route.name} {pk} leaves {changed(kept)}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)
    assert cells > 2500


def test_who_is_in_relation_to_it_writes(board: Board) -> None:
    wrong = []
    for route in asked():
        if route.name in RELATED:
            pk = object_of(board, route)
            answer = board.call(route, RELATED[route.name](pk), pk)
            if answer.status_code in REFUSED or answer.status_code >= 500:
                wrong.append(f"{route.name} {pk}: {answer.status_code} {answer.content[:150]!r}")
    assert not wrong, "\n".join(wrong)


def test_what_concerns_oneself_asks_for_no_role(board: Board) -> None:
    wrong = []
    for route in writes():
        if route.name in EVERYBODY and route.path != "/login/":
            answer = board.call(route, board.people[NOBODY])
            if answer.status_code >= 400:
                wrong.append(f"{route.name}: {answer.status_code} {answer.content[:150]!r}")
    assert not wrong, "\n".join(wrong)


# --- without a check -------------------------------------------------------------------------------------------------------
def test_taking_out_any_check_of_a_role_shows(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has every right but one is refused for that one alone, so that without its check the cell would be open."""
    everything, asked_for = board.people["everything"], _asked_of(board)
    shut, open_ = User.scopes_for, []
    for capability, cells in asked_for.items():
        if capability in ASKED_ELSEWHERE:
            continue
        taken = {capability, *INSTEAD.get(capability, ())}
        with monkeypatch.context() as patched:
            patched.setattr(
                User, "scopes_for", lambda self, name, taken=taken: frozenset() if name in taken else shut(self, name)
            )
            refused = [(r, pk) for r, pk in cells if _reasons(board.call(r, everything, pk)) == [f"role.{capability}"]]
        if not any(done(r, board.call(r, everything, pk)) for r, pk in refused):
            open_.append(capability)
    assert not open_, f"no address is held by one of these alone: {open_}"
    missing = capabilities() - set(asked_for) - ASKED_ELSEWHERE - all_roles()["system"].capabilities
    assert {name for name in missing if not name.endswith(".view")} == set()


ASKED_ELSEWHERE = {
    "rfc.approve", "release.sign", "rollout.accept_partial",  # a seat is asked: `test_who_is_in_relation_to_it_writes`
    "baseline.approve", "audit.verify",  # a seat as well; an answer without a reason, held by its cells
    "rollout.start", "advisory.manage", "rfc.begin", "grant.edit", "filter.share", "notice.oversee", "webhook.manage",
}  # fmt: skip
"""What no address here is held by: it is asked by a verb without an address, or hides the object itself (404)."""


INSTEAD = {
    "feed.poll": {"feed.manage"},
    "review.write": {"review.complete"},
    "rollout.resume": {"rollout.retry"},
}
"""Where one of several rights is enough: what else is taken away."""


def _reasons(answer: Any) -> list[str]:
    return [one["code"] for one in answer.json().get("blockers", [])] if answer.status_code == 403 else []


def _asked_of(board: Board) -> dict[str, list[tuple[Route, Any]]]:
    """Capability → the addresses that say to a mere reader that it is missing."""
    found: dict[str, list[tuple[Route, Any]]] = {}
    for route in asked():
        pk = object_of(board, route)
        for code in _reasons(board.call(route, board.people["reader"], pk)):
            capability = code.removeprefix("role.")
            if capability != code:
                found.setdefault(capability, []).append((route, pk))
    return found
