"""Walks of other kinds than the normal one, by people who only click, type and read, each in a browser of their own.

Standard, emergency, a rollout that halts and is taken back, each to the closed change; voided, substitute, a meeting of five.
Between their clicks the worker's part is done by its own verbs; the hosts are the simulator's, or machines in memory.
Pictures: `pictures/walks/<test>`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from changes.domain import cycles
from changes.models import RFC, Cycle
from patchflow.kernel.models import SignOff
from releases.models import Release
from tests.browser.releasing import Releasing, closed, reviewed
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import Cast, make_cast, make_user
from tests.factories.releases import Yard, make_yard
from tests.factories.rollouts import Deployment, make_deployment
from tests.fakes.repository import Repository
from tests.journeys.browser import PICTURES, BrowserPerson, People, people_of, rows_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.pg,  # several people at once: SQLite in memory is one connection for all of them
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]
PLANS = {
    "Implementation plan": "The first host, then the others.",
    "Test plan": "Install, look, go back.",
    "Back-out plan": "The previous version.",
}


@dataclass(frozen=True)
class Office:
    """The running web server, and everybody's password."""

    url: str
    cast: Cast
    at: datetime
    passwords: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def traveller() -> Iterator[time_machine.Traveller]:
    """Moves the clock by which the tests play, also for the server; it passes as usual."""
    with time_machine.travel(datetime(2026, 11, 18, 9, 42, tzinfo=UTC), tick=True) as traveller:
        yield traveller


