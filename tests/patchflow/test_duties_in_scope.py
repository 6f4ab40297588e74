"""Duties of verbs that move no state, or concern two objects: each × where the right is held, against tables written by hand.

Over two objects, who holds it for the one alone, or for the other alone, is refused; who holds it for both is let pass, unless
the verb asks for everywhere. Each of the two checks of a verb is held by a cell of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import transaction

from changes.domain import families, holds, rfcs
from changes.models import RFC
from cmdb.domain import (
    baselines,
    discrepancies,
    exemptions,
    groups,
    hosts,
    items,
    scans,
    support,
    window_import,
    windows,
)
from cmdb.enums import DiscrepancyKind
from cmdb.models import Baseline, Host, HostGroup, Relation
from patchflow.kernel import signoffs, workflow
from patchflow.kernel.errors import NotAllowed, Refusal
from patchflow.kernel.models import RoleGrant, User
from releases.domain import releases
from tests.cmdb.sources.test_ics import calendar, event
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import Cast, make_user
from tests.factories.steps import approved_step, made_step

pytestmark = pytest.mark.django_db

ONE, OTHER, BOTH, EVERYWHERE, NOWHERE = "the one", "the other", "both", "everywhere", "nowhere"
CONFIG, MANAGER, RELEASE = "configuration_manager", "change_manager", "release_manager"
WINDOW: dict[str, Any] = {"name": "nights", "starts_local": time(2), "length_minutes": 120, "from_on": date(2026, 1, 1)}
ITEMS = [("openssl", "amd64", "3.0.17-1~deb12u3")]
Act = Callable[[User], Any]


@dataclass(frozen=True)
class Two:
    """Two groups of one host each, and what there is of both."""

    cast: Cast
    at: datetime
    one: Host
    other: Host

    @property
    def groups(self) -> list[HostGroup]:
        return [HostGroup.objects.get(memberships__host=host) for host in (self.one, self.other)]

    @property
    def usual(self) -> dict[str, Any]:
        """By somebody who may everything there."""
        return {"actor": self.cast.cora, "at": self.at}

    def world(self, *hosts: Host) -> World:
        """These hosts, which miss an update of their own."""
        update = made.make_update(f"package{RFC.objects.count()}", at=self.at, hosts=hosts)
        return World(self.cast, list(hosts), update, self.at)

    def relation(self) -> Relation:
        ends = {"source_id": self.one.ci_id, "target_id": self.other.ci_id, "kind": "depends_on"}
        return items.relate(**ends, **self.usual)

    def family(self) -> tuple[RFC, RFC]:
        """A parent of both hosts, and its child of the first."""
        parent, child = made.draft(self.world(self.one, self.other)), made.draft(self.world(self.one))
        families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=self.cast.che, at=self.at)
        return parent, child

    def in_force(self, group: HostGroup, **given: Any) -> Baseline:
        """The version of the baseline "web" of this group that is signed."""
        found = self.proposed(group, self.cast.cora, **given)
        round_ = signoffs.open_round_of(found)
        assert round_ is not None
        signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=self.cast.sam, at=self.at)
        return found

    def proposed(self, group: HostGroup, actor: User, **given: Any) -> Baseline:
        platform = made.make_platform().pk
        said = {"name": "web", "platform_id": platform, "items": ITEMS, "group_id": group.pk, **given}
        return baselines.propose(actor=actor, at=self.at, **said)


def relate(two: Two) -> Act:
    ends = {"source_id": two.one.ci_id, "target_id": two.other.ci_id, "kind": "depends_on"}
    return lambda actor: items.relate(**ends, actor=actor, at=two.at)


def unrelate(two: Two) -> Act:
    row = two.relation()
    ends = {"source_id": row.source_id, "target_id": row.target_id, "kind": row.kind}
    return lambda actor: items.unrelate(**ends, actor=actor, at=two.at)


def unlink_there(two: Two) -> Act:
    row = two.relation()
    return lambda actor: items.unlink(item_id=row.source_id, relation_id=row.pk, actor=actor, at=two.at)


def unlink_back(two: Two) -> Act:
    row = two.relation()
    return lambda actor: items.unlink(item_id=row.target_id, relation_id=row.pk, actor=actor, at=two.at)


def unlink_from_a_cluster(two: Two) -> Act:
    """No group has the cluster: only who holds the right everywhere takes a host out of it."""
    cluster = items.add(kind="cluster", name="db", **two.usual)
    ends = {"source_id": two.one.ci_id, "target_id": cluster.pk, "kind": "member_of"}
    items.relate(**ends, **two.usual)
    return lambda actor: items.unrelate(**ends, actor=actor, at=two.at)


def add_window(two: Two) -> Act:
    ids = [group.pk for group in two.groups]
    return lambda actor: windows.add(**WINDOW, group_ids=ids, actor=actor, at=two.at)


def hand_window_over(two: Two) -> Act:
    one, other = two.groups
    window = windows.add(**WINDOW, group_ids=[one.pk], **two.usual)
    return lambda actor: windows.revise(window_id=window.pk, group_ids=[other.pk], actor=actor, at=two.at)


def retire_window(two: Two) -> Act:
    window = windows.add(**WINDOW, group_ids=[group.pk for group in two.groups], **two.usual)
    return lambda actor: windows.retire(window_id=window.pk, reason="Moved.", actor=actor, at=two.at)


def import_windows(two: Two) -> Act:
    given = {"content": calendar(event()), "zone": "UTC", "numbers": [1], "group_ids": [g.pk for g in two.groups]}
    return lambda actor: window_import.take_over(**given, actor=actor, at=two.at)


def settle(two: Two) -> Act:
    found = discrepancies.note(
        host=two.one, other=two.other, kind=DiscrepancyKind.values[0], key="k", sentence="Same.", source="test",
        actor=two.cast.bot, at=two.at,
    )  # fmt: skip
    given = {"discrepancy_id": found.pk, "how": "explain", "reason": "Cloned."}
    return lambda actor: discrepancies.settle(**given, actor=actor, at=two.at)


def scan(two: Two) -> Act:
    return lambda actor: scans.request(host_ids=[two.one.pk, two.other.pk], actor=actor, at=two.at)


def next_baseline(two: Two) -> Act:
    """Its first version is the other group's."""
    one, other = two.groups
    two.in_force(other)
    return lambda actor: two.proposed(one, actor)


