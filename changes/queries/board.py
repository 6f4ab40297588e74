"""The board's questions: what waits for whom, and everything a decision needs on one screen.

Who is asked may read what they decide about, even without rights on its hosts (a decision is not made blind).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db.models import F, Model, OuterRef, Q, QuerySet

from changes.enums_meeting import MeetingState
from changes.models import RFC, AgendaItem, SoftwareUpdate
from changes.queries.rfcs import unseen_targets
from cmdb.models import Installation
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import RoundState, Verdict
from patchflow.kernel.levels import needed
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound, User
from patchflow.kernel.registry import signoff_subjects
from patchflow.kernel.signoffs import Tally, why_not_sign
from patchflow.kernel.substitutes import absent_for

RFC_LABEL = "changes.rfc"


def rounds_visible_to(actor: User, *, at: datetime) -> QuerySet[SignOffRound]:
    """Rounds about what the actor may see, those that ask the actor or somebody for whom the actor stands in, and those on
    the published agenda of a board on which the actor sits."""
    seen = _asked(actor, at)
    for label in signoff_subjects:
        seen |= Q(subject_type=label, subject_id__in=signoff_subjects[label].visible(actor))
    return SignOffRound.objects.filter(pk__in=SignOffRound.objects.filter(seen).values("pk")).order_by("-pk")


def _asked(actor: User, at: datetime) -> Q:
    """Rounds that ask the actor or somebody for whom the actor stands in, or stand on the agenda of a board of theirs."""
    seated = AgendaItem.objects.filter(meeting__attendees__user=actor).exclude(meeting__state=MeetingState.PLANNED)
    return Q(levels__voters__user__in=[actor.pk, *absent_for(actor, at=at)]) | Q(pk__in=seated.values("round"))


IN_SCOPE = ("changes.changemodel", "cmdb.baseline")
"""Subjects that name no host, or none outside the scope of who sees them."""


def read_whole(actor: User, *, at: datetime) -> QuerySet[SignOffRound]:
    """The rounds that the actor may see of which they read everything: those that ask them, whatever their scope, and those
    whose every host is in it."""
    rounds = rounds_visible_to(actor, at=at)
    if actor.scopes_for("host.view") is None:
        return rounds
    seen = RFC.objects.exclude(unseen_targets(actor, OuterRef("pk")))
    mine = Q(subject_type=RFC_LABEL, subject_id__in=seen.values("pk")) | Q(subject_type__in=IN_SCOPE)
    asked = SignOffRound.objects.filter(_asked(actor, at))
    return rounds.filter(mine | Q(pk__in=asked.values("pk")))


def reads_whole(round_: SignOffRound, actor: User, *, at: datetime) -> bool:
    """Whether the actor reads all that the round is about."""
    return read_whole(actor, at=at).filter(pk=round_.pk).exists()


def subject_of_round(round_: SignOffRound) -> Model:
    """What a round is about."""
    model: type[Model] = apps.get_model(round_.subject_type)
    rows = model._default_manager.all()
    if model is RFC:
        rows = rows.select_related("requested_by", "cycle")
    return rows.get(pk=round_.subject_id)


def waiting_for(actor: User, *, at: datetime) -> QuerySet[SignOffRound]:
    """Open rounds whose present level asks `actor`, or somebody for whom the actor stands in, neither of whom is counted or
    left out; the tightest deadline first."""
    seats = Q(levels__voters__user=actor)
    gone = SignOff.objects.filter(Q(user=actor) | Q(on_behalf_of=actor))
    for absent in absent_for(actor, at=at):
        counts = SignOff.objects.filter(Q(user=absent) | Q(on_behalf_of=absent))
        seats |= Q(levels__voters__user=absent) & ~Q(pk__in=counts.values("round")) & ~Q(excluded__has_key=str(absent))
    return (
        SignOffRound.objects.filter(seats, state=RoundState.OPEN, levels__position=F("position"))
        .exclude(pk__in=gone.values("round"))
        .exclude(excluded__has_key=str(actor.pk))
        .order_by(F("not_before").asc(nulls_last=True), "pk")
        .defer("document")
        .distinct()
    )


@dataclass(frozen=True)
class Rung:
    """A level as the ladder shows it."""

    level: SignOffLevel
    tally: Tally
    current: bool
    passed: bool


def counted(level: SignOffLevel) -> Tally:
    """The level's count from rows that are at hand (`voters` and `signoffs` prefetched)."""
    verdicts = [s.verdict for s in level.signoffs.all()]
    asked = len(level.voters.all())
    return Tally(
        asked,
        needed(level.quorum, level.amount, asked),
        verdicts.count(Verdict.APPROVE),
        verdicts.count(Verdict.REFUSE),
    )


def ladder_of(round_: SignOffRound) -> list[Rung]:
    """The levels of a round with their counts."""
    rungs = []
    for level in round_.levels.prefetch_related("voters__user", "signoffs__user", "signoffs__on_behalf_of"):
        count = counted(level)
        current = round_.is_open and level.position == round_.position
        rungs.append(Rung(level, count, current, count.passed))
    return rungs


def why_not(round_: SignOffRound, actor: User, *, at: datetime, subject: Model | None = None) -> list[Blocker]:
    """Every reason why `actor` cannot decide now, the same as the verb raises. `subject`: what it is about, if at hand."""
    if not round_.is_open:
        return [Blocker("signoff.round_over", english("This round is %(state)s.", state=label_of(round_)))]
    return why_not_sign(round_, subject or subject_of_round(round_), actor, at=at)


def next_item(actor: User, *, at: datetime, after: SignOffRound | None = None) -> SignOffRound | None:
    """The next round that waits for `actor`, other than `after`."""
    rows = waiting_for(actor, at=at)
    return rows.exclude(pk=after.pk).first() if after else rows.first()


def decided_recently(actor: User, *, since: datetime, at: datetime) -> QuerySet[SignOffRound]:
    """Rounds that the actor may see and that ended since then, newest first."""
    rows = rounds_visible_to(actor, at=at).filter(closed_at__gte=since)
    return rows.defer("document").order_by("-closed_at")


def versions_before(rfc: RFC, updates: Iterable[SoftwareUpdate]) -> dict[int, list[str]]:
    """Update → what the targets have of its source package now, lowest first; what is as new as it brings, or newer, is left out.

    A version that cannot be compared is named: nobody knows that it is not the one to leave.
    """
    wanted: dict[tuple[str, str, str], list[SoftwareUpdate]] = {}
    for update in updates:
        wanted.setdefault((update.distribution, update.release, update.name), []).append(update)
    targets = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True)
    version, platform = "package_version__source_version", "package_version__platform"
    rows = (
        Installation.objects.open()
        .filter(
            host__in=targets.values("host"), package_version__source_name__in={name for _dist, _release, name in wanted}
        )
        .order_by("package_version__source_key", version)
        .values_list(
            f"{platform}__distribution",
            f"{platform}__release",
            "package_version__source_name",
            version,
            "package_version__source_key",
        )
        .distinct()
    )
    found: dict[int, list[str]] = {update.pk: [] for same in wanted.values() for update in same}
    for distribution, release, name, old, key in rows:
        for update in wanted.get((distribution, release, name), []):
            done = old == update.fixed_version or (key and update.fixed_key and key >= update.fixed_key)
            if not done and old not in found[update.pk]:
                found[update.pk].append(old)
    return found
