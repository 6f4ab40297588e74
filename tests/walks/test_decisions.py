"""Walks that end at, or come back from, the decision: refused, rejected, expired, replaced, lapsed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from changes.domain import supersedence
from changes.models import RFC, SoftwareUpdate
from patchflow.kernel import signoffs, tasks
from releases.domain import release_gates
from releases.models import Release
from tests.factories import changes as made
from tests.factories import releases as stages
from tests.factories.changes import World, make_update, make_world
from tests.factories.releases import Yard
from tests.walks.conftest import Walk

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(walk: Walk) -> World:
    world = make_world(walk.cast, walk.at)
    from changes.domain import cycles

    cycles.notified(update_ids=[world.update.pk], actor=walk.cast.bot, at=walk.at)
    return world


def replace(update: SoftwareUpdate, world: World) -> SoftwareUpdate:
    """A newer update of the same package appears."""
    newer = make_update(update.name, "3.0.16-1~deb12u1", at=world.at, hosts=world.hosts)
    SoftwareUpdate.objects.filter(pk=update.pk).update(superseded_by=newer)
    return newer


def test_refused_then_revised_then_approved(walk: Walk, world: World) -> None:
    cast, pk = walk.cast, walk.raised(world)
    walk.say(cast.che, f"rfcs/{pk}/evaluate")
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    walk.signed(pk, cast.sam)
    round_ = signoffs.open_round_of(RFC.objects.get(pk=pk))
    assert round_ is not None
    no = {"verdict": "refuse", "digest_seen": round_.digest}
    assert walk.refused(cast.cal, f"rounds/{round_.pk}/decide", **no) == {"signoff.comment"}
    walk.say(cast.cal, f"rounds/{round_.pk}/decide", comment="Which hosts first?", **no)
    assert walk.state(pk) == "evaluating"
    walk.say(cast.ann, f"rfcs/{pk}/revise", implementation_plan="The test hosts first.", reason="asked by the board")
    assert "rfc.risk_old" in walk.refused(cast.che, f"rfcs/{pk}/request_approval")
    walk.say(cast.che, f"rfcs/{pk}/score")
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.signed(pk) == "authorized"
    walk.say(cast.ann, f"rfcs/{pk}/cancel", reason="the service is retired")
    assert (walk.state(pk), walk.unneeded(pk)) == ("cancelled", "completed")


def test_sent_back_and_rejected_leaves_a_cycle_that_is_not_needed(walk: Walk, world: World) -> None:
    cast, pk = walk.cast, walk.raised(world)
    walk.say(cast.che, f"rfcs/{pk}/send_back", reason="one host too many")
    assert walk.state(pk) == "draft"
    walk.say(cast.ann, f"rfcs/{pk}/submit")
    walk.say(cast.che, f"rfcs/{pk}/evaluate")
    assert "cycle.rfcs_not_withdrawn" in walk.refused(
        cast.che, f"cycles/{RFC.objects.get(pk=pk).cycle_id}/close_unneeded", reason="x"
    )
    walk.say(cast.che, f"rfcs/{pk}/reject", reason="not worth it")
    assert (walk.state(pk), walk.unneeded(pk)) == ("rejected", "completed")


def test_a_round_that_expires_is_asked_again(walk: Walk, world: World) -> None:
    cast, pk = walk.cast, walk.raised(world)
    walk.say(cast.che, f"rfcs/{pk}/evaluate")
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    round_ = signoffs.open_round_of(RFC.objects.get(pk=pk))
    assert round_ is not None
    walk.wait(days=8)
    tasks.expire_rounds()
    assert walk.state(pk) == "evaluating"
    late = {"verdict": "approve", "digest_seen": round_.digest}
    assert walk.refused(cast.sam, f"rounds/{round_.pk}/decide", **late) == {"signoff.round_over"}
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.signed(pk) == "authorized"
    walk.say(cast.che, f"rfcs/{pk}/cancel", reason="done by hand meanwhile")
    assert (walk.state(pk), walk.unneeded(pk)) == ("cancelled", "completed")


def test_a_replaced_update_holds_the_change_once_and_is_kept(walk: Walk, world: World) -> None:
    cast, pk = walk.cast, walk.authorized(world)
    replace(world.update, world)
    assert supersedence.due_notes(now=walk.at) == 1
    assert walk.refused(cast.rex, "releases", rfc_ids=[pk], executor="simulator") == {"hold.open"}
    walk.say(cast.che, f"rfcs/{pk}/resume", reason="3.0.15 is enough until the next month")
    assert supersedence.due_notes(now=walk.at) == 0, "decided once"
    assert walk.state(pk) == "authorized"
    assert walk.say(cast.rex, "releases", rfc_ids=[pk], executor="simulator")["state"] == "planning"


def test_a_replaced_update_is_moved_to_and_approved_anew(walk: Walk, world: World) -> None:
    cast, pk = walk.cast, walk.authorized(world)
    newer = replace(world.update, world)
    supersedence.due_notes(now=walk.at)
    moved = walk.say(cast.che, f"rfcs/{pk}/move", reason="take the newer one")
    assert ([u["update"] for u in moved["updates"]], moved["state"]) == ([newer.pk], "evaluating")
    assert supersedence.due_notes(now=walk.at) == 0
    walk.say(cast.che, f"rfcs/{pk}/score")
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.signed(pk) == "authorized"
    assert walk.refused(cast.che, f"rfcs/{pk}/move", reason="again") == {"rfc.not_superseded"}


def test_who_chooses_an_older_update_knows_it_and_a_withdrawn_one_is_told(walk: Walk, world: World) -> None:
    cast = walk.cast
    replace(world.update, world)
    pk = walk.raised(world)
    assert supersedence.due_notes(now=walk.at) == 0
    SoftwareUpdate.objects.filter(pk=world.update.pk).update(withdrawn_at=walk.at)
    assert supersedence.due_notes(now=walk.at) == 1
    assert walk.refused(cast.che, f"rfcs/{pk}/evaluate") == {"hold.open"}
    walk.say(cast.che, f"rfcs/{pk}/cancel", reason="the vendor withdrew it")
    assert (walk.state(pk), walk.unneeded(pk)) == ("cancelled", "completed")


def test_facts_change_after_authorization(walk: Walk, yard: Yard) -> None:
    """The authorization lapses, the ready release goes back to scheduling, is sealed on the new one, and both come to their end."""
    cast, pk = walk.cast, walk.authorized(yard.world, not_after=(walk.at + timedelta(days=20)).isoformat())
    release = walk.ready(yard, pk)
    type(yard.world.hosts[0].ci).objects.filter(host__in=yard.world.hosts).update(criticality=1)
    walk.say(cast.che, f"rfcs/{pk}/score")
    assert walk.state(pk) == "evaluating"
    assert release_gates.recheck(now=walk.at) == 1
    assert Release.objects.get(pk=release.pk).state == "scheduling"
    assert "rfc.not_authorized" in walk.refused(cast.rex, f"releases/{release.pk}/seal")
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.signed(pk) == "authorized"
    before = stages.manifest_of(release).document["rfcs"]
    walk.say(cast.rex, f"releases/{release.pk}/seal")
    now = stages.manifest_of(release).document["rfcs"]
    assert now == [{"rfc": RFC.objects.get(pk=pk).number, "digest": RFC.objects.get(pk=pk).change_digest}] != before
    release = walk.deployed(yard, stages.sign(yard, Release.objects.get(pk=release.pk)))
    assert (release.state, release.outcome) == ("deployed", "full")
    assert walk.reviewed(release) == "completed"
    assert walk.closed(pk, "successful") == ("closed", "completed")


def test_facts_change_while_readiness_is_asked(walk: Walk, yard: Yard) -> None:
    """Nobody can sign what is no longer authorized; its refusal sends the release to planning, from where it comes to its end."""
    cast, pk = walk.cast, walk.authorized(yard.world, not_after=(walk.at + timedelta(days=20)).isoformat())
    yard.world.at = walk.at
    release = stages.sealed(yard, RFC.objects.get(pk=pk))
    type(yard.world.hosts[0].ci).objects.filter(host__in=yard.world.hosts).update(criticality=1)
    walk.say(cast.che, f"rfcs/{pk}/score")
    assert walk.state(pk) == "evaluating"
    at, round_ = f"releases/{release.pk}", signoffs.open_round_of(release)
    assert round_ is not None
    seen = {"digest_seen": round_.digest}
    assert "rfc.not_authorized" in walk.refused(cast.gus, f"{at}/sign", verdict="approve", **seen)
    walk.say(cast.gus, f"{at}/sign", verdict="refuse", comment="Its change has lapsed.", **seen)
    assert Release.objects.get(pk=release.pk).state == "planning"
    assert "rfc.not_authorized" in walk.refused(cast.rex, f"{at}/build")
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.signed(pk) == "authorized"
    walk.say(cast.rex, f"{at}/build")
    stages.work(yard, release)
    yard.machine(yard.test_host).packages[yard.world.update.name] = yard.old
    stages.run_tests(yard, release)
    walk.say(cast.rex, f"{at}/seal")
    release = walk.deployed(yard, stages.sign(yard, release))
    assert (release.state, release.outcome) == ("deployed", "full")
    assert walk.reviewed(release) == "completed"
    assert walk.closed(pk, "successful") == ("closed", "completed")


def test_send_back_after_a_licence_was_lost(walk: Walk, world: World) -> None:
    """A standard change whose model lost its licence waits where it is, is sent back, and ends as a normal one."""
    cast, model = walk.cast, made.licensed_model(world)
    walk.say(cast.che, f"change-models/{model.pk}/withdraw", reason="a doubt")
    pk = walk.raised(world, kind="standard", change_model_id=model.pk)
    assert walk.state(pk) == "submitted"
    assert walk.refused(cast.che, f"rfcs/{pk}/evaluate") == {"rfc.kind"}
    walk.say(cast.che, f"rfcs/{pk}/send_back", reason="make it normal")
    walk.say(cast.ann, f"rfcs/{pk}/revise", kind="normal", change_model_id=None)
    walk.say(cast.ann, f"rfcs/{pk}/submit")
    assert walk.say(cast.che, f"rfcs/{pk}/evaluate")["state"] == "evaluating"
