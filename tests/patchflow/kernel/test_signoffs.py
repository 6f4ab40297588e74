"""Rounds: quorum, levels, four eyes, digests; one outcome whoever is first."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from patchflow.kernel import signoffs
from patchflow.kernel.enums import Quorum, RoundState
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed, Refusal
from patchflow.kernel.levels import LevelSpec, needed
from patchflow.kernel.models import AuditEntry, RoleGrant, SignOff, SignOffRound, User
from tests.crowd import CROWD, together
from tests.factories.people import Cast, make_user
from tests.toys.models import Page


@pytest.fixture
def page(cast: Cast) -> Page:
    return Page.objects.create(text="what was approved is what runs", author=cast.ann)


def opened(page: Page, cast: Cast, now: datetime, *levels: LevelSpec) -> SignOffRound:
    wanted = levels or (LevelSpec("Board", [(cast.cal, "cab_chair"), (cast.mia, "cab_member")], Quorum.COUNT, 2),)
    return signoffs.open_round(subject=page, levels=wanted, actor=cast.che, at=now)


def sign(round_: SignOffRound, actor: User, now: datetime, verdict: str = "approve", comment: str = "") -> SignOff:
    return signoffs.decide(round_id=round_.pk, verdict=verdict, comment=comment, actor=actor, at=now)


@pytest.mark.parametrize(
    ("quorum", "amount", "asked", "wanted"),
    [
        ("first", 9, 3, 1),
        ("all", 1, 3, 3),
        ("count", 2, 3, 2),
        ("percent", 50, 3, 2),
        ("percent", 100, 3, 3),
        ("percent", 1, 3, 1),
        ("count", 0, 3, 1),
        ("all", 1, 0, 1),
    ],
)
def test_needed(quorum: str, amount: int, asked: int, wanted: int) -> None:
    assert needed(quorum, amount, asked) == wanted


@pytest.mark.django_db
def test_a_round_passes_when_its_quorum_is_reached(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    sign(round_, cast.cal, now)
    round_.refresh_from_db()
    assert round_.is_open
    sign(round_, cast.mia, now)
    round_.refresh_from_db()
    page.refresh_from_db()
    assert (round_.state, page.outcome) == (RoundState.PASSED, "passed by mia")


@pytest.mark.django_db
def test_levels_are_asked_in_sequence(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(
        page,
        cast,
        now,
        LevelSpec("Security", [(cast.sam, "security_officer")]),
        LevelSpec("Board", [(cast.cal, "cab_chair")]),
    )
    with pytest.raises(NotAllowed) as refusal:
        sign(round_, cast.cal, now)
    assert [b.code for b in refusal.value.blockers] == ["signoff.not_asked"]
    sign(round_, cast.sam, now)
    sign(round_, cast.cal, now)
    round_.refresh_from_db()
    assert round_.state == RoundState.PASSED


@pytest.mark.django_db
def test_a_level_is_refused_as_soon_as_its_quorum_cannot_be_reached(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    sign(round_, cast.mia, now, "refuse", "no way back is named")
    round_.refresh_from_db()
    page.refresh_from_db()
    assert (round_.state, page.outcome) == (RoundState.REFUSED, "refused by mia")
    with pytest.raises(Conflict):
        sign(round_, cast.cal, now)


@pytest.mark.django_db
def test_a_refusal_needs_a_comment(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    with pytest.raises(Invalid):
        sign(round_, cast.cal, now, "refuse", "  ")


@pytest.mark.django_db
def test_who_is_excluded_is_not_asked_and_cannot_sign(cast: Cast, now: datetime) -> None:
    page = Page.objects.create(text="mine", author=cast.cal)
    round_ = opened(page, cast, now, LevelSpec("Board", [(cast.cal, "cab_chair"), (cast.mia, "cab_member")]))
    assert round_.excluded == {str(cast.cal.pk): "You wrote this page."}
    with pytest.raises(NotAllowed) as refusal:
        sign(round_, cast.cal, now)
    assert "signoff.four_eyes" in [b.code for b in refusal.value.blockers]


@pytest.mark.django_db
def test_becoming_the_author_later_shuts_the_voter_out(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    Page.objects.filter(pk=page.pk).update(author=cast.cal)
    with pytest.raises(NotAllowed):
        sign(round_, cast.cal, now)


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["eve", "root", "bot", "che", "rex"])
def test_nobody_else_signs(who: str, page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    with pytest.raises(NotAllowed):
        sign(round_, getattr(cast, who), now)
    assert AuditEntry.objects.filter(chain=round_.audit_chain, outcome="refused", actor__username=who).count() == 1


@pytest.mark.django_db
def test_a_right_lost_after_opening_is_lost(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    RoleGrant.objects.filter(user=cast.mia).delete()
    cast.mia.refresh_from_db()
    with pytest.raises(NotAllowed) as refusal:
        sign(round_, cast.mia, now)
    assert [b.code for b in refusal.value.blockers] == ["signoff.right_lost"]


@pytest.mark.django_db
def test_one_person_counts_once(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    sign(round_, cast.cal, now)
    with pytest.raises(NotAllowed) as refusal:
        sign(round_, cast.cal, now)
    assert [b.code for b in refusal.value.blockers] == ["signoff.once"]


@pytest.mark.django_db
def test_a_changed_subject_cannot_be_signed(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    Page.objects.filter(pk=page.pk).update(text="something else")
    with pytest.raises(Conflict, match="changed"):
        sign(round_, cast.cal, now)


@pytest.mark.django_db
def test_void_keeps_the_difference(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    page.text = "something else"
    page.save()
    with transaction.atomic():
        signoffs.void(subject=page, actor=cast.ann, at=now, reason="edited")
    entry = AuditEntry.objects.filter(chain=round_.audit_chain).order_by("-seq")[0]
    assert entry.verb == "signoff.round.voided"
    assert entry.detail["difference"] == [
        {"field": "text", "removed": ["what was approved is what runs"], "added": ["something else"]}
    ]


@pytest.mark.django_db
def test_silence_is_never_yes(page: Page, cast: Cast, now: datetime) -> None:
    late = now + timedelta(hours=4)
    round_ = opened(page, cast, now, LevelSpec("Board", [(cast.cal, "cab_chair")], deadline_at=late))
    assert not signoffs.expire(round_id=round_.pk, actor=cast.bot, at=late - timedelta(seconds=1))
    assert signoffs.expire(round_id=round_.pk, actor=cast.bot, at=late)
    page.refresh_from_db()
    assert page.outcome == "expired by bot"


@pytest.mark.django_db
def test_a_round_nobody_could_pass_is_not_opened(page: Page, cast: Cast, now: datetime) -> None:
    with pytest.raises(Blocked) as refusal:
        opened(page, cast, now, LevelSpec("Board", [(cast.ann, "requester")]))
    assert [b.code for b in refusal.value.blockers] == ["round.voters_missing"]
    with pytest.raises(Blocked):
        signoffs.open_round(subject=page, levels=[], actor=cast.che, at=now)


@pytest.mark.django_db
def test_a_decision_cannot_be_edited_or_deleted(page: Page, cast: Cast, now: datetime) -> None:
    signed = sign(opened(page, cast, now), cast.cal, now)
    for change in (
        lambda: SignOff.objects.update(verdict="refuse", comment="x"),
        lambda: SignOff.objects.filter(pk=signed.pk).delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


@pytest.mark.django_db
def test_only_the_newest_round_on_this_digest_counts(page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now, LevelSpec("Board", [(cast.cal, "cab_chair")]))
    sign(round_, cast.cal, now)
    assert signoffs.passed_round_of(page, digest_now=round_.digest) == SignOffRound.objects.get(pk=round_.pk)
    assert signoffs.passed_round_of(page, digest_now="0" * 64) is None
    opened(page, cast, now)
    assert signoffs.passed_round_of(page, digest_now=round_.digest) is None


@pytest.mark.django_db
def test_who_signed_any_of_many_is_asked_at_once(
    page: Page, cast: Cast, now: datetime, django_assert_num_queries: Any
) -> None:
    other, third = (Page.objects.create(text=text, author=cast.ann) for text in ("another", "a third"))
    sign(opened(page, cast, now), cast.cal, now)
    sign(opened(other, cast, now), cast.mia, now)
    sign(opened(third, cast, now), cast.cal, now)
    with django_assert_num_queries(1):
        found = signoffs.signers_of_all(Page.objects.filter(pk=page.pk), Page.objects.filter(text="another"))
    assert found == signoffs.signers_of(page) | signoffs.signers_of(other) == {cast.cal.pk, cast.mia.pk}
    assert signoffs.signers_of_all(Page.objects.filter(text="another")) == {cast.mia.pk}
    assert signoffs.signers_of_all(Page.objects.none(), User.objects.filter(pk=page.pk)) == set()


@pytest.mark.django_db
@pytest.mark.parametrize("verdict", ["approve", "refuse"])
def test_a_held_subject_takes_no_vote_and_says_so(verdict: str, page: Page, cast: Cast, now: datetime) -> None:
    round_ = opened(page, cast, now)
    Page.objects.update(held=True)
    with pytest.raises(Blocked) as refused:
        sign(round_, cast.cal, now, verdict, "because")
    page.refresh_from_db()
    assert refused.value.blockers == signoffs.why_not_sign(round_, page, cast.cal, at=now)
    assert [b.code for b in refused.value.blockers] == ["page.held"]
    assert not SignOff.objects.exists()
    with pytest.raises(NotAllowed) as both:
        sign(round_, cast.eve, now)
    assert [b.code for b in both.value.blockers] == ["signoff.not_asked", "page.held"]

    Page.objects.update(held=False)
    sign(round_, cast.cal, now, verdict, "because")
    assert SignOff.objects.get().verdict == verdict


@pytest.mark.django_db
def test_a_round_about_a_held_subject_is_not_opened_but_one_that_is_open_still_ends(
    page: Page, cast: Cast, now: datetime
) -> None:
    round_ = opened(
        page, cast, now, LevelSpec("Board", [(cast.cal, "cab_chair")], deadline_at=now + timedelta(hours=1))
    )
    Page.objects.update(held=True)
    assert signoffs.expire(round_id=round_.pk, actor=cast.bot, at=now + timedelta(hours=1))
    page.refresh_from_db()
    assert page.outcome == "expired by bot"
    with pytest.raises(Blocked) as refused:
        opened(page, cast, now)
    assert [b.code for b in refused.value.blockers] == ["page.held"]


@CROWD
@pytest.mark.pg
@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_have_exactly_one_outcome(now: datetime) -> None:
    """Fifty voters, half for and half against, at the same moment: the round ends once, and every later voter is told."""
    author, asker = make_user("author", "requester"), make_user("asker", "change_manager")
    people = [make_user(f"voter{i}", "cab_member") for i in range(50)]
    page = Page.objects.create(text="race", author=author)
    spec = LevelSpec("Board", [(p, "cab_member") for p in people], Quorum.COUNT, 10)
    round_ = signoffs.open_round(subject=page, levels=[spec], actor=asker, at=now)

    def vote(number: int) -> Any:
        return sign(round_, people[number], now, "approve" if number % 2 else "refuse", "because")

    answers = together([partial(vote, number) for number in range(50)])
    told = [a.blockers[0].code if isinstance(a, Refusal) else "signed" for a in answers]

    round_.refresh_from_db()
    page.refresh_from_db()
    assert round_.state == RoundState.PASSED
    ends = AuditEntry.objects.filter(
        chain=round_.audit_chain, verb__in=["signoff.round.passed", "signoff.round.round_refused"]
    )
    assert ends.count() == 1
    assert set(told) == {"signed", "signoff.round_over"}
    assert told.count("signed") == SignOff.objects.count()
    assert SignOff.objects.filter(verdict="approve").count() == 10
