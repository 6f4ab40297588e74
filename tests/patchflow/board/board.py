"""A small Patchflow with one person for each role, and every address of the API's own description: where duties are asked."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from changes.enums_identify import LocationKind
from changes.models import RFC, AgendaItem, Meeting, SoftwareUpdate
from cmdb.models import Host, HostGroup, Platform, ServiceWindow
from patchflow.kernel.models import SignOffRound, User
from patchflow.kernel.roles import grantable
from releases.models import AcceptanceRun, HandTask, InstallProfile, PeriodicAction, Representative, Ring
from tests.browser.worlds import make_little
from tests.factories.people import Cast, make_cast, make_user
from tests.fakes.repository import Repository

NOBODY, ROOT = "nobody", "root"
READ, WRITE = ("get",), ("post", "put", "patch", "delete")


# --- the addresses ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, order=True)
class Route:
    """An address with a method: "post /rfcs/{id}/submit/"."""

    method: str
    path: str
    schema: str = field(default="{}", compare=False)
    parameters: str = field(default="{}", compare=False)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def noun(self) -> str:
        return self.path.strip("/").split("/")[0]

    @property
    def of_object(self) -> bool:
        return "{id}" in self.path

    def address(self, pk: Any = "") -> str:
        return "/api/v1" + re.sub(r"\{\w+\}", str(pk), self.path)


@cache
def routes() -> list[Route]:
    described = SchemaGenerator().get_schema(request=None, public=True)
    components = described["components"]["schemas"]
    found = []
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            schema = next(iter(content.values()), {}).get("schema", {})
            local = path.removeprefix("/api/v1")
            asked = {
                one["name"]: one["schema"].get("enum", [])
                for one in operation.get("parameters", [])
                if one["in"] == "query"
            }
            found.append(Route(method, local, json.dumps(resolved(schema, components)), json.dumps(asked)))
    return sorted(found)


def resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """The schema with its references put in."""
    if "$ref" in schema:
        return resolved(components[schema["$ref"].rpartition("/")[2]], components)
    for word in ("allOf", "oneOf"):
        if word in schema:
            return resolved(schema[word][0], components)
    found = dict(schema)
    if "properties" in found:
        found["properties"] = {name: resolved(part, components) for name, part in found["properties"].items()}
    if "items" in found:
        found["items"] = resolved(found["items"], components)
    return found


def described_parameters(route: Route) -> dict[str, list[str]]:
    """What may stand behind the question mark, with what each may be where that is said."""
    found: dict[str, list[str]] = json.loads(route.parameters)
    return found


def writes() -> list[Route]:
    return [route for route in routes() if route.method in WRITE]


def reads() -> list[Route]:
    return [route for route in routes() if route.method in READ]


# --- the world --------------------------------------------------------------------------------------------------------
@dataclass
class Board:
    """A small Patchflow, and one person for each role."""

    cast: Cast
    people: dict[str, User]
    at: datetime
    fields: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, list[Any]] = field(default_factory=dict)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    client: APIClient = field(default_factory=lambda: APIClient(raise_request_exception=False))
    """One for all: each client makes every middleware anew."""

    def call(self, route: Route, person: User | None, pk: Any = "", kept: list[str] | None = None) -> Any:
        """What the address answers; nothing of it stays. `kept` takes the statements that would have stayed."""
        self.client.force_authenticate(person)
        written = Written()
        with taken_back(), quiet():
            body = {} if route.method == "get" else self.body(route, pk)
            sent = {} if route.method == "get" else {"format": "multipart" if "file" in body else "json"}
            with connection.execute_wrapper(written):
                answer = getattr(self.client, route.method)(route.address(pk), body, **sent)
        if kept is not None:
            kept += written.kept()
        return answer

    def body(self, route: Route, pk: Any) -> Any:
        own = BODIES.get(route.path)
        found = own(self, pk) if own else self._example(json.loads(route.schema))
        return found if isinstance(found, dict) else {}

    def _example(self, schema: dict[str, Any], name: str = "") -> Any:
        if name in self.fields:
            return self.fields[name]
        kind = schema.get("type")
        if "enum" in schema:
            return schema["enum"][0]
        if kind == "object" or "properties" in schema:
            wanted = schema.get("required", [])
            parts = schema.get("properties", {})
            return {key: self._example(part, key) for key, part in parts.items() if key in wanted or key in ALWAYS}
        if kind == "array":
            return [self._example(schema["items"], name.removesuffix("s"))]
        if kind == "string":
            later = self.at + timedelta(days=9)
            return {"date-time": later.isoformat(), "date": later.date().isoformat(), "time": "02:00"}.get(
                schema.get("format", ""), f"a {name}"
            )
        return {"integer": 1, "boolean": True}.get(str(kind), "x")

    def objects(self, noun: str) -> list[Any]:
        """The ids of a noun, newest first."""
        if noun not in self.seen:
            client = APIClient()
            client.force_authenticate(self.people["everything"])
            answer = client.get(f"/api/v1/{noun}/", {"page_size": 200})
            rows = answer.json().get("results", []) if answer.status_code == 200 else []
            self.seen[noun] = [row["id"] for row in rows if "id" in row]
        return self.seen[noun]


ALWAYS = {"comment"}


class Written:
    """The statements that write, without those whose savepoint was rolled back: what a request would leave behind."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        word, *rest = sql.split()
        if word == "SAVEPOINT":
            self.told.append((word, rest[-1]))
        elif word == "ROLLBACK":
            while self.told and self.told[-1] != ("SAVEPOINT", rest[-1]):
                self.told.pop()
        elif word in ("INSERT", "UPDATE", "DELETE"):
            self.told.append((word, sql))
        return execute(sql, params, many, context)

    def kept(self) -> list[str]:
        return [sql for word, sql in self.told if word != "SAVEPOINT"]


