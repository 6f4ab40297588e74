"""Evaluate: RFCs as people raise, evaluate and decide them; the board and its meetings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from changes.domain import agendas, approvals, change_models, meetings, responses, rfcs
from changes.models import RFC, ChangeModel, Meeting, SoftwareUpdate
from patchflow.kernel import signoffs
from releases.demo.feed import updates_for
from releases.demo.story import Story
from releases.executors.simulator_fleet import SimulatedHost

PLANS = {
    "implementation_plan": "Ring by ring, in the windows of each site; the canary first, vital hosts last.",
    "test_plan": "On a bench of each platform: install, check the service, go back, install again.",
    "back_out_plan": "Install the previous versions again, from the signed repository.",
    "communication_plan": "Owners are told the day before, the help desk on the day.",
}
SAID = {
    "sam": "The flaw can be reached from outside; waiting is the greater risk.",
    "olga": "Fine for the shop; not before its evening peak is over.",
    "cal": "Agreed, as planned.",
    "mia": "Agreed; the way back was shown.",
}


def is_server(one: SimulatedHost) -> bool:
    return not one.is_workstation and one.duty != "bench" and not one.is_silent


def raise_for(story: Story, product: str, number: int, *, by: str = "ann", where: Any = is_server, **more: Any) -> RFC:
    """A draft for an update of a product on the hosts that miss it and for which `where` holds."""
    chosen = [one for one in story.fleet() if where(one) and product in {p.name for p in one.products()}]
    update_ids = updates_for(product, number, {one.platform for one in chosen})
    host_ids = [story.hosts[one.name].pk for one in chosen]
    given = {**PLANS, "title": f"{product} +sim{number} on simulated hosts", **more}
    return rfcs.raise_rfc(update_ids=update_ids, host_ids=host_ids, **given, **story.who(by))


def submit(story: Story, rfc: RFC) -> RFC:
    return rfcs.submit(rfc_id=rfc.pk, actor=rfc.requested_by, at=story.who("bot")["at"])


def evaluate(story: Story, rfc: RFC) -> RFC:
    return rfcs.evaluate(rfc_id=rfc.pk, **story.who("che"))


def ask(story: Story, rfc: RFC) -> RFC:
    approvals.request_approval(rfc_id=rfc.pk, **story.who("che"))
    return RFC.objects.get(pk=rfc.pk)


def vote(story: Story, subject: Any, *names: str) -> None:
    """Each of these people approves, in order."""
    round_ = signoffs.open_round_of(subject)
    assert round_ is not None  # noqa: S101  it was asked for just before
    for name in names:
        approvals.decide(
            round_id=round_.pk,
            verdict="approve",
            comment=SAID.get(name, ""),
            digest_seen=round_.digest,
            **story.who(name),
        )


def authorized(story: Story, *changes: RFC) -> list[RFC]:
    return [RFC.objects.get(pk=rfc.pk) for rfc in changes]


def answer(story: Story, update: SoftwareUpdate, response: str) -> None:
    """Sam says what is done about an update."""
    words = {
        "deploy": "It can be reached from outside.",
        "wait_for_rollup": "Only from inside; it comes with the next release.",
        "decline": "The feature is switched off here.",
    }
    revisit = None if response == "deploy" else (story.now + timedelta(days=30)).date()
    responses.respond(
        update_id=update.pk, response=response, reason=words[response], revisit_on=revisit, **story.who("sam")
    )


# --- the board ----------------------------------------------------------------------------------------------------------
def call(story: Story, *, in_: timedelta) -> Meeting:
    """Che calls a meeting of the CAB; its agenda fills itself and is sent to the members."""
    who = story.who("che")
    meeting = meetings.plan(kind="cab", starts_at=who["at"] + in_, place="Room 4 and online", **who)
    meetings.publish(meeting_id=meeting.pk, **story.who("che"))
    return meeting


def hold(story: Story, meeting: Meeting, *, notes: str) -> None:
    """The meeting as it was called: both members vote on every change, the minutes are sealed."""
    story.until(meeting.starts_at)
    meetings.open_session(meeting_id=meeting.pk, **story.who("cal"))
    mia = {story.people["mia"].pk: "present"}
    agendas.attend(meeting_id=meeting.pk, presence=mia, **story.who("cal"))
    for item in meeting.items.select_related("round").order_by("position"):
        if item.round is not None and item.round.state == "open":
            for name in ("cal", "mia"):
                approvals.decide(
                    round_id=item.round.pk, verdict="approve", comment=SAID[name], digest_seen=item.round.digest,
                    **story.who(name),
                )  # fmt: skip
    meetings.minute(meeting_id=meeting.pk, notes=notes, **story.who("cal"))


def license_browsers(story: Story) -> ChangeModel:
    """A standard model for browsers, written by che and signed by the board."""
    model = change_models.draft(
        kind="standard", name="Routine browser updates (simulated)", packages=["fernglas-browser"], max_score=25, max_hosts=200,
        description="Monthly updates of the browser on workstations.", implementation_plan=PLANS["implementation_plan"],
        test_plan=PLANS["test_plan"], back_out_plan=PLANS["back_out_plan"], **story.who("che"),
    )  # fmt: skip
    change_models.propose(model_id=model.pk, **story.who("che"))
    vote(story, model, "sam", "cal", "mia")
    return ChangeModel.objects.get(pk=model.pk)


def close(story: Story, changes: Sequence[RFC], code: str = "successful") -> None:
    for rfc in changes:
        rfcs.close(rfc_id=rfc.pk, code=code, summary="As planned.", **story.who("che"))
