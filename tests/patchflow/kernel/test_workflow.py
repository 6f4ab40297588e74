"""The door: all or nothing, every refusal with its reason and its entry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.safestring import mark_safe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchflow.kernel import audit, fsm, workflow
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.fsm import PastTheDoor, transition
from patchflow.kernel.integrity import chain_hash
from patchflow.kernel.models import AuditEntry, RoleGrant
from patchflow.kernel.rules import capability
from releases.models import Job, Ring
from tests.factories.people import Cast
from tests.toys.domain import rename
from tests.toys.models import Ball, Box, BoxState

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(cast: Cast) -> Box:
    return Box.objects.create(maker=cast.ann, name="box")


def test_fire_moves_saves_and_records(box: Box, cast: Cast, now: datetime) -> None:
    moved = workflow.fire(Box, box.pk, "open", actor=cast.cal, at=now, why="tour")

    assert moved.state == BoxState.OPEN
    box.refresh_from_db()
    assert (box.state, box.opened_at, box.audit_length) == (BoxState.OPEN, now, 1)
    entry = AuditEntry.objects.get(object_type="toys.box")
    assert (entry.verb, entry.before_state, entry.after_state, entry.actor, entry.effective_at, entry.detail) == (
        "toy.box.opened",
        "shut",
        "open",
        cast.cal,
        now,
        {"why": "tour"},
    )
    assert entry.hash == box.audit_head


def test_calling_a_transition_past_the_door_raises(box: Box, cast: Cast, now: datetime) -> None:
    with pytest.raises(PastTheDoor):
        box.open(actor=cast.cal, at=now)
    assert box.state == BoxState.SHUT


def test_assigning_the_state_raises(box: Box) -> None:
    with pytest.raises(AttributeError):
        box.state = BoxState.OPEN


@pytest.mark.parametrize("who", ["ann", "eve", "root", "rex", "bot"])
def test_fire_without_the_role_is_refused_and_written_down(who: str, box: Box, cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed) as refusal:
        workflow.fire(Box, box.pk, "open", actor=getattr(cast, who), at=now)

    box.refresh_from_db()
    assert box.state == BoxState.SHUT
    entry = AuditEntry.objects.get(object_type="toys.box")
    assert (entry.outcome, entry.actor.username) == (Outcome.REFUSED, who)
    assert [b["code"] for b in entry.detail["blockers"]] == [b.code for b in refusal.value.blockers]


def test_four_eyes_hold_for_a_superuser_with_the_role(cast: Cast, now: datetime) -> None:
    RoleGrant.objects.create(user=cast.root, role="cab_chair")
    own = Box.objects.create(maker=cast.root)
    with pytest.raises(NotAllowed) as refusal:
        workflow.fire(Box, own.pk, "open", actor=cast.root, at=now)
    assert [b.code for b in refusal.value.blockers] == ["box.not_maker"]


def test_a_revoked_role_is_gone_at_once(box: Box, cast: Cast, now: datetime) -> None:
    assert cast.cal.holds("rfc.approve")
    RoleGrant.objects.filter(user=cast.cal).delete()
    cast.cal.refresh_from_db()
    with pytest.raises(NotAllowed):
        workflow.fire(Box, box.pk, "open", actor=cast.cal, at=now)


def test_a_shut_gate_says_why_and_where(box: Box, cast: Cast, now: datetime) -> None:
    Box.objects.filter(pk=box.pk).update(locked=True)
    with pytest.raises(Blocked) as refusal:
        workflow.fire(Box, box.pk, "open", actor=cast.cal, at=now)
    assert [(b.code, b.where) for b in refusal.value.blockers] == [("box.locked", "/key/")]


def test_a_gate_that_breaks_denies(cast: Cast, now: datetime) -> None:
    broken = Box.objects.create(maker=cast.ann, name="broken")
    with pytest.raises(Blocked) as refusal:
        workflow.fire(Box, broken.pk, "open", actor=cast.cal, at=now)
    assert refusal.value.blockers[0].tone == "unknown"
    assert "ZeroDivisionError" in str(refusal.value)


def test_the_wrong_state_is_a_conflict(box: Box, cast: Cast, now: datetime) -> None:
    with pytest.raises(Conflict, match="shut"):
        workflow.fire(Box, box.pk, "shut", actor=cast.cal, at=now)


def test_a_row_that_is_gone_is_a_conflict_in_the_chain_of_attempts(cast: Cast, now: datetime) -> None:
    with pytest.raises(Conflict):
        workflow.fire(Box, 999_999, "open", actor=cast.cal, at=now)
    assert AuditEntry.objects.get().chain == "#attempts"


def test_a_body_that_breaks_changes_nothing(box: Box, cast: Cast, now: datetime) -> None:
    with pytest.raises(RuntimeError, match="boom"):
        workflow.fire(Box, box.pk, "burn", actor=cast.cal, at=now, explode=True)
    box.refresh_from_db()
    assert (box.state, box.audit_length, AuditEntry.objects.count()) == (BoxState.SHUT, 0, 0)


def test_a_refused_verb_leaves_its_entry_and_nothing_else(box: Box, cast: Cast, now: datetime) -> None:
    with pytest.raises(Invalid):
        rename(box_id=box.pk, name="", actor=cast.ann, at=now)
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.outcome, entry.chain) == ("toy.box.renamed", Outcome.REFUSED, f"toys.box:{box.pk}")


def test_available_offers_greyed_verbs_with_every_reason(box: Box, cast: Cast, now: datetime) -> None:
    Box.objects.filter(pk=box.pk).update(locked=True)
    box.refresh_from_db()
    offered = {a.name: a for a in workflow.available(box, actor=cast.ann, at=now)}
    assert set(offered) == {"open", "burn"}
    assert [b.code for b in offered["open"].blockers] == ["role.rfc.approve", "box.not_maker", "box.locked"]
    assert offered["burn"].dangerous


def test_available_and_fire_agree(box: Box, cast: Cast, now: datetime) -> None:
    for actor in cast:
        offered = {a.name: a for a in workflow.available(box, actor=actor, at=now)}["open"]
        try:
            workflow.fire(Box, box.pk, "open", actor=actor, at=now)
        except (NotAllowed, Blocked) as refusal:
            assert [b.code for b in offered.blockers] == [b.code for b in refusal.blockers]  # noqa: PT017
        else:
            assert offered.allowed
            workflow.fire(Box, box.pk, "shut", actor=cast.cal, at=now)


def test_a_transition_without_permission_or_verb_fails_at_import() -> None:
    with pytest.raises(ImproperlyConfigured, match="permission"):
        transition(field=None, source="a", target="b", verb="toy.box.opened", allowed=[])
    with pytest.raises(ImproperlyConfigured, match="not registered"):
        transition(field=None, source="a", target="b", verb="toy.box.eaten", allowed=[capability("rfc.approve")])


COLORS = st.lists(
    st.tuples(st.sampled_from(["red", "blue"]), st.sampled_from(["lying", "flying", "caught"])), min_size=1, max_size=8
)

MEANWHILE = st.fixed_dictionaries(
    {},
    optional={"lease_owner": st.sampled_from(["a", "b"]), "attempts": st.integers(1, 3), "speed": st.integers(20, 22)},
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    balls=COLORS,
    name=st.sampled_from(["throw", "catch"]),
    speeds=st.lists(st.integers(4, 6), min_size=8, max_size=8),
    spin=st.sampled_from([None, 1, True]),
    meanwhile=MEANWHILE,
    chair=st.booleans(),
    lean=st.booleans(),
)
def test_both_doors_are_equal(
    balls: list[tuple[str, str]],
    name: str,
    speeds: list[int],
    spin: Any,
    meanwhile: dict[str, Any],
    chair: bool,
    lean: bool,
    cast: Cast,
    now: datetime,
) -> None:
    """`fire` row by row and `fire_many` leave the same rows, the same refusals and the same entries: each row with facts
    of its own, and with columns that another writes between the door's reading and its writing; also where the rows are
    read without most of their columns."""
    actor = cast.cal if chair else cast.eve

    def facts(place: int) -> dict[str, Any]:
        if name == "catch":
            return {}
        return {"speed": speeds[place], "spin": spin, "meanwhile": meanwhile if place % 2 else {}}

    def fill() -> tuple[Box, list[Ball]]:
        box = Box.objects.create(maker=cast.ann)
        return box, [Ball.objects.create(box=box, color=color, state=state) for color, state in balls]

    def outcome(box: Box, rows: list[Ball], refused: dict[int, list[str]]) -> Any:
        columns = [f.name for f in Ball._meta.concrete_fields if f.name not in ("id", "box")]
        now_rows = [repr(row) for row in Ball.objects.filter(box=box).order_by("pk").values_list(*columns)]
        place = {r.pk: i for i, r in enumerate(rows)}
        entries = AuditEntry.objects.filter(chain=box.audit_chain, outcome="done").order_by("seq")
        written = [(place[int(e.object_id)], e.verb, e.before_state, e.after_state, e.detail) for e in entries]
        return now_rows, {place[pk]: codes for pk, codes in refused.items()}, written

    one_box, one_rows = fill()
    one_refused: dict[int, list[str]] = {}
    for place, row in enumerate(one_rows):
        try:
            workflow.fire(Ball, row.pk, name, actor=actor, at=now, **facts(place))
        except (NotAllowed, Blocked, Conflict) as refusal:
            one_refused[row.pk] = [b.code for b in refusal.blockers]
    many_box, many_rows = fill()
    places = {row.pk: place for place, row in enumerate(many_rows)}
    wanted = Ball.objects.filter(box=many_box)
    result = workflow.fire_many(
        wanted.only("box_id", "state") if lean else wanted,
        name,
        actor=actor,
        at=now,
        facts_of=lambda ball: facts(places[ball.pk]),
    )

    many_refused = {pk: [b.code for b in why] for pk, why in result.refused.items()}
    assert outcome(many_box, many_rows, many_refused) == outcome(one_box, one_rows, one_refused)
    assert sorted(result.done) == [r.pk for r in many_rows if r.pk not in result.refused]


@pytest.mark.parametrize("many", [False, True])
def test_a_door_writes_what_the_body_changed_and_nothing_else(many: bool, cast: Cast, now: datetime) -> None:
    box = Box.objects.create(maker=cast.ann)
    ball = Ball.objects.create(box=box, throws=[{"spin": 0}])
    facts: dict[str, Any] = {"speed": 7, "spin": True, "meanwhile": {"lease_owner": "another", "attempts": 4}}
    with CaptureQueriesContext(connection) as seen:
        if many:
            workflow.fire_many(Ball.objects.all(), "throw", actor=cast.cal, at=now, facts_of=lambda _b: facts)
        else:
            workflow.fire(Ball, ball.pk, "throw", actor=cast.cal, at=now, **facts)

    ball.refresh_from_db()
    assert (ball.state, ball.speed, ball.throws) == ("flying", 7, [{"spin": 0}, {"spin": True}])
    assert (ball.lease_owner, ball.attempts) == ("another", 4)
    last = [q["sql"] for q in seen if q["sql"].startswith('UPDATE "toys_ball"')][-1]
    written = last.partition(" SET ")[2].rpartition(" WHERE ")[0]
    assert {name for name in (f.column for f in Ball._meta.concrete_fields) if f'"{name}" = ' in written} - {"id"} == {
        "state",
        "speed",
        "throws",
    }


def test_columns_that_are_no_state_are_written_with_the_steps_of_each_row(cast: Cast, now: datetime) -> None:
    """Also those of a row that takes no step; those of a row that is refused stay as they are."""
    box = Box.objects.create(maker=cast.ann)
    thrown, idle, late = (Ball.objects.create(box=box, fence=fence) for fence in (1, 1, 2))
    fired = workflow.fire_steps(
        Ball.objects.all(), ["throw"], actor=cast.cal, at=now, fences=dict.fromkeys([thrown.pk, idle.pk, late.pk], 1),
        steps_of=lambda ball: [] if ball.pk == idle.pk else [("throw", {})], also=lambda ball: {"attempts": ball.pk + 7},
    )  # fmt: skip
    assert (fired.done, list(fired.refused)) == ([thrown.pk, idle.pk], [late.pk])
    rows = Ball.objects.order_by("pk").values_list("state", "attempts")
    assert list(rows) == [("flying", thrown.pk + 7), ("lying", idle.pk + 7), ("lying", 0)]


WORDS = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    [
        mark_safe("markup"),
        "“quoted”",
        "NUL \x00",
        "\U0001f600",
        "ﬀ",
        "password",
        "to\u212aen",
        "Secret",
        "\x7f\x1f",
        "a,1.5e3",
    ]
)
DETAILS = st.dictionaries(
    WORDS,
    st.recursive(
        WORDS
        | st.none()
        | st.booleans()
        | st.integers()
        | st.dates()
        | st.datetimes(timezones=st.just(UTC))
        | st.sampled_from(Outcome),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(details=st.lists(DETAILS, min_size=1, max_size=5), again=st.booleans())
def test_entries_of_many_are_those_of_one_by_one(
    details: list[dict[str, Any]], again: bool, cast: Cast, now: datetime
) -> None:
    def entries(box: Box) -> list[Any]:
        columns = [
            f.name for f in AuditEntry._meta.concrete_fields if f.name not in ("id", "recorded_at", "chain", "hash")
        ]
        rows = AuditEntry.objects.filter(chain=box.audit_chain).order_by("seq")
        assert [e.hash for e in rows] == [chain_hash(e.previous, e.document()) for e in rows]
        assert (box.audit_length, box.audit_head) == (rows.count(), rows.last().hash)  # type: ignore[union-attr]
        return [
            [getattr(e, name) for name in columns if name not in ("object_id", "object_label", "previous")]
            for e in rows
        ]

    details = details * 2 if again else details
    one, many = (Box.objects.create(maker=cast.ann) for _ in range(2))
    for detail in details:
        audit.record(one, "toy.box.opened", one, actor=cast.cal, at=now, before="a", after="b", detail=detail)
    moves = [audit.Move("toy.box.opened", many, "a", "b", detail) for detail in details]
    audit.record_many(many, moves, actor=cast.cal, at=now)
    assert entries(many) == entries(one)


@pytest.mark.parametrize("number", [1.0, -0.5, 1e300, 2e-9])
def test_a_float_is_refused_of_many_as_of_one(number: float, cast: Cast, now: datetime) -> None:
    box = Box.objects.create(maker=cast.ann)
    for detail in ({"a": number}, {"a": ["x", number]}, {"a": {"b": [number]}}):
        with pytest.raises(TypeError, match="no floats"):
            audit.record(box, "toy.box.opened", box, actor=cast.cal, at=now, detail=detail)
        with pytest.raises(TypeError, match="no floats"):
            audit.record_many(box, [audit.Move("toy.box.opened", box, "a", "b", detail)], actor=cast.cal, at=now)


def test_a_lock_takes_the_row_alone(cast: Cast, now: datetime) -> None:
    """A ring is ordered by its rollout: locking one locked the other too, out of the order in which locks are taken."""
    for model in (Ring, Job):
        with CaptureQueriesContext(connection) as seen, transaction.atomic(), pytest.raises(Conflict):
            workflow.lock(model, 1)
        assert not [q["sql"] for q in seen if " JOIN " in q["sql"]]


def test_fire_many_shuts_out_a_late_fence(cast: Cast, now: datetime) -> None:
    box = Box.objects.create(maker=cast.ann)
    ball = Ball.objects.create(box=box, fence=3)
    result = workflow.fire_many(Ball.objects.all(), "throw", actor=cast.cal, at=now, fences={ball.pk: 2})
    assert result.done == []
    assert result.refused[ball.pk][0].code == "conflict.fence"


def test_fire_many_uses_a_fixed_number_of_queries(cast: Cast, now: datetime) -> None:
    box = Box.objects.create(maker=cast.ann)
    Ball.objects.bulk_create([Ball(box=box) for _ in range(50)])
    assert cast.cal.holds("rfc.approve")  # grants are read once per person

    counts = []
    for half in (Ball.objects.filter(pk__lte=Ball.objects.order_by("pk")[2].pk), Ball.objects.all()):
        with CaptureQueriesContext(connection) as seen:
            workflow.fire_many(half, "throw", actor=cast.cal, at=now)
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_the_diagram_is_what_was_declared() -> None:
    assert fsm.diagram("toys.box") == {
        ("shut", "open", "open"),
        ("open", "shut", "shut"),
        ("shut", "burn", "burned"),
        ("open", "burn", "burned"),
    }
