"""The admin site over changes: what is agreed beforehand is written there as on its pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from changes.models import ApprovalRoute, Feed, FreezeWindow
from patchflow.kernel.models import SignOffLevel
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user
from tests.walks.desk import Desk
from tests.walks.process import local

pytestmark = pytest.mark.django_db


def asked(world: World) -> list[str]:
    """The levels of a round that opens now."""
    round_ = made.round_of(made.awaiting(world))
    return list(SignOffLevel.objects.filter(round=round_).order_by("position").values_list("name", flat=True))


def test_a_route_asks_from_its_writing_to_its_retirement(world: World) -> None:
    cast, desk = world.cast, Desk(world.cast)
    make_user("sid", "security_officer")  # in one round nobody counts twice
    usual = asked(world)
    route = desk.make(
        cast.che, ApprovalRoute, name="Security first", level_name="Security", level_roles=["security_officer"]
    )
    assert asked(world) == ["Security", *usual]
    assert "needs the role" in desk.refused(cast.ann, "revise", route, reason="x")
    desk.press(cast.che, "revise", route, level_name="Security officers", reason="as they are called")
    assert asked(world) == ["Security officers", *usual]
    desk.press(cast.che, "retire", route, reason="The board does it.")
    assert asked(world) == usual
    assert "It is retired" in desk.refused(cast.che, "revise", route, reason="once more")


def test_a_freeze_is_declared_and_lifted_once(world: World) -> None:
    cast, desk, at = world.cast, Desk(world.cast), timezone.now()
    span = {"starts_at": local(at), "ends_at": local(at + timedelta(days=2))}
    freeze = desk.make(cast.che, FreezeWindow, name="Fair", reason="The fair is on.", **span)
    assert (freeze.passes, freeze.declared_by) == (["emergency"], cast.che)
    assert "needs the role" in desk.refused(cast.ann, "lift", freeze, reason="x")
    desk.press(cast.che, "lift", freeze, reason="It is over early.")
    assert "It is over already" in desk.refused(cast.che, "lift", freeze, reason="once more")


def test_a_feed_is_added_and_revised(world: World, tmp_path: object) -> None:
    cast, desk = world.cast, Desk(world.cast)
    feed = desk.make(cast.sam, Feed, name="vendor", location_kind="folder", location=str(tmp_path))
    assert desk.press(cast.sam, "revise", feed, every_minutes="30").every_minutes == 30
    desk.press(cast.sam, "poll", feed)
    assert "under way already" in desk.refused(cast.sam, "poll", feed)
