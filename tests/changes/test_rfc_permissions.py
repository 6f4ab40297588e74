"""Who may fire what: role × transition × relation, every cell asserted; one's own and others' through the whole door.

The table below is written by hand. A cell that is not in it is refused with NotAllowed; a cell in it is never refused by
a rule (a gate may still be shut).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from django.db import transaction

from changes.models import RFC, RFCRevision
from patchflow.kernel import fsm, signoffs, workflow
from patchflow.kernel.errors import Blocked, NotAllowed
from patchflow.kernel.models import RoleGrant, SignOff, SignOffLevel, SignOffRound, User
from patchflow.kernel.roles import grantable
from patchflow.kernel.rules import failing
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db

OWN_OR_MANAGER = {"own": {"requester", "change_manager"}, "other": {"change_manager"}}
MANAGER = {"own": {"change_manager"}, "other": {"change_manager"}}
NOBODY: dict[str, set[str]] = {"own": set(), "other": set()}
MAY: dict[str, dict[str, set[str]]] = {
    "submit": OWN_OR_MANAGER,
    "cancel": OWN_OR_MANAGER,
    "evaluate": MANAGER,
    "request_approval": MANAGER,
    "send_back": MANAGER,
    "stop": {"own": {"change_manager", "bot"}, "other": {"change_manager", "bot"}},
    "close": MANAGER,
    "reject": {"own": {"change_manager", "cab_chair"}, "other": {"change_manager", "cab_chair"}},
    "lapse": {"own": {"change_manager", "bot"}, "other": {"change_manager", "bot"}},
    "begin": {"own": {"release_manager"}, "other": {"release_manager"}},
    "implemented": {"own": {"release_manager", "bot"}, "other": {"release_manager", "bot"}},
    "authorize": NOBODY,
    "break_glass": NOBODY,
    "refused": NOBODY,
    "expired": NOBODY,
    "voided": NOBODY,
}
GLASS = {"own": set(), "other": {"cab_chair"}, "wrote": set(), "signed": {"cab_chair"}}
RELATIONS = ("other", "own", "wrote", "signed", "elsewhere", "in_scope", "revoked")
FACTS = {
    "send_back": {"reason": "x"},
    "reject": {"reason": "x"},
    "cancel": {"reason": "x"},
    "lapse": {"reason": "x"},
    "stop": {"reason": "x"},
    "implemented": {"outcome": "full"},
    "close": {"code": "successful"},
}


def expected(transition: str, relation: str) -> set[str]:
    """Roles (and root, bot) that a rule lets through."""
    may = MAY[transition]
    match relation:
        case "own":
            return may["own"]
        case "other" | "in_scope" | "wrote":
            return may["other"] - {"bot"} if relation == "in_scope" else may["other"]
        case "signed":
            return may["other"] - ({"release_manager"} if transition == "begin" else set())
    return set()


def actors() -> dict[str, list[str]]:
    return {**{role.name: [role.name] for role in grantable()}, "nobody": [], "root": []}


def edges() -> Iterator[tuple[str, str]]:
    for t in fsm.machine_of(RFC):
        for source in t.sources:
            yield source, t.name


@pytest.fixture
def people(db: None) -> dict[str, User]:
    made_people = {
        name: make_user(f"the-{name}", *roles, is_superuser=name == "root", is_staff=name == "root")
        for name, roles in actors().items()
    }
    return {**made_people, "bot": User.bot()}


def relate(rfc: RFC, person: User, relation: str, world: World) -> None:
    """Makes `person` stand to the RFC as `relation` says."""
    if relation == "own":
        RFC.objects.filter(pk=rfc.pk).update(requested_by=person)
    elif relation == "wrote":
        digest = rfc.change_digest
        RFCRevision.objects.create(
            rfc=rfc, number=99, by=person, at=world.at, digest_before=digest, digest_after=digest
        )
    elif relation == "signed":
        old = SignOffRound.objects.create(
            subject_type="changes.rfc", subject_id=rfc.pk, number=0, digest="0" * 64, document={}, state="refused",
            opened_by=world.cast.che, opened_at=world.at, closed_at=world.at,
        )  # fmt: skip
        level = SignOffLevel.objects.create(round=old, position=1, name="CAB", quorum="first")
        SignOff.objects.create(
            round=old, level=level, user=person, verdict="approve", digest="0" * 64, decided_at=world.at
        )
    elif relation == "elsewhere":
        other = made.make_group("elsewhere", at=world.at)
        RoleGrant.objects.filter(user=person).update(scope=other.scope_key)
    elif relation == "in_scope":
        group = made.make_group("all", at=world.at)
        RoleGrant.objects.filter(user=person).update(scope=group.scope_key)
    elif relation == "revoked":
        RoleGrant.objects.filter(user=person).delete()


def passes_rules(rfc: RFC, transition: str, person: User, world: World) -> bool:
    """What the door asks first, without the rest of the door (which `own` and `other` walk through)."""
    declared = fsm.find(RFC, transition, rfc.state)
    assert declared is not None
    return not failing(declared.allowed, RFC.objects.get(pk=rfc.pk), User.objects.get(pk=person.pk))


def passes_door(rfc: RFC, transition: str, person: User, world: World) -> bool:
    fresh = User.objects.get(pk=person.pk)
    with transaction.atomic():
        point = transaction.savepoint()
        try:
            workflow.fire(RFC, rfc.pk, transition, actor=fresh, at=world.at, **FACTS.get(transition, {}))
        except NotAllowed:
            return False
        except Blocked:
            return True
        else:
            return True
        finally:
            transaction.savepoint_rollback(point)


@pytest.mark.parametrize("state", sorted({source for source, _ in edges()}))
def test_every_cell(world: World, people: dict[str, User], state: str) -> None:
    rfc = made.AT_STATE[state](world)
    wrong: list[str] = []
    cells = 0
    transitions = sorted({name for source, name in edges() if source == state})
    for transition, relation in product(transitions, RELATIONS):
        for name, person in people.items():
            if relation in ("elsewhere", "in_scope", "revoked") and name == "bot":
                continue
            point = transaction.savepoint()
            relate(rfc, person, relation, world)
            ask = passes_door if relation in ("own", "other") else passes_rules
            may = ask(rfc, transition, person, world)
            transaction.savepoint_rollback(point)
            cells += 1
            if may != (name in expected(transition, relation)):
                wrong.append(f"{state} {transition} {relation} {name}: {'passed' if may else 'refused'}")
    assert wrong == []
    assert cells == len(transitions) * (len(RELATIONS) * len(people) - 3)


@pytest.mark.parametrize("relation", sorted(GLASS))
def test_break_glass_needs_a_second_person(world: World, people: dict[str, User], relation: str) -> None:
    rfc = made.glass_asked(world)
    allowed = set()
    for name, person in people.items():
        point = transaction.savepoint()
        relate(rfc, person, relation, world)
        if passes_door(rfc, "break_glass", person, world):
            allowed.add(name)
        transaction.savepoint_rollback(point)
    assert allowed == GLASS[relation]


def test_who_asked_for_the_glass_cannot_break_it(world: World) -> None:
    both = make_user("both", "cab_chair", "requester")
    rfc = made.submitted(world, kind="emergency")
    from changes.domain import glass

    RFC.objects.filter(pk=rfc.pk).update(requested_by=world.cast.ann)
    manager = make_user("cm", "cab_chair", "change_manager")
    glass.ask(rfc_id=rfc.pk, reason="now", actor=manager, at=world.at)
    with pytest.raises(NotAllowed):
        glass.break_glass(rfc_id=rfc.pk, reason="now", actor=manager, at=world.at)
    assert glass.break_glass(rfc_id=rfc.pk, reason="seen", actor=both, at=world.at).broken_by == both


@pytest.mark.parametrize("name", [*sorted(actors()), "bot"])
def test_nobody_signs_what_they_requested(world: World, people: dict[str, User], name: str) -> None:
    """Whatever role they hold, and with every role at once."""
    person = people[name]
    if not person.is_bot:
        for role in grantable():
            RoleGrant.objects.get_or_create(user=person, role=role.name, scope="")
    rfc = made.awaiting(world)
    RFC.objects.filter(pk=rfc.pk).update(requested_by=person)
    round_ = made.round_of(rfc)
    fresh = User.objects.get(pk=person.pk)
    for position in (1, 2):
        SignOffRound.objects.filter(pk=round_.pk).update(position=position)
        SignOffLevel.objects.get(round=round_, position=position).voters.get_or_create(
            user=fresh, defaults={"via": "planted"}
        )
        with pytest.raises(NotAllowed):
            signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=fresh, at=world.at)
    with pytest.raises(NotAllowed):
        workflow.fire(RFC, rfc.pk, "authorize", actor=fresh, at=world.at)
    assert RFC.objects.get(pk=rfc.pk).state == "awaiting_approval"
