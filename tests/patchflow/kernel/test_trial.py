"""Trial mode: entered and left by decisions with a reason, also by the environment, and told to everybody."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from patchflow.kernel import audit, trial
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, TrialPeriod
from patchflow.notices.delivery import deliver
from patchflow.notices.models import Delivery, Notice
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def on(cast: Cast, now: datetime) -> TrialPeriod:
    return trial.enter(reason="Before the first real month.", actor=cast.ada, at=now)


def started_as_trial(settings: Any) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "TRIAL": True}


def test_entering_and_leaving_are_written_down(cast: Cast, on: TrialPeriod, now: datetime) -> None:
    assert trial.active()
    trial.leave(reason="The month was walked.", actor=cast.ada, at=now + timedelta(days=1))
    assert not trial.active()
    verbs = [(e.verb, e.actor) for e in audit.history(on)]
    assert verbs == [("settings.trial_left", cast.ada), ("settings.trial_entered", cast.ada)]
    on.refresh_from_db()
    assert (on.end_reason, on.ended_by) == ("The month was walked.", cast.ada)


def test_only_an_administrator_turns_it_and_says_why(cast: Cast, now: datetime) -> None:
    for person in cast:
        if person != cast.ada:
            with pytest.raises(NotAllowed):
                trial.enter(reason="Why not", actor=person, at=now)
    with pytest.raises(Invalid):
        trial.enter(reason=" ", actor=cast.ada, at=now)
    assert not trial.active()


def test_it_is_entered_once_and_left_once(cast: Cast, on: TrialPeriod, now: datetime) -> None:
    with pytest.raises(Conflict):
        trial.enter(reason="Again", actor=cast.ada, at=now)
    trial.leave(reason="Done", actor=cast.ada, at=now)
    with pytest.raises(Conflict):
        trial.leave(reason="Done", actor=cast.ada, at=now)


def test_the_database_holds_one_open_period(cast: Cast, on: TrialPeriod, now: datetime) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        TrialPeriod.objects.create(started_at=now, started_by=cast.ada, reason="Second")


def test_the_environment_is_enough_and_must_go_first(cast: Cast, now: datetime, settings: Any) -> None:
    started_as_trial(settings)
    assert trial.active()
    assert trial.keep_record(now=now) == 1
    assert trial.keep_record(now=now) == 0
    with pytest.raises(Blocked, match="PATCHFLOW_TRIAL"):
        trial.leave(reason="Done", actor=cast.ada, at=now)
    settings.PATCHFLOW = {**settings.PATCHFLOW, "TRIAL": False}
    assert trial.active(), "what was recorded outlives the environment"
    trial.leave(reason="Done", actor=cast.ada, at=now)
    assert not trial.active()


def test_a_refused_attempt_is_in_the_trail(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        trial.enter(reason="Why not", actor=cast.eve, at=now)
    assert AuditEntry.objects.filter(verb="settings.trial_entered", actor=cast.eve, outcome="refused").count() == 1


# --- doors ------------------------------------------------------------------------------------------------------------
def page(person: Any, path: str = "/") -> str:
    client = Client()
    client.force_login(person)
    return client.get(path).content.decode()


def test_every_page_says_that_this_is_a_trial(cast: Cast, now: datetime) -> None:
    sentence = "Nothing is executed on hosts"
    assert sentence not in page(cast.ann)
    trial.enter(reason="Try", actor=cast.ada, at=now)
    assert sentence in page(cast.ann)
    assert sentence in page(cast.eve, reverse("reports:settings"))


def test_the_page_turns_it_for_administrators_only(cast: Cast) -> None:
    path = reverse("reports:trial")
    assert "<textarea" not in page(cast.ann, path)
    assert "administrator" in page(cast.ann, path).lower()
    client = Client()
    client.force_login(cast.ann)
    assert client.post(path, {"reason": "Try", "do": "enter"}).status_code == 400
    assert not trial.active()
    client.force_login(cast.ada)
    assert client.post(path, {"reason": "Try", "do": "enter"}).status_code == 302
    assert trial.active()
    assert client.post(path, {"reason": "Done", "do": "leave"}).status_code == 302
    assert not trial.active()


def test_rest_says_it_and_turns_it(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.ann)
    assert client.get("/api/v1/instance/").json() == {"trial": False, "trial_since": None, "trial_reason": ""}
    assert client.post("/api/v1/instance/enter-trial/", {"reason": "Try"}, "application/json").status_code == 403
    client.force_login(cast.ada)
    said = client.post("/api/v1/instance/enter-trial/", {"reason": "Try"}, "application/json").json()
    assert (said["trial"], said["trial_reason"]) == (True, "Try")
    assert client.post("/api/v1/instance/leave-trial/", {"reason": "Done"}, "application/json").json()["trial"] is False


def test_the_subject_of_mail_says_it(cast: Cast, now: datetime) -> None:
    trial.enter(reason="Try", actor=cast.ada, at=now)
    notice = Notice.objects.create(key="one", kind="round_opened", title="Decide", facts={}, written_at=now)
    row = Delivery.objects.create(
        notice=notice, user=cast.mia, channel="mail", state="queued", title="Decide", body="Please.", language="en"
    )
    assert deliver(delivery_id=row.pk, now=now)
    assert mail.outbox[0].subject == "[Trial] Decide"
