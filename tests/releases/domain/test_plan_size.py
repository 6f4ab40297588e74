"""Planning writes any number of jobs by the same number of queries."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.models import ConfigurationItem, Host
from patchflow.kernel.instance import instance_key
from releases.domain import rollouts
from releases.models import Job, Release, Rollout
from tests.factories.rollouts import Deployment, seal

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db


def many_hosts(deployment: Deployment, number: int) -> None:
    """Seals a manifest of `number` more hosts, all like the first."""
    names = [f"many-{number}-{n}" for n in range(number)]
    items = ConfigurationItem.objects.bulk_create([ConfigurationItem(kind="host", name=name) for name in names])
    hosts = Host.objects.bulk_create([Host(ci=ci, name=ci.name, added_at=deployment.clock.at) for ci in items])
    document = copy.deepcopy(deployment.manifest.document)
    first, back = document["hosts"][0], document["way_back"]["hosts"][0]
    document["hosts"] += [{**first, "host": h.pk, "name": h.name} for h in hosts]
    document["way_back"]["hosts"] += [{**back, "host": h.pk} for h in hosts]
    document["revision"] = deployment.release.manifests.count() + 1
    seal(deployment.release, document, deployment.cast, deployment.clock.at)


def test_planning_takes_the_same_number_of_queries_for_any_number_of_hosts(make: Make) -> None:
    deployment = make(hosts=1)
    counted = []
    for number in (3, 10, 2000):  # the first one also meets empty caches
        many_hosts(deployment, number)
        with CaptureQueriesContext(connection) as queries:
            rollout = rollouts.plan(release_id=deployment.release.pk, actor=deployment.cast.rex, at=deployment.clock.at)
        counted.append(len(queries))
        assert Job.objects.filter(rollout=rollout).count() == number + 1
        rollouts.cancel(rollout_id=rollout.pk, reason="again", actor=deployment.cast.rex, at=deployment.clock.at)
    assert counted[1] == counted[2] <= 25


def test_a_planned_job_says_what_it_will_change(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 1}, {"hosts": 1}])
    rollout = rollouts.plan(release_id=deployment.release.pk, actor=deployment.cast.rex, at=deployment.clock.at)
    job = Job.objects.get(rollout=rollout, host=deployment.hosts[1])
    assert job.packages == deployment.manifest.document["hosts"][1]["packages"]
    assert (job.ring.position, job.attempt, job.state) == (1, 1, "pending")
    assert job.job_key == f"{instance_key()}-{rollout.number}-{job.host_id}-1"
    assert Rollout.objects.get().state == "planned"


def test_a_stop_is_one_step_whatever_the_size_and_the_tick_does_the_rest(make: Make) -> None:
    """In force at once: the verb moves the rollout, and withdraws nobody; that is done by steps of some hundred jobs."""
    deployment = make(hosts=1)
    counted = []
    for number in (3, 5, rollouts.AT_ONCE + 100):  # the first one also meets empty caches
        many_hosts(deployment, number)
        rollout = deployment.start()
        with CaptureQueriesContext(connection) as queries:
            rollouts.stop(rollout_id=rollout.pk, reason="enough", actor=deployment.cast.otto, at=deployment.clock.at)
        counted.append(len(queries))
        assert set(Job.objects.filter(rollout=rollout).values_list("state", flat=True)) == {"pending"}
        deployment.tick()
        ended = Job.objects.filter(rollout=rollout)
        assert set(ended.values_list("state", "reason", "code")) == {("cancelled", "enough", "cancelled")}
        assert Rollout.objects.get(pk=rollout.pk).state == "stopped"
        Release.objects.filter(pk=deployment.release.pk).update(state="deploying", outcome="")
    assert counted[1] == counted[2]
