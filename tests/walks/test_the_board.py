"""Walks of the board: a member is away and somebody stands in; five meet, decide, leave an item for the next time, and minute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from changes.domain import cycles
from changes.models import RFC, Meeting
from patchflow.kernel import audit, signoffs
from patchflow.kernel.models import SignOff, SignOffRound, Substitution, User
from tests.factories.changes import World, make_world
from tests.factories.people import make_user
from tests.walks.conftest import Walk

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(walk: Walk) -> World:
    world = make_world(walk.cast, walk.at)
    cycles.notified(update_ids=[world.update.pk], actor=walk.cast.bot, at=walk.at)
    return world


def asked(walk: Walk, pk: int) -> SignOffRound:
    """che evaluates it and asks, and sam signs the first level; the round that then asks the board."""
    walk.say(walk.cast.che, f"rfcs/{pk}/evaluate")
    walk.say(walk.cast.che, f"rfcs/{pk}/request_approval")
    walk.signed(pk, walk.cast.sam)
    round_ = signoffs.open_round_of(RFC.objects.get(pk=pk))
    assert round_ is not None
    return round_


def approves(round_: SignOffRound) -> dict[str, str]:
    return {"verdict": "approve", "digest_seen": round_.digest}


def who_signed(round_: SignOffRound) -> list[tuple[str, str | None]]:
    rows = SignOff.objects.filter(round=round_).order_by("pk")
    return list(rows.values_list("user__username", "on_behalf_of__username"))


def done(of: Any) -> list[str]:
    """What was done to it, without what was refused."""
    return [entry.verb for entry in audit.history(of) if entry.outcome == "done"]


# --- a substitute --------------------------------------------------------------------------------------------------------
def named(walk: Walk, absent: User, substitute: User, **given: Any) -> Substitution:
    body = {"starts_at": walk.at.isoformat(), "ends_at": (walk.at + timedelta(days=7)).isoformat(), **given}
    found = walk.say(absent, "substitutes", substitute=substitute.username, reason="On leave", **body)
    assert (found["user"], found["substitute"], found["ended_at"]) == (absent.username, substitute.username, None)
    return Substitution.objects.get(pk=found["id"])


def test_a_substitute_decides_on_the_seat_of_who_is_away(walk: Walk, world: World) -> None:
    """Once, and the record names both; when it has ended the seat is its member's again."""
    cast, sue = walk.cast, make_user("sue", "security_officer")
    away = {"starts_at": walk.at.isoformat(), "ends_at": (walk.at + timedelta(days=7)).isoformat()}
    assert walk.refused(cast.mia, "substitutes", substitute="eve", **away) == {"substitute.substitute_id"}
    assert walk.refused(cast.che, "substitutes", user="mia", substitute="sue", **away) == {"substitute.other"}
    row = named(walk, cast.mia, sue)
    assert walk.refused(cast.mia, "substitutes", substitute="cal", **away) == {"substitute.taken"}

    pk = walk.raised(world)
    round_ = asked(walk, pk)
    decide = f"rounds/{round_.pk}/decide"
    walk.say(sue, decide, comment="As mia would.", **approves(round_))
    assert who_signed(round_) == [("sam", None), ("sue", "mia")]
    assert walk.refused(cast.mia, decide, **approves(round_)) == {"signoff.once"}
    assert walk.refused(sue, decide, **approves(round_)) == {"signoff.once"}
    assert walk.signed(pk, cast.cal) == "authorized"
    assert done(RFC.objects.get(pk=pk)).count("change.rfc.authorized") == 1

    assert walk.refused(sue, f"substitutes/{row.pk}/end") == {"substitute.other"}
    walk.wait(hours=1)
    assert walk.say(cast.mia, f"substitutes/{row.pk}/end")["ended_at"] is not None
    assert walk.refused(cast.mia, f"substitutes/{row.pk}/end") == {"conflict.state"}
    verbs = done(row)
    assert sorted(verbs) == ["access.substitute.ended", "access.substitute.named"]
    assert who_signed(round_)[1] == ("sue", "mia"), "what was signed stays"

    later = walk.raised(world, title="After the leave")
    round_ = asked(walk, later)
    assert walk.refused(sue, f"rounds/{round_.pk}/decide", **approves(round_)) == {"signoff.not_asked"}
    assert walk.signed(later, cast.mia, cast.cal) == "authorized"


