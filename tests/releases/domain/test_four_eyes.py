"""Law 1, both ways round: who requested, composed, built or starts does not sign; who signed neither builds nor starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from changes.domain import approvals
from patchflow.kernel import service_accounts, signoffs, substitutes, workflow
from patchflow.kernel.errors import Blocked, NotAllowed, Refusal
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.rules import failing
from releases.domain import builds, manifests, readiness, releases
from releases.models import Release
from releases.rules import not_signer
from tests.factories.people import ROLES, make_user
from tests.factories.releases import (
    Yard,
    building,
    in_testing,
    planned,
    ready,
    rfc_of,
    run_tests,
    scheduling,
    sealed,
    work,
)


def grant(user: User, *roles: str) -> User:
    RoleGrant.objects.bulk_create([RoleGrant(user=user, role=role) for role in roles], ignore_conflicts=True)
    return User.objects.get(pk=user.pk)


def everywhere(user: User) -> User:
    """The person with every role there is: only separation of duties is left to refuse."""
    return grant(user, *sorted({role for roles in ROLES.values() for role in roles}))


def refusal_codes(act: Callable[[], Any]) -> set[str]:
    """What the act is refused with; nothing of it stays."""
    try:
        with transaction.atomic():
            act()
            transaction.set_rollback(True)
    except Refusal as refusal:
        return {b.code for b in refusal.blockers}
    return set()


# --- who signed neither builds nor starts --------------------------------------------------------------------------------
@pytest.mark.parametrize("signer", ["cal", "sam"])
def test_who_signed_the_rfc_neither_builds_nor_seals_nor_starts(yard: Yard, signer: str) -> None:
    person = everywhere(getattr(yard.cast, signer))
    release = planned(yard)
    assert refusal_codes(lambda: builds.request(release_id=release.pk, actor=person, at=yard.at)) == {
        "release.four_eyes"
    }
    release = scheduling(yard, rfc_of(yard))
    assert refusal_codes(lambda: manifests.seal(release_id=release.pk, actor=person, at=yard.at)) == {
        "release.four_eyes"
    }
    release = ready(yard, rfc_of(yard))
    assert "release.four_eyes" in refusal_codes(
        lambda: releases.deploy(release_id=release.pk, actor=person, at=yard.at)
    )


def test_who_signed_the_manifest_does_not_start(yard: Yard) -> None:
    release = ready(yard)
    gus = everywhere(yard.cast.gus)
    assert "release.four_eyes" in refusal_codes(lambda: releases.deploy(release_id=release.pk, actor=gus, at=yard.at))
    assert failing([not_signer], release, yard.cast.rex) == []


def test_who_was_signed_for_does_not_start_either(yard: Yard) -> None:
    """As nobody signs on the seat of who starts it: else the order in which it is done would decide."""
    release, gus, sue = sealed(yard), yard.cast.gus, make_user("sue", "readiness_approver")
    given = {"starts_at": yard.at, "ends_at": yard.at + timedelta(days=1), "actor": gus, "at": yard.at}
    substitutes.name_substitute(user_id=gus.pk, substitute_id=sue.pk, **given)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    signed = readiness.decide(round_id=round_.pk, verdict="approve", comment="", actor=sue, at=yard.at)
    assert signed.on_behalf_of == gus
    for person in (gus, sue):
        starter = everywhere(person)
        assert "release.four_eyes" in refusal_codes(
            lambda who=starter: releases.deploy(release_id=release.pk, actor=who, at=yard.at)  # type: ignore[misc]
        )
    hands = release.signer_ids(seats=False)
    assert sue.pk in hands
    assert gus.pk not in hands, "what he started before that was asked goes on"


def test_who_refused_the_manifest_signed_it_too(yard: Yard) -> None:
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    readiness.decide(round_id=round_.pk, verdict="refuse", comment="too early", actor=yard.cast.gus, at=yard.at)
    gus = everywhere(yard.cast.gus)
    assert refusal_codes(lambda: builds.request(release_id=release.pk, actor=gus, at=yard.at)) == {"release.four_eyes"}


def test_a_superuser_who_signed_is_refused_like_anybody(yard: Yard) -> None:
    release = planned(yard)
    cal = yard.cast.cal
    cal.is_superuser = True
    cal.save()
    assert "release.four_eyes" in refusal_codes(
        lambda: builds.request(release_id=release.pk, actor=everywhere(cal), at=yard.at)
    )


def test_a_program_does_not_build_what_who_was_given_its_token_signed(yard: Yard) -> None:
    release = planned(yard)
    mia = grant(yard.cast.mia, "administrator")  # she signed the RFC
    program = service_accounts.add(username="pipeline", actor=yard.cast.ada, at=yard.at)
    RoleGrant.objects.create(user=program, role="release_manager")
    service_accounts.give_token(user_id=program.pk, days=1, actor=mia, at=yard.at)
    with pytest.raises(NotAllowed) as refused:
        builds.request(release_id=release.pk, actor=User.objects.get(pk=program.pk), at=yard.at)
    (why,) = refused.value.blockers
    assert (why.code, str(why.sentence).startswith("Somebody who was given a token of this program signed")) == (
        "release.four_eyes",
        True,
    )


# --- who made it does not sign --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "did"), [("ann", "requested the RFC"), ("rex", "composed, built and sealed")])
def test_who_made_it_is_not_even_asked(yard: Yard, name: str, did: str) -> None:
    person = everywhere(getattr(yard.cast, name))
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    assert not round_.levels.filter(voters__user=person).exists(), did
    codes = {b.code for b in signoffs.why_not_sign(round_, release, person, at=yard.at)}
    assert {"signoff.four_eyes", "signoff.not_asked"} <= codes
    with pytest.raises(NotAllowed):
        readiness.decide(round_id=round_.pk, verdict="approve", comment="", actor=person, at=yard.at)


def test_each_of_composer_builder_and_sealer_is_excluded_by_what_they_did(yard: Yard) -> None:
    """Three people share the work: none of the three signs."""
    roger, rita = (everywhere(User.objects.create(username=n)) for n in ("roger", "rita"))
    release = planned(yard)
    builds.request(release_id=release.pk, actor=roger, at=yard.at)
    work(yard, release)
    run_tests(yard, release)
    manifests.seal(release_id=release.pk, actor=rita, at=yard.at)
    out = readiness.excluded(Release.objects.get(pk=release.pk))
    assert {yard.cast.rex.pk, roger.pk, rita.pk, yard.cast.ann.pk} <= set(out)
    assert "built" in out[roger.pk]
    assert "sealed" in out[rita.pk]
    assert "composed" in out[yard.cast.rex.pk]
    assert "requested" in out[yard.cast.ann.pk]


def test_who_built_a_release_does_not_sign_its_rfc_later(yard: Yard) -> None:
    release = building(yard)
    rfc = release.links.get().rfc
    assert yard.cast.rex.pk in approvals.excluded(rfc)
    assert yard.cast.cal.pk not in approvals.excluded(rfc)


def test_nobody_left_to_sign_blocks_the_seal(yard: Yard) -> None:
    """The only approver built it: the seal says so instead of waiting for nobody."""
    gus = grant(yard.cast.gus, "release_manager")
    release = planned(yard)
    builds.request(release_id=release.pk, actor=gus, at=yard.at)
    work(yard, release)
    run_tests(yard, release)
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert {b.code for b in refused.value.blockers} == {"readiness.voters"}


def test_the_bot_signs_nothing(yard: Yard) -> None:
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    with pytest.raises(NotAllowed):
        readiness.decide(round_id=round_.pk, verdict="approve", comment="", actor=yard.cast.bot, at=yard.at)


# --- roles ----------------------------------------------------------------------------------------------------------------
MAY = {
    "build": {"rex"},
    "seal": {"rex"},
    "deploy": {"rex"},
    "revise": {"rex"},
    "cancel": {"rex"},
    "void": {"rex", "bot"},
    "built": {"bot"},
    "build_failed": {"bot"},
    "tested": {"tia", "bot"},
    "test_failed": {"tia", "bot"},
    "ready": {"gus"},
    "no_go": {"gus", "bot"},
}
"""Transition → who of the cast, each with their own role, passes its rules (gates apart)."""


def test_rules_by_role_and_transition(yard: Yard) -> None:
    """Every person of the cast against every transition before deployment, at a release that gus has signed."""
    from patchflow.kernel import fsm

    release = ready(yard)
    for name, expected in MAY.items():
        declared = next(t for t in fsm.MACHINES["releases.release"] if t.name == name)
        passing = {u.username for u in yard.cast if not failing(declared.allowed, release, u)}
        assert passing == expected, name


def test_transitions_cannot_be_fired_by_hand(yard: Yard) -> None:
    """What signs and what proves is asked by gates, whoever fires: an unsigned release is not made ready."""
    release = sealed(yard)
    gus = yard.cast.gus
    with pytest.raises(NotAllowed):
        workflow.fire(Release, release.pk, "ready", actor=gus, at=yard.at)
    release = in_testing(yard, rfc_of(yard))
    with pytest.raises(Blocked):
        workflow.fire(Release, release.pk, "tested", actor=yard.cast.tia, at=yard.at)
