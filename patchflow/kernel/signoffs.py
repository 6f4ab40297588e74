"""Sign-off rounds: one mechanism for boards, readiness, baselines, exemptions.

A round decides about one digest. Levels are asked in sequence; a level passes when its quorum is reached and is refused
as soon as it cannot be (at once where the level has a veto). Four eyes: who is excluded (requester, builder,
deployer) cannot sign, whatever roles they hold; the bot cannot sign; silence is never yes (ITIL change enablement;
laws 1, 2 and 8). Lock order: subject, then round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import Max
from django.utils import translation

from patchflow.kernel import audit, substitutes
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import Basis, RoundState, Verdict
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.hands import with_holders
from patchflow.kernel.integrity import difference, digest, plain
from patchflow.kernel.levels import LevelSpec, able, first_short, needed, why_not_ask
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound, User, Voter
from patchflow.kernel.registry import SignOffSubject, signoff_subjects
from patchflow.kernel.workflow import lock, verb


@dataclass(frozen=True)
class Tally:
    """Where a level stands. `needed` signatures of `asked` people; `possible` is how many could still be reached."""

    asked: int
    needed: int
    approved: int
    refused: int

    @property
    def passed(self) -> bool:
        return self.approved >= self.needed

    @property
    def possible(self) -> int:
        return self.asked - self.refused

    @property
    def hopeless(self) -> bool:
        return self.possible < self.needed


def subject_of(obj: models.Model) -> SignOffSubject:
    return signoff_subjects[obj._meta.label_lower]


def excluded_of(obj: models.Model) -> dict[int, str]:
    """Who cannot sign a round of `obj`, and why; with who was given a token of a program that cannot."""
    return with_holders(subject_of(obj).excluded(obj))


def rounds_of(obj: models.Model) -> models.QuerySet[SignOffRound]:
    """The rounds about `obj`, newest first."""
    return SignOffRound.objects.filter(subject_type=obj._meta.label_lower, subject_id=obj.pk).order_by("-number")


def open_round_of(obj: models.Model) -> SignOffRound | None:
    return rounds_of(obj).filter(state=RoundState.OPEN).first()


def open_rounds(model: type[models.Model], subject_id: Any) -> models.QuerySet[SignOffRound]:
    """The open rounds about one subject; `subject_id` may be an expression of an outer query."""
    return SignOffRound.objects.filter(
        subject_type=model._meta.label_lower, subject_id=subject_id, state=RoundState.OPEN
    )


def passed_round_of(obj: models.Model, *, digest_now: str) -> SignOffRound | None:
    """The newest round of `obj`, if it passed and signed exactly this digest: the only valid approval (law 2)."""
    newest = rounds_of(obj).defer("document").first()  # the signed text may name thousands of hosts
    return newest if newest and newest.state == RoundState.PASSED and newest.digest == digest_now else None


def signers_of(obj: models.Model) -> set[int]:
    """Ids of all who signed any round of `obj` with their own hand."""
    return set(
        SignOff.objects.filter(round__subject_type=obj._meta.label_lower, round__subject_id=obj.pk).values_list(
            "user_id", flat=True
        )
    )


def signers_of_all(*rows: models.QuerySet[Any], seats: bool = True) -> set[int]:
    """Ids of all who signed any round of one of these rows, of whatever models, or on whose seat somebody did: they neither
    build nor start it (law 1, the other way round). One query. Without `seats` only those who signed with their own hand."""
    parts = [
        SignOff.objects.filter(
            round__subject_type=some.model._meta.label_lower, round__subject_id__in=some.order_by().values("pk")
        )
        .order_by()
        .values_list(who, flat=True)
        for some in rows
        for who in (("user_id", "on_behalf_of_id") if seats else ("user_id",))
    ]
    return set(parts[0].union(*parts[1:])) - {None}


def tally(level: SignOffLevel) -> Tally:
    """The level's count: of all whom it asked when it was opened, by what they said while they had the right to."""
    asked = level.voters.count()
    verdicts = list(level.signoffs.values_list("verdict", flat=True))
    return Tally(
        asked,
        needed(level.quorum, level.amount, asked),
        verdicts.count(Verdict.APPROVE),
        verdicts.count(Verdict.REFUSE),
    )


