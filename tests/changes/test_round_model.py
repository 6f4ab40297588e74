"""Rounds of approval against a model: random levels, random people, each vote with what must come of it.

The model is written from the process (who is asked, how many must sign, for whom somebody stands in, what silence does), not
from the code, and asks the product nothing: it counts with sets. After every act both stand at the same level with the same
votes; what is refused has changed nothing; and a round passes by the signatures that its levels need, and by nothing else.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from changes.domain import approvals, change_models, policy, reminders, revisions, rfcs, risk
from changes.models import RFC, ChangeModel
from cmdb.models import SupportGroup
from patchflow.kernel import signoffs, substitutes
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import AuditEntry, RoleGrant, SignOff, SignOffRound, Substitution, User
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("PATCHFLOW_MODEL_EXAMPLES", "8"))
DECIDES = {"cab_chair", "cab_member", "security_officer", "service_owner"}
"""Roles that sign a change."""
SIGNS = DECIDES | {"readiness_approver"}
"""Roles that sign anything: only who holds one is named as a substitute."""
ROLES = {
    "ann": {"requester", "cab_member"}, "che": {"change_manager", "cab_member"}, "cal": {"cab_chair", "cab_member"},
    "mia": {"cab_member"}, "max": {"cab_member"}, "sam": {"security_officer"}, "sue": {"service_owner"},
    "gus": {"readiness_approver"}, "otto": {"operator"}, "ada": {"administrator"}, "leo": set(), "bot": set(), "root": set(),
}  # fmt: skip
"""leo joins late; root is a superuser without a role."""
GROUPS = {"Web": {"sam", "max", "otto"}, "Database": {"sue", "cal", "mia"}}
ANYBODY = tuple(ROLES)
VOTERS = ("cal", "mia", "max", "sam", "sue", "che", "ann")
HOUR = timedelta(hours=1)


# --- what the process says ----------------------------------------------------------------------------------------------
@dataclass
class Level:
    """Who is asked: name → the group by which, or "" by a role."""

    asked: dict[str, str]
    needed: int
    veto: bool
    deadline: datetime
    above: str
    began: datetime
    votes: dict[str, str] = field(default_factory=dict)
    """Seat → verdict."""
    told: list[str] = field(default_factory=list)

    def verdicts(self, verdict: str) -> int:
        return sum(one == verdict for one in self.votes.values())


@dataclass
class Round:
    pk: int
    opened: datetime
    levels: list[Level]
    at_level: int = 0
    signed: list[tuple[str, str, str]] = field(default_factory=list)
    """(who, on whose seat, verdict)."""
    state: str = "open"

    @property
    def level(self) -> Level:
        return self.levels[self.at_level]

    @property
    def counted(self) -> set[str]:
        return {name for who, seat, _verdict in self.signed for name in (who, seat)}

    def rest(self) -> list[tuple[int, set[str]]]:
        """Of the present and each later level: how many must still sign, and who of those asked has not been counted."""
        return [
            (max(one.needed - one.verdicts("approve"), 0), set(one.asked) - self.counted)
            for one in self.levels[self.at_level :]
        ]


def needed(quorum: str, amount: int, asked: int) -> int:
    """How many must sign of so many: one; every one; so many; at least that share of them."""
    return {
        "first": 1,
        "all": asked,
        "count": amount,
        "percent": next(n for n in range(1, 101) if n * 100 >= amount * asked),
    }[quorum]


def seats_for_all(levels: Sequence[tuple[int, Iterable[str]]]) -> bool:
    """Whether each level finds as many people as it needs, none of them at two levels: all ways are tried."""
    if not levels:
        return True
    (count, people), *later = levels
    return any(
        seats_for_all([(n, set(others) - set(chosen)) for n, others in later])
        for chosen in combinations(sorted(people), count)
    )


@dataclass
class Away:
    pk: int
    person: str
    substitute: str
    begins: datetime
    ends: datetime

    def is_now(self, at: datetime) -> bool:
        return self.begins <= at < self.ends


@dataclass
class Model:
    """What the process says of one change that is asked about."""

    roles: dict[str, set[str]]
    groups: dict[str, set[str]]
    state: str = "evaluating"
    text: str = ""
    authors: set[str] = field(default_factory=lambda: {"ann"})
    levels: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    away: list[Away] = field(default_factory=list)

    @property
    def round(self) -> Round | None:
        return self.rounds[-1] if self.rounds and self.rounds[-1].state == "open" else None

    def decides(self, who: str) -> bool:
        return bool(self.roles[who] & DECIDES)

    def asked_by(self, said: dict[str, Any]) -> dict[str, str]:
        """Whom a level asks now: by role, else from the group those of it who may decide; never who wrote the change."""
        found = {who: said["group"] for who in self.groups.get(said["group"], ()) if self.decides(who)}
        found |= {who: "" for who, roles in self.roles.items() if roles & set(said["roles"])}
        return {who: via for who, via in found.items() if who not in self.authors}

    def in_place(self, level: Level, who: str) -> bool:
        """Whether who was asked still decides, by the right by which they were asked."""
        via = level.asked[who]
        return who not in self.authors and self.decides(who) and (not via or who in self.groups[via])

    def seats(self, round_: Round, who: str, at: datetime) -> set[str]:
        """On whose seat this person may sign now: on the own one, and only without one on that of an absent person. A person
        counts once in a round, as does a seat."""
        level = round_.level
        if who in self.authors or not self.decides(who) or who in round_.counted:
            return set()
        if who in level.asked:
            return {who} if self.in_place(level, who) else set()
        absent = {one.person for one in self.away if one.substitute == who and one.is_now(at)}
        return {p for p in absent & set(level.asked) - round_.counted if self.in_place(level, p)}

    def is_needed_later(self, round_: Round, who: str, seat: str) -> bool:
        """Whether signing here would leave a later level without its people, who could have been had."""
        (count, here), *later = round_.rest()
        after = [(max(count - 1, 0), here - {who, seat}), *((n, people - {who, seat}) for n, people in later)]
        return seats_for_all(round_.rest()) and not seats_for_all(after)


# --- both, side by side -------------------------------------------------------------------------------------------------
@st.composite
def levels_said(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One to three levels: roles, a group or both; every kind of quorum."""
    found = []
    for n in range(draw(st.integers(1, 3))):
        roles = draw(st.sets(st.sampled_from(sorted(DECIDES)), min_size=0, max_size=2))
        group = draw(st.sampled_from(["", *GROUPS] if roles else list(GROUPS)))
        quorum = draw(st.sampled_from(["first", "all", "count", "percent"]))
        amount = draw(st.sampled_from([1, 34, 50, 67, 100]) if quorum == "percent" else st.integers(1, 3))
        found.append({
            "name": f"Level {n + 1}", "roles": sorted(roles), "group": group, "quorum": quorum, "amount": amount,
            "hours": draw(st.sampled_from([4, 40])), "veto": draw(st.integers(0, 4)) == 0,
            "escalate_to": draw(st.sampled_from(["", "change_manager", "administrator"])),
        })  # fmt: skip
    return found


