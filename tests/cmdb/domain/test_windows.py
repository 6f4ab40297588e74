"""Windows made, revised and retired; the revision rises with every difference."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest

from cmdb.domain import windows
from cmdb.models import ServiceWindow
from patchflow.kernel import audit
from patchflow.kernel.errors import Blocked, Invalid, NotAllowed
from tests.factories.cmdb import make_group
from tests.factories.people import Cast, make_user

PLAIN: dict[str, Any] = {"name": "nights", "starts_local": time(2), "length_minutes": 120, "from_on": date(2026, 1, 1)}


def test_add_then_revise_raises_the_revision(cast: Cast, now: datetime) -> None:
    group = make_group()
    window = windows.add(**PLAIN, zone="Europe/Berlin", group_ids=[group.pk], actor=cast.cora, at=now)
    assert window.revision == 1
    windows.revise(window_id=window.pk, length_minutes=180, actor=cast.cora, at=now)
    windows.revise(window_id=window.pk, length_minutes=180, actor=cast.cora, at=now)
    assert ServiceWindow.objects.get().revision == 2
    windows.revise(window_id=window.pk, group_ids=[], actor=cast.cora, at=now)
    assert ServiceWindow.objects.get().revision == 3
    entry = audit.history(window).first()
    assert entry is not None
    assert (entry.detail["before"]["groups"], entry.detail["after"]["groups"]) == ([group.pk], [])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"zone": "Berlin"}, "invalid.zone"),
        ({"length_minutes": 0}, "invalid.length_minutes"),
        ({"length_minutes": 8 * 24 * 60}, "invalid.length_minutes"),
        ({"cutoff_minutes": 120}, "invalid.cutoff_minutes"),
        ({"nth": 5}, "invalid.nth"),
        ({"weekday": 7}, "invalid.weekday"),
        ({"offset_days": 21}, "invalid.offset_days"),
        ({"recurrence": "daily"}, "invalid.recurrence"),
        ({"until_on": date(2025, 1, 1)}, "invalid.until_on"),
        ({"name": "taken"}, "invalid.name"),
        ({"group_ids": [999_999]}, "invalid.groups"),
    ],
)
def test_add_refuses_what_cannot_be(cast: Cast, now: datetime, wrong: dict[str, Any], code: str) -> None:
    windows.add(**{**PLAIN, "name": "taken"}, actor=cast.cora, at=now)
    with pytest.raises(Invalid) as refused:
        windows.add(**{**PLAIN, **wrong}, actor=cast.cora, at=now)
    assert refused.value.blockers[0].code == code


def test_window_of_a_foreign_group(cast: Cast, now: datetime) -> None:
    mine, other = make_group("mine"), make_group("other")
    carl = make_user("carl", "configuration_manager", scope=mine.scope_key)
    window = windows.add(**PLAIN, group_ids=[mine.pk], actor=carl, at=now)
    with pytest.raises(NotAllowed):
        windows.revise(window_id=window.pk, group_ids=[mine.pk, other.pk], actor=carl, at=now)
    with pytest.raises(NotAllowed):
        windows.add(**{**PLAIN, "name": "x"}, group_ids=[], actor=carl, at=now)
    windows.revise(window_id=window.pk, group_ids=[mine.pk, other.pk], actor=cast.cora, at=now)
    with pytest.raises(NotAllowed):
        windows.revise(window_id=window.pk, length_minutes=300, actor=carl, at=now)
    assert list(window.groups.order_by("pk")) == [mine, other]
    window.refresh_from_db()
    assert (window.revision, window.length_minutes) == (2, 120)


def test_retire(cast: Cast, now: datetime) -> None:
    window = windows.add(**PLAIN, actor=cast.cora, at=now)
    for person in (cast.eve, cast.otto, cast.root):
        with pytest.raises(NotAllowed):
            windows.retire(window_id=window.pk, reason="x", actor=person, at=now)
    windows.retire(window_id=window.pk, reason="Moved.", actor=cast.cora, at=now)
    with pytest.raises(Blocked):
        windows.revise(window_id=window.pk, length_minutes=60, actor=cast.cora, at=now)
    windows.add(**PLAIN, actor=cast.cora, at=now)