AfterVote = Callable[..., None]
_after_votes: list[AfterVote] = []


def after_vote(function: AfterVote) -> AfterVote:
    """Registers what a vote on any round moves besides its subject (the agenda of a meeting), by whichever door it came.

    The function gets (signed, actor=, at=), in the transaction of the vote, after its locks.
    """
    if function not in _after_votes:
        _after_votes.append(function)
    return function


@verb("signoff.round.opened")
def open_round(
    *, subject: models.Model, levels: Sequence[LevelSpec], actor: User, at: datetime, kind: str = "approval"
) -> SignOffRound:
    """Opens a round on the subject's present document; voters are frozen, less those who are excluded.

    Raises Blocked when a level has too few people left for its quorum, levels share too few, a round is open already, or the
    subject says not now. The caller has the subject's row lock.
    """
    known = subject_of(subject)
    excluded = excluded_of(subject)
    blockers = [*known.not_now(subject), *why_not_ask(levels, excluded)]
    if open_round_of(subject):
        blockers.append(Blocker("round.open_already", "A round is open already: wait for it or withdraw it."))
    if blockers:
        raise Blocked(blockers)
    document = plain(known.document(subject))
    last = rounds_of(subject).aggregate(Max("number"))["number__max"] or 0
    round_ = SignOffRound.objects.create(
        subject_type=subject._meta.label_lower,
        subject_id=subject.pk,
        subject_label=_named(subject)[:200],
        number=last + 1,
        kind=kind,
        digest=digest(document),
        document=document,
        opened_by=actor,
        opened_at=at,
        excluded={str(pk): reason for pk, reason in excluded.items()},
        not_before=levels[0].deadline_at,
    )
    for position, spec in enumerate(levels, start=1):
        level = SignOffLevel.objects.create(
            round=round_,
            position=position,
            name=spec.name,
            quorum=spec.quorum,
            amount=spec.amount,
            deadline_at=spec.deadline_at,
            escalate_to=spec.escalate_to,
            veto=spec.veto,
            reason=str(spec.reason),
        )
        Voter.objects.bulk_create(
            [Voter(level=level, user=one.user, via=one.via, basis=one.basis) for one in able(spec, excluded)]
        )
    audit.record(
        round_,
        "signoff.round.opened",
        actor=actor,
        at=at,
        detail={"digest": round_.digest, "levels": [s.name for s in levels]},
    )
    return round_


def _named(subject: models.Model) -> str:
    """The subject with its title, so that whoever is asked knows about what: "REL-2026-00017 · OpenSSL on the web tier". A
    subject whose title alone does not say what a voter must know has it `labelled`. In English, as all that is kept."""
    with translation.override("en"):
        name, title = str(subject), str(getattr(subject, "labelled", "") or getattr(subject, "title", ""))
    return name if not title or title in name else f"{name} · {title}"


def why_not_sign(round_: SignOffRound, subject: models.Model, actor: User, *, at: datetime) -> list[Blocker]:
    """Every reason why `actor` cannot sign this round now; the same list on the page and in `decide`."""
    return _without_right(round_, subject, actor, at) + subject_of(subject).not_now(subject)