class RoundMachine(RuleBasedStateMachine):
    world: World
    rfc: RFC

    def __init__(self) -> None:
        super().__init__()
        self.frame = transaction.atomic()
        self.frame.__enter__()
        self.at = self.world.at

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.frame.__exit__(None, None, None)
        transaction.get_connection().needs_rollback = False

    @initialize(levels=levels_said())
    def evaluated(self, levels: list[dict[str, Any]]) -> None:
        """A change that is ready to be asked about, by a model that asks these levels."""
        self.m = Model({who: set(roles) for who, roles in ROLES.items()}, {k: set(v) for k, v in GROUPS.items()})
        self.m.text = self.rfc.implementation_plan
        self.say_levels(levels)
        self.ask("che")

    def say_levels(self, levels: list[dict[str, Any]]) -> None:
        self.m.levels = levels
        ChangeModel.objects.filter(pk=self.rfc.change_model_id).update(levels=policy.checked(levels))

    @property
    def row(self) -> RFC:
        return RFC.objects.get(pk=self.rfc.pk)

    def person(self, name: str) -> User:
        return User.bot() if name == "bot" else User.objects.get(username=name)

    def does(self, may: bool, act: Callable[..., Any], who: str, **given: Any) -> bool:
        """Tries the act; it must succeed exactly when the model says so, and a refusal must have changed nothing."""
        before, refused = self.picture(), None
        try:
            act(actor=self.person(who), at=self.at, **given)
        except Refusal as refusal:
            refused = refusal.blockers
        said = f"{act.__name__} by {who}, {given}: {refused or 'went through'}; {self.m}"
        assert may == (refused is None), said
        if refused is not None:
            assert self.picture() == before, said
            assert refused, said
            assert all(b.sentence for b in refused), said
        return may

    def picture(self) -> tuple[Any, ...]:
        rounds = SignOffRound.objects.filter(subject_id=self.rfc.pk, subject_type="changes.rfc").order_by("number")
        return self.row.state, list(rounds.values_list("pk", "state", "position")), SignOff.objects.count()

    # --- asking and taking back -------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(["che", "che", "che", "ann", "cal"]))
    def ask(self, who: str) -> None:
        m = self.m
        asked = [m.asked_by(said) for said in m.levels]
        needs = [needed(s["quorum"], s["amount"], max(len(a), 1)) for s, a in zip(m.levels, asked, strict=True)]
        grouped = all(
            any(m.decides(p) and p not in m.authors for p in m.groups[s["group"]]) for s in m.levels if s["group"]
        )
        enough = seats_for_all([(n, set(a)) for n, a in zip(needs, asked, strict=True)])
        may = m.state == "evaluating" and who == "che" and grouped and enough
        if not self.does(may, approvals.request_approval, who, rfc_id=self.rfc.pk):
            return
        m.state = "awaiting_approval"
        levels = [
            Level(a, n, s["veto"], self.at + s["hours"] * HOUR, s["escalate_to"], self.at)
            for s, a, n in zip(m.levels, asked, needs, strict=True)
        ]
        pk = SignOffRound.objects.get(subject_id=self.rfc.pk, subject_type="changes.rfc", state="open").pk
        m.rounds.append(Round(pk, self.at, levels))

    @rule(levels=levels_said())
    def others_shall_be_asked(self, levels: list[dict[str, Any]]) -> None:
        """From the next round on: what is open stays as it was asked."""
        self.say_levels(levels)

    @rule(who=st.sampled_from(["che", "che", "ann", "cal"]), sure=st.integers(0, 2))
    def take_the_question_back(self, who: str, sure: int) -> None:
        m = self.m
        may = m.round is not None and who == "che"
        if not m.rounds or (may and sure):
            return
        if self.does(may, approvals.withdraw, who, round_id=m.rounds[-1].pk, reason="not now"):
            m.rounds[-1].state, m.state = "withdrawn", "evaluating"

    @rule(who=st.sampled_from(["ann", "ann", "che", "mia"]), text=st.sampled_from("abc"), sure=st.integers(0, 2))
    def edit(self, who: str, text: str, sure: int) -> None:
        """Another content voids what was asked and what was signed, and its author decides no more; the same does nothing."""
        m = self.m
        may = who in ("ann", "che")
        if may and sure:
            return
        if not self.does(may, revisions.revise, who, rfc_id=self.rfc.pk, implementation_plan=text) or text == m.text:
            return
        if m.round:
            m.round.state = "void"
        m.text, m.state = text, "evaluating"
        m.authors.add(who)
        risk.score(rfc_id=self.rfc.pk, actor=self.person("che"), at=self.at)

    @rule()
    def lapse(self) -> None:
        """What was authorized is asked about once more."""
        if self.m.state == "authorized":
            assert self.does(True, rfcs.lapse, "che", rfc_id=self.rfc.pk, reason="facts changed")
            self.m.state = "evaluating"

    # --- votes --------------------------------------------------------------------------------------------------------------
    @rule(
        who=st.sampled_from(ANYBODY), verdict=st.sampled_from(["approve", "approve", "refuse", "abstain"]),
        comment=st.sampled_from(["so", "so", " "]), seen=st.sampled_from(["now", "now", "", "other"]), which=st.integers(0, 5),
    )  # fmt: skip
    def anybody_votes(self, who: str, verdict: str, comment: str, seen: str, which: int) -> None:
        """Also on rounds that are over, without a word, about what they did not see, or neither for nor against."""
        if self.m.rounds:
            old = self.m.rounds[which % len(self.m.rounds)] if which < 2 else self.m.rounds[-1]
            self.vote(old, who, verdict, comment, seen)

    @rule(side=st.integers(0, 6), verdict=st.sampled_from(["approve", "approve", "approve", "approve", "refuse"]))
    def who_may_votes(self, side: int, verdict: str) -> None:
        """What usually comes next: otherwise random people hardly ever lead anywhere."""
        if self.m.round is None:
            self.ask("che")
        elif able := sorted(who for who in ANYBODY if self.m.seats(self.m.round, who, self.at)):
            self.vote(self.m.round, able[side % len(able)], verdict)

    @rule(one=st.integers(0, 6), other=st.integers(0, 6), verdict=st.sampled_from(["approve", "refuse"]))
    def two_vote_at_once(self, one: int, other: int, verdict: str) -> None:
        """Both have the same page before them, maybe the same person twice; the second finds what the first has left."""
        if round_ := self.m.round:
            able = sorted(who for who in VOTERS if self.m.seats(round_, who, self.at)) or list(VOTERS)
            self.vote(round_, able[one % len(able)], "approve")
            self.vote(round_, able[other % len(able)], verdict)

    def vote(self, round_: Round, who: str, verdict: str, comment: str = "so", seen: str = "now") -> None:
        digest = SignOffRound.objects.values_list("digest", flat=True).get(pk=round_.pk)
        given = {
            "verdict": verdict,
            "comment": comment,
            "digest_seen": {"now": digest, "": "", "other": "0" * 64}[seen],
        }
        valid = verdict == "approve" or (verdict == "refuse" and bool(comment.strip()))
        seats = self.m.seats(round_, who, self.at) if round_.state == "open" else set()
        if verdict == "approve":
            seats = {seat for seat in seats if not self.m.is_needed_later(round_, who, seat)}
        may = valid and seen != "other" and bool(seats)
        if not self.does(may, approvals.decide, who, round_id=round_.pk, **given):
            return
        row = SignOff.objects.select_related("user", "on_behalf_of").latest("pk")
        seat = (row.on_behalf_of or row.user).username
        assert (row.user.username, row.verdict, row.level.position) == (who, verdict, round_.at_level + 1)
        assert seat in seats, f"{who} signed on the seat of {seat}: {self.m}"
        round_.signed.append((who, seat, verdict))
        round_.level.votes[seat] = verdict
        self.counted(round_)

    def counted(self, round_: Round) -> None:
        """The level is through as soon as it has what it needs, and refused as soon as it cannot have it any more."""
        level, m = round_.level, self.m
        against = level.verdicts("refuse")
        if against and (level.veto or len(level.asked) - against < level.needed):
            round_.state, m.state = "refused", "evaluating"
        elif level.verdicts("approve") >= level.needed and level is round_.levels[-1]:
            round_.state, m.state = "passed", "authorized"
        elif level.verdicts("approve") >= level.needed:
            round_.at_level += 1
            round_.level.began = self.at
            round_.level.deadline += self.at - round_.opened

    # --- silence ------------------------------------------------------------------------------------------------------------
    @rule(hours=st.sampled_from([1, 2, 3, 21, 50]))
    def time_passes(self, hours: int) -> None:
        """After half of its time whoever is silent is told, after three quarters the role above, once each; at the end the round
        is over. Nobody's silence counts as a vote."""
        self.at += timedelta(hours=hours)
        reminders.due_reminders(now=self.at)
        round_ = self.m.round
        for one in self.m.rounds:
            if one is not round_:
                assert not signoffs.expire(round_id=one.pk, actor=User.bot(), at=self.at)
        if round_ is None:
            return
        level = round_.level
        length, silent = level.deadline - level.began, set(level.asked) - round_.counted
        above = {who for who, roles in self.m.roles.items() if level.above in roles}
        if silent and self.at >= level.began + length / 2 and "reminded" not in level.told:
            level.told.append("reminded")
        if above and self.at >= level.began + length * 3 / 4 and "escalated" not in level.told:
            level.told.append("escalated")
        over = self.at >= level.deadline
        assert signoffs.expire(round_id=round_.pk, actor=User.bot(), at=self.at) == over
        if over:
            round_.state, self.m.state = "expired", "evaluating"

    # --- people come, go and are away ---------------------------------------------------------------------------------------
    @rule(who=st.sampled_from([*VOTERS, "leo"]), role=st.sampled_from(sorted(DECIDES)))
    def gets_a_role(self, who: str, role: str) -> None:
        """Who comes late is not asked by what is open."""
        if role not in self.m.roles[who]:
            RoleGrant.objects.create(user=self.person(who), role=role)
            self.m.roles[who].add(role)

    @rule(who=st.sampled_from(["mia", "max", "sam", "sue", "leo"]))
    def loses_every_role(self, who: str) -> None:
        RoleGrant.objects.filter(user=self.person(who)).delete()
        self.m.roles[who].clear()

    @rule(who=st.sampled_from([*VOTERS, "otto", "leo"]), group=st.sampled_from(sorted(GROUPS)))
    def joins_or_leaves_a_group(self, who: str, group: str) -> None:
        members = SupportGroup.objects.get(name=group).members
        if who in self.m.groups[group]:
            members.remove(self.person(who))
        else:
            members.add(self.person(who))
        self.m.groups[group] ^= {who}

    @rule(
        who=st.sampled_from(VOTERS), substitute=st.sampled_from([*VOTERS, "leo", "gus", "otto"]),
        by=st.sampled_from(["self", "self", "self", "ada", "mia"]), begins=st.sampled_from([0, 0, 0, 6]),
        hours=st.sampled_from([0, 2, 48, 48]),
    )  # fmt: skip
    def is_away(self, who: str, substitute: str, by: str, begins: int, hours: int) -> None:
        """Named by oneself or by who keeps people; nobody names themselves, and never two for the same time."""
        m, actor = self.m, who if by == "self" else by
        start = self.at + begins * HOUR
        end = start + hours * HOUR
        if any(one.substitute == substitute and max(one.begins, start) < min(one.ends, end) for one in self.m.away):
            return  # on which of two seats somebody signs first is not said
        free = not any(one.person == who and max(one.begins, start) < min(one.ends, end) for one in m.away)
        may = (
            actor in (who, "ada") and substitute not in (who, actor) and bool(m.roles[substitute] & SIGNS) and hours > 0 and free
        )  # fmt: skip
        given = {"substitute_id": self.person(substitute).pk, "starts_at": start, "ends_at": end}
        if self.does(may, substitutes.name_substitute, actor, user_id=self.person(who).pk, **given):
            m.away.append(Away(Substitution.objects.latest("pk").pk, who, substitute, start, end))

    @rule(which=st.integers(0, 3), by=st.sampled_from(["self", "self", "ada", "sue"]))
    def is_back(self, which: int, by: str) -> None:
        if not self.m.away:
            return
        one = self.m.away[which % len(self.m.away)]
        actor = one.person if by == "self" else by
        may = actor in (one.person, "ada") and self.at < one.ends
        if self.does(may, substitutes.end, actor, substitution_id=one.pk):
            one.ends = self.at

    # --- always -------------------------------------------------------------------------------------------------------------
    @invariant()
    def both_stand_at_the_same(self) -> None:
        if not hasattr(self, "m"):
            return
        assert self.row.state == self.m.state
        rows = SignOffRound.objects.filter(subject_id=self.rfc.pk, subject_type="changes.rfc").order_by("number")
        assert list(rows.values_list("pk", "state", "position")) == [
            (one.pk, one.state, one.at_level + 1) for one in self.m.rounds
        ]
        for one in self.m.rounds[-1:]:
            votes = SignOff.objects.filter(round_id=one.pk).order_by("pk")
            found = [
                (v.user.username, (v.on_behalf_of or v.user).username, v.verdict)
                for v in votes.select_related("user", "on_behalf_of")
            ]
            assert found == one.signed, "nothing that was said is edited"
            told = AuditEntry.objects.filter(verb="signoff.round.reminded", object_id=str(one.pk)).values_list(
                "detail", flat=True
            )
            assert Counter((d["level"], d["step"]) for d in told) == Counter(
                (f"Level {n}", step) for n, level in enumerate(one.levels, start=1) for step in level.told
            )

    @invariant()
    def what_passed_was_signed_by_enough_who_may(self) -> None:
        for round_ in getattr(self, "m", Model({}, {})).rounds:
            names = [name for who, seat, _verdict in round_.signed for name in {who, seat}]
            assert len(names) == len(set(names)), "somebody counts twice"
            if round_.state == "passed":
                assert all(level.verdicts("approve") >= max(level.needed, 1) for level in round_.levels)

    @invariant()
    def authorized_is_what_a_passed_round_signed(self) -> None:
        if hasattr(self, "m") and self.m.state == "authorized":
            row = self.row
            assert signoffs.passed_round_of(row, digest_now=row.change_digest)


@pytest.fixture
def machine(cast: Any, now: datetime) -> type[RoundMachine]:
    """One change of ann's, evaluated, and everybody in place."""
    for name in ("max", "sue", "leo"):
        make_user(name)
    world = made.make_world(cast, now)
    people = {user.username: user for user in User.objects.all()}
    RoleGrant.objects.filter(user__username__in=list(ROLES)).delete()
    RoleGrant.objects.bulk_create(
        [RoleGrant(user=people[who], role=r) for who, roles in ROLES.items() if who != "bot" for r in roles]
    )
    for name, members in GROUPS.items():
        SupportGroup.objects.create(name=name).members.set([people[who] for who in members])
    che = people["che"]
    asking = change_models.draft(kind="normal", name="By these levels", actor=che, at=now)
    ChangeModel.objects.filter(pk=asking.pk).update(state="approved", approved_at=now)
    rfc = made.evaluating(made.World(world.cast, world.hosts, world.update, now), change_model_id=asking.pk)
    return type("Machine", (RoundMachine,), {"world": world, "rfc": rfc})


def test_a_round_does_what_the_process_says(machine: type[RoundMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
