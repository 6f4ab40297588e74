"""Groups: chosen and by rule; a group is a scope, so who may change it is asked everywhere."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import IntegrityError, transaction

from cmdb.domain import groups, inventory
from cmdb.models import GroupMember, Host, HostGroup
from cmdb.queries.groups import matching
from patchflow.kernel import audit
from patchflow.kernel.errors import Blocked, Invalid, NotAllowed
from tests.factories.cmdb import make_group, make_host, make_platform, make_report
from tests.factories.people import Cast, make_user


def members(group: HostGroup) -> list[str]:
    return sorted(group.memberships.values_list("host__name", flat=True))


def test_add_static(cast: Cast, now: datetime) -> None:
    web, _db = make_host("web-01"), make_host("db-01")
    group = groups.add(name="web", host_ids=[web.pk], actor=cast.cora, at=now)
    assert members(group) == ["web-01"]
    assert [e.verb for e in audit.history(group)] == ["cmdb.group.members_changed", "cmdb.group.added"]


def test_add_by_rule_takes_all_that_match_and_shows_them_before(cast: Cast, now: datetime) -> None:
    twelve = make_platform()
    make_host("a", platform=twelve, criticality=1)
    make_host("b", platform=twelve, criticality=2)
    make_host("c", platform=make_platform(release="13"), criticality=1)
    make_host("gone", platform=twelve, criticality=1, retired_at=now)
    rule = {"rule_distribution": "debian", "rule_release": "12", "rule_criticality": 1}
    assert [h.name for h in matching(rule)] == ["a"]
    group = groups.add(name="vital", kind="rule", **rule, actor=cast.cora, at=now)
    assert members(group) == ["a"]


def test_rule_group_follows_the_report(cast: Cast, now: datetime) -> None:
    group = groups.add(name="bookworm", kind="rule", rule_release="12", actor=cast.cora, at=now)
    host = make_host("web-01")
    assert members(group) == []
    inventory.record(host_id=host.pk, report=make_report(host), source="ssh", actor=cast.bot, at=now)
    assert members(group) == ["web-01"]


def test_revise_rule_moves_members(cast: Cast, now: datetime) -> None:
    make_host("a", environment="test")
    make_host("b", environment="lab")
    group = groups.add(name="g", kind="rule", rule_environment="test", actor=cast.cora, at=now)
    groups.revise(group_id=group.pk, name="labs", rule_environment="lab", actor=cast.cora, at=now)
    assert members(group) == ["b"]
    assert audit.history(group).first().detail == {  # type: ignore[union-attr]
        "joined": [Host.objects.get(name="b").pk],
        "left": [Host.objects.get(name="a").pk],
    }


@pytest.mark.parametrize("rule", [{}, {"rule_environment": "moon"}, {"rule_criticality": 9}, {"rule_color": "red"}])
def test_rule_that_says_nothing_sensible(cast: Cast, now: datetime, rule: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        groups.add(name="g", kind="rule", **rule, actor=cast.cora, at=now)
    assert not HostGroup.objects.exists()


def test_empty_rule_matches_nobody(db: None) -> None:
    make_host("a")
    assert list(matching({})) == []
    with pytest.raises(IntegrityError), transaction.atomic():
        make_group(kind="rule")


def test_set_members_of_a_rule_group(cast: Cast, now: datetime) -> None:
    group = groups.add(name="g", kind="rule", rule_environment="lab", actor=cast.cora, at=now)
    host = make_host("a", environment="test")
    with pytest.raises(Invalid):
        groups.set_members(group_id=group.pk, host_ids=[host.pk], actor=cast.cora, at=now)


def test_set_members_widens_nobodys_own_scope(cast: Cast, now: datetime) -> None:
    mine = make_group("mine")
    carl = make_user("carl", "configuration_manager", scope=mine.scope_key)
    seen, hidden = make_host("seen", groups=[mine]), make_host("hidden")
    for wanted in ([hidden.pk], [seen.pk], [seen.pk, hidden.pk]):
        with pytest.raises(NotAllowed):
            groups.set_members(group_id=mine.pk, host_ids=wanted, actor=carl, at=now)
    with pytest.raises(NotAllowed):
        groups.add(name="all", kind="rule", rule_environment="production", actor=carl, at=now)
    groups.set_members(group_id=mine.pk, host_ids=[hidden.pk], actor=cast.cora, at=now)
    assert members(mine) == ["hidden"]


def test_revise_by_rule_within_the_own_scope_is_refused(cast: Cast, now: datetime) -> None:
    """A rule widened by its own configuration manager would widen the scope just the same."""
    group = groups.add(name="mine", kind="rule", rule_environment="lab", actor=cast.cora, at=now)
    carl = make_user("carl", "configuration_manager", scope=group.scope_key)
    make_host("hidden")
    with pytest.raises(NotAllowed):
        groups.revise(group_id=group.pk, name="mine", rule_environment="production", actor=carl, at=now)
    assert members(group) == []


def test_retire_takes_the_scope_away(cast: Cast, now: datetime) -> None:
    group = make_group("mine")
    make_host("a", groups=[group])
    mona = make_user("mona", "reader", scope=group.scope_key)
    assert Host.objects.visible_to(mona).count() == 1
    groups.retire(group_id=group.pk, reason="Merged.", actor=cast.cora, at=now)
    assert Host.objects.visible_to(mona).count() == 0
    assert not GroupMember.objects.exists()
    with pytest.raises(Blocked):
        groups.revise(group_id=group.pk, name="again", actor=cast.cora, at=now)


def test_group_verbs_need_the_right(cast: Cast, now: datetime) -> None:
    group = make_group("g")
    for person in (cast.eve, cast.otto, cast.ada, cast.root):
        with pytest.raises(NotAllowed):
            groups.add(name="x", actor=person, at=now)
        with pytest.raises(NotAllowed):
            groups.set_members(group_id=group.pk, host_ids=[], actor=person, at=now)
        with pytest.raises(NotAllowed):
            groups.retire(group_id=group.pk, reason="x", actor=person, at=now)
