"""A database that is away is said as such, with when to try again; a mistake of ours stays one."""

from __future__ import annotations

import json

import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.test import RequestFactory

from patchflow.api import problems
from patchflow.kernel.away import is_away
from patchflow.web import errors

LOCKED = "database is locked"  # its words on SQLite; on PostgreSQL the class decides


def answer(path: str, error: Exception) -> tuple[int, str, str, str]:
    try:
        raise error
    except Exception:
        found = errors.server_error(RequestFactory().get(path))
    return found.status_code, found["Content-Type"], found.get("Retry-After", ""), found.content.decode()


def test_a_page_says_when_to_try_again() -> None:
    status, kind, wait, page = answer("/changes/?state=draft", OperationalError(LOCKED))
    assert (status, kind, wait) == (503, "text/html; charset=utf-8", "5")
    assert "/changes/?state=draft" in page
    assert "Everything that was confirmed" in page


def test_a_program_is_told_in_its_form() -> None:
    status, kind, wait, said = answer("/api/v1/rfcs/", InterfaceError(LOCKED))
    assert (status, kind, wait) == (503, "application/problem+json", "5")
    assert json.loads(said)["status"] == 503


def test_rest_maps_it_too() -> None:
    response = problems.handle(OperationalError(LOCKED), {})
    assert response is not None
    assert (response.status_code, response["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("error", [ProgrammingError("no such column"), ValueError("x")])
def test_a_mistake_of_ours_is_a_500(error: Exception) -> None:
    assert answer("/", error)[0] == 500
    assert not is_away(error)
    assert problems.handle(error, {}) is None
