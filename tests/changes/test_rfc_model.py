"""The RFC and its rounds against a model: random acts by random people, each with what must come of it.

The model is written from the process, not from the code: which acts a state allows, to whom, and what they lead to. After
every act both stand in the same state; whatever is refused has changed nothing; and nobody ever gets to *authorized* but by
a passed round, a licence, or a glass broken by a second person, on exactly the content that stands there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from changes.domain import approvals, evidence, glass, holds, revisions, rfcs, risk
from patchflow.kernel import signoffs
from patchflow.kernel.models import AuditEntry, User
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user
from tests.machines import ChangeMachine, dose, plays

pytestmark = pytest.mark.django_db

ENDED = {"closed", "rejected", "cancelled"}
EDITABLE = {"draft", "submitted", "evaluating", "awaiting_approval", "authorized", "suspended"}
WAITING = {"submitted", "evaluating", "awaiting_approval"}
LEAVES = {"draft", "submitted", "evaluating", "awaiting_approval", "authorized"}
PLANS = ("implementation_plan", "test_plan", "back_out_plan")
AUTHORS = {"ann", "che"}
SERVICE, BOARD = {"sam", "sue"}, {"cal", "mia", "max"}
ECAB = {"cal", "sam"}
EXAMPLES = dose(8)
EVERYBODY = ("ann", "che", "cal", "mia", "max", "sam", "sue", "rex", "otto", "bot")


@dataclass
class Level:
    asked: set[str]
    needed: int
    deadline: datetime


@dataclass
class Round:
    levels: list[Level]
    digest: str
    at_level: int = 0
    votes: dict[str, str] = field(default_factory=dict)
    here: dict[str, str] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        return self.levels[self.at_level]


@dataclass
class Model:
    """What the process says of one change."""

    kind: str
    licensed: bool
    state: str = "draft"
    plans: set[str] = field(default_factory=lambda: set(PLANS))
    risk_is_of: str = ""
    content: str = "0"
    authors: set[str] = field(default_factory=lambda: {"ann"})
    round: Round | None = None
    signed: str = ""
    """The digest on which the newest act of authorization rests; a newer round takes it away."""
    held: bool = False
    glass_asked: tuple[str, str] | None = None
    glass_broken: set[str] = field(default_factory=set)
    glass_reviewed: bool = True
    reviewed: bool = False
    tested: bool = False
    brought: set[str] = field(default_factory=set)
    signers: set[str] = field(default_factory=set)


def working_days_later(at: datetime, days: int) -> datetime:
    while days:
        at += timedelta(days=1)
        days -= 1 if at.weekday() in range(5) else 0
    return at


class RFCMachine(ChangeMachine):
    world: World

    # --- the two sides ------------------------------------------------------------------------------------------------
    @initialize(
        kind=st.sampled_from(["standard", "emergency", "normal"]), licensed=st.booleans(),
        steps=st.integers(0, 9), side=st.integers(0, 5), glass=st.booleans(),
    )  # fmt: skip
    def raised(self, kind: str, licensed: bool, steps: int, side: int, glass: bool) -> None:
        """A change somewhere on its way, so that what is random begins there."""
        licensed = licensed and kind == "standard"
        given: dict[str, Any] = {"kind": kind}
        if licensed:
            given["change_model_id"] = made.licensed_model(self.world).pk
        self.pk = made.draft(self.world, **given).pk
        self.m = Model(kind=kind, licensed=licensed)
        self.m.content = self.row.title + self.row.change_digest
        self.entries = AuditEntry.objects.count()
        for _step in range(steps):
            if glass and self.m.kind == "emergency" and self.m.state in WAITING:
                self.ask_for_the_glass("che")
                self.break_the_glass("cal")
            self.next_step(side)

    def picture(self) -> tuple[Any, ...]:
        return self.row.state, self.row.change_digest

    def content_may_have_changed(self, by: str = "") -> None:
        """An edit voids what was signed or asked: law 2."""
        now = self.row.title + self.row.change_digest
        if now == self.m.content:
            return
        self.m.content = now
        self.m.glass_asked = None
        if by:
            self.m.authors.add(by)
        if self.m.round:
            self.m.round = None
            if self.m.state == "awaiting_approval":
                self.m.state = "evaluating"
        if self.m.state == "authorized":
            self.m.state = "evaluating"

    def assessed(self) -> None:
        self.content_may_have_changed()
        self.m.risk_is_of = self.row.content_digest()

    @property
    def risk_is_known(self) -> bool:
        return self.m.risk_is_of == self.row.content_digest()

    # --- its way ------------------------------------------------------------------------------------------------------
    @rule(steps=st.integers(1, 3), side=st.integers(0, 5))
    def goes_on(self, steps: int, side: int) -> None:
        """What usually comes next: otherwise random acts hardly ever lead anywhere."""
        for _step in range(steps):
            self.next_step(side)

    def next_step(self, side: int) -> None:
        m = self.m
        missing = sorted(set(PLANS) - m.plans)
        if m.held:
            self.resume("che")
        elif m.round is not None:
            left = sorted(m.round.level.asked - set(m.round.votes))
            self.vote(left[side % len(left)], 1)
        elif missing and m.state in EDITABLE and m.kind != "emergency":
            self.edit("ann", missing[0], "a")
        elif m.state == "draft":
            self.submit("ann")
        elif m.state == "submitted" and m.kind == "normal":
            self.evaluate("che")
        elif m.state in ("submitted", "evaluating", "suspended"):
            self.assess_again("che")
            self.ask("che")
        elif m.state == "authorized":
            self.begin("rex")
        elif m.state == "implementing" and side in (0, 1):
            self.lapse("che")
        elif m.state == "implementing":
            self.its_release_ends()
        elif m.state == "in_review":
            self.last_steps()

    def last_steps(self) -> None:
        m = self.m
        for name in sorted(set(PLANS) - m.plans - m.brought):
            self.bring_what_is_owed("che", name)
        for kind in ("review", "acceptance"):
            self.evidence_comes(kind)
        if not m.glass_reviewed:
            self.review_the_glass("mia")
        self.close("che")

    @rule(who=st.sampled_from(EVERYBODY))
    def submit(self, who: str) -> None:
        m = self.m
        if not self.does(m.state == "draft" and not m.held and who in AUTHORS, rfcs.submit, who, rfc_id=self.pk):
            return
        m.state = "submitted"
        self.assessed()
        if m.kind == "standard" and m.licensed:
            m.state, m.signed = "authorized", m.content

    @rule(who=st.sampled_from(EVERYBODY))
    def evaluate(self, who: str) -> None:
        m = self.m
        may = m.state == "submitted" and not m.held and who == "che" and m.kind != "standard"
        if self.does(may, rfcs.evaluate, who, rfc_id=self.pk):
            m.state = "evaluating"
            self.assessed()

    @rule(who=st.sampled_from(["che", "ann"]))
    def assess_again(self, who: str) -> None:
        if self.does(self.m.state in EDITABLE and not self.m.held and who == "che", risk.score, who, rfc_id=self.pk):
            self.assessed()

    @rule(who=st.sampled_from(["che", "che", "che", "ann", "cal"]))
    def ask(self, who: str) -> None:
        m = self.m
        needs = set(PLANS) if m.kind != "emergency" else {"back_out_plan"}
        here = m.state == "evaluating" or (m.state == "submitted" and m.kind == "emergency") or m.state == "suspended"
        ready = needs <= m.plans and (self.risk_is_known or m.state == "suspended")
        may = here and ready and not m.held and m.round is None and who == "che"
        if not self.does(may, approvals.request_approval, who, rfc_id=self.pk):
            return
        if m.state == "suspended":
            self.assessed()
        else:
            m.state = "awaiting_approval"
        later = working_days_later(self.at, 3)
        normal = [Level(SERVICE - m.authors, 1, later), Level(BOARD - m.authors, 2, later)]
        emergency = [Level(ECAB - m.authors, 1, self.at + timedelta(hours=4))]
        m.round = Round(emergency if m.kind == "emergency" else normal, m.content)
        m.signed = ""

    @rule(who=st.sampled_from(EVERYBODY), against=st.integers(0, 3))
    def vote(self, who: str, against: int) -> None:
        found = self.asked.last()
        if found is None:
            return
        m, asked = self.m, self.m.round
        verdict = "approve" if against else "refuse"
        may = asked is not None and who in asked.level.asked and who not in asked.votes and not m.held
        if not self.does(may, approvals.decide, who, round_id=found.pk, verdict=verdict, comment="so"):
            return
        assert asked is not None
        asked.votes[who] = asked.here[who] = verdict
        m.signers.add(who)
        yes = sum(v == "approve" for v in asked.here.values())
        no = len(asked.here) - yes
        if len(asked.level.asked) - no < asked.level.needed:
            m.round = None
            m.state = "evaluating" if m.state == "awaiting_approval" else m.state
        elif yes >= asked.level.needed and asked.at_level + 1 < len(asked.levels):
            asked.at_level, asked.here = asked.at_level + 1, {}
        elif yes >= asked.level.needed:
            m.round, m.signed = None, asked.digest
            m.state = "implementing" if m.state == "suspended" else "authorized"

    @rule(hours=st.sampled_from([1, 5, 24, 100]))
    def time_passes(self, hours: int) -> None:
        """Silence ends a round; it never passes one. Holds stop no clock."""
        self.at += timedelta(hours=hours)
        found = self.asked.filter(state="open").first()
        assert (found is None) == (self.m.round is None)
        if found is None or self.m.round is None:
            return
        over = self.at >= self.m.round.level.deadline
        assert signoffs.expire(round_id=found.pk, actor=User.bot(), at=self.at) == over
        if over:
            self.m.round = None
            self.m.state = "evaluating" if self.m.state == "awaiting_approval" else self.m.state

    @rule(who=st.sampled_from(["che", "ann", "cal"]))
    def take_the_question_back(self, who: str) -> None:
        found = self.asked.last()
        if found is None:
            return
        may = self.m.round is not None and who == "che"
        if self.does(may, approvals.withdraw, who, round_id=found.pk, reason="not now"):
            self.m.round = None
            self.m.state = "evaluating" if self.m.state == "awaiting_approval" else self.m.state

    # --- edits --------------------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(EVERYBODY), plan=st.sampled_from(PLANS), text=st.sampled_from(["", "a", "b", "c"]))
    def edit(self, who: str, plan: str, text: str) -> None:
        may = self.m.state in EDITABLE and not self.m.held and who in AUTHORS
        if self.does(may, revisions.revise, who, rfc_id=self.pk, **{plan: text}):
            self.m.plans = self.m.plans | {plan} if text else self.m.plans - {plan}
            self.content_may_have_changed(by=who)

    @rule(who=st.sampled_from(EVERYBODY))
    def rename(self, who: str) -> None:
        """Voters read the title: another one is another question."""
        may = self.m.state in EDITABLE and not self.m.held and who in AUTHORS
        if self.does(may, revisions.revise, who, rfc_id=self.pk, title=f"Another name {self.at:%H%M}"):
            self.content_may_have_changed(by=who)

    # --- standing still and leaving -----------------------------------------------------------------------------------
    @rule(who=st.sampled_from(["che", "bot", "ann", "cal"]))
    def hold(self, who: str) -> None:
        may = self.m.state not in ENDED and not self.m.held and who in ("che", "bot")
        if self.does(may, holds.place, who, rfc_id=self.pk, reason="wait"):
            self.m.held = True

    @rule(who=st.sampled_from(["che", "che", "bot", "ann"]))
    def resume(self, who: str) -> None:
        if self.does(self.m.held and who == "che", holds.resume, who, rfc_id=self.pk):
            self.m.held = False

    @rule(who=st.sampled_from(EVERYBODY))
    def send_back(self, who: str) -> None:
        may = self.m.state in ("submitted", "evaluating") and not self.m.held and who == "che"
        if self.does(may, rfcs.send_back, who, rfc_id=self.pk, reason="more"):
            self.m.state = "draft"

    def left(self, state: str) -> None:
        self.m.state, self.m.round, self.m.glass_asked, self.m.held = state, None, None, False

    @rule(who=st.sampled_from(EVERYBODY), sure=st.integers(0, 3))
    def reject(self, who: str, sure: int) -> None:
        may = self.m.state in ("evaluating", "awaiting_approval") and who in ("che", "cal")
        if (not may or sure == 0) and self.does(may, rfcs.reject, who, rfc_id=self.pk, reason="no"):
            self.left("rejected")

    @rule(who=st.sampled_from(EVERYBODY), sure=st.integers(0, 4))
    def cancel(self, who: str, sure: int) -> None:
        may = self.m.state in LEAVES and who in AUTHORS
        if (not may or sure == 0) and self.does(may, rfcs.cancel, who, rfc_id=self.pk, reason="no"):
            self.left("cancelled")

    @rule(who=st.sampled_from(["che", "bot", "ann", "rex"]))
    def lapse(self, who: str) -> None:
        may = self.m.state in ("authorized", "implementing") and not self.m.held and who in ("che", "bot")
        if self.does(may, rfcs.lapse, who, rfc_id=self.pk, reason="facts changed"):
            self.m.state = "evaluating" if self.m.state == "authorized" else "suspended"

    # --- the broken glass ---------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(EVERYBODY))
    def ask_for_the_glass(self, who: str) -> None:
        may = self.m.kind == "emergency" and self.m.state in WAITING and not self.m.held and who in AUTHORS
        if self.does(may, glass.ask, who, rfc_id=self.pk, reason="now"):
            self.m.glass_asked = (who, self.m.content)

    @rule(who=st.sampled_from(EVERYBODY))
    def break_the_glass(self, who: str) -> None:
        m = self.m
        may = (
            m.kind == "emergency" and m.state in WAITING and not m.held and m.glass_asked is not None
            and who == "cal" and who not in m.authors and m.glass_asked[1] == m.content and self.risk_is_known
        )  # fmt: skip
        if self.does(may, glass.break_glass, who, rfc_id=self.pk, reason="it burns"):
            assert m.glass_asked is not None
            m.glass_broken = {m.glass_asked[0], who, "ann"}
            m.glass_reviewed, m.glass_asked, m.round = False, None, None
            m.state, m.signed = "authorized", m.content
            m.signers.add(who)

    @rule(who=st.sampled_from(EVERYBODY))
    def review_the_glass(self, who: str) -> None:
        may = not self.m.glass_reviewed and who not in self.m.glass_broken and who in SERVICE | BOARD | {"che"}
        given = {"rfc_id": self.pk, "justified": True, "finding": "it did burn"}
        if self.does(may, glass.review, who, **given):
            self.m.glass_reviewed = True

    # --- carrying out -------------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(["rex", "rex", "che", "ann", "cal", "bot"]))
    def begin(self, who: str) -> None:
        m = self.m
        may = m.state == "authorized" and not m.held and who == "rex" and m.signed == m.content
        if self.does(may, rfcs.begin, who, rfc_id=self.pk):
            m.state = "implementing"

    @rule()
    def its_release_ends(self) -> None:
        """A release's end reaches its RFC whatever stands there, so that nothing is left hanging."""
        m = self.m
        if m.state not in ("implementing", "suspended") or m.held:
            return
        assert self.does(True, rfcs.implemented, "bot", rfc_id=self.pk, outcome="partial")
        m.state, m.round = "in_review", None

    @rule(who=st.sampled_from(["che", "ann", "rex", "cal"]))
    def stop(self, who: str) -> None:
        may = self.m.state in ("implementing", "suspended") and who == "che"
        if self.does(may, rfcs.stop, who, rfc_id=self.pk, reason="enough"):
            self.m.state, self.m.round, self.m.held = "in_review", None, False

    @rule(kind=st.sampled_from(["review", "acceptance"]))
    def evidence_comes(self, kind: str) -> None:
        given = {"rfc_id": self.pk, "kind": kind, "digest": "a" * 64, "summary": "seen", "passed": True}
        if self.does(self.m.state != "draft", evidence.record, "bot", **given):
            self.m.reviewed |= kind == "review"
            self.m.tested |= kind == "acceptance"

    @rule(who=st.sampled_from(["ann", "che", "mia"]), name=st.sampled_from(PLANS))
    def bring_what_is_owed(self, who: str, name: str) -> None:
        asked = self.m.state in ("authorized", "implementing", "in_review")
        owes = self.m.kind == "emergency" and (asked or name != "back_out_plan")
        may = owes and who in AUTHORS and name not in self.m.plans | self.m.brought
        if self.does(may, rfcs.bring_owed, who, rfc_id=self.pk, name=name, text="here"):
            self.m.brought.add(name)

    @rule(who=st.sampled_from(["che", "che", "ann", "rex"]))
    def close(self, who: str) -> None:
        m = self.m
        owes = m.kind == "emergency" and not (m.tested and set(PLANS) <= m.plans | m.brought)
        may = (
            m.state == "in_review" and not m.held and who == "che" and m.reviewed and m.glass_reviewed and not owes
        )  # fmt: skip
        if self.does(may, rfcs.close, who, rfc_id=self.pk, code="successful"):
            m.state = "closed"

    # --- always -------------------------------------------------------------------------------------------------------
    @invariant()
    def both_stand_at_the_same(self) -> None:
        if not hasattr(self, "m"):
            return
        rfc = self.row
        assert rfc.state == self.m.state
        assert (signoffs.open_round_of(rfc) is None) == (self.m.round is None)
        assert not (self.m.authors & self.m.signers), "who wrote it has decided about it"
        if rfc.state == "authorized":
            assert self.m.signed == rfc.title + rfc.change_digest

    @invariant()
    def every_move_is_written_down(self) -> None:
        if hasattr(self, "m"):
            entries = AuditEntry.objects.count()
            assert entries >= self.entries
            self.entries = entries


@pytest.fixture
def world(cast: Any, now: datetime) -> World:
    for name, role in (("sue", "service_owner"), ("max", "cab_member")):
        make_user(name, role)
    return made.make_world(cast, now)


def test_an_rfc_does_what_the_process_says(world: World) -> None:
    machine = type("Machine", (RFCMachine,), {"world": world, "at": world.at})
    run_state_machine_as_test(machine, settings=plays(EXAMPLES, 25))