def _without_right(round_: SignOffRound, subject: models.Model, actor: User, at: datetime) -> list[Blocker]:
    known = subject_of(subject)
    excluded = excluded_of(subject)
    level = round_.levels.filter(position=round_.position).first()  # a licence passes a round that asks nobody
    taken = substitutes.counted(round_)
    seat = _seat_of(level, subject, actor, at=at, excluded=excluded, taken=taken) if level else None
    reasons: list[Blocker] = []
    if actor.is_bot:
        reasons.append(Blocker("signoff.bot", "The system signs nothing."))
    if actor.is_service:
        reasons.append(Blocker("signoff.service", "A program signs nothing, whatever its roles."))
    if reason := excluded.get(actor.pk):
        reasons.append(Blocker("signoff.four_eyes", reason))
    if not actor.is_active or seat is None:
        reasons.append(_not_asked(level))
    else:
        voter = level.voters.select_related("user").get(user=seat)  # type: ignore[union-attr]
        over = subject.scope_keys() if hasattr(subject, "scope_keys") else None
        if not _has_right(actor, known, voter, over):
            lost = "You no longer hold the role by which you were asked."
            none = english("You stand in for %(seat)s, but hold no role that decides about this.", seat=seat)
            reasons.append(Blocker("signoff.right_lost", lost if seat == actor else none))
        elif seat == actor and not known.still_asked(subject, voter):
            reasons.append(
                Blocker("signoff.right_lost", "You were asked as owner or as one of a group, and are that no longer.")
            )
        if seat != actor:
            reasons += _against_seat(voter, subject, excluded, taken)
    if actor.pk in taken:
        reasons.append(
            Blocker(
                "signoff.once", "You have signed this round; one person counts once, and a decision is never edited."
            )
        )
    return reasons


def _has_right(person: User, known: SignOffSubject, voter: Voter, over: Sequence[frozenset[str]] | None) -> bool:
    """Whether the person holds the deciding right now: for every host concerned, where they were asked for a part, for one."""
    if voter.basis == Basis.ROLE:
        return person.holds(known.capability, over=over)
    return person.holds_for_some(known.capability, over=over)


def _not_asked(level: SignOffLevel | None) -> Blocker:
    if level is None:
        return Blocker("signoff.not_asked", "This round asks nobody.")
    said = english("Level %(position)s, “%(name)s”, does not ask you.", position=level.position, name=level.name)
    return Blocker("signoff.not_asked", said)


def _was_asked(round_: SignOffRound, actor: User, at: datetime) -> bool:
    """Whether some level asks the actor, or somebody for whom they stand in: only they are told how the round stands."""
    return any(substitutes.seats_of(level, actor, at=at) for level in round_.levels.all())


def _seat_of(
    level: SignOffLevel, subject: models.Model, actor: User, *, at: datetime, excluded: dict[int, str], taken: set[int]
) -> User | None:
    """On whose seat `actor` would sign: of several absent people the first against whose seat nothing stands; if something
    stands against each, the first, so that it is said."""
    seats = substitutes.seats_of(level, actor, at=at)
    if len(seats) > 1:
        voters = {voter.user_id: voter for voter in level.voters.select_related("user")}
        free = (seat for seat in seats if not _against_seat(voters[seat.pk], subject, excluded, taken))
        return next(free, seats[0])
    return seats[0] if seats else None


def _against_seat(voter: Voter, subject: models.Model, excluded: dict[int, str], taken: set[int]) -> list[Blocker]:
    """Why nobody may sign on the seat of this absent person: what would keep them from signing keeps their substitute."""
    seat, known = voter.user, subject_of(subject)
    over = subject.scope_keys() if hasattr(subject, "scope_keys") else None
    if seat.pk in excluded:
        return [
            Blocker(
                "signoff.four_eyes", english("You stand in for %(seat)s, who may not decide about this.", seat=seat)
            )
        ]
    if not (seat.is_active and _has_right(seat, known, voter, over) and known.still_asked(subject, voter)):
        return [
            Blocker(
                "signoff.right_lost", english("%(seat)s, for whom you stand in, no longer holds the role.", seat=seat)
            )
        ]
    if seat.pk in taken:
        return [
            Blocker(
                "signoff.once", english("%(seat)s, for whom you stand in, counts in this round already.", seat=seat)
            )
        ]
    return []


def unproven(*, authenticated_at: datetime | None, at: datetime) -> list[Blocker]:
    """Where decisions ask for the password: the reason against one whose author did not show it lately."""
    within = settings.PATCHFLOW["REAUTHENTICATE_WITHIN"]
    if not within or (authenticated_at is not None and at - authenticated_at <= within):
        return []
    return [Blocker("signoff.reauthenticate", "Confirm with your password that it is you, then decide.", tone="wait")]


