"""What an address does not know is refused by name, and what its description names is taken: at every address of the API."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from patchflow.kernel.csv_text import harmless
from tests.patchflow.board.board import Board, Route, described_parameters, quiet, reads, routes, taken_back, writes

STRANGE = "no_such_name"


def client_of(board: Board, role: str = "everything") -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(board.people[role])
    return client


def pk_of(board: Board, route: Route) -> Any:
    found = board.objects(route.noun) if route.of_object else [""]
    return found[0] if found else 0


def called(board: Board, route: Route, query: str = "", more: dict[str, Any] | None = None) -> Any:
    """What the address answers to somebody with every right; nothing of it stays."""
    client, pk = client_of(board), pk_of(board, route)
    with taken_back(), quiet():
        body = {} if route.method == "get" else {**board.body(route, pk), **(more or {})}
        sent = {} if route.method == "get" else {"format": "multipart" if "file" in body else "json"}
        return getattr(client, route.method)(route.address(pk) + query, body or None, **sent)


def test_every_address_refuses_a_parameter_that_it_does_not_know_and_names_those_that_it_knows(board: Board) -> None:
    wrong = []
    for route in routes():
        answer = called(board, route, f"?{STRANGE}=1")
        told = answer.json().get("errors", {}).get(STRANGE, [""])[0] if answer.status_code == 400 else ""
        known = ", ".join(sorted({*described_parameters(route), "format"}))
        if told != f"There is no such parameter here. Known: {known}.":
            wrong.append(f"{route.name}: {answer.status_code} {told} ≠ {known}")
    assert not wrong, "\n".join(wrong)


def test_every_address_that_writes_refuses_a_field_that_it_does_not_know(board: Board) -> None:
    wrong, cells = [], 0
    for route in writes():
        answer = called(board, route, more={STRANGE: 1})
        cells += 1
        told = answer.json().get("errors", {}).get(STRANGE, [""])[0] if answer.status_code == 400 else ""
        names = sorted(json.loads(route.schema).get("properties", {}))
        known = f"Known: {', '.join(names)}." if names else "None is known."
        if told != f"There is no such field here. {known}":
            wrong.append(f"{route.name}: {answer.status_code} {told or answer.content[:200]} ≠ {known}")
    assert not wrong, "\n".join(wrong)
    assert cells > 150


def test_a_field_within_a_field_is_named_where_it_stands(board: Board) -> None:
    body = {
        "name": "New",
        "kind": "normal",
        "levels": [{"name": "Board", "roles": ["cab_member"]}, {"name": "x", "role": "x"}],
    }
    with taken_back(), quiet():
        answer = client_of(board).post("/api/v1/change-models/", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["errors"]["levels"][0] == {}
    assert set(answer.json()["errors"]["levels"][1]) == {"role"}


def test_a_body_that_is_no_object_is_refused_where_nothing_is_taken(board: Board) -> None:
    pk = board.objects("rfcs")[0]
    with taken_back(), quiet():
        answer = client_of(board).post(f"/api/v1/rfcs/{pk}/submit/", [1], format="json")
        form = client_of(board).post(f"/api/v1/rfcs/{pk}/submit/", {"reason": "x"}, format="multipart")
    assert (answer.status_code, form.status_code) == (400, 415)


def test_what_the_description_names_is_taken(board: Board) -> None:
    wrong = []
    for route in reads():
        for name in described_parameters(route):
            with quiet():
                answer = client_of(board).get(
                    route.address(pk_of(board, route)), {name: "json" if name == "format" else "1"}
                )
            if answer.status_code >= 500 or "no such parameter" in answer.content.decode():
                wrong.append(f"{route.name} {name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_a_format_that_there_is_not_names_those_that_there_are(board: Board) -> None:
    client = client_of(board)
    for address, known in (("/api/v1/rfcs/", "csv, json"), (f"/api/v1/rfcs/{board.objects('rfcs')[0]}/", "json")):
        answer = client.get(address, {"format": "xml"})
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
        assert answer.json()["errors"] == {"format": [f"There is no such format here. Known: {known}."]}


@pytest.mark.django_db
def test_all_addresses_are_asked() -> None:
    assert len(routes()) > 300
    assert len(tables()) > 55


# --- lists as CSV -----------------------------------------------------------------------------------------------------
def tables() -> list[Route]:
    return [route for route in reads() if "csv" in described_parameters(route).get("format", [])]


def rows_of(client: APIClient, address: str, given: dict[str, Any]) -> list[dict[str, Any]] | None:
    """All of a list, page by page, or at once where it has no pages; None for who does not see what it is beneath."""
    answer = client.get(address, given)
    if answer.status_code == 404:
        return None
    page = answer.json()
    if isinstance(page, list):
        return page
    rows = page["results"]
    while page["next"]:
        page = client.get(page["next"]).json()
        rows += page["results"]
    return rows


def lines_of(answer: Any) -> list[list[str]]:
    text = b"".join(answer.streaming_content).decode()
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def same_in_first_plain(lines: list[list[str]], rows: list[dict[str, Any]]) -> bool:
    """Whether lines and rows say the same, in order, in the first column that holds neither an object nor a list."""
    at, name = next((n, name) for n, (name, v) in enumerate(rows[0].items()) if not isinstance(v, dict | list))
    return [line[at] for line in lines] == [harmless(row[name]) for row in rows]


def test_every_list_is_there_as_csv_with_the_same_rows(board: Board) -> None:
    """For who sees all of it, some of it and none of it; of lists beneath an object too."""
    filled, wrong = 0, []
    for route in tables():
        address = route.address(pk_of(board, route))
        given = {"host": board.objects("hosts")[0]} if route.path == "/updates/missing/" else {}
        for role in ("everything", "tester", "nobody"):
            client = client_of(board, role)
            rows = rows_of(client, address, given)
            filled += bool(rows)
            asked = [
                client.get(address, {**given, "format": "csv"}),
                client.get(address, given, headers={"Accept": "text/csv"}),
            ]
            for answer in asked:
                if rows is None:
                    wrong += [] if answer.status_code == 404 else [f"{role} {route.name}: {answer.status_code}"]
                    continue
                head, *lines = lines_of(answer)
                if answer["Content-Type"] != "text/csv; charset=utf-8" or len(lines) != len(rows):
                    wrong.append(f"{role} {route.name}: {len(lines)} lines, {len(rows)} rows")
                elif rows and (head != list(rows[0]) or not same_in_first_plain(lines, rows)):
                    wrong.append(f"{role} {route.name}: {head} {lines[0]}")
    assert not wrong, "\n".join(wrong)
    assert filled > 40


def test_csv_keeps_to_the_filters_and_to_the_limit_of_the_pages(board: Board, settings: Any) -> None:
    client = client_of(board)
    state = client.get("/api/v1/rfcs/").json()["results"][0]["state"]
    rows = client.get("/api/v1/rfcs/", {"state": state}).json()["results"]
    assert len(lines_of(client.get("/api/v1/rfcs/", {"state": state, "format": "csv"}))) == 1 + len(rows)
    settings.PATCHFLOW = {**settings.PATCHFLOW, "CSV_LINES": 1}
    assert "Cut here" in lines_of(client.get("/api/v1/hosts/", {"format": "csv"}))[-1][0]


def test_csv_starts_no_formula(board: Board) -> None:
    from changes.models import RFC

    with taken_back():
        RFC.objects.update(title="=1+1")
        head, *lines = lines_of(client_of(board).get("/api/v1/rfcs/", {"format": "csv"}))
    assert {line[head.index("title")] for line in lines} == {"'=1+1"}


def test_a_refusal_of_csv_is_a_problem(board: Board) -> None:
    for client, status in ((APIClient(), 401), (client_of(board), 400)):
        answer = client.get("/api/v1/rfcs/", {"format": "csv", STRANGE: "1"})
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status
