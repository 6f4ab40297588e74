"""A board that meets at the admin site: its agenda arranged, the easy items signed in one act, one pulled out, others left."""

from __future__ import annotations

from datetime import timedelta

import pytest

from changes.models import RFC, Meeting
from patchflow.kernel.models import SignOff
from tests.factories import changes as made
from tests.factories.changes import make_world
from tests.walks.conftest import Walk
from tests.walks.desk import Desk
from tests.walks.process import local, question

pytestmark = pytest.mark.django_db


def test_a_board_meets(walk: Walk) -> None:
    cast, desk, world = walk.cast, Desk(walk.cast), make_world(walk.cast, walk.at)
    for way_back in ("none", "reinstall_previous", "reinstall_previous", "reinstall_previous"):
        made.approve(made.awaiting(world, way_back=way_back), cast.sam, at=world.at)
    begins = local(walk.at + timedelta(hours=1))
    meeting = desk.make(cast.che, Meeting, kind="cab", starts_at=begins, place="4")
    following = desk.make(cast.che, Meeting, kind="cab", starts_at=local(walk.at + timedelta(days=7)), place="4")
    desk.press(cast.che, "topic", meeting, title="Last minutes", minutes="5")
    talk, first, second, third, topic = meeting.items.order_by("position")
    places = {f"place{item.pk}": n for n, item in enumerate((topic, first, second, third, talk), start=1)}
    assert "needs the role" in desk.refused(cast.ann, "arrange", meeting, **places)
    desk.press(cast.che, "arrange", meeting, **{**places, f"minutes{talk.pk}": 25})
    assert list(meeting.items.order_by("position").values_list("pk", "minutes"))[::4] == [(topic.pk, 5), (talk.pk, 25)]
    desk.press(cast.che, "publish", meeting)
    walk.wait(hours=1)
    desk.press(cast.cal, "open", meeting)

    assert "Only members of the board" in desk.refused(cast.otto, "pull", third)
    assert "waits for your vote" in desk.refused(cast.otto, "consent", meeting)
    desk.press(cast.mia, "pull", third, reason="Why this one?")
    desk.press(cast.cal, "consent", meeting, comment="As proposed.", **{f"i{first.pk}": "on"})
    assert [s.round_id for s in SignOff.objects.filter(user=cast.cal)] == [first.round_id], "not what was not ticked"
    assert "nothing is signed" in desk.refused(cast.mia, "consent", meeting), "nothing is ticked beforehand"
    desk.press(cast.mia, "consent", meeting, **{f"i{item.pk}": "on" for item in (first, second)})
    desk.press(cast.cal, "consent", meeting, **{f"i{second.pk}": "on"})
    signed = dict(SignOff.objects.filter(user=cast.cal).values_list("round_id", "digest"))
    assert signed == {item.round_id: item.round.digest for item in (first, second)}, "over what was shown"
    assert {RFC.objects.get(pk=item.round.subject_id).state for item in (first, second)} == {"authorized"}
    assert "waits for your vote" in desk.refused(cast.mia, "consent", meeting)

    meeting = desk.press(cast.cal, "begin_next", meeting)
    assert meeting.current == topic
    desk.press(cast.cal, "conclude", topic, outcome="Taken note of.")
    assert desk.press(cast.cal, "begin_next", meeting).current == third
    desk.press(cast.cal, "withdraw", third, reason="Decided by mail.")
    desk.press(cast.cal, "carry_over", talk, reason="The owner is away.")
    assert "No item is left" in desk.refused(cast.cal, "begin_next", meeting)
    assert following.items.get(round=talk.round).title == talk.title
    desk.press(cast.cal, "attendance", meeting, **{f"p{person.pk}": "present" for person in (cast.cal, cast.mia)})
    assert desk.press(cast.cal, "minute", meeting).state == "minuted"
    assert question(RFC.objects.get(pk=talk.round.subject_id)) == talk.round
