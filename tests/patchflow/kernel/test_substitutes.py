"""Substitutes: a seat counts once, a person counts once, and nobody gets a right by being named."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core import mail
from django.db import IntegrityError, transaction

from patchflow.kernel import signoffs, substitutes
from patchflow.kernel.enums import Quorum
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.levels import LevelSpec
from patchflow.kernel.models import AuditEntry, RoleGrant, SignOff, SignOffRound, Substitution, User
from patchflow.notices.delivery import deliver
from patchflow.notices.models import Delivery
from tests.factories.people import Cast, make_user
from tests.toys.models import Page

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


@pytest.fixture
def page(cast: Cast) -> Page:
    return Page.objects.create(text="what was approved is what runs", author=cast.ann)


@pytest.fixture
def sue(cast: Cast) -> User:
    """A member of the board who is not asked."""
    return make_user("sue", "cab_member")


def opened(page: Page, cast: Cast, now: datetime, *levels: LevelSpec) -> SignOffRound:
    wanted = levels or (LevelSpec("Board", [(cast.cal, "cab_chair"), (cast.mia, "cab_member")], Quorum.ALL),)
    return signoffs.open_round(subject=page, levels=wanted, actor=cast.che, at=now)


def away(user: User, substitute: User, now: datetime, **changes: datetime) -> Substitution:
    span = {"starts_at": now, "ends_at": now + WEEK, **changes}
    return substitutes.name_substitute(user_id=user.pk, substitute_id=substitute.pk, actor=user, at=now, **span)


def sign(round_: SignOffRound, actor: User, now: datetime) -> SignOff:
    return signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=actor, at=now)


def codes(round_: SignOffRound, page: Page, actor: User, now: datetime) -> list[str]:
    return [b.code for b in signoffs.why_not_sign(round_, page, actor, at=now)]


def test_a_substitute_signs_on_the_seat_and_the_record_says_for_whom(
    page: Page, cast: Cast, sue: User, now: datetime
) -> None:
    round_ = opened(page, cast, now)
    assert codes(round_, page, sue, now) == ["signoff.not_asked"]
    away(cast.mia, sue, now)
    signed = sign(round_, sue, now)
    assert (signed.user, signed.on_behalf_of, str(signed)) == (sue, cast.mia, "sue for mia: approve")
    assert AuditEntry.objects.get(verb="signoff.round.signed").detail["for"] == "mia"
    assert codes(round_, page, cast.mia, now) == ["signoff.once"]
    assert codes(round_, page, sue, now)[-1:] == ["signoff.once"]
    sign(round_, cast.cal, now)
    round_.refresh_from_db()
    assert round_.state == "passed"


def test_a_seat_counts_once_in_the_database_too(page: Page, cast: Cast, sue: User, now: datetime) -> None:
    round_ = opened(page, cast, now)
    away(cast.mia, sue, now)
    signed = sign(round_, sue, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        SignOff.objects.create(
            round=round_, level=signed.level, user=cast.mia, verdict="approve", digest=round_.digest, decided_at=now
        )


def test_who_is_asked_and_stands_in_counts_once_on_the_own_seat(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    away(cast.mia, cast.cal, now)
    assert sign(round_, cast.cal, now).on_behalf_of is None
    assert codes(round_, page, cast.cal, now) == ["signoff.once"]
    sign(round_, cast.mia, now)
    round_.refresh_from_db()
    assert round_.state == "passed"


def test_who_was_signed_for_counts_with_who_signed(page: Page, cast: Cast, sue: User, now: datetime) -> None:
    """Neither builds nor starts it; else a seat would be left to a substitute, and what was signed on it be carried out."""
    round_ = opened(page, cast, now)
    away(cast.mia, sue, now)
    sign(round_, sue, now)
    assert signoffs.signers_of_all(Page.objects.filter(pk=page.pk)) == {sue.pk, cast.mia.pk}
    assert signoffs.signers_of(page) == {sue.pk}


def test_who_was_signed_for_does_not_sign_a_later_level(page: Page, cast: Cast, sue: User, now: datetime) -> None:
    first = LevelSpec("One", [(cast.mia, "cab_member")], Quorum.FIRST)
    second = LevelSpec("Two", [(cast.mia, "cab_member"), (cast.cal, "cab_chair")], Quorum.FIRST)
    round_ = opened(page, cast, now, first, second)
    away(cast.mia, sue, now)
    sign(round_, sue, now)
    round_.refresh_from_db()
    assert codes(round_, page, cast.mia, now) == ["signoff.once"]


@pytest.mark.parametrize("shift", [-timedelta(seconds=1), WEEK])
def test_outside_its_dates_it_gives_nothing(shift: timedelta, page: Page, cast: Cast, sue: User, now: datetime) -> None:
    round_ = opened(page, cast, now)
    away(cast.mia, sue, now)
    assert codes(round_, page, sue, now + shift) == ["signoff.not_asked"]


def test_ended_early_it_gives_nothing_and_what_was_signed_stays(
    page: Page, cast: Cast, sue: User, now: datetime
) -> None:
    round_ = opened(page, cast, now)
    one = away(cast.mia, sue, now)
    with pytest.raises(NotAllowed):
        substitutes.end(substitution_id=one.pk, actor=sue, at=now)
    substitutes.end(substitution_id=one.pk, actor=cast.mia, at=now + timedelta(hours=1))
    assert codes(round_, page, sue, now + timedelta(hours=1)) == ["signoff.not_asked"]
    with pytest.raises(Conflict):
        substitutes.end(substitution_id=one.pk, actor=cast.mia, at=now + timedelta(hours=2))
    assert away(cast.mia, sue, now + timedelta(hours=1), ends_at=now + WEEK).pk != one.pk


def test_the_excluded_are_not_represented_and_a_role_must_be_ones_own(
    page: Page, cast: Cast, sue: User, now: datetime
) -> None:
    round_ = opened(page, cast, now)
    away(cast.mia, sue, now)
    Page.objects.update(author=cast.mia)
    page.refresh_from_db()
    assert codes(round_, page, sue, now) == ["signoff.four_eyes"]
    Page.objects.update(author=cast.ann)
    page.refresh_from_db()
    RoleGrant.objects.filter(user=cast.mia).delete()
    assert codes(round_, page, sue, now) == ["signoff.right_lost"]
    RoleGrant.objects.create(user=cast.mia, role="cab_member")
    RoleGrant.objects.filter(user=sue).delete()
    assert codes(round_, page, User.objects.get(pk=sue.pk), now) == ["signoff.right_lost"]


@pytest.mark.parametrize("gone", ["cal", "mia"])
def test_who_stands_in_for_two_signs_for_the_one_who_still_holds_the_role(
    gone: str, page: Page, cast: Cast, sue: User, now: datetime
) -> None:
    people = {"cal": cast.cal, "mia": cast.mia}
    asked = LevelSpec("Board", [(cast.cal, "cab_chair"), (cast.mia, "cab_member")], Quorum.FIRST)
    round_ = opened(page, cast, now, asked)
    for person in people.values():
        away(person, sue, now)
    RoleGrant.objects.filter(user=people.pop(gone)).delete()
    (stays,) = people.values()
    assert codes(round_, page, sue, now) == []
    assert sign(round_, sue, now).on_behalf_of == stays


def test_who_stands_in_for_two_who_lost_the_role_signs_for_neither(
    page: Page, cast: Cast, sue: User, now: datetime
) -> None:
    round_ = opened(page, cast, now)
    for person in (cast.cal, cast.mia):
        away(person, sue, now)
        RoleGrant.objects.filter(user=person).delete()
    assert codes(round_, page, sue, now) == ["signoff.right_lost"]
    with pytest.raises(NotAllowed):
        sign(round_, sue, now)


def test_naming_is_checked(cast: Cast, sue: User, now: datetime) -> None:
    for wrong in (cast.ann, cast.mia, cast.bot):  # decides nothing, oneself, the system
        with pytest.raises(Invalid):
            away(cast.mia, wrong, now)
    with pytest.raises(Invalid):
        away(cast.mia, sue, now, ends_at=now)
    with pytest.raises(NotAllowed):
        substitutes.name_substitute(
            user_id=cast.mia.pk, substitute_id=sue.pk, starts_at=now, ends_at=now + WEEK, actor=sue, at=now
        )
    away(cast.mia, sue, now)
    with pytest.raises(Conflict):
        away(cast.mia, cast.cal, now, ends_at=now + timedelta(days=1))
    substitutes.name_substitute(
        user_id=cast.cal.pk, substitute_id=sue.pk, starts_at=now, ends_at=now + WEEK, actor=cast.ada, at=now
    )
    assert [s.user.username for s in Substitution.objects.all().visible_to(cast.mia)] == ["mia"]
    assert Substitution.objects.all().visible_to(sue).count() == 2
    assert not Substitution.objects.all().visible_to(cast.eve)


def test_the_substitute_is_told(cast: Cast, sue: User, now: datetime) -> None:
    away(cast.mia, sue, now)
    (delivery,) = Delivery.objects.all()
    deliver(delivery_id=delivery.pk, now=now)
    (message,) = mail.outbox
    assert message.to == ["sue@example.org"]
    assert message.subject == "You stand in for mia from Wed 18 Nov 2026 09:42 UTC"


def test_where_decisions_ask_for_the_password_no_door_goes_round_it(
    page: Page, cast: Cast, now: datetime, settings: object
) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "REAUTHENTICATE_WITHIN": timedelta(minutes=5)}  # type: ignore[attr-defined]
    round_ = opened(page, cast, now)
    old = now - timedelta(minutes=5, seconds=1)
    for shown in (None, old):
        with pytest.raises(NotAllowed) as refused:
            signoffs.decide(
                round_id=round_.pk, verdict="approve", comment="", actor=cast.cal, at=now, authenticated_at=shown
            )
        assert [b.code for b in refused.value.blockers] == ["signoff.reauthenticate"]
    signoffs.decide(
        round_id=round_.pk, verdict="approve", comment="", actor=cast.cal, at=now,
        authenticated_at=now - timedelta(minutes=5),
    )  # fmt: skip
    assert round_.signoffs.count() == 1