def next_baseline_before_it_is_signed(two: Two) -> Act:
    one, other = two.groups
    two.proposed(other, two.cast.cora)
    return lambda actor: two.proposed(one, actor)


def change_members(two: Two) -> Act:
    one, _other = two.groups
    ids = [two.one.pk, two.other.pk]
    return lambda actor: groups.set_members(group_id=one.pk, host_ids=ids, actor=actor, at=two.at)


def next_step(two: Two) -> Act:
    """Its first revision is the other group's."""
    one, other = two.groups
    approved_step(two.cast, two.at, group_id=other.pk)
    return lambda actor: made_step(actor, two.at, group_id=one.pk)


def set_parent(two: Two) -> Act:
    parent, child = made.draft(two.world(two.one, two.other)), made.draft(two.world(two.one))
    return lambda actor: families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=actor, at=two.at)


def leave_parent(two: Two) -> Act:
    _parent, child = two.family()
    return lambda actor: families.set_parent(rfc_id=child.pk, parent_id=None, actor=actor, at=two.at)


def hold_with_child(two: Two) -> Act:
    parent, child = made.draft(two.world(two.one)), made.draft(two.world(two.other))
    families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=two.cast.che, at=two.at)
    return lambda actor: holds.place(rfc_id=parent.pk, reason="A doubt.", cause="person", actor=actor, at=two.at)


def resume_with_child(two: Two) -> Act:
    act = hold_with_child(two)
    act(two.cast.che)
    parent = RFC.objects.get(children__isnull=False)
    return lambda actor: holds.resume(rfc_id=parent.pk, reason="Clear.", actor=actor, at=two.at)


def cancel_with_child(two: Two) -> Act:
    parent, child = made.draft(two.world(two.one)), made.draft(two.world(two.other))
    families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=two.cast.che, at=two.at)
    return lambda actor: rfcs.cancel(rfc_id=parent.pk, reason="Not needed.", actor=actor, at=two.at)