def test_a_substitution_is_over_by_itself(walk: Walk, world: World) -> None:
    sue = make_user("sue", "security_officer")
    row = named(walk, walk.cast.mia, sue, ends_at=(walk.at + timedelta(hours=1)).isoformat())
    round_ = asked(walk, walk.raised(world))
    walk.wait(hours=2)
    assert walk.refused(sue, f"rounds/{round_.pk}/decide", **approves(round_)) == {"signoff.not_asked"}
    assert walk.refused(walk.cast.mia, f"substitutes/{row.pk}/end") == {"conflict.state"}
    assert who_signed(round_) == [("sam", None)]


def test_who_took_part_stands_in_for_nobody(walk: Walk, world: World) -> None:
    """Neither who has signed the round already, nor who requested the change."""
    cast, sue = walk.cast, make_user("sue", "security_officer", "requester")
    named(walk, cast.mia, cast.sam)
    round_ = asked(walk, walk.raised(world))
    assert walk.refused(cast.sam, f"rounds/{round_.pk}/decide", **approves(round_)) == {"signoff.once"}

    named(walk, cast.cal, sue)
    hosts = [host.pk for host in world.hosts]
    plans = dict.fromkeys(("implementation_plan", "test_plan", "back_out_plan"), "As usual.")
    body = {"update_ids": [world.update.pk], "host_ids": hosts, **plans}
    pk = int(walk.say(sue, "rfcs", **body)["id"])
    walk.say(sue, f"rfcs/{pk}/submit")
    round_ = asked(walk, pk)
    assert "signoff.four_eyes" in walk.refused(sue, f"rounds/{round_.pk}/decide", **approves(round_))
    assert who_signed(round_) == [("sam", None)]
    assert walk.state(pk) == "awaiting_approval"


