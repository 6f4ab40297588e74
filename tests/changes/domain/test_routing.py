"""Approval routes: which changes meet which, who is asked by them, and that they only ever add."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from changes.domain import approvals, change_models, revisions, routing
from changes.domain.policy import default_levels
from changes.models import RFC, ApprovalRoute
from cmdb.domain import items, support
from cmdb.models import ConfigurationItem, GroupMember, HostGroup
from patchflow.kernel import signoffs
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, RoleGrant, SignOffLevel, SignOffRound, User, Voter
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
SECURITY = {"name": "Security", "roles": ["security_officer"], "quorum": "first", "hours": 8}
OWNERS = {"name": "Owners", "roles": [], "owners": "targets", "quorum": "all", "working_days": 2}


def route(world: World, level: dict[str, Any] = SECURITY, **fields: Any) -> ApprovalRoute:
    given = {
        "name": f"route {ApprovalRoute.objects.count()}",
        "reason": "We agreed.",
        "kinds": ["normal"],
        "level": level,
    }
    return routing.write(**{**given, **fields}, actor=world.cast.che, at=world.at)


def names(rfc: RFC, world: World) -> list[str]:
    return [spec.name for spec in routing.specs_for(rfc, at=world.at)]


def levels_of(rfc: RFC) -> list[SignOffLevel]:
    return list(made.round_of(rfc).levels.order_by("position"))


def owner_of(world: World, *hosts: Any, role: str = "service_owner") -> User:
    person = make_user(f"owner{User.objects.count()}", *([role] if role else []))
    ConfigurationItem.objects.filter(host__in=hosts).update(owner=person)
    return person


USUAL = [level["name"] for level in default_levels("normal")]


def in_group(world: World) -> dict[str, Any]:
    group = made.make_group("databases", at=world.at)
    GroupMember.objects.create(group=group, host=world.hosts[0], since_at=world.at)
    return {"group_ids": [group.pk]}


def in_service(world: World) -> dict[str, Any]:
    service = items.add(kind="service", name="Payments", actor=world.cast.cora, at=world.at)
    items.relate(
        source_id=service.pk, target_id=world.hosts[0].ci_id, kind="depends_on", actor=world.cast.cora, at=world.at
    )
    return {"service_ids": [service.pk]}


@pytest.mark.parametrize(
    ("meets", "does_not"),
    [
        ({"min_risk": "low"}, {"min_risk": "high"}),
        ({"classes": ["high"]}, {"classes": ["critical", "low"]}),
        ({"max_criticality": 3}, {"max_criticality": 2}),
        ({"environments": ["production"]}, {"environments": ["test", "lab"]}),
        ({"kinds": ["normal"]}, {"kinds": ["emergency"]}),
    ],
)
def test_a_route_is_met_by_what_the_change_is(world: World, meets: dict[str, Any], does_not: dict[str, Any]) -> None:
    route(world, {**SECURITY, "name": "met"}, **meets)
    route(world, {**SECURITY, "name": "not met", "hours": 2, "amount": 2, "quorum": "count"}, **does_not)
    assert names(made.evaluating(world), world) == ["met", *USUAL]


@pytest.mark.parametrize("reach", [in_group, in_service])
def test_a_route_is_met_by_what_the_change_reaches(world: World, reach: Any) -> None:
    route(world, **reach(world))
    assert names(made.evaluating(world), world) == ["Security", *USUAL]
    without = made.evaluating(world, host_ids=[h.pk for h in world.hosts[1:]])
    assert names(without, world) == USUAL


def test_all_conditions_hold_for_one_and_the_same_host(world: World) -> None:
    route(world, max_criticality=1, environments=["production"])
    first, second = (h.ci for h in world.hosts[:2])
    ConfigurationItem.objects.filter(pk=first.pk).update(criticality=1, environment="test")
    ConfigurationItem.objects.filter(pk=second.pk).update(criticality=2, environment="production")
    rfc = made.evaluating(world)
    assert names(rfc, world) == USUAL
    ConfigurationItem.objects.filter(pk=second.pk).update(criticality=1)
    assert names(rfc, world) == ["Security", *USUAL]


def test_a_risk_that_nobody_assessed_meets(world: World) -> None:
    route(world, min_risk="high")
    rfc = made.draft(world)
    assert rfc.risk is None
    assert names(rfc, world) == ["Security", *USUAL]


def test_a_standard_change_without_its_licence_is_routed_like_a_normal_one(world: World) -> None:
    route(world)
    model = made.licensed_model(world, max_score=0)
    rfc = made.submitted(world, kind="standard", change_model_id=model.pk)
    assert names(rfc, world) == ["Security", *USUAL]


def test_the_round_asks_it_and_says_which_route_does(world: World) -> None:
    route(world, name="High risk", min_risk="low", classes=["high"])
    route(world, {**SECURITY, "name": "Last word", "veto": True}, name="At the end", asked_last=True)
    RoleGrant.objects.create(user=world.cast.tia, role="security_officer", scope="")
    RoleGrant.objects.create(user=world.cast.otto, role="security_officer", scope="")
    first, *usual, last = levels_of(made.awaiting(world))
    assert [level.name for level in usual] == USUAL
    assert first.reason.startswith("route “High risk”, risk ")
    assert first.reason.endswith("class high")
    assert [level.reason for level in usual] == ["", ""]
    assert (last.name, last.veto, last.reason) == ("Last word", True, "route “At the end”")


def test_routes_that_put_the_same_question_ask_it_once_by_the_earliest_deadline(world: World) -> None:
    route(world, SECURITY, name="one")
    route(world, {**SECURITY, "name": "Sooner", "hours": 4}, name="two", classes=["high"])
    first, *rest = routing.specs_for(made.evaluating(world), at=world.at)
    assert [spec.name for spec in rest] == USUAL
    assert first.name == "Sooner"
    assert str(first.reason) == "route “one”; route “two”, class high"


def test_a_route_cannot_take_a_level_away(world: World) -> None:
    for n in range(3):
        route(world, {**SECURITY, "name": f"more {n}", "amount": n + 1, "quorum": "count"}, asked_last=n == 1)
    found = names(made.evaluating(world), world)
    assert [name for name in found if name in USUAL] == USUAL


# --- owners and groups ------------------------------------------------------------------------------------------------------------
def test_owners_of_the_hosts_are_asked_and_each_must_sign(world: World) -> None:
    one, other = owner_of(world, *world.hosts[:2]), owner_of(world, *world.hosts[2:])
    route(world, OWNERS)
    rfc = made.awaiting(world)
    level = levels_of(rfc)[0]
    assert {(v.user, v.basis) for v in level.voters.all()} == {(one, "owner"), (other, "owner")}
    made.approve(rfc, one, at=world.at)
    assert made.round_of(rfc).position == 1
    made.approve(rfc, other, at=world.at)
    assert made.round_of(rfc).position == 2


def test_an_owner_whose_right_reaches_only_their_own_hosts_signs_for_them(world: World) -> None:
    mine = made.make_group("mine", at=world.at)
    GroupMember.objects.create(group=mine, host=world.hosts[0], since_at=world.at)
    person = owner_of(world, world.hosts[0], role="")
    RoleGrant.objects.create(user=person, role="service_owner", scope=mine.scope_key)
    owner_of(world, *world.hosts[1:])
    route(world, {**OWNERS, "quorum": "first"})
    rfc = made.awaiting(world)
    assert not person.holds("rfc.approve", over=rfc.scope_keys())
    made.approve(rfc, person, at=world.at)
    assert made.round_of(rfc).position == 2


def test_where_nobody_owns_it_its_support_group_is_asked_and_where_that_is_empty_nothing_is(world: World) -> None:
    owner_of(world, world.hosts[0])
    ConfigurationItem.objects.filter(host__in=world.hosts[1:]).update(support_group="Linux")
    route(world, {**OWNERS, "quorum": "first"})
    rfc = made.evaluating(world)
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["round.owner_missing"]
    assert all(h.name in str(refused.value) for h in world.hosts[1:])
    assert world.hosts[0].name not in str(refused.value)
    support.define(name="Linux", members=["sam"], actor=world.cast.cora, at=world.at)
    RoleGrant.objects.create(user=world.cast.tia, role="service_owner", scope="")
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert set(levels_of(rfc)[0].voters.values_list("user__username", "basis", "via")) >= {("sam", "group", "Linux")}


def test_an_owner_without_a_right_to_decide_is_not_asked(world: World) -> None:
    owner_of(world, *world.hosts, role="")
    route(world, OWNERS)
    rfc = made.evaluating(world)
    with pytest.raises(Blocked, match="nobody who may decide answers"):
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)


def test_owners_of_services_are_asked_only_where_a_service_rests_on_the_hosts(world: World) -> None:
    route(world, {**OWNERS, "owners": "services"})
    rfc = made.evaluating(world)
    assert names(rfc, world) == USUAL
    in_service(world)
    person = make_user("payer", "service_owner")
    ConfigurationItem.objects.filter(kind="service").update(owner=person)
    first = routing.specs_for(rfc, at=world.at)[0]
    assert (first.name, [one.user for one in first.voters if one[0]]) == ("Owners", [person])  # type: ignore[union-attr]


@pytest.mark.parametrize("asked", ["owner", "group"])
def test_who_is_no_longer_owner_or_of_the_group_does_not_sign(world: World, asked: str) -> None:
    person = owner_of(world, *world.hosts)
    level: dict[str, Any] = OWNERS
    if asked == "group":
        group = support.define(name="Linux", members=[person.username], actor=world.cast.cora, at=world.at)
        level = {**SECURITY, "roles": [], "group": "Linux"}
    route(world, level)
    rfc = made.awaiting(world)
    if asked == "group":
        group.members.clear()
    ConfigurationItem.objects.update(owner=None)
    with pytest.raises(NotAllowed) as refused:
        made.approve(rfc, person, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["signoff.right_lost"]


def test_who_asked_for_the_change_is_not_asked_as_its_owner(world: World) -> None:
    ConfigurationItem.objects.update(owner=world.cast.ann)
    RoleGrant.objects.create(user=world.cast.ann, role="service_owner", scope="")
    route(world, OWNERS)
    rfc = made.evaluating(world)
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["round.owner_missing", "round.voters_missing"]


# --- veto, and people who would count twice -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("veto", "state"), [(True, "refused"), (False, "open")])
def test_with_a_veto_the_first_refusal_ends_the_round(world: World, veto: bool, state: str) -> None:
    for name in ("one", "two", "three"):
        make_user(name, "service_owner")
    route(world, {**SECURITY, "roles": ["service_owner"], "quorum": "count", "amount": 1, "veto": veto})
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    approvals.decide(
        round_id=round_.pk, verdict="refuse", comment="no", actor=User.objects.get(username="one"), at=world.at
    )
    assert SignOffRound.objects.get(pk=round_.pk).state == state


def test_a_round_does_not_open_if_one_person_would_have_to_count_twice(world: World) -> None:
    """sam alone is security officer: asked first by the route, again by the usual first level, which nobody else can sign."""
    route(world)
    rfc = made.evaluating(world)
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["round.voters_shared"]
    make_user("olive", "service_owner")
    rfc = made.RFC.objects.get(
        pk=approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at).subject_id
    )
    assert [level.name for level in levels_of(rfc)] == ["Security", *USUAL]


# --- the rows --------------------------------------------------------------------------------------------------------------------------
def test_an_open_round_stays_as_it_was_asked_and_the_next_one_asks_anew(world: World) -> None:
    found = route(world, {**SECURITY, "roles": ["cab_member", "cab_chair"], "quorum": "first"})
    make_user("olive", "cab_member")
    rfc = made.awaiting(world)
    routing.retire(route_id=found.pk, reason="No more.", actor=world.cast.che, at=world.at)
    assert [level.name for level in levels_of(rfc)] == ["Security", *USUAL]
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, reason="faster", test_plan="None.")
    assert names(RFC.objects.get(pk=rfc.pk), world) == USUAL


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"name": " "}, "invalid.name"),
        ({"reason": ""}, "invalid.reason"),
        ({"kinds": []}, "invalid.kinds"),
        ({"kinds": ["standard"]}, "invalid.kinds"),
        ({"classes": ["urgent"]}, "invalid.classes"),
        ({"environments": ["moon"]}, "invalid.environments"),
        ({"min_risk": "awful"}, "invalid.min_risk"),
        ({"max_criticality": 9}, "invalid.max_criticality"),
        ({"group_ids": [987654]}, "invalid.group_ids"),
        ({"service_ids": [987654]}, "invalid.service_ids"),
        ({"level": {**SECURITY, "roles": []}}, "model.levels"),
        ({"level": {**SECURITY, "roles": ["requester"]}}, "model.levels"),
        ({"level": {**SECURITY, "owners": "everybody"}}, "model.levels"),
        ({"level": {**SECURITY, "group": "Nobody knows"}}, "model.levels"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(world: World, wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        route(world, **wrong)
    assert [b.code for b in refused.value.blockers] == [code]
    assert not ApprovalRoute.objects.exists()


def test_it_is_revised_and_retired_with_a_reason_and_the_trail_keeps_both_texts(world: World) -> None:
    found = route(world, name="Production", environments=["production"])
    with pytest.raises(Invalid):
        routing.revise(route_id=found.pk, min_risk="high", actor=world.cast.che, at=world.at)
    routing.revise(route_id=found.pk, min_risk="high", reason="Too many.", actor=world.cast.che, at=world.at)
    entry = AuditEntry.objects.get(verb="change.route.revised", after_state="in_force")
    assert (entry.detail["before"]["min_risk"], entry.detail["min_risk"]) == ("", "high")
    assert entry.detail["environments"] == ["production"]
    routing.retire(route_id=found.pk, reason="No more.", actor=world.cast.che, at=world.at)
    for again in (routing.revise, routing.retire):
        with pytest.raises(Conflict):
            again(route_id=found.pk, reason="Again.", actor=world.cast.che, at=world.at)
    assert route(world, name="Production").pk != found.pk


def test_only_who_may_edit_routes_writes_one(world: World) -> None:
    for person in (world.cast.cal, world.cast.ada, world.cast.root):
        with pytest.raises(NotAllowed):
            routing.write(name="x", reason="x", kinds=["normal"], level=SECURITY, actor=person, at=world.at)


def test_a_signed_model_keeps_its_levels_and_may_ask_owners_too(world: World) -> None:
    person = owner_of(world, *world.hosts)
    model = change_models.draft(kind="normal", name="With owners", levels=[OWNERS], actor=world.cast.che, at=world.at)
    change_models.propose(model_id=model.pk, actor=world.cast.che, at=world.at)
    round_ = SignOffRound.objects.get(subject_type="changes.changemodel")
    for signer in (world.cast.sam, world.cast.cal, world.cast.mia):
        approvals.decide(round_id=round_.pk, verdict="approve", actor=signer, at=world.at)
    rfc = made.awaiting(world, change_model_id=model.pk)
    assert list(Voter.objects.filter(level__in=levels_of(rfc)).values_list("user", flat=True)) == [person.pk]
    assert made.approve(rfc, person, at=world.at).state == "authorized"


def test_asking_costs_the_same_for_many_hosts(world: World, django_assert_max_num_queries: Any) -> None:
    route(world, {**OWNERS, "quorum": "first"}, environments=["production"], min_risk="low", **in_group(world))
    person = owner_of(world, *world.hosts)
    group = HostGroup.objects.get(name="databases")
    more = [made.make_host(at=world.at) for _n in range(40)]
    GroupMember.objects.bulk_create(GroupMember(group=group, host=h, since_at=world.at) for h in more)
    ConfigurationItem.objects.filter(host__in=more).update(owner=person)
    rfc = made.evaluating(world, host_ids=[h.pk for h in (*world.hosts, *more)])
    with django_assert_max_num_queries(32):
        assert names(rfc, world)[0] == "Owners"


# --- what a route must not do --------------------------------------------------------------------------------------------------------
def test_the_time_of_a_level_begins_when_it_is_asked(world: World) -> None:
    """Owners within a day, then the ECAB within four hours: signed after five hours, the ECAB still has its four."""
    person = owner_of(world, *world.hosts)
    route(world, {**OWNERS, "working_days": 0, "hours": 24}, kinds=["emergency"])
    rfc = made.submitted(world, kind="emergency")
    round_ = approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    later = world.at + timedelta(hours=5)
    approvals.decide(round_id=round_.pk, verdict="approve", actor=person, at=later)
    round_.refresh_from_db()
    ecab = round_.levels.get(position=2)
    assert ecab.deadline_at == round_.not_before == later + timedelta(hours=4)
    assert not signoffs.expire(round_id=round_.pk, actor=world.cast.bot, at=later + timedelta(hours=3))


def test_one_route_does_not_let_one_owner_answer_for_another(world: World) -> None:
    """Two routes ask owners, the first to sign: of the databases, and of everything. They stay two questions."""
    owner_of(world, world.hosts[0])
    owner_of(world, *world.hosts[1:])
    first = {**OWNERS, "quorum": "first"}
    route(world, {**first, "name": "Databases"}, **in_group(world))
    route(world, {**first, "name": "Everything"})
    assert names(made.evaluating(world), world)[:2] == ["Databases", "Everything"]
    route(world, {**OWNERS, "name": "All one"}, classes=["high"])
    route(world, {**OWNERS, "name": "All two"}, min_risk="low")
    assert len(names(made.evaluating(world), world)) == 3 + len(USUAL), "where all must sign, it is the same question"


def test_an_owner_who_may_not_sign_leaves_the_question_to_the_support_group(world: World) -> None:
    """ann asked for the change and owns one host: her group is asked in her place, and where that is empty, nobody answers."""
    ben = owner_of(world, *world.hosts[1:])
    RoleGrant.objects.create(user=world.cast.ann, role="service_owner", scope="")
    ConfigurationItem.objects.filter(host=world.hosts[0]).update(owner=world.cast.ann, support_group="DB")
    route(world, OWNERS)
    rfc = made.evaluating(world)
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["round.owner_missing"]
    helper = make_user("helper", "service_owner")
    support.define(name="DB", members=["helper"], actor=world.cast.cora, at=world.at)
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert {v.user for v in levels_of(rfc)[0].voters.all()} == {ben, helper}


def test_a_support_group_without_people_keeps_the_round_from_opening(world: World) -> None:
    group = support.define(name="Linux", members=["sam"], actor=world.cast.cora, at=world.at)
    route(world, {**SECURITY, "roles": ["cab_member"], "group": "Linux"})
    group.members.clear()
    rfc = made.evaluating(world)
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert "round.group_missing" in [b.code for b in refused.value.blockers]


@pytest.mark.parametrize("wrong", [{"hours": 70_000_000}, {"hours": 0, "working_days": 5_000_000}, {"amount": 40_000}])
def test_a_level_beyond_all_measure_is_refused(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        route(world, {**SECURITY, **wrong})


def test_who_is_needed_at_a_later_level_leaves_an_earlier_one_to_others(world: World) -> None:
    """mia may sign both; the board needs her, so the first level is olive's."""
    olive = make_user("olive", "service_owner")
    RoleGrant.objects.create(user=world.cast.mia, role="service_owner", scope="")
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    with pytest.raises(Blocked) as refused:
        approvals.decide(round_id=round_.pk, verdict="approve", actor=world.cast.mia, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["signoff.needed_later"]
    assert made.approve(rfc, olive, world.cast.cal, world.cast.mia, at=world.at).state == "authorized"


def test_who_was_asked_as_owner_of_a_service_does_not_sign_as_owner_of_a_host(world: World) -> None:
    in_service(world)
    pia = make_user("pia", "service_owner")
    ConfigurationItem.objects.filter(kind="service").update(owner=pia)
    route(world, {**OWNERS, "owners": "services"})
    rfc = made.awaiting(world)
    ConfigurationItem.objects.filter(kind="service").update(owner=world.cast.cora)
    ConfigurationItem.objects.filter(host=world.hosts[0]).update(owner=pia)
    with pytest.raises(NotAllowed) as refused:
        made.approve(rfc, pia, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["signoff.right_lost"]