@verb("signoff.round.signed", SignOffRound, "round_id")
def decide(
    *, round_id: int, verdict: str, comment: str, actor: User, at: datetime, digest_seen: str = "",
    authenticated_at: datetime | None = None,
) -> SignOff:  # fmt: skip
    """Writes a decision and, when the tally closes, ends the round and fires what the subject says, in this transaction.

    Whoever is not asked but stands in for somebody who is signs on that person's seat. `authenticated_at`: when the actor
    last showed who they are. Raises Conflict (the round is over, or the subject changed since it was seen), NotAllowed
    (`why_not_sign`, `unproven`), Blocked (the subject says not now), Invalid (a refusal without comment).
    """
    if verdict not in Verdict.values:
        raise Invalid("Say approve or refuse.", code="signoff.verdict")
    if verdict == Verdict.REFUSE and not comment.strip():
        raise Invalid("A refusal needs a comment: what must change?", code="signoff.comment")
    peek = SignOffRound.objects.filter(pk=round_id).first()
    if peek is None:
        raise Conflict("This round does not exist.", code="conflict.gone")
    subject = lock(apps.get_model(peek.subject_type), peek.subject_id)
    round_ = lock(SignOffRound, round_id)
    if _without_right(round_, subject, actor, at) and not _was_asked(round_, actor, at):
        raise NotAllowed(why_not_sign(round_, subject, actor, at=at))
    if not round_.is_open:
        raise Conflict(
            english("This round is %(state)s: nothing is left to decide.", state=label_of(round_)),
            code="signoff.round_over",
        )
    known = subject_of(subject)
    now_signed = digest(known.document(subject))
    if now_signed != round_.digest or (digest_seen and digest_seen != round_.digest):
        raise Conflict("What you saw has been changed since. Read the difference, then decide.", code="signoff.changed")
    if reasons := why_not_sign(round_, subject, actor, at=at):
        raise NotAllowed(reasons) if _without_right(round_, subject, actor, at) else Blocked(reasons)
    if unsure := unproven(authenticated_at=authenticated_at, at=at):
        raise NotAllowed(unsure)
    level = round_.levels.get(position=round_.position)
    taken = substitutes.counted(round_)
    seat = _seat_of(level, subject, actor, at=at, excluded=excluded_of(subject), taken=taken)
    if verdict == Verdict.APPROVE and (
        later := _needed_later(round_, taken, {actor.pk, seat.pk if seat else actor.pk})
    ):
        raise Blocked(later)
    signed = SignOff.objects.create(
        round=round_,
        level=level,
        user=actor,
        on_behalf_of=None if seat == actor else seat,
        verdict=verdict,
        comment=comment.strip(),
        digest=round_.digest,
        decided_at=at,
    )
    name = "signoff.round.signed" if verdict == Verdict.APPROVE else "signoff.round.refused"
    audit.record(
        round_,
        name,
        actor=actor,
        at=at,
        detail={
            "level": level.name,
            "digest": round_.digest,
            "comment": signed.comment,
            **({"for": signed.on_behalf_of.username} if signed.on_behalf_of else {}),
        },
    )
    _close_if_due(round_, level, subject, known, actor=actor, at=at)
    for function in _after_votes:
        function(signed, actor=actor, at=at)
    return signed


def _needed_later(round_: SignOffRound, taken: set[int], using: set[int]) -> list[Blocker]:
    """Why this approval would leave a level that nobody could complete any more, though somebody else's would not: in one round
    nobody counts twice, so who is needed at a later level leaves this one to others."""
    levels = list(round_.levels.filter(position__gte=round_.position).prefetch_related("voters", "signoffs"))
    rest = []
    for level in levels:
        votes = [one.verdict for one in level.signoffs.all()]
        asked = {voter.user_id for voter in level.voters.all()}
        open_ = max(needed(level.quorum, level.amount, len(asked)) - votes.count(Verdict.APPROVE), 0)
        rest.append((open_, asked - taken))
    after = [(max(rest[0][0] - 1, 0), rest[0][1] - using), *((open_, people - using) for open_, people in rest[1:])]
    short = first_short(after)
    if short is None or first_short(rest) is not None:
        return []
    said = english(
        "Level “%(name)s” needs you: in one round nobody counts twice. Leave this level to somebody else who is asked.",
        name=levels[short].name,
    )
    return [Blocker("signoff.needed_later", said)]


