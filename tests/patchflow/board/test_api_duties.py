"""Duties over REST: at every address of the API's own description, with the objects of a small Patchflow.

Who sees what is a table written by hand, so that a new noun fails here until its row is written. Who has no role, or one that
only looks, changes nothing of others anywhere; what is tried is taken back. Who writes where: `test_write_duties`.
"""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from patchflow.kernel.models import AuditEntry
from tests.patchflow.board.board import NOBODY, ROOT, Board, reads, routes, taken_back, writes
from tests.patchflow.board.duties import FREE, MAY, OWN_AFFAIRS, READS

TRIED = 5
"""Objects of a kind that are tried for a verb."""


# --- the tests --------------------------------------------------------------------------------------------------------
def test_every_address_that_reads_has_its_row() -> None:
    assert {route.noun for route in reads()} == set(READS)


@pytest.mark.django_db
def test_without_a_token_every_address_says_who_are_you() -> None:
    client, wrong = APIClient(), []
    for route in routes():
        answer = getattr(client, route.method)(route.address(1))
        expected = FREE.get(route.name) == "log-in"
        if (answer.status_code == 401) == expected and not (expected and answer.status_code in (400, 401)):
            wrong.append(f"{route.name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", [NOBODY, ROOT, "reader", "auditor"])
def test_who_has_no_role_or_only_looks_changes_nothing_of_others(board: Board, role: str) -> None:
    """At no address that writes, and with none of its objects; a superuser without a role neither."""
    wrong = []
    for route in writes():
        if route.name in {*FREE, *OWN_AFFAIRS} or (role, route.name) in MAY:
            continue
        for pk in board.objects(route.noun)[:TRIED] if route.of_object else [""]:
            answer = board.call(route, board.people[role], pk)
            done = answer.status_code < 400
            if done and route.path == "/meetings/{id}/consent/":  # answers item by item
                done = bool(answer.json()["signed"])
            if done or answer.status_code >= 500:
                wrong.append(f"{route.name} {pk}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_what_concerns_oneself_is_done_without_a_role(board: Board) -> None:
    """So that the test above cannot pass because nobody is ever let past."""
    for name in ("post /calendar/make-key/", "post /notices/read-all/"):
        route = next(route for route in writes() if route.name == name)
        assert board.call(route, board.people[NOBODY]).status_code < 300, name


def test_every_role_reads_what_the_table_says(board: Board) -> None:
    wrong = []
    for route in reads():
        if route.of_object or route.path.count("/") > 2 or READS[route.noun] is None:
            continue
        for role, person in board.people.items():
            if role == "everything":
                continue
            answer = board.call(route, person)
            rows = answer.json() if answer.status_code == 200 else {}
            some = bool(rows.get("results", rows) if isinstance(rows, dict) else rows)
            if some != (role in READS[route.noun]):
                wrong.append(f"{role} {route.name}: {answer.status_code} {some}")
    assert not wrong, "\n".join(wrong)


def test_an_object_that_is_not_seen_is_not_there(board: Board) -> None:
    """Whoever sees no row of a list gets 404 or 403 for each object of it and whatever hangs on it."""
    wrong = []
    for route in reads():
        roles = READS[route.noun]
        if not route.of_object or roles is None or not board.objects(route.noun):
            continue
        pk = board.objects(route.noun)[0]
        for role in {*board.people} - roles - {"everything"}:
            answer = board.call(route, board.people[role], pk)
            if answer.status_code not in (403, 404):
                wrong.append(f"{role} {route.name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_a_refused_attempt_leaves_its_entry_and_nothing_else(board: Board) -> None:
    route = next(route for route in writes() if route.name == "post /kill-switch/set/")
    client = APIClient()
    client.force_authenticate(board.people["auditor"])
    with taken_back():
        before = AuditEntry.objects.count()
        assert client.post(route.address(), {"on": True, "reason": "x"}, format="json").status_code == 403
        assert [e.outcome for e in AuditEntry.objects.order_by("pk")[before:]] == ["refused"]
