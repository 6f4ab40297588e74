"""An update walked from its page to a closed change by people who only click, type and read, each in a browser of their own.

Requester, change manager, security officer, two board members (one refuses, with a reason), release manager, tester,
readiness approver. What the pages say is compared with what the hosts say. Every step leaves a picture in `pictures/walk`.
"""

from __future__ import annotations

import pytest

from tests.journeys.browser import BrowserPerson, People, people_of, rows_of
from tests.journeys.estate import HOSTS, PILOT, PRODUCTION, SECOND, TEST, THIRD, Estate
from tests.journeys.stack import Stack
from tests.journeys.walk import Walk

pytestmark = pytest.mark.browser
TOOL, RFC = "acme-tool", "Close the hole in acme-tool"
CHECK = "is there | command | test -s /usr/share/acme-tool/version"
OBJECTION = "The test host is no production host: take it out."
PLANS = {
    "Implementation plan": "The pilot first, then the others, inside their windows.",
    "Test plan": "On the test host: install, check, go back, install again.",
    "Back-out plan": "Reinstall the previous version from the signed repository.",
    "Communication plan": "The owners are told a day before.",
}
QUESTIONS = 4


def test_people_walk_an_update_to_a_closed_change_in_the_browser(stack: Stack, estate: Estate) -> None:
    Walk(stack, estate).begin()
    with people_of(stack) as people:
        _raise(people)
        _be_refused(people)
        _be_authorized(people)
        _plan(people)
        _build_and_test(people, estate)
        _seal_and_sign(people, estate)
        _deploy(people, estate)
        _review_and_close(people, estate)
        assert people.complaints() == []


def _from_home(person: BrowserPerson, act: str) -> None:
    """Goes where Home says that something waits about the change: the one thing, under this name."""
    person.home()
    waits = person.card("Waits for me").locator("li").filter(has_text=RFC)
    said = waits.locator(".act").all_inner_texts()
    assert said == [act], f"{person.name} is told to {said}"
    person.look("home")
    person.follow(RFC, within=waits)


# --- evaluate: shall it be done ---------------------------------------------------------------------------------------
def _raise(people: People) -> None:
    """Ann finds the update, sees which hosts miss it, and raises an RFC, test host and all."""
    ann = people.ann
    ann.sees("Nothing waits for you")
    ann.look("home")
    ann.go("Updates")
    ann.look("updates")
    ann.follow(TOOL)
    missing = {row[0]: row[1] for row in rows_of(ann.card("Hosts, and why"))}
    assert missing == dict.fromkeys(HOSTS, "missing")
    ann.look("update")
    ann.follow("Raise an RFC for 4 hosts")
    ann.fill({"Title": RFC, **PLANS})
    ann.fill({"Not before": "2031-01-02T03:00", "Not after": "2031-01-01T03:00"})
    with ann.being_refused():
        ann.press("Raise as a draft")
    ann.sees("What you typed is kept.")
    assert {label: ann.field(label).input_value() for label in PLANS} == PLANS
    ann.look("raise-refused")
    ann.fill({"Not before": "", "Not after": ""})
    ann.press("Raise as a draft")
    assert (ann.title(), ann.state()) == (RFC, "draft")
    ann.look("draft")
    ann.press("Submit")
    assert ann.state() == "submitted"


def _be_refused(people: People) -> None:
    """Che asks, sam signs, mia refuses: first without a word, which the form does not take."""
    che, sam, mia = people.che, people.sam, people.mia
    _from_home(che, "Evaluate")
    che.press("Evaluate")
    che.sees("3 of 4 hosts are in production.")
    che.look("evaluating")
    che.press("Request approval")
    assert che.state() == "awaiting approval"
    che.look("asked")

    _from_home(sam, "Decide")
    sam.sees("Shall 4 hosts be updated?", "4 (3 production, 1 test)", *PLANS.values())
    sam.look("board-item")
    sam.fill({"Reason": "The hole is open on every host."})
    sam.press("Approve")

    _from_home(mia, "Decide")
    with mia.being_refused():
        mia.press("Refuse")
    mia.sees("A refusal needs a comment: what must change?", "What you typed is kept.")
    mia.look("refusal-without-a-reason")
    mia.fill({"Reason": OBJECTION})
    mia.press("Refuse")
    mia.sees("is written down", "Nothing waits for you")
    mia.look("refused")