@contextmanager
def quiet() -> Iterator[None]:
    """Thousands of refusals need no line each."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def taken_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _round(board: Board, pk: Any) -> SignOffRound:
    return SignOffRound.objects.get(pk=pk)


def _open_item(pk: Any) -> int:
    found = AgendaItem.objects.filter(meeting=pk, state="open").order_by("-consent", "pk").first()
    return found.pk if found else 0


def _block_item(pk: Any) -> int:
    found = AgendaItem.objects.filter(meeting=pk, state="open", consent=True).order_by("pk").first()
    return found.pk if found else 0


def _digest_of(kind: str, pk: Any) -> str:
    found = SignOffRound.objects.filter(subject_type=kind, subject_id=pk).order_by("-pk").first()
    return found.digest if found else ""


def _run_of(pk: Any) -> int:
    found = AcceptanceRun.objects.filter(plan__release=pk).order_by("-pk").first()
    return found.pk if found else 0


def _ring_of(pk: Any) -> int:
    return Ring.objects.filter(rollout=pk).order_by("-position").values_list("pk", flat=True).first() or 0


def _action_of(pk: Any) -> int:
    return PeriodicAction.objects.filter(review=pk).order_by("-pk").values_list("pk", flat=True).first() or 0


def _packages_of(pk: Any) -> dict[str, str]:
    task = HandTask.objects.filter(pk=pk).first()
    return {package["name"]: "1.0-1" for package in (task.order["packages"] if task else [])}


def _partial(_board: Board, pk: Any) -> dict[str, Any]:
    return {"ring": _ring_of(pk), "verdict": "approve", "digest_seen": "0" * 64}


BODIES: dict[str, Any] = {
    "/rounds/{id}/decide/": lambda board, pk: {"verdict": "approve", "digest_seen": _round(board, pk).digest},
    "/releases/{id}/sign/": lambda board, pk: {"verdict": "approve", "digest_seen": _digest_of("releases.release", pk)},
    "/releases/{id}/sign_amendment/": lambda board, pk: {"verdict": "approve", "digest_seen": "0" * 64},
    "/releases/{id}/judge/": lambda board, pk: {"run_id": _run_of(pk), "verdict": "failed", "reason": "Slow."},
    "/releases/{id}/rings/": lambda board, pk: {"rings": [{"name": "All", "percent": 100}]},
    "/rollouts/{id}/decide_partial/": _partial,
    "/rollouts/{id}/retry_ring/": lambda board, pk: {"ring": _ring_of(pk)},
    "/rollouts/{id}/propose_partial/": lambda board, pk: {"ring": _ring_of(pk), "reason": "Enough."},
    "/rollouts/{id}/skip_ring/": lambda board, pk: {"ring": _ring_of(pk), "reason": "Not now."},
    "/meetings/{id}/pull/": lambda board, pk: {"item_id": _block_item(pk)},
    "/meetings/{id}/carry_over/": lambda board, pk: {"item_id": _open_item(pk), "reason": "Later."},
    "/meetings/{id}/withdraw/": lambda board, pk: {"item_id": _open_item(pk), "reason": "Not now."},
    "/meetings/{id}/begin/": lambda board, pk: {"item_id": _open_item(pk)},
    "/meetings/{id}/consent/": lambda board, pk: {"items": [{"item_id": _block_item(pk), "digest": "0" * 64}]},
    "/meetings/{id}/attend/": lambda board, pk: {"attendance": [{"user": "mia", "presence": "present"}]},
    "/meetings/{id}/arrange/": lambda board, pk: {"items": []},
    "/periodic-reviews/{id}/settle-action/": lambda board, pk: {"action_id": _action_of(pk), "outcome": "Done."},
    "/tasks/{id}/attest/": lambda board, pk: {"packages": _packages_of(pk), "remark": "Seen."},
    "/feeds/": lambda board, pk: {
        "name": "another", "kind": "debian", "location_kind": LocationKind.values[0], "location": "https://example.org/feed",
    },
    "/delay-requests/": lambda board, pk: {
        "ring_id": Representative.objects.latest("pk").ring_id, "reason": "Not today.",
        "until": (board.at + timedelta(days=2)).isoformat(),
    },
    "/exemptions/": lambda board, pk: {
        "kind": "package", "subject": "sudo", "host_id": board.fields["host_id"], "reason": "Because.",
        "compensating_control": "None.", "expires_at": (board.at + timedelta(days=9)).isoformat(),
    },
    "/rfcs/{id}/attachments/": lambda board, pk: {"file": SimpleUploadedFile("note.txt", b"Read me.")},
    "/people/": lambda board, pk: {"username": "liz", "email": "liz@example.org"},
    **dict.fromkeys(
        ("/people/{id}/grant/", "/people/{id}/revoke/"), lambda board, pk: {"role": "tester"}
    ),
    "/people/add-service/": lambda board, pk: {"username": "pipe"},
    "/people/{id}/give-token/": lambda board, pk: {"days": 30},
    "/people/{id}/revoke-token/": lambda board, pk: {"begins": "abcdef01"},
    "/webhooks/": lambda board, pk: {"name": "New", "url": "https://example.org/"},
    "/notices/subscribe/": lambda board, pk: {"kind": "approval_ended", "wanted": "inbox"},
    "/filters/": lambda board, pk: {"name": "New", "address": "/filters/?sort=name"},
    "/filters/{id}/rename/": lambda board, pk: {"name": "Other", "shared_with": ""},
    "/host-groups/{id}/set-members/": lambda board, pk: {"host_ids": board.fields["host_ids"]},
}  # fmt: skip


def made(at: datetime, folder: Path, repository: Repository) -> Board:
    """What `make_little` makes, and the people."""
    cast = make_cast()
    things = make_little(cast, at, folder, repository).scene.things
    people = {role.name: make_user(f"only-{role.name}", role.name) for role in grantable()}
    people |= {NOBODY: make_user("only-nobody"), ROOT: make_user("only-root", is_superuser=True, is_staff=True)}
    people["everything"] = make_user("everything", *(role.name for role in grantable()))
    people = {name: User.objects.get(pk=person.pk) for name, person in people.items()}
    hosts = list(Host.objects.order_by("pk").values_list("pk", flat=True)[:2])
    group, window = HostGroup.objects.earliest("pk"), ServiceWindow.objects.earliest("pk")
    platform = Platform.objects.earliest("pk").pk
    meeting = Meeting.objects.latest("pk")
    fields = {
        "host_ids": hosts, "host_id": hosts[0], "group_id": group.pk, "window_ids": [window.pk], "platform_id": platform,
        "update_ids": [SoftwareUpdate.objects.latest("pk").pk], "update_id": SoftwareUpdate.objects.latest("pk").pk,
        "rfc_id": RFC.objects.filter(state="evaluating").latest("pk").pk,
        "rfc_ids": [RFC.objects.latest("pk").pk], "parent_id": RFC.objects.earliest("pk").pk,
        "profile_id": InstallProfile.objects.latest("pk").pk, "ring_id": Ring.objects.latest("pk").pk,
        "ring": Ring.objects.latest("pk").position, "owner_id": cast.che.pk, "item_id": _open_item(meeting.pk),
        "substitute": cast.mia.username, "version": "1.0-1", "arch": "amd64", "reason": "Because.", "zone": "UTC",
        "until": (at + timedelta(days=2)).isoformat(), "time_zone": "UTC", "ends_at": (at + timedelta(days=12)).isoformat(),
    }  # fmt: skip
    return Board(cast, people, at, fields, things=things)
