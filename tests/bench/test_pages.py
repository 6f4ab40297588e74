"""The live page of ten thousand hosts and the board's pages of fifty items, each against itself with little on it.

What a page costs must not grow with what there is. A page that stays as it is is asked for in turns with them: each figure is
a ratio to it, so that what the machine does meanwhile falls out. Queries are counted: as many for much as for little.

    PATCHFLOW_DATABASE_URL=postgres://… .venv/bin/python -m pytest tests/bench/test_pages.py -q -s -p no:xdist --create-db -o norecursedirs=
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from changes.domain import agendas, meetings
from patchflow.kernel.models import SignOffRound
from tests.factories import changes as made
from tests.factories.people import Cast
from tests.factories.rollouts import at_size, make_deployment

ROUNDS, WARM = 15, 2
FEW, MANY = 5, 50
"""Items of a board."""
LIVE_LIMIT, BOARD_LIMIT = 2.0, 3.0
"""Times as long as with little on it: the live page shows no more rows but counts five times as many, the board's pages show
all their items."""
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(1800)]


@dataclass
class Page:
    """A page as somebody asks for it: its size in KiB, its queries, and how many milliseconds it took each time."""

    address: str
    size: int = 0
    queries: int = 0
    took: list[float] = field(default_factory=list)

    def ask(self, client: Client) -> None:
        began = time.perf_counter()
        answer = client.get(self.address)
        self.took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, self.address
        self.size = len(answer.content) // 1024

    @property
    def median(self) -> float:
        return statistics.median(self.took)


def _measured(person: Any, addresses: Mapping[str, str]) -> tuple[dict[str, Page], float]:
    """The pages, asked for in turns with one that stays as it is; and the milliseconds of that one."""
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    pages, still = {name: Page(address) for name, address in addresses.items()}, Page(reverse("changes:freeze-list"))
    for page in (still, *pages.values()):
        for _n in range(WARM):
            page.ask(client)
        with CaptureQueriesContext(connection) as asked:
            page.ask(client)
        page.queries, page.took = len(asked), []
    for _n in range(ROUNDS):
        for page in (still, *pages.values()):
            page.ask(client)
    return pages, still.median


def _compared(
    capsys: Any, few: tuple[dict[str, Page], float], many: tuple[dict[str, Page], float]
) -> dict[str, tuple[float, int]]:
    """Page → (times as long as with little, queries more)."""
    found = {}
    for name, much in many[0].items():
        little = few[0][name]
        ratio = (much.median / many[1]) / (little.median / few[1])
        found[name] = (ratio, much.queries - little.queries)
        with capsys.disabled():
            print(
                f"\n{name}: p50 {little.median:.0f} ms with little, {much.median:.0f} ms with much ({much.size} KiB), "
                f"{ratio:.2f} times as long; {little.queries} and {much.queries} queries",
                end="",
            )
    with capsys.disabled():
        print(f"\nbeside them a list of nothing: {few[1]:.0f} and {many[1]:.0f} ms")
    return found


def test_the_live_page_of_ten_thousand_hosts(cast: Cast, now: datetime, tmp_path: Path, capsys: Any) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1)
    few = _measured(cast.rex, {"live page": at_size(deployment, 2000).get_absolute_url()})
    many = _measured(cast.rex, {"live page": at_size(deployment, 10_000).get_absolute_url()})
    for ratio, more in _compared(capsys, few, many).values():
        assert more == 0
        assert ratio <= LIVE_LIMIT


def test_the_boards_pages_of_fifty_items(cast: Cast, capsys: Any) -> None:
    now = timezone.now()
    world = made.make_world(cast, now)

    def pages() -> dict[str, str]:
        meeting = meetings.plan(kind="cab", starts_at=now + timedelta(minutes=5), actor=cast.che, at=now)
        meetings.publish(meeting_id=meeting.pk, actor=cast.che, at=now)
        meetings.open_session(meeting_id=meeting.pk, actor=cast.cal, at=now)
        item = agendas.begin_next(meeting_id=meeting.pk, actor=cast.cal, at=now)
        first = SignOffRound.objects.filter(state="open").earliest("pk")
        return {
            "board": reverse("changes:board-list"),
            "one item of the board": reverse("changes:board-item", args=[first.pk]),
            "meeting": meeting.get_absolute_url(),
            "item in session": reverse("changes:meeting-item", args=[meeting.pk, item.pk]),
        }

    def fill(number: int) -> None:
        for _n in range(number):
            made.approve(made.awaiting(world, way_back="none"), cast.sam, at=now)

    fill(FEW)
    few = _measured(cast.mia, pages())
    fill(MANY)
    many = _measured(cast.mia, pages())
    for ratio, more in _compared(capsys, few, many).values():
        assert more == 0
        assert ratio <= BOARD_LIMIT
