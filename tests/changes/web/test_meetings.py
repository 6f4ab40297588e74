"""A board of five in session, through the pages: consent, an item pulled out, a refusal, a substitute, minutes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from changes.domain import agendas, approvals, meetings
from changes.models import RFC, Meeting
from patchflow.kernel import substitutes
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import SignOff, User
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def to(name: str, *args: Any) -> str:
    return reverse(f"changes:meeting-{name}", args=args)


def test_the_agenda_says_which_level_an_item_waits_for(world: World) -> None:
    """A round that the board shall see may still wait for the level before it, which the board cannot sign."""
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    meeting = meetings.plan(kind="cab", starts_at=timezone.now() + DAY, actor=world.cast.che, at=world.at)
    assert meeting.items.get().round == round_
    first, second = round_.levels.order_by("position")[:2]
    assert f"{first.name}: 0 / 1" in as_(world.cast.che).get(meeting.get_absolute_url()).text
    made.approve(rfc, world.cast.sam, at=world.at)
    assert f"{second.name}: 0 / 2" in as_(world.cast.che).get(meeting.get_absolute_url()).text


def test_a_session_at_its_time_is_opened_at_a_click(world: World) -> None:
    made.approve(made.awaiting(world), world.cast.sam, at=world.at)
    soon = timezone.now() + timedelta(minutes=20)
    meeting = meetings.plan(kind="cab", starts_at=soon, actor=world.cast.che, at=world.at)
    meetings.publish(meeting_id=meeting.pk, actor=world.cast.che, at=world.at)
    assert as_(world.cast.cal).post(to("open", meeting.pk)).status_code == 302
    meeting.refresh_from_db()
    assert meeting.state == "in_session"


def test_a_board_of_five_from_the_plan_to_the_minutes(world: World) -> None:
    cast, at = world.cast, timezone.now()
    ned, pia, sue = make_user("ned", "cab_member"), make_user("pia", "cab_member"), make_user("sue", "service_owner")
    for way_back in ("reinstall_previous", "reinstall_previous", "reinstall_previous", "none"):
        made.approve(made.awaiting(world, way_back=way_back), cast.sam, at=world.at)
    substitutes.name_substitute(
        user_id=pia.pk, substitute_id=sue.pk, starts_at=at - timedelta(hours=1), ends_at=at + DAY, actor=pia, at=at
    )
    che, cal, mia, sub = (as_(person) for person in (cast.che, cast.cal, cast.mia, sue))

    planned = che.post(
        to("plan"), {"kind": "cab", "starts_at": f"{at + DAY:%Y-%m-%dT%H:%M}", "minutes": 45, "place": "4"}
    )
    meeting = Meeting.objects.get()
    assert planned.headers["Location"] == meeting.get_absolute_url()
    items = list(meeting.items.order_by("position").select_related("round"))
    assert [i.consent for i in items] == [False, True, True, True]
    talk, *easy = items
    assert che.post(to("topic", meeting.pk), {"title": "Last minutes", "minutes": 5}).status_code == 302
    topic = meeting.items.get(round=None)
    arranged = {f"place{topic.pk}": 1, f"minutes{topic.pk}": 5}
    for place, item in enumerate(items, start=2):
        arranged |= {
            f"place{item.pk}": place,
            f"minutes{item.pk}": item.minutes,
            **({f"consent{item.pk}": "on"} if item.consent else {}),
        }
    assert che.post(to("arrange", meeting.pk), arranged).status_code == 302
    assert meeting.items.order_by("position").first() == topic
    assert mia.post(to("publish", meeting.pk)).status_code == 403
    assert cal.post(to("publish", meeting.pk)).status_code == 302
    asked = cal.post(to("open", meeting.pk))
    assert (asked.status_code, Meeting.objects.get().state) == (200, "agenda_published"), "a day early: is it meant?"
    assert "its members do not expect it yet" in asked.text
    assert mia.post(to("open", meeting.pk)).status_code == 403
    assert cal.post(to("open", meeting.pk), {"early": "yes"}).status_code == 302

    # the consent block: mia pulls one out, then each member consents to what is left by one act
    assert mia.post(to("pull", meeting.pk, easy[2].pk), {"reason": "Which hosts?"}).status_code == 302
    for client in (cal, mia):
        page = client.get(to("item", meeting.pk, talk.pk)).text
        assert page.count('type="checkbox"') == 2
        assert page.count('data-key="x"') == 1, "the key leads to the first of them"
        block = page.partition('class="consent"')[2].partition("</form>")[0]
        assert " checked" not in block, "each consents to what they have read"
        assert block.count("Normal, risk low, 3 hosts") == 2, "what it is stands there"
        nothing = {f"d{i.pk}": i.round.digest for i in easy}
        assert "nothing is signed" in client.post(to("consent", meeting.pk), nothing, follow=True).text
        given = (
            {f"i{i.pk}": "on" for i in easy} | {f"d{i.pk}": i.round.digest for i in easy} | {"comment": "By consent."}
        )
        said = client.post(to("consent", meeting.pk), {**given, "back": talk.pk}, follow=True).text
        assert "You signed 2 items of the consent block." in said
        assert "It has left the consent block" in said
    assert [RFC.objects.get(pk=i.round.subject_id).state for i in easy] == [
        "authorized",
        "authorized",
        "awaiting_approval",
    ]
    assert set(SignOff.objects.filter(comment="By consent.").values_list("user__username", flat=True)) == {"cal", "mia"}

    # the pulled one: the chair brings it up, cal approves, the substitute of pia approves on her seat
    assert cal.post(to("begin", meeting.pk, easy[2].pk)).status_code == 302
    assert "Which hosts?" in as_(ned).get(to("session", meeting.pk), follow=True).text
    vote = {"verdict": "approve", "comment": "", "digest_seen": easy[2].round.digest}
    assert cal.post(to("item", meeting.pk, easy[2].pk), vote).status_code == 302
    assert sub.post(reverse("changes:board-item", args=[easy[2].round_id]), vote).status_code == 302
    easy[2].refresh_from_db()
    assert (easy[2].state, easy[2].outcome) == ("decided", "passed")

    # the item that is talked about: a refusal needs its reason, and stays open until the quorum cannot be reached
    assert cal.post(to("begin-next", meeting.pk)).status_code == 302
    page = to("item", meeting.pk, talk.pk)
    refusal = {"verdict": "refuse", "comment": "", "digest_seen": talk.round.digest}
    assert "A refusal needs a comment" in mia.post(page, refusal).text
    assert mia.post(page, {**refusal, "comment": "No way back."}).status_code == 302
    assert "refuse" in as_(ned).get(to("tally", meeting.pk, talk.pk)).text
    assert cal.post(page, {**refusal, "comment": "Agreed."}).status_code == 302
    assert as_(ned).post(page, {**refusal, "comment": "Agreed."}).status_code == 302
    talk.refresh_from_db()
    assert (talk.state, talk.outcome) == ("decided", "refused")
    assert RFC.objects.get(pk=talk.round.subject_id).state == "evaluating"

    # nothing is minuted while an item is open
    refused = cal.post(to("minute", meeting.pk), {"notes": ""})
    assert (refused.status_code, "One item is open" in refused.text) == (400, True)
    assert cal.post(to("conclude", meeting.pk, topic.pk), {"outcome": "Accepted."}).status_code == 302
    there = {f"p{a.user_id}": "present" for a in meeting.attendees.all()} | {f"p{pia.pk}": "excused"}
    assert cal.post(to("attendance", meeting.pk), there).status_code == 302
    assert cal.post(to("minute", meeting.pk), {"notes": "A short session."}).status_code == 302
    meeting.refresh_from_db()
    minutes = meeting.sealed_minutes
    assert (meeting.state, digest(minutes.document)) == ("minuted", minutes.digest)
    shown = mia.get(meeting.get_absolute_url()).text
    for said in (
        "sue for pia approves",
        "mia refuses, CAB: “No way back.”",
        "Accepted.",
        "A short session.",
        "pia (excused)",
    ):
        assert said in shown, said


def test_who_follows_goes_where_the_board_is_and_others_are_told(world: World) -> None:
    for _n in range(2):
        made.approve(made.awaiting(world), world.cast.sam, at=world.at)
    now = timezone.now()
    meeting = meetings.plan(kind="cab", starts_at=now + DAY, actor=world.cast.che, at=now)
    first, second = meeting.items.order_by("position")
    meetings.publish(meeting_id=meeting.pk, actor=world.cast.che, at=now)
    meetings.open_session(meeting_id=meeting.pk, actor=world.cast.cal, at=now)
    agendas.begin(meeting_id=meeting.pk, item_id=second.pk, actor=world.cast.cal, at=now)
    mia = as_(world.cast.mia)
    assert mia.get(to("session", meeting.pk)).headers["Location"] == to("item", meeting.pk, second.pk) + "?follow=1"
    tally = to("tally", meeting.pk, first.pk)
    assert mia.get(f"{tally}?follow=1").headers["HX-Redirect"] == to("session", meeting.pk)
    assert "now" in mia.get(tally).text
    assert "was=open" in mia.get(tally).text
    approvals.withdraw(round_id=first.round_id, reason="Too late.", actor=world.cast.che, at=now)
    assert "show what comes next" not in mia.get(tally).text, "who came when it had ended reads all of it already"
    for _twice in range(2):
        told = mia.get(f"{tally}?was=open").text
        assert ("show what comes next" in told, "was=open" in told) == (True, True)
    for address in (meeting.get_absolute_url(), to("item", meeting.pk, first.pk), tally):
        assert as_(world.cast.eve).get(address).status_code == 404


def test_a_link_to_an_item_decides_nothing(world: World) -> None:
    made.approve(made.awaiting(world), world.cast.sam, at=world.at)
    now = timezone.now()
    meeting = meetings.plan(kind="cab", starts_at=now + DAY, actor=world.cast.che, at=now)
    item = meeting.items.get()
    cal, before = as_(world.cast.cal), SignOff.objects.count()
    assert (
        cal.get(to("item", meeting.pk, item.pk) + f"?verdict=approve&digest_seen={item.round.digest}").status_code
        == 200
    )
    for name in ("publish", "open", "fill", "begin-next"):
        assert cal.get(to(name, meeting.pk)).status_code == 405
    assert cal.get(to("consent", meeting.pk)).status_code == 405
    assert SignOff.objects.count() == before
    assert Meeting.objects.get().state == "planned"


def test_a_meeting_over_rest(world: World) -> None:
    made.approve(made.awaiting(world), world.cast.sam, at=world.at)
    clients = {}
    for name in ("che", "cal", "mia", "eve"):
        clients[name] = APIClient()
        clients[name].force_authenticate(getattr(world.cast, name))
    when = (timezone.now() + DAY).isoformat()
    assert (
        clients["mia"].post("/api/v1/meetings/", {"kind": "cab", "starts_at": when}, format="json").status_code == 403
    )
    made_ = clients["che"].post("/api/v1/meetings/", {"kind": "cab", "starts_at": when}, format="json").json()
    address = f"/api/v1/meetings/{made_['id']}/"
    (item,) = made_["items"]
    assert (made_["state"], item["consent"], [a["user"] for a in made_["attendees"]]) == (
        "planned",
        True,
        ["cal", "mia"],
    )
    assert clients["eve"].get(address).status_code == 404
    assert clients["cal"].post(f"{address}publish/", format="json").json()["state"] == "agenda_published"
    assert clients["cal"].post(f"{address}open/", format="json").json()["state"] == "in_session"
    seen = {"items": [{"item_id": item["id"], "digest": item["digest"]}], "comment": "fine"}
    assert clients["che"].post(f"{address}consent/", seen, format="json").json()["signed"] == []
    for name in ("cal", "mia"):
        done = clients[name].post(f"{address}consent/", seen, format="json").json()
        assert done == {"signed": [item["round"]], "refused": []}
    assert clients["mia"].post(f"{address}minute/", {"notes": ""}, format="json").status_code == 403
    minutes = clients["cal"].post(f"{address}minute/", {"notes": "done"}, format="json")
    assert minutes.status_code == 201
    assert clients["mia"].get(f"{address}minutes/").json()["digest"] == minutes.json()["digest"]