def compose(two: Two) -> Act:
    ids = [made.authorized(two.world(host)).pk for host in (two.one, two.other)]
    return lambda actor: releases.compose(rfc_ids=ids, executor="simulator", actor=actor, at=two.at)


def exchange_rfcs(two: Two) -> Act:
    """A release of the first host takes the change of the other instead."""
    first, second = (made.authorized(two.world(host)).pk for host in (two.one, two.other))
    release = releases.compose(rfc_ids=[first], executor="simulator", actor=two.cast.rex, at=two.at)
    given = {"release_id": release.pk, "reason": "That one.", "rfc_ids": [second]}
    return lambda actor: releases.revise(**given, actor=actor, at=two.at)


VERBS: dict[Callable[[Two], Act], tuple[str, set[str]]] = {
    relate: (CONFIG, {BOTH, EVERYWHERE}),
    unrelate: (CONFIG, {BOTH, EVERYWHERE}),
    unlink_there: (CONFIG, {BOTH, EVERYWHERE}),
    unlink_back: (CONFIG, {BOTH, EVERYWHERE}),
    unlink_from_a_cluster: (CONFIG, {EVERYWHERE}),
    add_window: (CONFIG, {BOTH, EVERYWHERE}),
    hand_window_over: (CONFIG, {BOTH, EVERYWHERE}),
    retire_window: (CONFIG, {BOTH, EVERYWHERE}),
    import_windows: (CONFIG, {BOTH, EVERYWHERE}),
    settle: (CONFIG, {BOTH, EVERYWHERE}),
    scan: (CONFIG, {BOTH, EVERYWHERE}),
    next_baseline: (CONFIG, {BOTH, EVERYWHERE}),
    next_baseline_before_it_is_signed: (CONFIG, {BOTH, EVERYWHERE}),
    change_members: (CONFIG, {EVERYWHERE}),
    next_step: (RELEASE, {BOTH, EVERYWHERE}),
    set_parent: (MANAGER, {BOTH, EVERYWHERE}),
    leave_parent: (MANAGER, {BOTH, EVERYWHERE}),
    hold_with_child: (MANAGER, {BOTH, EVERYWHERE}),
    resume_with_child: (MANAGER, {BOTH, EVERYWHERE}),
    cancel_with_child: (MANAGER, {BOTH, EVERYWHERE}),
    compose: (RELEASE, {BOTH, EVERYWHERE}),
    exchange_rfcs: (RELEASE, {BOTH, EVERYWHERE}),
}
"""Verb → the role that does it, and where it must be held."""


def revise_host(two: Two) -> Act:
    return lambda actor: hosts.revise(host_id=two.one.pk, support_group="Web", actor=actor, at=two.at)


def release_fact(two: Two) -> Act:
    hosts.set_fact(host_id=two.one.pk, key="rack", value="7", **two.usual)
    return lambda actor: hosts.release_fact(host_id=two.one.pk, key="rack", actor=actor, at=two.at)


def explain_above(two: Two) -> Act:
    given = {"host_id": two.one.pk, "baseline_id": 0, "how": "explain", "reason": "By hand."}
    return lambda actor: discrepancies.explain_above(**given, actor=actor, at=two.at)


def exempt(two: Two) -> Act:
    """By people who see every host: that is not enough."""
    given = {
        "kind": "package", "subject": "sudo", "reason": "Later.", "compensating_control": "None.", "host_id": two.one.pk,
        "expires_at": two.at + timedelta(days=9),
    }  # fmt: skip

    def act(actor: User) -> Any:
        RoleGrant.objects.create(user=actor, role="auditor")
        return exemptions.request(**given, actor=actor, at=two.at)

    return act


def ask_about_baseline(two: Two) -> Act:
    one, _other = two.groups
    platform = made.make_platform().pk
    drawn = baselines.draft(name="web", platform_id=platform, items=ITEMS, group_id=one.pk, **two.usual)
    workflow.fire(Baseline, drawn.pk, "propose", actor=two.cast.cora, at=two.at)
    return lambda actor: baselines.request_approval(baseline_id=drawn.pk, actor=actor, at=two.at)


def describe_group(two: Two) -> Act:
    one, _other = two.groups
    given = {"group_id": one.pk, "name": one.name, "description": "The first."}
    return lambda actor: groups.revise(**given, actor=actor, at=two.at)