@pytest.fixture
def now(traveller: time_machine.Traveller) -> datetime:
    """The moment at which they begin."""
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def office(
    live_server: Any, transactional_db: None, now: datetime, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Office:
    """The cast and three more members of the board, who can log in. Releases are the simulator's."""
    settings.PATCHFLOW = {**settings.PATCHFLOW, "EXECUTOR": "simulator"}
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's loop runs in the test's own thread
    office = Office(live_server.url, make_cast(), now)
    for person in (*office.cast, *(make_user(name, "cab_member") for name in ("bea", "dan", "eli"))):
        office.passwords[person.username] = f"{person.username}-{os.urandom(6).hex()}"
        person.set_password(office.passwords[person.username])
        person.save()
    return office


@pytest.fixture
def people(office: Office, request: pytest.FixtureRequest) -> Iterator[People]:
    with people_of(office, PICTURES.parent / "walks" / request.node.name.removeprefix("test_")) as people:
        yield people
        people.show()
        assert people.complaints() == []


@pytest.fixture
def world(office: Office) -> World:
    """Three hosts that miss an update, of which the cycle has been told."""
    world = made.make_world(office.cast, office.at, names=("web01", "web02", "db01"))
    cycles.notified(update_ids=[world.update.pk], actor=office.cast.bot, at=office.at)
    return world


@pytest.fixture
def yard(office: Office, tmp_path: Path, settings: Any) -> Iterator[Yard]:
    """Three hosts that miss an update and a test host, a signed repository, and machines that do what they are ordered."""
    folder = tmp_path / "keyrings"
    settings.PATCHFLOW = {
        **settings.PATCHFLOW, "KEYRINGS": folder, "OUTBOUND_ALLOW": ["127.0.0.1"], "EXECUTOR": "fake"
    }  # fmt: skip
    with Repository(at=office.at).served() as repository:
        yield make_yard(office.cast, office.at, repository, folder, names=("web01", "web02", "db01"))


def raise_rfc(
    people: People, *, kind: str = "normal", model: str = "", plans: dict[str, str] | None = None, without: str = ""
) -> str:
    """Ann raises it from the update's page (`without` this host) and submits; its number."""
    ann = people.ann
    ann.go("Updates")
    ann.follow("openssl")
    ann.follow("Raise an RFC for")
    if without:
        ann.tick(without, on=False)
    ann.fill({"Title": f"Update openssl, {kind}", **(PLANS if plans is None else plans)})
    ann.choose("Kind", kind)
    if model:
        ann.choose("Model", f"{model} (standard)")
    ann.look("raise")
    ann.press("Raise as a draft")
    ann.press("Submit")
    ann.look("submitted")
    return RFC.objects.latest("pk").number


def to_rfc(person: BrowserPerson, number: str) -> None:
    person.go("Changes")
    person.follow(f"Update openssl, {RFC.objects.get(number=number).kind}")


def asked(people: People, number: str) -> None:
    """Che evaluates and asks for approval."""
    che = people.che
    to_rfc(che, number)
    che.press("Evaluate")
    che.press("Request approval")
    assert che.state() == "awaiting approval"


def on_the_board(person: BrowserPerson, title: str) -> None:
    """To the item of this change on the person's board."""
    person.home()
    person.follow(title, within=person.card("Waits for me"))


def sign(person: BrowserPerson, title: str) -> None:
    on_the_board(person, title)
    person.press("Approve")


def cycle_of(number: str) -> str:
    """The state of the cycle of a change."""
    return str(Cycle.objects.get(rfcs__number=number).state)


def test_standard(office: Office, people: People, yard: Yard, traveller: time_machine.Traveller) -> None:
    """The licence of its model authorizes it, and the page says so; nobody is asked until readiness. It ends closed."""
    made.licensed_model(yard.world, name="Routine updates")
    number = raise_rfc(people, kind="standard", model="Routine updates", without="bench (test)")
    ann = people.ann
    assert ann.state() == "authorized"
    ann.sees("Routine updates", "A release manager takes it into a release.")
    for name in ("sam", "cal", "mia"):
        member = getattr(people, name)
        member.home()
        member.sees("Nothing waits for you")
    title = "Update openssl, standard"
    releasing = Releasing(people, yard, traveller, title)
    releasing.composed()
    assert releasing.release.rfc_ids() == [RFC.objects.get(number=number).pk]
    releasing.planned()
    releasing.tested()
    releasing.ready("gus")
    releasing.deployed()
    reviewed(people, title, "full")
    closed(people.che, title, "successful")
    assert cycle_of(number) == "completed"


def test_emergency(office: Office, people: People, yard: Yard, traveller: time_machine.Traveller) -> None:
    """One person of the emergency board decides; what is owed stands on the page, and keeps the change from closing until it is
    brought."""
    number = raise_rfc(
        people, kind="emergency", plans={"Back-out plan": "The previous version."}, without="bench (test)"
    )
    che, cal, ann, title = people.che, people.cal, people.ann, "Update openssl, emergency"
    to_rfc(che, number)
    che.press("Request approval")
    assert che.state() == "awaiting approval"
    che.look("asked")
    on_the_board(cal, title)
    cal.look("board-item")
    cal.fill({"Reason": "Exploited now."})
    cal.press("Approve")
    to_rfc(ann, number)
    assert ann.state() == "authorized"
    ann.sees("owes")
    ann.look("authorized-and-owing")

    releasing = Releasing(people, yard, traveller, title)
    releasing.composed()
    releasing.planned()
    releasing.tested()
    releasing.ready("gus", "cal")
    releasing.deployed()
    reviewed(people, title, "full", beside=("Bring what the emergency owes",))

    to_rfc(che, number)
    assert che.state() == "in review"
    che.look("in-review-and-owing")
    che.sees("2 things that it owes are brought first.", "As an emergency it still owes its test plan.")
    assert che.main.get_by_role("link", name="Close the change").count() == 0
    to_rfc(ann, number)
    for document in ("Implementation plan", "Test plan"):
        ann.follow("Bring an owed document")
        ann.field("Document").select_option(label=document)
        ann.fill({"Text": "As it was done that night."})
        ann.press("Bring an owed document")
    ann.look("brought")
    assert RFC.objects.get(number=number).evidence.filter(kind="document").count() == 2
    closed(che, title, "successful")
    assert cycle_of(number) == "completed"


def test_voided(office: Office, people: People, world: World) -> None:
    """An edit while the board decides voids what was signed; who still has the old page is told so, and keeps the words."""
    number = raise_rfc(people)
    asked(people, number)
    sign(people.sam, "Update openssl, normal")
    mia = people.mia
    on_the_board(mia, "Update openssl, normal")
    to_rfc(people.ann, number)
    people.ann.follow("Revise")
    people.ann.tick("db01", on=False)
    people.ann.fill({"Why you change it": "The database waits for its own window."})
    people.ann.press("Save")
    assert people.ann.state() == "evaluating"
    people.ann.look("voided")
    mia.fill({"Reason": "Three hosts are fine."})
    with mia.being_refused():
        mia.press("Approve")
    mia.look("too-late")
    assert SignOff.objects.filter(user=office.cast.mia).count() == 0

    che = people.che
    to_rfc(che, number)
    che.press("Assess risk again")
    che.press("Request approval")
    sign(people.sam, "Update openssl, normal")
    on_the_board(mia, "Update openssl, normal")
    mia.sees("Shall 2 hosts be updated?", "Since round 1, void")
    assert "db01" in mia.card("Open points").locator(".diff .del").first.inner_text()
    mia.look("what-changed")
    mia.press("Approve")
    sign(people.cal, "Update openssl, normal")
    to_rfc(people.ann, number)
    assert people.ann.state() == "authorized"


def test_substitute(office: Office, people: People, world: World) -> None:
    """Mia names bea while she is away; bea signs once, and the record says for whom."""
    mia, bea = people.mia, people.bea
    mia.go("Board")
    mia.follow("Substitutes")
    mia.follow("Name a substitute")
    mia.choose("Who decides for you", "bea")
    leave = office.at + timedelta(days=7)
    mia.fill({"From": "2026-11-18T00:00", "Until": leave.strftime("%Y-%m-%dT%H:%M"), "Reason": "On leave"})
    mia.press("Name")
    mia.sees("bea is told, and decides for you.")
    mia.look("named")

    number = raise_rfc(people)
    asked(people, number)
    sign(people.sam, "Update openssl, normal")
    on_the_board(bea, "Update openssl, normal")
    bea.look("board-item")
    bea.press("Approve")
    sign(people.cal, "Update openssl, normal")
    to_rfc(people.ann, number)
    people.ann.look("authorized")
    assert people.ann.state() == "authorized"
    assert SignOff.objects.filter(user__username="bea").count() == 1


def test_meeting_of_five(office: Office, people: People, world: World) -> None:
    """Cal calls the board; what needs talk is voted by key where all see it, the rest joins by consent, minutes are sealed."""
    for way_back, title in (
        ("none", "Talk about it"),
        ("reinstall_previous", "Easy"),
        ("reinstall_previous", "Easy too"),
    ):
        made.approve(made.awaiting(world, way_back=way_back, title=title), office.cast.sam, at=office.at)
    cal = people.cal
    cal.go("Meetings")
    cal.follow("Plan a meeting")
    cal.fill({"Begins": "2026-11-18T11:00", "Minutes": "30", "Place": "Room 4"})
    cal.press("Plan")
    agenda = {row[1].splitlines()[0].partition(" · ")[2]: row[1] for row in rows_of(cal.card("Agenda"))}
    assert ["by consent" in agenda[title] for title in ("Talk about it", "Easy", "Easy too")] == [False, True, True]
    cal.press("Publish the agenda")
    cal.look("published")
    cal.press("Open the session")
    cal.press("Open the session early")
    cal.sees("Talk about it")
    cal.look("session")

    mia, bea = people.mia, people.bea
    for member in (mia, bea):
        member.go("Meetings")
        member.follow("CAB-", within=member.main.locator("table"))
        member.follow("Go to the session")
        member.look("session")
        for keys, said in (("a", "is written down"), ("x Space Tab Tab Space b", "2 items of the consent block")):
            for key in keys.split():
                member.tab.keyboard.press(key)
            with member.tab.expect_navigation():
                member.tab.keyboard.press("Enter")
            member.sees(said)
        member.look("voted")
    assert set(RFC.objects.values_list("title", "state")) == {
        ("Talk about it", "authorized"), ("Easy", "authorized"), ("Easy too", "authorized"),
    }  # fmt: skip
    assert SignOff.objects.filter(user__username__in=["mia", "bea"]).count() == 6
    assert SignOff.objects.filter(user__username="cal").count() == 0, "who chairs signs for nobody"

    cal.go("Meetings") if cal.tab.locator("nav").get_by_role("link", name="Meetings").count() else cal.tab.goto(
        office.url
    )
    cal.go("Meetings")
    cal.follow("CAB-", within=cal.main.locator("table"))
    cal.follow("Record who is there")
    for name, presence in {
        "cal": "present",
        "mia": "present",
        "bea": "present",
        "dan": "excused",
        "eli": "absent",
    }.items():
        cal.choose(name, presence)
    cal.look("attendance")
    cal.press("Save")
    cal.follow("Close and seal the minutes")
    cal.look("minute")
    cal.press("Close and seal the minutes")
    assert cal.state() == "minuted"
    cal.sees("Nothing more: the minutes are sealed.", "Sealed by cal")
    cal.look("minutes")


def test_rollout_halted_and_taken_back(office: Office, people: People, tmp_path: Path) -> None:
    """The first ring fails; rex sees why, takes back what was changed, and the change is closed as backed out."""
    rings: list[dict[str, Any]] = [{"hosts": 2, "concurrency": 1, "soak_seconds": 0}, {"hosts": 2}]
    deployment: Deployment = make_deployment(office.cast, office.at, tmp_path, hosts=4, rings=rings)
    cycles.notified(update_ids=[deployment.world.update.pk], actor=office.cast.bot, at=office.at)
    cycles.deployment_approved(cycle_id=deployment.rfc.cycle_id, actor=office.cast.bot, at=office.at)
    deployment.habit(1, "fail")
    deployment.start()
    deployment.work()
    assert (deployment.rollout.state, deployment.states()) == ("halted", ["succeeded", "failed", "pending", "pending"])
    rex = people.rex
    rex.go("Rollouts")
    rex.follow(deployment.rollout.number)
    assert rex.state() == "halted"
    rex.look("halted")
    rex.follow("Roll back")
    rex.look("confirm")
    rex.fill({"Reason": "It fails on every second host."})
    rex.press("Roll back")
    rex.look("rolling-back")
    deployment.habit(1, None)
    deployment.clock.at = timezone.now()
    deployment.work()
    rex.go("Rollouts")
    rex.follow(deployment.rollout.number)
    rex.becomes("completed", seconds=30)
    rex.look("rolled-back")
    assert Release.objects.get(pk=deployment.release.pk).outcome == "rolled_back"
    reviewed(people, deployment.release.title, "rolled back")
    che = people.che
    che.sees("Hosts taken back to what they had", "rolled back")
    closed(che, deployment.rfc.title, "backed out")
    che.sees("rolled back, 4 hosts owed")
    assert cycle_of(deployment.rfc.number) == "completed"
    che.follow(deployment.release.number)
    che.press("Propose the next change")
    assert che.state() == "draft"
    che.sees("4 hosts")
    che.look("next-change")


def test_a_second_click_while_the_answer_is_on_its_way_raises_nothing_more(people: People, world: World) -> None:
    ann = people.ann
    ann.go("Updates")
    ann.follow("openssl")
    ann.follow("Raise an RFC for 3 hosts")
    ann.fill({"Title": "Update openssl, once", **PLANS})
    sent = []
    ann.tab.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    slow = {"offline": False, "latency": 800, "downloadThroughput": -1, "uploadThroughput": -1}
    ann.context.new_cdp_session(ann.tab).send("Network.emulateNetworkConditions", slow)
    button = ann.main.get_by_role("button", name="Raise as a draft")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    for _click in range(2):
        ann.tab.mouse.click(box["x"] + 5, box["y"] + 5)
        ann.tab.wait_for_timeout(200)
    ann.sees("Update openssl, once")
    assert len(sent) == 1
    assert RFC.objects.get().state == "draft"
