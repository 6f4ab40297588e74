"""A host that comes while its release deploys: it joins by an amendment, is done, and everything ends as usual."""

from __future__ import annotations

import pytest

from patchflow.kernel.models import RoleGrant, User
from releases.domain import plans
from releases.models import Job, Release, Rollout
from tests.factories import releases as stages
from tests.factories.releases import Yard
from tests.releases.domain.test_reviews import rolled_out
from tests.walks.conftest import Walk

pytestmark = pytest.mark.django_db


def test_a_late_comer_joins_a_deployment_and_the_change_is_closed(walk: Walk, yard: Yard) -> None:
    cast = walk.cast
    rfc = walk.authorized(yard.world, host_ids=[host.pk for host in yard.world.hosts])
    yard.world.at = walk.at
    release = stages.scheduling(yard, *stages.RFC.objects.filter(pk=rfc))
    late = release.planned_hosts.order_by("-ring__number", "-host_id")[0].host
    plans.drop_host(release_id=release.pk, host_id=late.pk, reason="Is being installed.", actor=cast.rex, at=walk.at)
    stages.manifests.seal(release_id=release.pk, actor=cast.rex, at=walk.at)
    release = stages.sign(yard, Release.objects.get(pk=release.pk))
    at = f"releases/{release.pk}"
    walk.say(cast.rex, f"{at}/deploy")
    rollout = Rollout.objects.get(release=release)
    assert rollout.jobs.count() == 2
    assert walk.refused(cast.gus, f"{at}/propose_amendment", reason="It is there now.") == {
        "role.release.seal",
        "release.four_eyes",
    }
    walk.say(cast.rex, f"{at}/propose_amendment", reason="It is there now.")
    assert walk.refused(cast.rex, f"{at}/propose_amendment", reason="Once more.") == {"conflict.amendment"}
    digest = release.amendments.get().digest
    RoleGrant.objects.create(user=cast.rex, role="readiness_approver", scope="")  # so that only four eyes stop him
    rex = User.objects.get(pk=cast.rex.pk)
    assert walk.refused(rex, f"{at}/sign_amendment", verdict="approve", digest_seen=digest) >= {"signoff.four_eyes"}
    walk.say(cast.gus, f"{at}/sign_amendment", verdict="approve", digest_seen=digest)
    assert Job.objects.get(rollout=rollout, host=late).state == "pending"
    done = rolled_out(yard, release)
    walk.come(Rollout.objects.get(pk=rollout.pk).ended_at or walk.at)
    assert (done.state, done.outcome) == ("deployed", "full")
    assert set(rollout.jobs.values_list("state", flat=True)) == {"succeeded"}
    assert walk.reviewed(done) == "completed"
    assert walk.closed(rfc, "successful") == ("closed", "completed")


def test_refused_it_is_owed_and_the_next_change_takes_it_up(walk: Walk, yard: Yard) -> None:
    cast = walk.cast
    rfc = walk.authorized(yard.world, host_ids=[host.pk for host in yard.world.hosts])
    yard.world.at = walk.at
    release = stages.scheduling(yard, *stages.RFC.objects.filter(pk=rfc))
    late = release.planned_hosts.order_by("-ring__number", "-host_id")[0].host
    plans.drop_host(release_id=release.pk, host_id=late.pk, reason="Is being installed.", actor=cast.rex, at=walk.at)
    stages.manifests.seal(release_id=release.pk, actor=cast.rex, at=walk.at)
    release = stages.sign(yard, Release.objects.get(pk=release.pk))
    at = f"releases/{release.pk}"
    walk.say(cast.rex, f"{at}/deploy")
    walk.say(cast.rex, f"{at}/propose_amendment", reason="It is there now.")
    digest = release.amendments.get().digest
    walk.say(cast.gus, f"{at}/sign_amendment", verdict="refuse", comment="The next change.", digest_seen=digest)
    done = rolled_out(yard, release)
    walk.come(Rollout.objects.get(release=release).ended_at or walk.at)
    assert (done.state, done.outcome) == ("deployed", "full")
    assert not Job.objects.filter(host=late).exists()
    targets = dict(stages.RFC.objects.get(pk=rfc).targets.values_list("host_id", "outcome"))
    assert targets[late.pk] == "owed"
    assert walk.reviewed(done) == "completed"