def _close_if_due(
    round_: SignOffRound, level: SignOffLevel, subject: Any, known: SignOffSubject, *, actor: User, at: datetime
) -> None:
    count = tally(level)
    if count.refused and (level.veto or count.hopeless):
        _end(round_, RoundState.REFUSED, "signoff.round.round_refused", actor=actor, at=at)
        known.on_refused(subject, round_, actor=actor, at=at)
    elif count.passed:
        following = round_.levels.filter(position__gt=level.position).first()
        if following:
            if following.deadline_at:  # its time begins when it is asked
                following.deadline_at += at - round_.opened_at
                following.save(update_fields=["deadline_at"])
            round_.position = following.position
            round_.not_before = following.deadline_at
            round_.save(update_fields=["position", "not_before"])
            audit.record(round_, "signoff.round.level_passed", actor=actor, at=at, detail={"level": level.name})
        else:
            _end(round_, RoundState.PASSED, "signoff.round.passed", actor=actor, at=at)
            known.on_passed(subject, round_, actor=actor, at=at)


def _end(
    round_: SignOffRound,
    state: RoundState,
    verb_name: str,
    *,
    actor: User,
    at: datetime,
    reason: str = "",
    detail: Any = None,
) -> None:
    round_.state, round_.closed_at, round_.reason, round_.not_before = state, at, reason, None
    round_.save(update_fields=["state", "closed_at", "reason", "not_before"])
    audit.record(
        round_,
        verb_name,
        actor=actor,
        at=at,
        before=RoundState.OPEN,
        after=state,
        detail={"reason": reason, **(detail or {})},
    )


def void(*, subject: models.Model, actor: User, at: datetime, reason: str) -> SignOffRound | None:
    """Ends an open round because its subject changed; the difference is kept. Call inside the changing verb, subject locked."""
    return _close_open(subject, RoundState.VOID, "signoff.round.voided", actor=actor, at=at, reason=reason)


def withdraw(*, subject: models.Model, actor: User, at: datetime, reason: str) -> SignOffRound | None:
    """Ends an open round because its subject left (cancelled, rejected, sent back). Subject locked by the caller."""
    return _close_open(subject, RoundState.WITHDRAWN, "signoff.round.withdrawn", actor=actor, at=at, reason=reason)


def _close_open(
    subject: models.Model, state: RoundState, verb_name: str, *, actor: User, at: datetime, reason: str
) -> SignOffRound | None:
    found = open_round_of(subject)
    if found is None:
        return None
    round_ = lock(SignOffRound, found.pk)
    if not round_.is_open:
        return None
    changed = difference(round_.document, subject_of(subject).document(subject))
    _end(round_, state, verb_name, actor=actor, at=at, reason=reason, detail={"difference": changed})
    if state == RoundState.VOID:
        subject_of(subject).on_voided(subject, round_, actor=actor, at=at)
    return round_


@verb("signoff.round.expired", SignOffRound, "round_id")
def expire(*, round_id: int, actor: User, at: datetime) -> bool:
    """Ends a round whose asked level has passed its deadline in silence; False if it moved on meanwhile."""
    peek = SignOffRound.objects.get(pk=round_id)
    subject = lock(apps.get_model(peek.subject_type), peek.subject_id)
    round_ = lock(SignOffRound, round_id)
    level = round_.levels.get(position=round_.position)
    if not round_.is_open or level.deadline_at is None or level.deadline_at > at:
        return False
    _end(
        round_,
        RoundState.EXPIRED,
        "signoff.round.expired",
        actor=actor,
        at=at,
        reason=english("Level “%(level)s” stayed silent.", level=level.name),
    )
    subject_of(subject).on_expired(subject, round_, actor=actor, at=at)
    return True


def changes_since_last(subject: models.Model) -> list[dict[str, Any]]:
    """What changed in the subject's document since the newest round, field by field; empty if nothing or no round."""
    newest = rounds_of(subject).first()
    return difference(newest.document, subject_of(subject).document(subject)) if newest else []
