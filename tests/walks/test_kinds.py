"""A change of each kind, from raising to the end of its cycle."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from changes.domain import supersedence
from changes.models import RFC, ChangeModel, SoftwareUpdate
from releases.domain import advance, jobs
from releases.models import Job, Release, Rollout
from tests.factories import changes as made
from tests.factories import releases as stages
from tests.factories.changes import make_update
from tests.factories.releases import Yard
from tests.releases.domain.test_reviews import Night, _hosts_audited, rolled_out
from tests.walks.conftest import Walk

pytestmark = pytest.mark.django_db


def dates(walk: Walk) -> dict[str, str]:
    return {"not_after": (walk.at + timedelta(days=20)).isoformat()}


def test_normal(walk: Walk, yard: Yard) -> None:
    pk = walk.authorized(yard.world, **dates(walk))
    release = walk.deployed(yard, walk.ready(yard, pk))
    assert (release.state, release.outcome, walk.state(pk)) == ("deployed", "full", "implementing")
    assert walk.refused(walk.cast.rex, f"releases/{release.pk}/accept") == {"release.not_reviewed"}
    assert walk.reviewed(release) == "completed"
    assert walk.state(pk) == "in_review"
    assert walk.closed(pk, "successful") == ("closed", "completed")


def test_standard_and_a_failure_takes_the_licence_away(walk: Walk, yard: Yard) -> None:
    cast, model = walk.cast, made.licensed_model(yard.world)
    pk = walk.raised(yard.world, kind="standard", change_model_id=model.pk, **dates(walk))
    assert walk.state(pk) == "authorized"
    release = walk.ready(yard, pk)
    for host in yard.world.hosts:
        yard.machine(host).fails.add("openssl")
    walk.say(cast.rex, f"releases/{release.pk}/deploy")
    rolled_out(yard, release, days=2)
    rollout = Rollout.objects.get(release=release)
    assert rollout.state == "halted"
    walk.come(rollout.state_at)
    walk.say(cast.otto, f"rollouts/{rollout.pk}/stop", reason="it fails")
    rolled_out(yard, release, days=2)
    release = Release.objects.get(pk=release.pk)
    assert (release.state, release.outcome) == ("deployed", "failed")
    walk.come(release.finished_at or walk.at)
    assert walk.reviewed(release) == "completed"
    assert walk.closed(pk, "failed") == ("closed", "completed")
    assert ChangeModel.objects.get().state == "draft"
    again = walk.raised(yard.world, kind="standard", change_model_id=model.pk)
    assert walk.state(again) == "submitted"
    walk.say(cast.ann, f"rfcs/{again}/cancel", reason="first find out why")
    assert (walk.state(again), walk.cycle(again)) == ("cancelled", "assess"), "the next month has only begun"


def test_emergency_brings_what_it_owes_before_it_is_closed(walk: Walk, yard: Yard) -> None:
    cast = walk.cast
    pk = walk.raised(yard.world, kind="emergency", test_plan="", implementation_plan="", **dates(walk))
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.signed(pk, cast.cal) == "authorized"
    sealed = stages.sealed(yard, RFC.objects.get(pk=pk))
    release = stages.sign(yard, stages.sign(yard, sealed), cast.cal)
    assert release.state == "ready"
    release = walk.deployed(yard, release)
    assert walk.reviewed(release) == "completed"
    owed = {"code": "successful"}
    assert walk.refused(cast.che, f"rfcs/{pk}/close", **owed) == {"rfc.owed"}
    for name in ("implementation_plan", "test_plan"):
        walk.say(cast.ann, f"rfcs/{pk}/bring_owed", name=name, text="As it was done.")
    assert walk.closed(pk, "successful") == ("closed", "completed")


def test_broken_glass_is_reviewed_by_a_third_before_it_is_closed(walk: Walk, yard: Yard) -> None:
    cast = walk.cast
    pk = walk.raised(yard.world, kind="emergency", **dates(walk))
    assert "rfc.glass_not_asked" in walk.refused(cast.cal, f"rfcs/{pk}/break_glass", reason="now")
    walk.say(cast.ann, f"rfcs/{pk}/ask_break_glass", reason="exploited, nobody answers")
    assert "rfc.four_eyes_requester" in walk.refused(cast.ann, f"rfcs/{pk}/break_glass", reason="now")
    assert walk.say(cast.cal, f"rfcs/{pk}/break_glass", reason="it cannot wait")["state"] == "authorized"
    sealed = stages.sealed(yard, RFC.objects.get(pk=pk))
    release = walk.deployed(yard, stages.sign(yard, stages.sign(yard, sealed), cast.cal))
    assert walk.reviewed(release) == "completed"
    assert walk.refused(cast.che, f"rfcs/{pk}/close", code="successful") == {"rfc.glass_review_missing"}
    assert walk.refused(cast.cal, f"rfcs/{pk}/review_glass", justified=True, finding="x") == {"rfc.four_eyes_glass"}
    walk.say(cast.che, f"rfcs/{pk}/review_glass", justified=True, finding="Nobody of the board could be reached.")
    assert walk.closed(pk, "successful") == ("closed", "completed")


def test_superseded_in_the_middle_goes_on_with_the_rest(walk: Walk, yard: Yard) -> None:
    """The bot holds; the rollout is stopped, the change suspended, the rest approved anew and carried out by another release."""
    cast, world = walk.cast, yard.world
    pk = walk.authorized(world, **dates(walk))
    release = walk.ready(yard, pk)
    walk.say(cast.rex, f"releases/{release.pk}/deploy")
    walk.come(stage_one(yard, release))
    newer = make_update("openssl", "3.0.16-1~deb12u1", at=walk.at)
    SoftwareUpdate.objects.filter(pk=world.update.pk).update(superseded_by=newer)
    assert supersedence.due_notes(now=walk.at) == 1
    rollout = Rollout.objects.get(release=release)
    assert walk.refused(cast.che, f"rfcs/{pk}/lapse", reason="x") == {"hold.open"}
    assert "rfc.rollout_open" in walk.refused(cast.che, f"rfcs/{pk}/stop", reason="x")
    walk.say(cast.otto, f"rollouts/{rollout.pk}/stop", reason="a newer one is there")
    rolled_out(yard, release, days=2)
    release = Release.objects.get(pk=release.pk)
    assert (release.state, release.outcome) == ("deployed", "partial")
    walk.come(release.finished_at or walk.at)
    walk.say(cast.che, f"rfcs/{pk}/resume", reason="the rest gets this one too")
    assert walk.say(cast.che, f"rfcs/{pk}/lapse", reason="superseded in the middle")["state"] == "suspended"
    assert walk.reviewed(release) == "completed"
    assert walk.state(pk) == "suspended"
    assert walk.refused(cast.che, f"rfcs/{pk}/cancel", reason="x") == {"rfc.stop_it"}
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.signed(pk) == "implementing"
    rest = RFC.objects.get(pk=pk).targets.filter(removed_at__isnull=True).count()
    assert 0 < rest < len(world.hosts)
    second = walk.deployed(yard, walk.ready(yard, pk))
    assert (second.state, second.outcome) == ("deployed", "full")
    assert walk.reviewed(second) == "completed"
    assert walk.closed(pk, "successful_with_issues") == ("closed", "completed")


def stage_one(yard: Yard, release: Release) -> datetime:
    """Lets the first host go through, and no more; returns the time."""
    rollout = Rollout.objects.get(release=release)
    clock = Night(yard.at.replace(hour=22, minute=5))
    for _turn in range(40):
        if Job.objects.filter(rollout=rollout, state="succeeded").exists():
            break
        _hosts_audited(yard, clock.at)
        advance.advance(rollout_id=rollout.pk, now=clock.at)
        for pk in Job.objects.filter(jobs.DUE, rollout=rollout).values_list("pk", flat=True)[:1]:
            Job.objects.filter(pk=pk).update(not_before=None)
            jobs.run(job_id=pk, owner="test", now=clock.now, wait=clock.wait)
        clock.wait(300)
    return clock.at