def _be_authorized(people: People) -> None:
    """Ann does as mia asked; the board sees that she did, and authorizes the change."""
    ann, che = people.ann, people.che
    _from_home(ann, "Revise")
    assert ann.state() == "evaluating"
    ann.sees(f"mia refused: “{OBJECTION}”")
    ann.look("refused")
    ann.follow("Revise")
    ann.tick(f"{TEST} (test)", on=False)
    ann.fill({"Why you change it": "As mia asked."})
    ann.look("revise")
    ann.press("Save")

    _from_home(che, "Complete and ask for approval")
    che.press("Assess risk again")
    che.press("Request approval")
    assert che.state() == "awaiting approval"
    for name in ("sam", "mia", "cal"):
        member = getattr(people, name)
        _from_home(member, "Decide")
        member.sees("Shall 3 hosts be updated?", "Since round 1, refused", f"mia: “{OBJECTION}”")
        assert TEST in member.card("Open points").locator(".diff .del").first.inner_text()
        member.look("board-item-again")
        member.press("Approve")
    ann.go("Changes")
    ann.follow(RFC)
    assert ann.state() == "authorized"
    ann.sees("mia: signed", "cal: signed", "A release manager takes it into a release.")
    ann.look("authorized")


# --- plan: how, exactly -----------------------------------------------------------------------------------------------
def _plan(people: People) -> None:
    """Rex takes the change into a release and plans rings, windows and how to install."""
    rex = people.rex
    _from_home(rex, "Compose a release")
    rex.follow("Take it into a release")
    rex.look("compose")
    rex.press("Compose")
    assert rex.state() == "planning"
    rex.look("release")

    rex.follow("Plan rings")
    first = rex.card("Ring 0")
    first.get_by_text("Which hosts: by hand").click()
    rex.fill({"Hosts by hand": PILOT, "Share of hosts, %": "", "Watched, hours": "0"}, within=first)
    rex.fill({"Watched, hours": "0"}, within=rex.card("Ring 1"))
    rex.look("rings")
    rex.press("Plan rings")
    rex.follow("Choose windows")
    rex.look("windows")
    rex.press("Choose")
    rex.follow("Choose profile")
    rex.follow("Define a profile")
    rex.fill({"Name": "Servers", "Run time per update, minutes": "10", "Run time in all, minutes": "10"})
    rex.fill({"Checks": CHECK})
    rex.look("profile")
    rex.press("Define")
    rex.tick("Servers (revision 1): restarts if needed, at most 10 min in all")
    rex.press("Choose")
    steps = rex.card("From updates to readiness").inner_text()
    for planned in ("Pilot: 1 host, not watched", "All others: 2 hosts", "Servers (revision 1)"):
        assert planned in steps
    rex.look("planned")


def _build_and_test(people: People, estate: Estate) -> None:
    """Rex builds; tia has it installed, checked, taken back and installed again on the test host."""
    rex, tia = people.rex, people.tia
    rex.press("Build")
    rex.look("building")
    rex.becomes("testing", seconds=180)
    rex.look("built")

    _from_home(tia, "Test")
    tia.follow("Tests")
    tia.look("tests")
    tia.follow("Plan a test")
    tia.choose("Test host", TEST)
    tia.fill({"Checks": CHECK})
    tia.look("plan-a-test")
    tia.press("Plan")
    tia.press("Run the tests")
    tia.look("testing")
    tia.becomes("scheduling", seconds=240)
    tia.sees("1 of 1 passed on this build", "way back tested in 1 of 1", "Go back: acme-tool 1.0")
    tia.look("tested")
    assert estate.states(TOOL) == {**dict.fromkeys(PRODUCTION, "1.0 installed"), TEST: "1.1 installed"}