def retire_group(two: Two) -> Act:
    one, _other = two.groups
    return lambda actor: groups.retire(group_id=one.pk, reason="Merged.", actor=actor, at=two.at)


def define_support_group(two: Two) -> Act:
    return lambda actor: support.define(name="Web", lead="mia", actor=actor, at=two.at)


OF_ONE: dict[Callable[[Two], Act], tuple[str, set[str]]] = {
    revise_host: (CONFIG, {ONE, BOTH, EVERYWHERE}),
    release_fact: (CONFIG, {ONE, BOTH, EVERYWHERE}),
    explain_above: (CONFIG, {ONE, BOTH, EVERYWHERE}),
    exempt: (CONFIG, {ONE, BOTH, EVERYWHERE}),
    ask_about_baseline: (CONFIG, {ONE, BOTH, EVERYWHERE}),
    describe_group: (CONFIG, {ONE, BOTH, EVERYWHERE}),
    retire_group: (CONFIG, {EVERYWHERE}),
    define_support_group: (CONFIG, {EVERYWHERE}),
}
"""The same of verbs that concern the one alone."""


@pytest.fixture
def two(cast: Cast, now: datetime) -> Two:
    one, other = (made.make_host(name, at=now, group=name) for name in ("one", "other"))
    return Two(cast, now, one, other)


def holders(two: Two, role: str) -> dict[str, User]:
    """A person for each place where the role is held."""
    keys = [group.scope_key for group in two.groups]
    scopes = {ONE: keys[:1], OTHER: keys[1:], BOTH: keys, EVERYWHERE: [""], NOWHERE: []}
    people = {}
    for n, (place, held) in enumerate(scopes.items()):
        person = make_user(f"holder-{n}")
        RoleGrant.objects.bulk_create([RoleGrant(user=person, role=role, scope=scope) for scope in held])
        people[place] = person
    return people


def passes(act: Act, person: User) -> bool:
    """Whether the verb lets the person; nothing of it stays. Refused is only who may not."""
    with transaction.atomic():
        try:
            act(User.objects.get(pk=person.pk))
        except NotAllowed:
            return False
        except Refusal:  # for another reason, which only who may is told
            return True
        finally:
            transaction.set_rollback(True)
    return True


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_verb_over_two_asks_for_both(two: Two, verb: Callable[[Two], Act]) -> None:
    role, may = VERBS[verb]
    act = verb(two)
    assert {place for place, person in holders(two, role).items() if passes(act, person)} == may


@pytest.mark.parametrize("verb", OF_ONE, ids=lambda verb: verb.__name__)
def test_a_verb_over_one_asks_for_it_and_for_no_other(two: Two, verb: Callable[[Two], Act]) -> None:
    role, may = OF_ONE[verb]
    act = verb(two)
    assert {place for place, person in holders(two, role).items() if passes(act, person)} == may


def test_who_approves_or_adopts_a_baseline_answers_for_the_version_before(two: Two) -> None:
    """A security officer of the one group is not asked about what ends the baseline of the other; nor is it adopted so."""
    one, other = two.groups
    for name, scope in (("near", one.scope_key), ("far", other.scope_key)):
        make_user(name, "security_officer", scope=scope)
    first = two.in_force(one)
    voters = {v.user.username for v in signoffs.rounds_of(first).get().levels.get().voters.all()}
    assert voters == {"near", "sam"}
    second = two.proposed(other, two.cast.cora)
    round_ = signoffs.open_round_of(second)
    assert round_ is not None
    assert {v.user.username for v in round_.levels.get().voters.all()} == {"sam"}
    adopter = make_user("adopter", CONFIG, scope=other.scope_key)
    with pytest.raises(NotAllowed):
        baselines.adopt(baseline_id=second.pk, actor=adopter, at=two.at)
    RoleGrant.objects.create(user=adopter, role=CONFIG, scope=one.scope_key)
    with pytest.raises(Refusal) as refused:  # a gate, not a right
        baselines.adopt(baseline_id=second.pk, actor=User.objects.get(pk=adopter.pk), at=two.at)
    assert not isinstance(refused.value, NotAllowed)
