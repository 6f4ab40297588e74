"""The verbs of the admin site: the page that asks foresees what the verb will say, and the verb does it, or says why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from changes.domain import feeds
from changes.models import Feed
from cmdb.domain import exemptions
from cmdb.models import Exemption
from patchflow.kernel.models import SignOffLevel, Voter
from patchflow.web.admin import AdminVerb
from releases.domain import rollouts, standing, switches
from releases.models import Release, Rollout
from releases.models.release import CLOSED
from tests.patchflow.api.board import Board, board, quiet, taken_back  # noqa: F401 - a fixture
from tests.patchflow.test_web_duties import entered, sent

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


class Pressed:
    """One verb of the site, its list and the form that it asks for, in a world of which nothing is kept."""

    def __init__(self, name: str, board: Board) -> None:  # noqa: F811
        self.model, self.verb = VERBS[name]
        self.board = board
        self.window: Any = admin.site.get_model_admin(self.model)
        meta = self.model._meta
        self.place = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")

    def rows(self, client: Client) -> list[Any]:
        page = client.get(self.place)
        return list(page.context["cl"].result_list)[:LOOKED_AT] if page.status_code == 200 else []

    def against(self, row: Any) -> str:
        return self.window.explain(self.verb, row, self.board.people["everything"], timezone.now())

    def works(self, client: Client, row: Any) -> bool:
        """Whether the verb, pressed on the row, does something."""
        answer, left = sent(client, self.place, self.form(row))
        return answer.status_code == 302 and bool(left)

    def form(self, row: Any) -> dict[str, Any]:
        choices = [str(value) for value, _label in self.verb.choices]
        return {
            "action": self.verb.name, "_selected_action": [str(row.pk)], "confirmed": "1", "reason": "Because <it>.",
            **({"choice": choices[-1]} if choices else {}),
        }  # fmt: skip


@pytest.mark.parametrize("name", VERBS)
def test_what_is_foreseen_is_what_comes(name: str, board: Board) -> None:  # noqa: F811
    pressed, wrong = Pressed(name, board), []
    with taken_back():
        everything = entered(board.people["everything"])
        with quiet():
            foreseen = {
                (getattr(row, "state", ""), why): row
                for row in pressed.rows(everything)
                for why in [pressed.against(row)]
            }
        for (_state, why), row in list(foreseen.items())[:TRIED]:
            answer, left = sent(everything, pressed.place, pressed.form(row))
            done = answer.status_code == 302
            if done == bool(why) or answer.status_code not in (200, 302):
                wrong.append(f"{row}: {answer.status_code}, foreseen {why!r}, leaves {left}, {told(answer)}")
    assert not wrong or name in UNFORESEEN, "\n".join(wrong)


@pytest.mark.parametrize("name", VERBS)
def test_verb_has_its_effect_or_says_why_not(name: str, board: Board) -> None:  # noqa: F811
    pressed = Pressed(name, board)
    with taken_back():
        PREPARED.get(name, lambda _board: None)(board)
        everything, aud = entered(board.people["everything"]), entered(board.cast.aud)
        with quiet():
            possible = [row for row in pressed.rows(everything) if not pressed.against(row)]
        row = next((row for row in possible if pressed.works(everything, row)), None)
        assert (row is None) == (name in WITHOUT_ROW)
        if row is None:
            return
        answer, left = sent(aud, pressed.place, pressed.form(row))
        seen = row in pressed.rows(aud)
    assert not left
    assert (answer.status_code == 200) == seen
    if seen:
        assert "Nothing was changed" in answer.text
        assert told(answer)
        assert 'value="Because &lt;it&gt;."' in answer.text or not pressed.verb.needs_reason


def test_tables_name_verbs_that_there_are() -> None:
    assert {*UNFORESEEN, *WITHOUT_ROW, *PREPARED} <= set(VERBS)
    assert not WITHOUT_ROW.keys() & PREPARED.keys()


def told(answer: Any) -> str:
    return (
        " ".join(str(why) for _row, why in (answer.context_data or {}).get("shown", []))
        if answer.status_code == 200
        else ""
    )


def a_granted_exemption(board: Board) -> None:  # noqa: F811
    asked = Exemption.objects.filter(state="requested").latest("pk")
    exemptions.grant(exemption_id=asked.pk, actor=board.cast.sam, at=board.at)


def feeds_that_are_off(board: Board) -> None:  # noqa: F811
    for feed in Feed.objects.all():
        feeds.disable(feed_id=feed.pk, actor=board.cast.sam, at=board.at)


def a_paused_rollout(board: Board) -> None:  # noqa: F811
    running = Rollout.objects.filter(state="running").latest("pk")
    rollouts.pause(rollout_id=running.pk, reason="Look first.", actor=board.cast.otto, at=board.at)


def a_switch_that_is_on(board: Board) -> None:  # noqa: F811
    switches.set_kill_switch(on=True, reason="Smoke.", actor=board.cast.otto, at=board.at)


def a_release_on_hold(board: Board) -> None:  # noqa: F811
    release = Release.objects.exclude(state__in=CLOSED).latest("pk")
    standing.place(release_id=release.pk, reason="Look first.", actor=board.cast.che, at=board.at)


def a_seat_in_every_round(board: Board) -> None:  # noqa: F811
    for level in SignOffLevel.objects.filter(round__state="open"):
        Voter.objects.create(level=level, user=board.people["everything"], via="cab_member")


PREPARED: dict[str, Callable[[Board], None]] = {
    "cmdb.Exemption.revoke": a_granted_exemption,
    "changes.Feed.enable": feeds_that_are_off,
    "releases.Release.resume": a_release_on_hold,
    "releases.Rollout.resume": a_paused_rollout,
    "releases.KillSwitch.turn_off": a_switch_that_is_on,
    "kernel.SignOffRound.approve": a_seat_in_every_round,
    "kernel.SignOffRound.refuse": a_seat_in_every_round,
}
"""What the small world lacks for these verbs, brought about by verbs."""
UNFORESEEN = {"cmdb.Connection.show_key": "the host answers, or not, when it is asked"}
"""Verbs whose refusal nobody can know beforehand."""
WITHOUT_ROW = {
    "cmdb.Connection.show_key": "no host of the world is on a network",
    "changes.Meeting.publish": "every meeting of the world is published",
    "changes.Meeting.fill": "every round that asks a board is on an agenda",
    "changes.RFC.move": "no update of an editable RFC is superseded",
    "changes.RFC.review_glass": "no glass is broken",
    "changes.RFC.bring_owed": "no emergency owes a document",
    "changes.Cycle.close_unneeded": "every open cycle has RFCs under way",
    "releases.Release.stop": "no release is at rest in the middle of its deployment",
    "releases.AcceptanceRun.give_up": "no run is under way",
    "releases.Rollout.cancel": "no rollout is planned and not started",
    "releases.Ring.propose_partial": "no ring has failed",
}
"""Verbs for which the small world has no row in the right state; that the others refuse as foreseen is shown for them too."""