def _seal_and_sign(people: People, estate: Estate) -> None:
    """Rex seals; gus reads what will run where, and says go. Nothing has been touched by then."""
    rex, gus = people.rex, people.gus
    _from_home(rex, "Schedule and seal")
    rex.sees("all of it holds")
    rex.press("Seal the manifest")
    assert rex.state() == "awaiting readiness"
    rex.look("sealed")

    _from_home(gus, "Decide")
    gus.look("board-item")
    gus.follow("full record")
    gus.follow("Decide")
    hosts = {row[0]: (row[1], row[2]) for row in rows_of(gus.card("Hosts"))}
    version = f"{TOOL} 1.0 → 1.1"
    assert hosts == {PILOT: ("Pilot", version), SECOND: ("All others", version), THIRD: ("All others", version)}
    gus.look("manifest")
    with gus.being_refused():
        gus.press("No-go")
    gus.sees("What you typed is kept.")
    gus.fill({"Reason": "Tested and taken back: go."})
    gus.press("Go")
    assert gus.state() == "ready"
    gus.sees("who signed it neither builds nor starts it")
    gus.look("ready")
    assert [estate.began(host) for host in PRODUCTION] == [[], [], []]


# --- deploy -----------------------------------------------------------------------------------------------------------
def _deploy(people: People, estate: Estate) -> None:
    """Rex starts it and watches; the page goes on by itself and ends where the hosts are."""
    rex = people.rex
    _from_home(rex, "Start the deployment")
    rex.follow("Start the deployment on 3 hosts")
    rex.sees("This will reach")
    rex.look("confirm")
    rex.press("Start the deployment")
    assert rex.title().startswith("RO-")
    rex.look("rollout")
    rex.becomes("completed", seconds=240)
    rex.sees("Nothing more happens here: 3 of 3 hosts are where they should be.")
    cells = rex.card("Rings").locator(".cells a").evaluate_all("cells => cells.map(cell => cell.title)")
    assert sorted(cells) == [f"{host} · succeeded" for host in PRODUCTION]
    rex.look("rolled-out")
    assert estate.states(TOOL) == dict.fromkeys(HOSTS, "1.1 installed")
    assert {h: estate.began(h) for h in PRODUCTION} == {h: [f"upgrade {TOOL} 1.0 1.1"] for h in PRODUCTION}
    assert estate.began_at(PILOT) < min(estate.began_at(SECOND), estate.began_at(THIRD)), "the pilot goes first"

    rex.go("Estate")
    rex.follow(SECOND)
    assert TOOL not in rex.card("Updates").inner_text()
    rex.sees("Its window is open until")
    rex.look("host")


# --- review -----------------------------------------------------------------------------------------------------------
def _review_and_close(people: People, estate: Estate) -> None:
    """Who did not start it reviews it; then the release is completed and the change closed."""
    che, rex, ann = people.che, people.rex, people.ann
    _from_home(che, "Review")
    assert che.state() == "open"
    che.look("review")
    questions = che.main.locator("form").get_by_role("textbox")
    assert questions.count() == QUESTIONS
    for question in questions.all():
        question.fill("Yes, and nothing else.")
    che.press("Write the answers down")
    che.follow("Complete the review")
    che.fill({"Lessons": "A test host is no target."})
    che.look("lessons")
    che.press("Complete")
    assert che.state() == "completed"

    _from_home(rex, "Complete")
    rex.look("reviewed")
    rex.press("Complete")
    assert rex.state() == "completed"

    _from_home(che, "Close")
    assert che.state() == "in review"
    che.look("in-review")
    che.follow("Close the change")
    che.choose("How it ended", "successful")
    che.fill({"Summary": "As planned."})
    che.look("close")
    che.press("Close the change")
    assert che.state() == "closed"

    ann.go("Changes")
    ann.follow(RFC)
    assert ann.state() == "closed"
    ann.sees("Nothing more: closed as successful.", "met, ")
    ann.look("closed")
    ann.go("Cycles")
    ann.look("cycles")
    ann.home()
    ann.sees("Nothing waits for you")
