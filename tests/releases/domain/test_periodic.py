"""Reviews at intervals: figures that rows prove, frozen when completed; actions followed; the next one opens by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from changes.models import RFC
from cmdb.models import Host
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, User
from patchflow.reports.queries.waiting import waiting_for
from releases.domain import periodic, readiness
from releases.enums import PeriodicKind
from releases.models import Job, PeriodicRecord, PeriodicReview, ReviewDefinition
from releases.queries.periodic import figures, next_period
from tests.crowd import together
from tests.factories.cmdb import MADE, make_host
from tests.factories.people import Cast
from tests.factories.releases import Yard
from tests.releases.domain.test_reviews import deployed

MONTH = timedelta(days=30)


def opened(cast: Cast, at: datetime, **fields: Any) -> PeriodicReview:
    said = {"kind": "operations", "starts_at": at - MONTH, "ends_at": at, "actor": cast.che, "at": at}
    return periodic.open_review(**{**said, **fields})


def test_figures_of_a_period_are_what_the_rows_say(yard: Yard) -> None:
    release = deployed(yard)
    end = yard.at + timedelta(days=60)
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    assert rfc.clock_stopped_at is not None
    found = figures("operations", yard.at - MONTH, end, at=end)
    days = f"{(rfc.clock_stopped_at - rfc.clock_started_at).total_seconds() / 86400:.1f}"
    assert found["days_to_start"] == {"changes": 1, "median_days": days}
    last = Job.objects.order_by("-ended_at").values_list("ended_at", flat=True)[0]
    assert last is not None
    reached = f"{(last - rfc.clock_started_at).total_seconds() / 86400:.1f}"
    assert found["days_to_reach"] == {"changes": 1, "median_days": reached}, "three hosts: 95 % are all of them"
    assert found["success"] == {"succeeded": 3, "failed": 0, "unknown": 0, "not_needed": 0}
    assert found["rollouts"] == {"started": 1, "halted": 0, "halts": 0, "taken_back": 0}
    assert found["emergencies"] == {"submitted": 1, "emergency": 0}
    assert (found["unknown"]["hosts"], found["load"]["decisions"] > 0) == (Host.objects.live().count(), True)
    result = "met" if rfc.start_by and rfc.clock_stopped_at <= rfc.start_by else "missed"
    assert found["deadlines"] == (
        {rfc.update_class: {**dict.fromkeys(("met", "missed", "running"), 0), result: 1}} if rfc.start_by else {}
    )


def test_figures_leave_out_what_lies_outside_the_period(yard: Yard) -> None:
    deployed(yard)
    before = figures("operations", yard.at - 2 * MONTH, yard.at - MONTH, at=yard.at)
    assert (before["success"]["succeeded"], before["rollouts"]["started"], before["emergencies"]["submitted"]) == (
        0,
        0,
        0,
    )
    assert before["days_to_reach"] == before["days_to_start"] == {"changes": 0, "median_days": None}
    Job.objects.update(state="lost")
    after = figures("sla", yard.at - MONTH, yard.at + 2 * MONTH, at=yard.at + 2 * MONTH)
    assert after["success"] == {"succeeded": 0, "failed": 0, "unknown": 3, "not_needed": 0}, "lost is no success"


def test_completed_review_keeps_its_figures_with_their_moment(cast: Cast, now: datetime) -> None:
    review = opened(cast, now)
    with pytest.raises(Blocked) as refused:
        periodic.complete(review_id=review.pk, conclusion="", actor=cast.che, at=now)
    assert {b.code for b in refused.value.blockers} == {"periodic.not_discussed", "periodic.no_conclusion"}
    periodic.remark(review_id=review.pk, text="Quiet.", actor=cast.rex, at=now)
    later = now + timedelta(hours=2)
    for person in (cast.ann, cast.otto, cast.eve, cast.root):
        with pytest.raises(NotAllowed):
            periodic.complete(review_id=review.pk, conclusion="Go on.", actor=person, at=later)
    done = periodic.complete(review_id=review.pk, conclusion="Go on.", actor=cast.che, at=later)
    record = PeriodicRecord.objects.get()
    assert (done.state, record.taken_at, record.figures["asked_at"]) == (
        "completed",
        later,
        f"{later:%Y-%m-%dT%H:%M:%SZ}",
    )
    make_host("one more")
    assert PeriodicRecord.objects.get().figures["unknown"]["hosts"] == 0
    with pytest.raises(Conflict):
        record.save()
    with pytest.raises(DatabaseError), transaction.atomic():
        PeriodicRecord.objects.get_queryset().filter(pk=record.pk)._raw_delete(using="default")
    with pytest.raises(Conflict):
        periodic.remark(review_id=review.pk, text="But…", actor=cast.che, at=later)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "weather"}, "invalid.kind"),
        ({"ends_at": datetime(2026, 12, 1, tzinfo=UTC)}, "invalid.ends_at"),
        ({"starts_at": datetime(2024, 1, 1, tzinfo=UTC)}, "invalid.ends_at"),
    ],
)
def test_open_refuses_periods_that_are_none(cast: Cast, now: datetime, fields: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        opened(cast, now, **fields)
    assert [b.code for b in refused.value.blockers] == [code]
    opened(cast, now)
    with pytest.raises(Conflict):
        opened(cast, now)
    opened(cast, now, kind="sla")


def test_actions_are_followed_until_their_owner_settles_them(cast: Cast, now: datetime) -> None:
    review = opened(cast, now)
    said = {"review_id": review.pk, "text": "Name who is called", "owner_id": cast.otto.pk}
    with pytest.raises(Invalid):
        periodic.raise_action(**said, due_on=now.date() - timedelta(days=1), actor=cast.che, at=now)
    action = periodic.raise_action(**said, due_on=now.date(), actor=cast.che, at=now)
    periodic.remark(review_id=review.pk, text="Yes.", actor=cast.che, at=now)
    periodic.complete(review_id=review.pk, conclusion="See above.", actor=cast.che, at=now)
    place = reverse("releases:periodic-settle", args=[review.pk, action.pk])
    assert [(t.act, t.title, t.url) for t in waiting_for(cast.otto, at=now)] == [
        ("Action", "Name who is called", place)
    ]
    assert "st-bad" in {t.css for t in waiting_for(cast.otto, at=now + timedelta(days=2))}
    with pytest.raises(NotAllowed):
        periodic.settle_action(review_id=review.pk, action_id=action.pk, outcome="x", actor=cast.ann, at=now)
    periodic.settle_action(review_id=review.pk, action_id=action.pk, outcome="It is Otto.", actor=cast.otto, at=now)
    action.refresh_from_db()
    assert (action.state, waiting_for(cast.otto, at=now)) == ("done", [])
    with pytest.raises(Conflict):
        periodic.settle_action(review_id=review.pk, action_id=action.pk, outcome="x", actor=cast.otto, at=now)


def test_the_next_review_opens_by_itself_for_who_had_the_last(cast: Cast, now: datetime, settings: Any) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "OPERATIONS_REVIEW_DAYS": 7, "SLA_REVIEW_DAYS": 0}
    assert periodic.sweep(now=now) == 0, "no host yet, so nothing to review"
    make_host("first")
    assert periodic.sweep(now=MADE + timedelta(days=6)) == 0
    due = MADE + timedelta(days=8)
    assert (periodic.sweep(now=due), periodic.sweep(now=due)) == (1, 0)
    review = PeriodicReview.objects.get()
    assert (review.kind, review.starts_at, review.ends_at, review.owner) == (
        "operations",
        MADE,
        MADE + timedelta(days=7),
        None,
    )
    assert [t.url for t in waiting_for(cast.che, at=due)] == [review.get_absolute_url()], (
        "nobody's: who may complete it"
    )
    periodic.assign(review_id=review.pk, owner_id=cast.rex.pk, actor=cast.che, at=due)
    assert waiting_for(cast.che, at=due) == []
    assert [t.url for t in waiting_for(cast.rex, at=due)] == [review.get_absolute_url()]
    periodic.remark(review_id=review.pk, text="Fine.", actor=cast.rex, at=due)
    periodic.complete(review_id=review.pk, conclusion="Fine.", actor=cast.rex, at=due)
    assert next_period("operations") == (review.ends_at, review.ends_at + timedelta(days=7))
    assert next_period("sla") is None
    assert periodic.sweep(now=due + timedelta(days=7)) == 1
    assert PeriodicReview.objects.get(state="open").owner == cast.rex


# --- pages and REST -------------------------------------------------------------------------------------------------------
def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


@pytest.mark.pg
@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_open_one_and_none_of_them_ends_in_a_refusal(cast: Cast, now: datetime) -> None:
    make_host("web-01")
    due = MADE + timedelta(days=400)
    assert sum(together([lambda: periodic.sweep(now=due)] * 5)) == len(PeriodicKind)
    assert sorted(PeriodicReview.objects.values_list("kind", flat=True)) == sorted(PeriodicKind.values)
    assert set(AuditEntry.objects.filter(verb="release.periodic.opened").values_list("outcome", flat=True)) == {"done"}


def test_pages_from_opening_to_the_record(cast: Cast) -> None:
    che, now = client(cast.che), timezone.now()
    day = (now - timedelta(days=1)).date()
    said = {"kind": "sla", "from_on": day - timedelta(days=30), "to_on": day, "owner_id": cast.che.pk}
    assert che.post(reverse("releases:periodic-open"), {**said, "to_on": day + timedelta(days=9)}).status_code == 400
    review_url = che.post(reverse("releases:periodic-open"), said)["Location"]
    review = PeriodicReview.objects.get()
    assert che.post(review_url, {"text": "We kept them."}).status_code == 302
    act = {"text": "Say so to the board", "owner_id": cast.cal.pk, "due_on": now.date() + timedelta(days=3)}
    assert che.post(reverse("releases:periodic-act", args=[review.pk]), act).status_code == 302
    assert che.post(reverse("releases:periodic-complete", args=[review.pk]), {"conclusion": "Kept."}).status_code == 302
    shown = che.get(review_url).content.decode()
    for part in ("We kept them.", "Say so to the board", "Kept.", review.record.digest[:4]):
        assert part in shown
    settle = reverse("releases:periodic-settle", args=[review.pk, review.actions.get().pk])
    assert client(cast.eve).get(settle).status_code == 404
    assert client(cast.cal).post(settle, {"outcome": "Said."}).status_code == 302
    for person in (cast.eve, cast.root):
        assert client(person).get(review_url).status_code == 404
        assert "SLA" not in client(person).get(reverse("releases:periodic-list")).content.decode().split("<main")[1]


def test_rest_from_opening_to_the_record(cast: Cast, now: datetime) -> None:
    che = APIClient()
    che.force_authenticate(cast.che)
    url = "/api/v1/periodic-reviews/"
    said = {"kind": "operations", "starts_at": "2026-10-01T00:00:00Z", "ends_at": "2026-11-01T00:00:00Z"}
    made = che.post(url, said, format="json")
    assert (made.status_code, made.data["recorded"]) == (201, None)
    place = f"{url}{made.data['id']}"
    assert che.get(f"{place}/figures/").data["success"]["succeeded"] == 0
    che.post(f"{place}/remark/", {"text": "Quiet."}, format="json")
    assert (
        che.post(f"{place}/complete/", {"conclusion": "Go on."}, format="json").data["recorded"]["from"]
        == "2026-10-01T00:00:00Z"
    )
    assert che.post(f"{place}/complete/", {"conclusion": "Again."}, format="json").status_code == 409
    stranger = APIClient()
    stranger.force_authenticate(cast.eve)
    assert stranger.get(f"{place}/").status_code == 404


# --- slots ------------------------------------------------------------------------------------------------------------------
def test_a_slot_is_configured_on_its_page_by_who_edits_settings(cast: Cast) -> None:
    place = reverse("releases:slot-configure", args=["before_deploy"])
    said = {
        "kind": "emergency",
        "name": "Go or no-go",
        "questions": "Who stops it?\n\nWho is told?",
        "role1": "cab_chair",
        "quorum1": "first",
    }
    for person in (cast.rex, cast.che, cast.eve):
        assert client(person).post(place, said).status_code == 404
    ada = client(cast.ada)
    assert ada.post(place, {**said, "role1": ""}).status_code == 400, "before deployment somebody is asked"
    assert ada.post(place, said).status_code == 302
    row = ReviewDefinition.objects.get()
    assert (row.kind, row.questions, [level["role"] for level in row.levels]) == (
        "emergency", ["Who stops it?", "Who is told?"], ["cab_chair"],
    )  # fmt: skip
    assert readiness.definition("before_deploy", "emergency").name == "Go or no-go"
    assert readiness.definition("before_deploy", "normal").name == "Release Readiness Review"
    shown = client(cast.rex).get(reverse("releases:slot-show")).content.decode()
    assert "Go or no-go" in shown
    assert place not in shown
    assert client(cast.eve).get(reverse("releases:slot-show")).status_code == 404


def test_a_slot_is_configured_over_rest(cast: Cast) -> None:
    ada, rex = APIClient(), APIClient()
    ada.force_authenticate(cast.ada)
    rex.force_authenticate(cast.rex)
    said = {"slot": "after_deploy", "name": "Look back", "questions": ["What did we learn?"]}
    assert rex.post("/api/v1/review-slots/", said, format="json").status_code == 403
    assert ada.post("/api/v1/review-slots/", said, format="json").status_code == 201
    rows = rex.get("/api/v1/review-slots/").data
    assert {row["name"] for row in rows if row["slot"] == "after_deploy"} == {"Look back"}
    wrong = {**said, "slot": "before_deploy", "levels": [{"name": "x", "role": "nobody", "quorum": "first"}]}
    assert ada.post("/api/v1/review-slots/", wrong, format="json").status_code == 400
