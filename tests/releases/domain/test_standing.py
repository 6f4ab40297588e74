"""A release on hold stands still where it is, and goes on when somebody resumes it."""

from __future__ import annotations

from typing import Any

import pytest

from changes.models import Hold
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from releases.domain import acceptance, builds, plans, releases, standing
from releases.models import Release
from tests.factories.releases import Yard, composed, in_testing, ready, rfc_of

pytestmark = pytest.mark.django_db


def hold(yard: Yard, release: Release) -> Hold:
    return standing.place(release_id=release.pk, reason="wait for vendor", actor=yard.cast.che, at=yard.at)


def test_a_hold_is_placed_once_with_a_reason_by_who_may(yard: Yard) -> None:
    release = composed(yard)
    with pytest.raises(NotAllowed):
        standing.place(release_id=release.pk, reason="wait", actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Invalid):
        standing.place(release_id=release.pk, reason=" ", actor=yard.cast.che, at=yard.at)
    placed = hold(yard, release)
    with pytest.raises(Conflict):
        hold(yard, release)
    with pytest.raises(NotAllowed):
        standing.resume(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert standing.resume(release_id=release.pk, reason="ok", actor=yard.cast.che, at=yard.at).pk == placed.pk
    with pytest.raises(Conflict):
        standing.resume(release_id=release.pk, actor=yard.cast.che, at=yard.at)
    done = AuditEntry.objects.filter(verb__startswith="change.hold.", outcome="done").order_by("pk")
    assert [(e.verb, e.object_id) for e in done] == [
        ("change.hold.placed", str(release.pk)),
        ("change.hold.resumed", str(release.pk)),
    ]


@pytest.mark.parametrize("state", ["planning", "testing", "ready"])
def test_on_hold_nothing_takes_it_on_and_it_can_still_be_given_up(yard: Yard, state: str) -> None:
    release = {"planning": composed, "testing": in_testing, "ready": ready}[state](yard)
    hold(yard, release)
    given: dict[str, Any] = {"release_id": release.pk, "actor": yard.cast.rex, "at": yard.at}
    acts: dict[str, list[Any]] = {
        "planning": [
            lambda: builds.request(**given),
            lambda: plans.choose_profile(**given, profile_id=yard.profile.pk),
        ],
        "testing": [lambda: acceptance.request_runs(**{**given, "actor": yard.cast.tia})],
        "ready": [lambda: releases.deploy(**given)],
    }
    for act in [*acts[state], lambda: releases.revise(**given, reason="other hosts")]:
        with pytest.raises(Blocked) as refused:
            act()
        assert "On hold by che: wait for vendor. Resume it first." in [str(b) for b in refused.value.blockers]
    assert releases.cancel(**given, reason="not now").state == "cancelled"
    with pytest.raises(Conflict) as ended:
        hold(yard, composed_and_cancelled(yard))
    assert "there is nothing to hold" in str(ended.value)


def composed_and_cancelled(yard: Yard) -> Release:
    release = composed(yard, rfc_of(yard))
    return releases.cancel(release_id=release.pk, reason="x", actor=yard.cast.rex, at=yard.at)
