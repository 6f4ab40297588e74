"""Rounds of approval against a model: random levels, random people, each vote with what must come of it.

The model is written from the process (who is asked, how many must sign, for whom somebody stands in, what silence does), not
from the code, and asks the product nothing: it counts with sets. After every act both stand at the same level with the same
votes; what is refused has changed nothing; and a round passes by the signatures that its levels need, and by nothing else.

That it can fail, its last tests show: each gives the model one rule less than the process has, and expects the two to part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from changes.domain import approvals, change_models, policy, reminders, revisions, rfcs, risk
from changes.models import RFC, ChangeModel
from cmdb.models import SupportGroup
from patchflow.kernel import signoffs, substitutes
from patchflow.kernel.models import AuditEntry, RoleGrant, SignOff, SignOffRound, Substitution, User
from tests.factories import changes as made
from tests.factories.people import make_user
from tests.machines import ChangeMachine, dose, plays

pytestmark = pytest.mark.django_db

EXAMPLES = dose(8)
STEPS = 14
DECIDES = {"cab_chair", "cab_member", "security_officer", "service_owner"}
"""Roles that sign a change."""
SIGNS = DECIDES | {"readiness_approver"}
"""Roles that sign anything: only who holds one is named as a substitute."""
ROLES = {
    "ann": {"requester", "cab_member"}, "che": {"change_manager", "cab_member"}, "cal": {"cab_chair"},
    "mia": {"cab_member"}, "max": {"cab_member"}, "sam": {"security_officer"}, "sue": {"service_owner"},
    "gus": {"readiness_approver"}, "otto": {"operator"}, "ada": {"administrator"}, "leo": set(), "bot": set(), "root": set(),
}  # fmt: skip
"""leo joins late; root is a superuser without a role."""
GROUPS = {"Web": {"sam", "max", "otto"}, "Database": {"sue", "cal", "mia"}}
ANYBODY = tuple(ROLES)
VOTERS = ("cal", "mia", "max", "sam", "sue", "che", "ann")
STANDING_IN = ("leo", "sam", "sue", "cal", "max", "mia")
HOUR = timedelta(hours=1)


def asks(name: str, quorum: str, amount: int, *, role: str = "", group: str = "", above: str = "") -> dict[str, Any]:
    return {"name": name, "roles": [role] if role else [], "group": group, "quorum": quorum, "amount": amount, "hours": 4,
            "veto": False, "escalate_to": above}  # fmt: skip


PLAIN = [
    asks("Level 1", "count", 2, role="cab_member", above="change_manager"),
    asks("Level 2", "all", 1, group="Database"),
]
BY_GROUP = [asks("Level 1", "all", 1, group="Web"), asks("Level 2", "first", 1, role="cab_member")]
ENOUGH_LEFT = [asks("Level 1", "first", 1, role="cab_member"), asks("Level 2", "count", 2, group="Database")]
FEW = [
    PLAIN,
    BY_GROUP,
    [asks("Level 1", "percent", 50, role="cab_member"), asks("Level 2", "percent", 67, group="Database")],
]
"""Levels of two or three people that can be asked as these are at first, some of whom are at both."""


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

    def needed(self, quorum: str, amount: int, asked: int) -> int:
        """How many must sign of so many: one; every one; so many; at least that share of them."""
        return {
            "first": 1,
            "all": asked,
            "count": amount,
            "percent": next(n for n in range(1, 101) if n * 100 >= amount * asked),
        }[quorum]

    def in_place(self, level: Level, who: str) -> bool:
        """Whether who was asked still decides, by the right by which they were asked."""
        return who not in self.authors and self.still_decides(who) and self.is_of_the_group(level, who)

    def still_decides(self, who: str) -> bool:
        return self.decides(who)

    def is_of_the_group(self, level: Level, who: str) -> bool:
        """Whether who was asked by a group is of it now."""
        via = level.asked[who]
        return not via or who in self.groups[via]

    def is_away(self, one: Away, at: datetime) -> bool:
        return one.begins <= at < one.ends

    def counted(self, round_: Round) -> set[str]:
        """A seat counts once, and so does a person."""
        return {name for who, seat, _verdict in round_.signed for name in (who, seat)}

    def rest(self, round_: Round) -> list[tuple[int, set[str]]]:
        """Of the present and each later level: how many must still sign, and who of those asked has not been counted."""
        return [
            (max(one.needed - one.verdicts("approve"), 0), set(one.asked) - self.counted(round_))
            for one in round_.levels[round_.at_level :]
        ]

    def is_refused(self, level: Level) -> bool:
        """At once where the level has a veto, else as soon as it cannot have what it needs any more."""
        against = level.verdicts("refuse")
        return bool(against) and (level.veto or len(level.asked) - against < level.needed)

    def silence(self, round_: Round) -> None:
        """Of a level, to its end: it ends the round."""
        round_.state, self.state = "expired", "evaluating"

    def seats(self, round_: Round, who: str, at: datetime) -> set[str]:
        """On whose seat this person may sign now: on the own one, and only without one on that of an absent person. A person
        counts once in a round, as does a seat."""
        level = round_.level
        if who in self.authors or not self.still_decides(who) or who in self.counted(round_):
            return set()
        if who in level.asked:
            return {who} if self.in_place(level, who) else set()
        absent = {one.person for one in self.away if one.substitute == who and self.is_away(one, at)}
        return {p for p in absent & set(level.asked) - self.counted(round_) if self.in_place(level, p)}

    def is_needed_later(self, round_: Round, who: str, seat: str) -> bool:
        """Whether signing here would leave a later level without its people, who could have been had."""
        (count, here), *later = self.rest(round_)
        after = [(max(count - 1, 0), here - {who, seat}), *((n, people - {who, seat}) for n, people in later)]
        return seats_for_all(self.rest(round_)) and not seats_for_all(after)


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
            "hours": draw(st.sampled_from([4, 40])), "veto": draw(st.integers(0, 2)) == 0,
            "escalate_to": draw(st.sampled_from(["", "change_manager", "administrator"])),
        })  # fmt: skip
    return found


some_levels = st.sampled_from(FEW) | levels_said()


COURSES = (
    "votes",
    "stood in",
    "stood in too late",
    "left the group",
    "lost the role",
    "against",
    "silent later",
    "silent",
)


class RoundMachine(ChangeMachine):
    rfc: RFC
    process: type[Model] = Model
    courses: Sequence[str] = COURSES
    """Of these the first course of an example is one."""

    @initialize(
        levels=some_levels,
        course=st.integers(0, len(COURSES) - 1),
        which=st.integers(0, 6),
        order=st.permutations(VOTERS),
    )
    def evaluated(self, levels: list[dict[str, Any]], course: int, which: int, order: Sequence[str]) -> None:
        """A change that is asked about by a model that asks these levels, and a first course."""
        self.m = self.process({who: set(roles) for who, roles in ROLES.items()}, {k: set(v) for k, v in GROUPS.items()})
        self.m.text = self.rfc.implementation_plan
        self.say_levels(levels)
        self.ask("che")
        match self.courses[course % len(self.courses)]:
            case "votes":
                self.everybody_votes(order, 99, 3, 0)
            case "stood in":
                self.somebody_is_away_and_both_vote(which, "leo", "substitute", "in time")
            case "stood in too late":
                self.somebody_is_away_and_both_vote(which, "leo", "substitute", "too late")
            case "left the group":
                self.loses_the_right_and_tries(which, "group", False)
            case "lost the role":
                self.loses_the_right_and_tries(which, "roles", False)
            case "against":
                self.one_is_against(order, which, True)
            case "silent later":
                self.time_runs_out(order, True)
            case _:
                self.time_runs_out(order, False)

    def say_levels(self, levels: list[dict[str, Any]]) -> None:
        self.m.levels = levels
        ChangeModel.objects.filter(pk=self.rfc.change_model_id).update(levels=policy.checked(levels))

    def picture(self) -> tuple[Any, ...]:
        return self.row.state, list(self.asked.values_list("pk", "state", "position")), SignOff.objects.count()

    # --- asking and taking back -------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(["che", "che", "che", "ann", "cal"]))
    def ask(self, who: str) -> None:
        m = self.m
        asked = [m.asked_by(said) for said in m.levels]
        needs = [m.needed(s["quorum"], s["amount"], max(len(a), 1)) for s, a in zip(m.levels, asked, strict=True)]
        grouped = all(
            any(m.decides(p) and p not in m.authors for p in m.groups[s["group"]]) for s in m.levels if s["group"]
        )
        enough = seats_for_all([(n, set(a)) for n, a in zip(needs, asked, strict=True)])
        may = m.state == "evaluating" and who == "che" and grouped and enough
        if not self.does(may, approvals.request_approval, who, rfc_id=self.pk):
            return
        m.state = "awaiting_approval"
        levels = [
            Level(a, n, s["veto"], self.at + s["hours"] * HOUR, s["escalate_to"], self.at)
            for s, a, n in zip(m.levels, asked, needs, strict=True)
        ]
        pk = self.asked.get(state="open").pk
        m.rounds.append(Round(pk, self.at, levels))

    @rule(levels=some_levels)
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
        if not self.does(may, revisions.revise, who, rfc_id=self.pk, implementation_plan=text) or text == m.text:
            return
        if m.round:
            m.round.state = "void"
        m.text, m.state = text, "evaluating"
        m.authors.add(who)
        risk.score(rfc_id=self.pk, actor=self.person("che"), at=self.at)

    def lapse(self) -> None:
        """What was authorized is asked about once more."""
        if self.m.state == "authorized":
            assert self.does(True, rfcs.lapse, "che", rfc_id=self.pk, reason="facts changed")
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
        if m.is_refused(level):
            round_.state, m.state = "refused", "evaluating"
        elif level.verdicts("approve") >= level.needed and level is round_.levels[-1]:
            round_.state, m.state = "passed", "authorized"
        elif level.verdicts("approve") >= level.needed:
            round_.at_level += 1
            round_.level.began = self.at
            round_.level.deadline += self.at - round_.opened

    # --- whole courses ------------------------------------------------------------------------------------------------------
    # What random acts hardly ever lead to is played to its end; each act of it is asked of the model as any other.

    def opened(
        self, *, votes: int = 1, such: list[dict[str, Any]] = PLAIN, fits: Callable[[Level], bool] = lambda _level: True
    ) -> Round | None:
        """The open round. Where there is none, or one that fewer votes would end, or whose level does not fit, one is asked
        for, of such levels if it must be."""
        self.lapse()
        if self.m.round is None:
            self.ask("che")
        now = self.m.round
        if now and fits(now.level) and sum(count for count, _people in self.m.rest(now)) >= votes:
            return now
        self.take_the_question_back("che", 0)
        self.say_levels(such)
        self.ask("che")
        return self.m.round

    @rule(
        order=st.permutations(VOTERS),
        against=st.integers(0, 14),
        levels=st.integers(1, 3),
        pause=st.sampled_from([0, 0, 1]),
    )
    def everybody_votes(self, order: Sequence[str], against: int, levels: int, pause: int) -> None:
        """In this order at each level, at most one of them against it; then the first of them once more."""
        if (round_ := self.opened()) is None:
            return
        for _level in range(levels):
            self.passes(pause * HOUR)
            at_level, able = round_.at_level, self.able(order)
            for n, who in enumerate(able):
                if (round_.state, round_.at_level) == ("open", at_level):
                    self.vote(round_, who, "refuse" if n == against else "approve")
            if round_.state != "open":
                return
            if able:
                self.vote(round_, able[0], "approve")

    def able(self, order: Iterable[str]) -> list[str]:
        return [who for who in order if self.m.round and self.m.seats(self.m.round, who, self.at)]

    @rule(
        which=st.integers(0, 6), substitute=st.sampled_from(STANDING_IN), who_first=st.sampled_from(["substitute", "absent"]),
        when=st.sampled_from(["in time", "in time", "too late"]),
    )  # fmt: skip
    def somebody_is_away_and_both_vote(self, which: int, substitute: str, who_first: str, when: str) -> None:
        """On one seat, one after the other, and at the next level again: it counts once, and so do they."""
        round_ = self.opened(votes=2)
        absent = [who for who in self.able(VOTERS) if who in round_.level.asked] if round_ else []
        if round_ is None or not absent:
            return
        person = absent[which % len(absent)]
        others = [
            who
            for who in (substitute, *STANDING_IN)
            if who not in round_.level.asked
            and who not in self.m.counted(round_)
            and (self.m.decides(who) or who == "leo")
        ]
        if not others:
            return
        if not self.m.decides(others[0]):
            self.gets_a_role(others[0], "security_officer")
        self.is_away(person, others[0], "self", 0, 2)
        if when == "too late":
            self.passes(2 * HOUR)
        order = [others[0], person] if who_first == "substitute" else [person, others[0]]
        for who in [*order, *order]:
            if round_.state == "open":
                self.vote(round_, who, "approve")

    @rule(which=st.integers(0, 6), what=st.sampled_from(["roles", "group"]), back=st.booleans())
    def loses_the_right_and_tries(self, which: int, what: str, back: bool) -> None:
        """The roles, or the place in the group; maybe it comes back, and then they sign."""
        by = [group for group in GROUPS if what == "group"] or ["", *GROUPS]
        round_ = self.opened(such=BY_GROUP, fits=lambda level: not set(level.asked.values()).isdisjoint(by))
        able = [who for who in self.able(VOTERS) if who in round_.level.asked and who != "che"] if round_ else []
        if round_ is None or not able:
            return
        able = [who for who in able if round_.level.asked[who] in by] or able
        who = able[which % len(able)]
        group, roles = round_.level.asked[who], sorted(self.m.roles[who])
        if by_group := bool(group) and what == "group":
            self.joins_or_leaves_a_group(who, group)
        else:
            self.loses_every_role(who)
        self.vote(round_, who, "approve")
        if back and by_group:
            self.joins_or_leaves_a_group(who, group)
        elif back:
            for role in roles:
                self.gets_a_role(who, role)
        self.vote(round_, who, "approve")

    @rule(order=st.permutations(VOTERS), which=st.integers(0, 6), veto=st.booleans())
    def one_is_against(self, order: Sequence[str], which: int, veto: bool) -> None:
        """Though enough others are left: it ends a level that has a veto, and no other."""
        such = [{**level, "veto": veto} for level in ENOUGH_LEFT]
        round_ = self.opened(
            such=such, fits=lambda level: level.veto == veto and level.needed < len(level.asked), votes=2 - veto
        )
        if round_ and (able := self.able(order)):
            self.vote(round_, able[which % len(able)], "refuse")
            for who in able:
                self.vote(round_, who, "approve")

    @rule(
        who=st.sampled_from(["leo", "sam", "sue"]),
        role=st.sampled_from(sorted(DECIDES)),
        group=st.sampled_from(sorted(GROUPS)),
    )
    def comes_late_and_tries(self, who: str, role: str, group: str) -> None:
        """Whom a round does not ask, it does not ask by a role or a group that they get later."""
        if round_ := self.opened():
            self.gets_a_role(who, role)
            if who not in self.m.groups[group]:
                self.joins_or_leaves_a_group(who, group)
            self.vote(round_, who, "approve")

    @rule(who=st.sampled_from(["che", "che", "ann"]), text=st.sampled_from("abc"))
    def writes_and_tries(self, who: str, text: str) -> None:
        """Whoever wrote a part of it decides no more, neither what was open nor what is asked then."""
        self.opened()
        self.edit(who, text, 0)
        for round_ in [*self.m.rounds[-1:], self.opened()]:
            if round_:
                self.vote(round_, who, "approve")

    @rule(order=st.permutations(VOTERS), signs=st.booleans())
    def time_runs_out(self, order: Sequence[str], signs: bool) -> None:
        """Of the first level, or, an hour after the opening, of the next: until the last minute it is open, then it is over."""
        if (round_ := self.opened()) is None:
            return
        if signs:
            self.passes(HOUR)
            self.everybody_votes(order, 99, 1, 0)
        if round_.state == "open":
            self.passes(round_.level.deadline - self.at - timedelta(minutes=1))
            self.passes(timedelta(minutes=1))

    # --- silence ------------------------------------------------------------------------------------------------------------
    @rule(hours=st.sampled_from([1, 2, 3, 21, 50]))
    def time_passes(self, hours: int) -> None:
        """After half of its time whoever is silent is told, after three quarters the role above, once each; at the end the round
        is over. Nobody's silence counts as a vote."""
        self.passes(hours * HOUR)

    def passes(self, time: timedelta) -> None:
        """The sweeps run then; every round but the open one is over and stays so."""
        if not time:
            return
        self.at += time
        reminders.due_reminders(now=self.at)
        round_ = self.m.round
        for one in self.m.rounds:
            if one is not round_:
                assert not signoffs.expire(round_id=one.pk, actor=User.bot(), at=self.at)
        if round_ is None:
            return
        level = round_.level
        length, silent = level.deadline - level.began, set(level.asked) - self.m.counted(round_)
        above = {who for who, roles in self.m.roles.items() if level.above in roles}
        if silent and self.at >= level.began + length / 2 and "reminded" not in level.told:
            level.told.append("reminded")
        if above and self.at >= level.began + length * 3 / 4 and "escalated" not in level.told:
            level.told.append("escalated")
        over = self.at >= level.deadline
        assert signoffs.expire(round_id=round_.pk, actor=User.bot(), at=self.at) == over
        if over:
            self.m.silence(round_)

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
        assert list(self.asked.values_list("pk", "state", "position")) == [
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
    return type("Machine", (RoundMachine,), {"rfc": rfc, "pk": rfc.pk, "at": now})


def test_a_round_does_what_the_process_says(machine: type[RoundMachine]) -> None:
    run_state_machine_as_test(machine, settings=plays(EXAMPLES, STEPS))


# --- that it can fail -----------------------------------------------------------------------------------------------------
class ALostRoleStillSigns(Model):
    def still_decides(self, _who: str) -> bool:
        return True


class WhoLeftTheGroupStillSigns(Model):
    def is_of_the_group(self, _level: Level, _who: str) -> bool:
        return True


class WhoIsBackIsStillStoodInFor(Model):
    def is_away(self, one: Away, at: datetime) -> bool:
        return one.begins <= at


class ASeatCountsTwice(Model):
    def counted(self, round_: Round) -> set[str]:
        return {who for who, _seat, _verdict in round_.signed}


class AVetoIsOneVote(Model):
    def is_refused(self, level: Level) -> bool:
        return len(level.asked) - level.verdicts("refuse") < level.needed


class SilencePassesALevel(Model):
    def silence(self, round_: Round) -> None:
        if round_.level is round_.levels[-1]:
            super().silence(round_)
        else:
            round_.at_level += 1


class AllAreOneFewer(Model):
    def needed(self, quorum: str, amount: int, asked: int) -> int:
        return max(asked - 1, 1) if quorum == "all" else super().needed(quorum, amount, asked)


BROKEN = {
    ALostRoleStillSigns: "lost the role",
    WhoLeftTheGroupStillSigns: "left the group",
    WhoIsBackIsStillStoodInFor: "stood in too late",
    ASeatCountsTwice: "stood in",
    AVetoIsOneVote: "against",
    SilencePassesALevel: "silent",
    AllAreOneFewer: "votes",
}
"""Model without a rule → the course that shows it."""


@pytest.mark.parametrize(("process", "course"), BROKEN.items(), ids=[one.__name__ for one in BROKEN])
def test_without_a_rule_the_two_part(process: type[Model], course: str, machine: type[RoundMachine]) -> None:
    """The same examples at each run, as many as the product gets; the first that shows it ends it."""
    broken = type("Machine", (machine,), {"process": process, "courses": [course]})
    first = plays(8, 3, database=None, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(broken, settings=first)
