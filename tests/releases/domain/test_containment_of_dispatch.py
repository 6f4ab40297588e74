"""No host is let through whose manifest is not contained in a valid change digest, whatever was done to the documents."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changes.models import RFCTarget
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import SignOffRound
from releases.domain.gates import ask_whole
from releases.models import Job, Manifest
from tests.factories.rollouts import Deployment, seal

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db


class Undo(Exception):
    """Takes one example back."""


def wider(document: dict[str, Any], how: str, text: str) -> dict[str, Any]:
    """The document, made to say something that nobody approved."""
    found = copy.deepcopy(document)
    host, package = found["hosts"][0], found["classes"][0]["packages"][0]
    match how:
        case "version":
            package["to"] = package["source_version"] = host["packages"][0]["to"] = found["artifacts"][0]["version"] = (
                text
            )
        case "host":
            found["hosts"].append({**host, "host": 99999, "name": text})
            found["way_back"]["hosts"].append({**found["way_back"]["hosts"][0], "host": 99999})
        case "package":
            extra = {**package, "name": text, "source": text, "dependency": False}
            found["classes"][0]["packages"].append(extra)
            host["packages"].append({"name": text, "arch": "amd64", "from": "", "to": extra["to"]})
            found["artifacts"].append({**found["artifacts"][0], "package": text})
            found["way_back"]["hosts"][0]["packages"].append({"name": text, "arch": "amd64", "to": ""})
        case "hash":
            found["artifacts"][0]["sha256"] = text
        case "removal":
            package["to"] = host["packages"][0]["to"] = ""
        case "ring":
            host["ring"] = 77
        case "way_back":
            found["way_back"] = {"kind": "none", "hosts": [], "artifacts": []}
        case "update":
            found["updates"][0]["fixed_version"] = text
        case "rfc":
            found["rfcs"][0]["digest"] = digest(text)
    return found


HOW = ["version", "host", "package", "hash", "removal", "ring", "way_back", "update", "rfc"]


def test_nothing_wider_than_what_was_approved_is_let_through(make: Make) -> None:
    """Each example seals the wider document, has it signed in a passed round, and lets the rollout of it tick: no claim."""
    deployment = make(hosts=2)
    deployment.start()
    original = deployment.manifest.document

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(HOW), st.text("abcdefghij0123456789", min_size=3, max_size=12))
    def tried(how: str, text: str) -> None:
        try:
            with transaction.atomic():
                manifest = seal(
                    deployment.release,
                    {**wider(original, how, text), "revision": 2},
                    deployment.cast,
                    deployment.clock.at,
                )
                rollout = deployment.rollout
                type(rollout).objects.filter(pk=rollout.pk).update(manifest=manifest)
                slip = ask_whole(deployment.rollout, at=deployment.clock.at)
                assert not slip.runs, how
                assert slip.code == "digests", how
                assert deployment.tick() == 0
                assert set(Job.objects.values_list("state", flat=True)) == {"pending"}
                raise Undo
        except Undo:
            pass

    tried()
    assert Manifest.objects.count() == 1
    assert deployment.tick() == 2, "what was approved does run"


def test_an_authorization_lost_between_two_hosts_stops_the_second(make: Make) -> None:
    """Both are let through by one tick. What the first act has read is no answer for the second."""
    deployment = make(hosts=2)
    deployment.start()
    assert deployment.tick() == 2
    deployment.visit(0)
    assert deployment.job(0).ordered_at
    SignOffRound.objects.filter(subject_type="changes.rfc", subject_id=deployment.rfc.pk).update(state="void")
    deployment.visit(1)
    job = deployment.job(1)
    assert (job.state, job.code, job.ordered_at) == ("pending", "changes", None)
    assert {effect.address for effect in deployment.simulator.effects()} <= {deployment.hosts[0].name}


def test_a_change_altered_between_two_hosts_stops_the_second(make: Make) -> None:
    deployment = make(hosts=2)
    deployment.start()
    assert deployment.tick() == 2
    deployment.visit(0)
    RFCTarget.objects.filter(rfc=deployment.rfc, host=deployment.hosts[1]).delete()
    deployment.visit(1)
    job = deployment.job(1)
    assert (job.state, job.code, job.ordered_at) == ("pending", "digests", None)
