"""The verbs of the admin site: the page that asks foresees what the verb will say, and the verb does it, or says why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.messages.storage.cookie import CookieStorage
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from changes.domain import agendas, feeds, meetings
from changes.models import Feed, Meeting
from cmdb.domain import baselines, exemptions
from cmdb.models import Exemption, HostGroup, Platform
from patchflow.kernel.errors import Conflict
from patchflow.kernel.models import SignOffLevel, User, Voter
from patchflow.web import admin_verbs as pressing
from patchflow.web.admin import AdminVerb, Partly
from releases.domain import delays, readiness, rollouts, standing, switches
from releases.models import Release, Representative, Ring, Rollout
from releases.models.release import CLOSED
from tests.patchflow.admin_forms import TYPED, as_shown, told
from tests.patchflow.board.board import Board, quiet, taken_back
from tests.patchflow.board.test_web_duties import entered, sent

pytestmark = pytest.mark.django_db
LOOKED_AT = 40
"""Rows of a list among which one is sought that a verb may be pressed on."""
TRIED = 6
"""Rows of a list, each in another state or with other reasons against it, on which a verb is pressed."""


def admin_verbs() -> Iterator[tuple[str, type[Model], AdminVerb]]:
    for model, window in admin.site._registry.items():
        for verb in getattr(window, "verbs", ()):
            yield f"{model._meta.label}.{verb.name}", model, verb


VERBS = {name: (model, verb) for name, model, verb in admin_verbs()}


MAKERS: dict[str, Any] = {
    f"{model._meta.label}.{window.maker.name}": window
    for model, window in admin.site._registry.items()
    if getattr(window, "maker", None)
}
ANOTHER = {"name": "Another"}
NEW: dict[str, dict[str, Any]] = {
    "cmdb.Host.add": {"name": "another", "address": "another.example.org"},
    "cmdb.ConfigurationItem.add": ANOTHER,
    "cmdb.HostGroup.make": ANOTHER,
    "cmdb.SupportGroup.define": ANOTHER,
    "cmdb.ServiceWindow.make": ANOTHER,
    "cmdb.Baseline.propose": ANOTHER,
    "changes.Feed.add": {"name": "another", "location": "https://example.org/feed"},
    "changes.RFC.raise": {"other_reason": "Because.", "host_mode": "only", "host_names": "*"},
    "changes.ChangeModel.draft": ANOTHER,
    "changes.ApprovalRoute.write": {"level_roles": ["cab_chair"]},
    "changes.FreezeWindow.declare": {"ends_at": "2026-11-28T10:00"},
    "changes.Meeting.plan": {},
    "releases.Release.compose": {},
    "releases.InstallProfile.define": ANOTHER,
    "releases.HostStep.write": {**ANOTHER, "kind": "space", "target": "/var", "amount": "500"},
    "releases.ReviewDefinition.configure": {**ANOTHER, "role1": "readiness_approver"},
    "releases.PeriodicReview.open": {"kind": "sla", "from_on": "2026-09-01", "to_on": "2026-10-01"},
    "cmdb.DistributionPoint.add_point": {
        "address": "http://192.0.2.30:3142",
        "group_id": lambda: HostGroup.objects.filter(points=None).earliest("pk").pk,
    },
    "kernel.Substitution.name": {"ends_at": "2026-11-28T10:00"},
}
"""What is typed into the forms of what is made new, where more is needed than they ask; what a function finds in the world."""
NAME_ALONE = {"cmdb.SupportGroup.define"}
"""What needs a name and nothing else."""
OPEN_TO_ALL = {"kernel.Substitution.name"}
"""What everybody makes for themselves."""


def ticked(shown: dict[str, Any]) -> dict[str, Any]:
    """Every item of the consent block whose digest is shown."""
    return {f"i{name[1:]}": "on" for name in shown if name[:1] == "d" and name[1:].isdigit()}


FILLED: dict[str, dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]] = {
    "cmdb.Connection.accept_key": {"compared": "on"},
    "cmdb.Host.revise": {"fqdn": "named.example.org"},
    "cmdb.ConfigurationItem.revise": {"name": "Renamed"},
    "cmdb.ConfigurationItem.link": {"names": "bench"},
    "changes.PhaseStep.settle": {"text": TYPED},
    "changes.Meeting.consent": ticked,
}
"""What is typed into the forms of other verbs, where more is needed than they ask; or what makes it of what they show."""


class Pressed:
    """One verb of the site, its list and the form that it asks for, in a world of which nothing is kept."""

    def __init__(self, name: str, board: Board) -> None:
        self.name = name
        self.model, self.verb = VERBS[name]
        self.board = board
        self.window: Any = admin.site.get_model_admin(self.model)
        meta = self.model._meta
        self.place = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")

    def rows(self, person: User) -> list[Any]:
        """The first of the list as this person sees it."""
        request: Any = RequestFactory().get(self.place)
        request.user = person
        if not self.window.has_view_permission(request):
            return []
        order = self.window.get_ordering(request) or self.model._meta.ordering
        return list(self.window.get_queryset(request).order_by(*order, "-pk")[:LOOKED_AT])

    def against(self, row: Any) -> str:
        """What the page that asks says against it."""
        rows = [row] if self.verb.on == "all" else row
        return self.window.explain(self.verb, rows, self.board.people["everything"], timezone.now())

    def works(self, client: Client, row: Any) -> bool:
        """Whether the verb, pressed on the row, does something."""
        answer, left = sent(client, self.place, self.form(client, row))
        return answer.status_code == 302 and bool(left)

    def form(self, client: Client, row: Any) -> dict[str, Any]:
        """What is sent: the form of the page that asks, filled."""
        chosen = {"action": self.verb.name, "_selected_action": [str(row.pk)]}
        filled = {"reason": TYPED} if self.verb.needs_reason else {}
        if self.verb.form:
            shown, more = as_shown(client.post(self.place, chosen).context_data["form"]), FILLED.get(self.name, {})
            filled = shown | (more(shown) if callable(more) else more)
        return {**filled, **chosen, "confirmed": "1"}


@pytest.mark.parametrize("name", VERBS)
def test_what_is_foreseen_is_what_comes(name: str, board: Board) -> None:
    pressed, wrong = Pressed(name, board), []
    with taken_back():
        everything = entered(board.people["everything"])
        with quiet():
            foreseen = {
                (getattr(row, "state", ""), why): row
                for row in pressed.rows(board.people["everything"])
                for why in [pressed.against(row)]
            }
        for (_state, why), row in list(foreseen.items())[:TRIED]:
            answer, left = sent(everything, pressed.place, pressed.form(everything, row))
            done = answer.status_code == 302
            if done == bool(why) or answer.status_code not in (200, 302):
                wrong.append(f"{row}: {answer.status_code}, foreseen {why!r}, leaves {left}, {told(answer)}")
    assert not wrong or name in UNFORESEEN, "\n".join(wrong)


@pytest.mark.parametrize("name", VERBS)
def test_verb_has_its_effect_or_says_why_not(name: str, board: Board) -> None:
    pressed = Pressed(name, board)
    with taken_back():
        PREPARED.get(name, lambda _board: None)(board)
        everything, aud = entered(board.people["everything"]), entered(board.cast.aud)
        with quiet():
            possible = [row for row in pressed.rows(board.people["everything"]) if not pressed.against(row)]
        row = next((row for row in possible if pressed.works(everything, row)), None)
        assert (row is None) == (name in WITHOUT_ROW)
        if row is None:
            return
        form = pressed.form(everything, row)
        answer, left = sent(aud, pressed.place, form)
        seen = row in pressed.rows(board.cast.aud)
    assert not left
    assert (answer.status_code == 200) == seen
    if seen:
        assert "Nothing was changed" in answer.text
        assert told(answer)
        assert escape(TYPED) in answer.text or TYPED not in form.values()


def press(verb: AdminVerb, person: User, rows: list[Any]) -> tuple[Any, list[str]]:
    """The answer to a verb pressed on these rows, and the messages left for the list."""
    request: Any = RequestFactory().post("/admin/", {"confirmed": "1"})
    request.user, request._messages = person, CookieStorage(request)
    answer = pressing.pressed(admin.site.get_model_admin(User), request, verb, rows)  # type: ignore[arg-type]
    return answer, [str(message) for message in request._messages]


def test_refused_for_all_rows_together_it_says_why_without_a_form_too(board: Board) -> None:
    cast = board.cast

    def call(_rows: Any, *_: Any) -> None:
        raise Conflict("Not today.")

    answer, left = press(AdminVerb("all", "All", call, on="all"), cast.ada, [cast.ann, cast.mia])
    assert (answer.context_data["whole"], answer.context_data["all_refused"], left) == ("Not today.", True, [])


def test_each_row_that_was_done_in_part_tells_its_own(board: Board) -> None:
    cast = board.cast

    def call(row: User, *_: Any) -> Partly | None:
        return Partly(f"{row}: half.", [f"{row}: not that."]) if row != cast.mia else None

    answer, left = press(AdminVerb("half", "Half", call), cast.ada, [cast.ann, cast.mia, cast.cal])
    told = ["ann: not that.", "cal: not that.", "ann: half.", "cal: half.", "Half: done for 1 row."]
    assert (answer, left) == (None, told)


@pytest.mark.parametrize("name", MAKERS)
def test_maker_makes_one_or_says_why_not(name: str, board: Board) -> None:
    window = MAKERS[name]
    meta = window.model._meta
    place = reverse(f"admin:{meta.app_label}_{meta.model_name}_add")
    with taken_back():
        everything, aud, root = (entered(p) for p in (board.people["everything"], board.cast.aud, board.cast.root))
        given = {field: value() if callable(value) else value for field, value in NEW[name].items()}
        form = as_shown(everything.get(place).context_data["form"]) | given | {"confirmed": "1"}
        answer, left = sent(everything, place, form)
        assert (answer.status_code, bool(left)) == (302, True), told(answer)
        asked = aud.get(place)
        refused, left = sent(aud, place, form)
        shut, changed = sent(root, place, form)
        incomplete, kept = sent(everything, place, {"confirmed": "1", **dict.fromkeys(INCOMPLETE, TYPED)})
    if name not in OPEN_TO_ALL:
        assert "This will be refused: " in asked.text
        assert (refused.status_code, left) == (200, [])
        assert told(refused)
    assert (shut.status_code, changed) == (403, [])
    if name not in NAME_ALONE:
        assert (incomplete.status_code, kept) == (200, [])
        assert escape(TYPED) in incomplete.text


INCOMPLETE = ("title", "name", "place", "reason", "from_on")
"""What alone is typed into a form that needs more: it stays."""


def test_tables_name_verbs_that_there_are() -> None:
    assert {*UNFORESEEN, *WITHOUT_ROW, *PREPARED, *FILLED} <= set(VERBS)
    assert set(NEW) == set(MAKERS) >= OPEN_TO_ALL | NAME_ALONE
    assert not WITHOUT_ROW.keys() & PREPARED.keys()


def a_granted_exemption(board: Board) -> None:
    asked = Exemption.objects.filter(state="requested").latest("pk")
    exemptions.grant(exemption_id=asked.pk, actor=board.cast.sam, at=board.at)


def feeds_that_are_off(board: Board) -> None:
    for feed in Feed.objects.all():
        feeds.disable(feed_id=feed.pk, actor=board.cast.sam, at=board.at)


def a_paused_rollout(board: Board) -> None:
    running = Rollout.objects.filter(state="running").latest("pk")
    rollouts.pause(rollout_id=running.pk, reason="Look first.", actor=board.cast.otto, at=board.at)


def a_switch_that_is_on(board: Board) -> None:
    switches.set_kill_switch(on=True, reason="Smoke.", actor=board.cast.otto, at=board.at)


def a_release_on_hold(board: Board) -> None:
    release = Release.objects.exclude(state__in=CLOSED).latest("pk")
    standing.place(release_id=release.pk, reason="Look first.", actor=board.cast.che, at=board.at)


def a_seat_in_every_round(board: Board) -> None:
    for level in SignOffLevel.objects.filter(round__state="open"):
        Voter.objects.create(level=level, user=board.people["everything"], via="cab_member")


def a_published_meeting(board: Board) -> Meeting:
    meeting = Meeting.objects.filter(state="planned").latest("pk")
    agendas.add_topic(meeting_id=meeting.pk, title="Soak time", actor=board.cast.che, at=board.at)
    return meetings.publish(meeting_id=meeting.pk, actor=board.cast.che, at=board.at)


def a_meeting_that_has_settled_all(board: Board) -> None:
    meeting = a_published_meeting(board)
    for item in meeting.items.all():
        agendas.withdraw(meeting_id=meeting.pk, item_id=item.pk, reason="By mail.", actor=board.cast.che, at=board.at)
    meetings.open_session(meeting_id=meeting.pk, actor=board.cast.cal, at=board.at)
    agendas.attend(meeting_id=meeting.pk, presence={board.cast.mia.pk: "present"}, actor=board.cast.cal, at=board.at)


def a_seat_at_every_ring(board: Board) -> None:
    for ring in Ring.objects.filter(state__in=["pending", "notified", "running"]):
        Representative.objects.create(ring=ring, user=board.people["everything"], hosts=1, told_at=board.at)


def a_request_of_ones_own(board: Board) -> None:
    a_seat_at_every_ring(board)
    ring = Ring.objects.filter(state__in=["pending", "notified"]).latest("pk")
    delays.ask(
        ring_id=ring.pk, until=board.at + timedelta(days=9), reason="Not yet.", actor=board.people["everything"],
        at=board.at,
    )  # fmt: skip


def a_review_in_a_slot(board: Board) -> None:
    level = {"name": "Readiness", "role": "readiness_approver", "quorum": "first"}
    readiness.configure_slot(slot="before_deploy", name="Four eyes", levels=[level], actor=board.cast.ada, at=board.at)


def a_baseline_from_elsewhere(board: Board) -> None:
    platform = Platform.objects.earliest("pk")
    baselines.propose_from(
        platform_id=platform.pk, items=[("sudo", "amd64", "1.9")], source_digest="0" * 64, actor=board.cast.rex,
        at=board.at, name="Another",
    )  # fmt: skip


PREPARED: dict[str, Callable[[Board], object]] = {
    "cmdb.Baseline.ask": a_baseline_from_elsewhere,
    "changes.Meeting.consent": a_seat_in_every_round,
    "changes.AgendaItem.pull": a_seat_in_every_round,
    "releases.ReviewDefinition.configure": a_review_in_a_slot,
    "releases.Ring.ask_delay": a_seat_at_every_ring,
    "releases.Representative.acknowledge": a_seat_at_every_ring,
    "releases.DelayRequest.withdraw": a_request_of_ones_own,
    "cmdb.Exemption.revoke": a_granted_exemption,
    "changes.Meeting.open": a_published_meeting,
    "changes.Meeting.minute": a_meeting_that_has_settled_all,
    "changes.Feed.enable": feeds_that_are_off,
    "releases.Release.resume": a_release_on_hold,
    "releases.Rollout.resume": a_paused_rollout,
    "releases.KillSwitch.turn_off": a_switch_that_is_on,
    "kernel.SignOffRound.decide": a_seat_in_every_round,
}
"""What the small world lacks for these verbs, brought about by verbs."""
UNFORESEEN = {"cmdb.Connection.show_key": "the host answers, or not, when it is asked"}
"""Verbs whose refusal nobody can know beforehand."""
WITHOUT_ROW = {
    "changes.ChangeTask.revise": "its form as it is shown changes nothing, and then nothing is written",
    "cmdb.Connection.show_key": "no host of the world is on a network",
    "cmdb.DistributionPoint.revise": "its form as it is shown changes nothing",
    "changes.Meeting.publish": "every meeting of the world is published",
    "changes.Meeting.fill": "every round that asks a board is on an agenda",
    "changes.RFC.move": "no update of an editable RFC is superseded",
    "changes.RFC.review_glass": "no glass is broken",
    "changes.RFC.bring_owed": "no emergency owes a document",
    "changes.Cycle.close_unneeded": "every open cycle has RFCs under way",
    "releases.Release.accept": "no release is deployed and reviewed",
    "releases.Release.propose_amendment": "no host has come late to a release",
    "releases.PostImplementationReview.answer": "no review is open",
    "releases.PostImplementationReview.complete": "no review is open",
    "cmdb.Baseline.adopt": "no manifest of the world contains what is proposed",
    "releases.HandTask.attest": "no host by hand is out of sight",
    "releases.Release.roll_back": "a host of every rollout is at work, or none was changed",
    "releases.Rollout.roll_back": "a host of every rollout is at work, or none was changed",
    "releases.Release.stop": "no release is at rest in the middle of its deployment",
    "releases.AcceptanceRun.judge": "no run is under way",
    "releases.Rollout.cancel": "no rollout is planned and not started",
    "releases.Ring.propose_partial": "no ring has failed",
}
"""Verbs for which the small world has no row in the right state; that the others refuse as foreseen is shown for them too."""