# --- a meeting of five -----------------------------------------------------------------------------------------------------
def test_five_meet(walk: Walk, world: World) -> None:
    """Two items by consent, of which one is pulled out and talked about; one decided; one left for the next meeting."""
    cal, mia = walk.cast.cal, walk.cast.mia
    bea, dan, eli = (make_user(name, "cab_member") for name in ("bea", "dan", "eli"))
    changes, rounds = {}, {}
    for title, way_back in (
        ("Talk", "none"), ("Later", "none"), ("Easy", "reinstall_previous"), ("Easy too", "reinstall_previous"),
    ):  # fmt: skip
        changes[title] = walk.raised(world, title=title, way_back=way_back)
        rounds[title] = asked(walk, changes[title])

    begins = walk.at + timedelta(hours=2)
    plan = {"kind": "cab", "starts_at": begins.isoformat(), "minutes": 30, "place": "Room 4"}
    assert walk.refused(mia, "meetings", **plan) == {"role.meeting.manage"}
    met = walk.say(cal, "meetings", **plan)
    at, number = f"meetings/{met['id']}", met["number"]
    item = {title: next(i for i in met["items"] if title in i["title"].split(" · ")) for title in changes}
    assert {title: one["consent"] for title, one in item.items()} == {
        "Talk": False, "Later": False, "Easy": True, "Easy too": True,
    }  # fmt: skip
    assert (met["state"], met["chair"]) == ("planned", "cal")
    assert {a["user"] for a in met["attendees"]} == {"cal", "mia", "bea", "dan", "eli"}

    assert walk.refused(mia, f"{at}/publish") == {"role.meeting.manage"}
    assert walk.say(cal, f"{at}/publish")["state"] == "agenda_published"
    assert walk.refused(cal, f"{at}/begin", item_id=item["Talk"]["id"]) == {"conflict.state"}
    walk.come(begins)
    assert walk.say(cal, f"{at}/open")["state"] == "in_session"
    here = [{"user": name, "presence": "present"} for name in ("mia", "bea", "dan")]
    there = walk.say(cal, f"{at}/attend", attendance=[*here, {"user": "eli", "presence": "absent"}])
    assert {a["user"]: a["presence"] for a in there["attendees"]} == {
        "cal": "present", "mia": "present", "bea": "present", "dan": "present", "eli": "absent",
    }  # fmt: skip

    # the consent block: dan wants to talk about one of the two
    pulled = walk.say(dan, f"{at}/pull", item_id=item["Easy too"]["id"], reason="Not on a Friday.")
    assert [i["pulled_by"] for i in pulled["items"] if i["id"] == item["Easy too"]["id"]] == ["dan"]
    block = [{"item_id": item[t]["id"], "digest": item[t]["digest"]} for t in ("Easy", "Easy too")]
    for member in (mia, bea):
        said = walk.say(member, f"{at}/consent", items=block)
        assert said["signed"] == [rounds["Easy"].pk]
        refused = {row["item_id"]: [b["code"] for b in row["blockers"]] for row in said["refused"]}
        assert refused == {item["Easy too"]["id"]: ["agenda.not_in_block"]}
    assert (walk.state(changes["Easy"]), walk.state(changes["Easy too"])) == ("authorized", "awaiting_approval")

    # talked about, and decided by the members' own votes
    for title, people in (("Talk", (mia, bea)), ("Easy too", (dan, mia))):
        assert walk.say(cal, f"{at}/begin", item_id=item[title]["id"])["current"] == item[title]["id"]
        decided = {"item_id": item[title]["id"], "outcome": "Yes."}
        assert walk.refused(cal, f"{at}/conclude", **decided) == {"agenda.undecided"}
        assert walk.signed(changes[title], *people) == "authorized"
    late = walk.refused(dan, f"rounds/{rounds['Talk'].pk}/decide", **approves(rounds["Talk"]))
    assert late == {"signoff.round_over"}

    # left for the next meeting; its round goes on
    assert walk.refused(cal, f"{at}/minute", notes="Done.") == {"meeting.items_open"}
    assert walk.refused(mia, f"{at}/carry_over", item_id=item["Later"]["id"], reason="x") == {"role.meeting.manage"}
    walk.say(cal, f"{at}/carry_over", item_id=item["Later"]["id"], reason="The vendor is asked first.")
    assert walk.state(changes["Later"]) == "awaiting_approval"
    assert walk.refused(mia, f"{at}/minute") == {"role.meeting.manage"}
    walk.wait(minutes=25)
    sealed = walk.say(cal, f"{at}/minute", notes="Next time with the vendor.")
    closed = walk.look(mia, at)
    assert (closed["state"], closed["items"][0]["state"]) == ("minuted", "decided")
    assert {i["id"]: i["state"] for i in closed["items"]} == {
        item["Talk"]["id"]: "decided", item["Easy"]["id"]: "decided", item["Easy too"]["id"]: "decided",
        item["Later"]["id"]: "carried_over",
    }  # fmt: skip

    # the minutes, which everybody who was asked may read, and nobody edits
    minutes = walk.look(eli, f"{at}/minutes")
    assert minutes["digest"] == sealed["digest"]
    document = minutes["document"]
    assert (document["meeting"], document["notes"]) == (number, "Next time with the vendor.")
    assert [a["person"] for a in document["attendance"] if a["presence"] == "absent"] == ["eli"]
    votes = {
        title: [v["person"] for i in document["items"] if i["digest"] == rounds[title].digest for v in i["votes"]]
        for title in changes
    }
    assert votes == {
        "Talk": ["sam", "mia", "bea"], "Easy": ["sam", "mia", "bea"], "Easy too": ["sam", "dan", "mia"], "Later": ["sam"],
    }  # fmt: skip
    assert walk.refused(cal, f"{at}/attend", attendance=here) == {"conflict.state"}
    assert walk.refused(cal, f"{at}/minute", notes="Better.") == {"conflict.state"}
    verbs = done(Meeting.objects.get(pk=met["id"]))
    for verb in ("planned", "agenda_published", "opened", "attendance_recorded"):
        assert verbs.count(f"change.meeting.{verb}") == 1, verb
