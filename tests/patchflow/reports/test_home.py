"""Home tells what waits and never counts silence as good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from changes.domain import approvals, holds, revisions, risk
from changes.models import RFC, BreakGlass, Feed, RFCRevision
from cmdb.models import Host
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.numbers import next_number
from patchflow.reports.queries import find
from patchflow.reports.queries.compliance import interval
from patchflow.reports.queries.home import feeds, first_steps, phases
from patchflow.reports.queries.waiting import MANY, sections, waiting_for
from patchflow.web.parts import Todo
from releases.models import InstallProfile, PlannedHost, PostImplementationReview, Release, ReleaseRFC
from tests.factories.changes import (
    World,
    awaiting,
    glass_asked,
    implementing,
    in_review,
    make_group,
    make_host,
    make_update,
    make_world,
    reviewed,
    round_of,
    submitted,
)
from tests.factories.notices import make_delivery
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db


def test_a_host_of_which_no_feed_speaks_is_unknown(cast: Cast, now: datetime) -> None:
    make_host(at=now)
    shown = interval(cast.che, at=now)
    assert (shown.good, shown.unknown, shown.bad) == (0, 1, 0)
    assert shown.figure == "0.0 to 100.0 %"


def test_a_host_that_has_not_reported_is_unknown(cast: Cast, now: datetime) -> None:
    make_host(at=now - timedelta(days=30))
    assert interval(cast.che, at=now).unknown == 1


def test_the_board_member_who_is_asked_sees_the_decision_first(cast: Cast, now: datetime) -> None:
    rfc = awaiting(make_world(cast, now))
    asked = [t.title for t in waiting_for(cast.sam, at=now)]
    assert any(rfc.number in title for title in asked)
    assert not any(rfc.number in t.title for t in waiting_for(cast.ann, at=now))


def test_the_decision_on_home_leads_to_its_round_on_the_board(cast: Cast, now: datetime, client: Client) -> None:
    world = make_world(cast, now)
    submitted(world)
    rfc = awaiting(world)
    (todo,) = waiting_for(cast.sam, at=now)
    assert rfc.number in todo.title
    client.force_login(cast.sam, backend="django.contrib.auth.backends.ModelBackend")
    assert rfc.number in client.get(todo.url).content.decode()
    assert client.get(todo.url).context["round"] == round_of(rfc)


def test_every_figure_of_the_phases_opens_the_list_that_it_counts(cast: Cast, client: Client) -> None:
    at = datetime.now(UTC)
    world = make_world(cast, at, hosts=4)
    make_host(at=at - timedelta(days=30))
    Host.objects.filter(pk=world.hosts[0].pk).update(restart_needed=True)
    Host.objects.filter(pk=world.hosts[1].pk).update(audited_at=None)
    world.update.reach, world.update.exploited, world.update.start_by = 4, True, at - timedelta(hours=1)
    world.update.save()
    make_update("curl", at=at)
    submitted(world)
    awaiting(world)
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    found = phases(cast.che, at=at)
    figures = [count for phase in found for count in phase.counts]
    assert [(count.label, client.get(count.url).context["listing"].queryset.count()) for count in figures] == [
        (count.label, count.count) for count in figures
    ]
    assert [client.get(one.url).context["listing"].queryset.count() for one in found[:2]] == [
        one.total for one in found[:2]
    ]


def test_a_fresh_installation_says_what_to_do_first(cast: Cast, now: datetime, client: Client) -> None:
    assert [(step.title, step.button) for step in first_steps(cast.cora)] == [
        ("Add a host", "Add a host"),
        ("No advisory feed yet", ""),
    ]
    assert [(step.title, step.button) for step in first_steps(cast.sam)] == [
        ("No host yet", ""),
        ("Add an advisory feed", "Add a feed"),
    ]
    assert first_steps(cast.eve) == []
    client.force_login(cast.cora, backend="django.contrib.auth.backends.ModelBackend")
    assert "what to do first" in client.get("/").content.decode()
    make_world(cast, now)
    assert first_steps(cast.cora) == []
    assert "what to do first" not in client.get("/").content.decode()


def test_only_who_may_look_at_feeds_is_told_of_them(cast: Cast, now: datetime, client: Client) -> None:
    make_world(cast, now)
    assert feeds(cast.sam, at=now)
    assert feeds(cast.eve, at=now) == []
    for person, offered in ((cast.sam, True), (cast.che, False), (cast.eve, False)):
        Feed.objects.update(enabled=False)
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        assert ("Add a feed" in client.get("/").content.decode()) is offered, person


def test_the_change_manager_sees_what_was_submitted(cast: Cast, now: datetime) -> None:
    rfc = submitted(make_world(cast, now))
    assert any(rfc.number in t.title for t in waiting_for(cast.che, at=now))
    assert waiting_for(cast.eve, at=now) == []


def test_a_change_on_hold_is_resumed_first_and_one_in_review_waits_for_its_review(cast: Cast, now: datetime) -> None:
    world = make_world(cast, now)
    held, ended = submitted(world), in_review(world)
    holds.place(rfc_id=held.pk, reason="The vendor looks at it.", actor=cast.che, at=now)
    assert [(t.act, t.title) for t in waiting_for(cast.che, at=now)] == [("Resume", f"{held.number} · {held.title}")]
    reviewed(ended, world)
    assert {t.act for t in waiting_for(cast.che, at=now)} == {"Resume", "Close"}


def test_emergencies_stand_first_then_what_should_have_started_then_by_age(cast: Cast, now: datetime) -> None:
    """What they are asked for is what their page asks for: an emergency is not evaluated once it is submitted."""
    world = make_world(cast, now)
    old, late, urgent = submitted(world), submitted(world), submitted(world, kind="emergency")
    RFC.objects.update(start_by=now + timedelta(days=1))
    for rfc, hours in ((old, 3), (late, 2), (urgent, 1)):
        RFC.objects.filter(pk=rfc.pk).update(state_at=now - timedelta(hours=hours))
    RFC.objects.filter(pk=late.pk).update(start_by=now - timedelta(hours=1))
    found = [(t.act, t.title.partition(" ")[0], t.why) for t in waiting_for(cast.che, at=now)]
    assert found == [
        ("Ask the ECAB", urgent.number, "Emergency."),
        ("Evaluate", late.number, ""),
        ("Evaluate", old.number, ""),
    ]


def test_who_may_break_the_glass_sees_that_somebody_asks_for_it(cast: Cast, now: datetime) -> None:
    rfc = glass_asked(make_world(cast, now))
    (todo,) = [t for t in waiting_for(cast.cal, at=now) if t.url == rfc.get_absolute_url()]
    assert (todo.section, todo.act) == ("To decide", "Break the glass, or leave it to the board")
    assert todo.why.startswith(f"{rfc.glass.get().asked_by} asks: “")
    assert not [t for t in waiting_for(cast.che, at=now) if "glass" in t.act], "no role of theirs breaks it"
    BreakGlass.objects.update(withdrawn_at=now)
    assert not [t for t in waiting_for(cast.cal, at=now) if "glass" in t.act]


def test_home_asks_nobody_to_break_a_glass_that_they_would_be_refused(cast: Cast, now: datetime) -> None:
    world = make_world(cast, now)
    rfc = glass_asked(world)

    def asked() -> bool:
        return any("glass" in todo.act for todo in waiting_for(cast.cal, at=now))

    assert asked()
    held = holds.place(rfc_id=rfc.pk, reason="The vendor looks at it.", actor=cast.che, at=now)
    assert not asked(), "it is on hold"
    holds.resume(rfc_id=rfc.pk, actor=cast.che, at=now)
    assert (held.pk, asked()) == (held.pk, True)
    RFC.objects.filter(pk=rfc.pk).update(implementation_plan="Another.")
    assert not asked(), "it was asked for another version"
    RFC.objects.filter(pk=rfc.pk).update(implementation_plan=rfc.implementation_plan)
    assert asked()
    group = make_group("elsewhere", at=now)
    RoleGrant.objects.filter(user=cast.cal).update(scope=f"group:{group.pk}")
    assert not [t for t in waiting_for(User.objects.get(pk=cast.cal.pk), at=now) if "glass" in t.act]
    RoleGrant.objects.filter(user=cast.cal).update(scope="")
    RFCRevision.objects.create(rfc=rfc, number=1, by=cast.cal, at=now, digest_before="0" * 64, digest_after="0" * 64)
    assert not asked(), "they wrote it"


def an_open_review(rfc: RFC, cast: Cast, opened: datetime) -> PostImplementationReview:
    """The review of a release, of the simulator, which carried this change out."""
    profile, _made = InstallProfile.objects.get_or_create(
        name="Usual", defaults={"restart": "always", "defined_by": cast.rex, "defined_at": opened}
    )
    release = Release.objects.create(
        number=next_number("REL", at=opened), title="Deployed", kind="normal", executor="simulator", profile=profile,
        composed_by=cast.che, composed_at=opened, state_at=opened, state="deployed", outcome="full",
    )  # fmt: skip
    ReleaseRFC.objects.create(release=release, rfc=rfc, digest=rfc.change_digest, joined_at=opened, left_at=opened)
    for host in Host.objects.filter(rfc_targets__rfc=rfc):
        PlannedHost.objects.create(release=release, host=host)
    return PostImplementationReview.objects.create(release=release, name="Review", opened_at=opened)


def test_a_review_stands_on_home_behind_many_that_one_may_not_complete(cast: Cast, now: datetime) -> None:
    """Older ones of what one has carried out, or of hosts that one's role does not reach, take no place of those that wait."""
    others, near = make_world(cast, now), make_host("near", group="near", at=now)
    rex, mara = cast.rex, make_user("mara", "change_manager", scope=f"group:{make_group('near', at=now).pk}")
    RoleGrant.objects.create(user=rex, role="change_manager")
    RoleGrant.objects.create(user=mara, role="auditor")
    his = implementing(others)
    for n in range(MANY):
        an_open_review(his, cast, now - timedelta(days=9 + n))
    theirs = submitted(World(cast, [near], make_update("curl", at=now, hosts=[near]), now))
    newest = an_open_review(theirs, cast, now)
    for person in (rex, mara):
        asked = [t.url for t in waiting_for(person, at=now) if t.act == "Review"]
        assert asked == [newest.get_absolute_url()], person
    assert len([t for t in waiting_for(cast.che, at=now) if t.act == "Review"]) == MANY


def test_reviews_ask_the_database_as_often_for_many_as_for_few(cast: Cast, now: datetime) -> None:
    rex, his = cast.rex, implementing(make_world(cast, now))
    RoleGrant.objects.create(user=rex, role="change_manager")
    mara = make_user("mara", "change_manager", scope=f"group:{his.targets.first().host.memberships.first().group_id}")
    counts: dict[str, list[int]] = {"rex": [], "mara": []}
    for more in (1, 6):
        for n in range(more):
            an_open_review(his, cast, now - timedelta(days=n))
        for person in (rex, mara):
            waiting_for(person, at=now)
            with CaptureQueriesContext(connection) as seen:
                waiting_for(person, at=now)
            counts[person.username].append(len(seen))
    assert {name: two - one for name, (one, two) in counts.items()} == {"rex": 0, "mara": 0}


def test_who_has_no_role_is_told_so_and_offered_nothing(cast: Cast, client: Client) -> None:
    for person, told in ((cast.eve, True), (cast.root, True), (cast.ann, False)):
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        page = client.get("/").content.decode()
        assert ("Your account has no role yet" in page) is told, person
        assert ("Start-by clocks" in page) is not told, person
        assert ("You are a superuser, and that opens nothing here" in page) is (person == cast.root), person


def test_find_finds_only_what_may_be_seen(cast: Cast, now: datetime) -> None:
    rfc = submitted(make_world(cast, now))
    assert [h.exact for h in find.find(rfc.number.lower(), cast.che)] == [True]
    assert find.find(rfc.number, cast.eve) == []


def test_home_uses_a_fixed_number_of_queries(cast: Cast, client: Client) -> None:
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    at, counts = datetime.now(UTC), []
    world = make_world(cast, at)
    for more in (1, 4):
        for _ in range(more):
            make_host(at=at)
            submitted(world)
        client.get("/")
        with CaptureQueriesContext(connection) as seen:
            assert client.get("/").status_code == 200
        counts.append(len(seen))
    assert counts[1] <= counts[0] + 1
    assert counts[1] <= 48


def refuse(rfc: RFC, who: User, why: str, at: datetime) -> None:
    round_ = round_of(rfc)
    approvals.decide(round_id=round_.pk, actor=who, at=at, verdict="refuse", comment=why, digest_seen=round_.digest)


def test_who_asked_sees_the_refusal_until_the_request_is_changed(cast: Cast, now: datetime) -> None:
    rfc = awaiting(make_world(cast, now))
    refuse(rfc, cast.sam, "Not on a Friday.", now)
    (todo,) = [t for t in waiting_for(cast.ann, at=now) if rfc.number in t.title]
    assert (todo.act, todo.why) == ("Revise", "sam refused: “Not on a Friday.”")
    assert "Revise" not in {t.act for t in waiting_for(cast.che, at=now)}
    revisions.revise(rfc_id=rfc.pk, actor=cast.ann, at=now, implementation_plan="On a Monday.", reason="As sam asked.")
    assert waiting_for(cast.ann, at=now) == []


def test_a_decision_leads_to_the_round_that_asks_also_the_second_time(cast: Cast, now: datetime) -> None:
    rfc = awaiting(make_world(cast, now))
    refuse(rfc, cast.sam, "Not on a Friday.", now)
    revisions.revise(rfc_id=rfc.pk, actor=cast.ann, at=now, implementation_plan="On a Monday.", reason="As sam asked.")
    risk.score(rfc_id=rfc.pk, actor=cast.che, at=now)
    approvals.request_approval(rfc_id=rfc.pk, actor=cast.che, at=now)
    (todo,) = [t for t in waiting_for(cast.sam, at=now) if rfc.number in t.title]
    assert round_of(rfc).number == 2
    assert todo.url == f"/changes/board/{round_of(rfc).pk}/"


def test_each_role_finds_what_waits_for_it_since_when_and_until_when(cast: Cast, now: datetime) -> None:
    rfc = awaiting(make_world(cast, now))
    (vote,) = waiting_for(cast.sam, at=now)
    assert (vote.section, vote.url) == ("To decide", f"/changes/board/{round_of(rfc).pk}/")
    assert "until " in vote.due
    (late,) = waiting_for(cast.sam, at=now + timedelta(days=30))
    assert "overdue by" in late.due
    row = make_delivery(cast.ann, at=now, state="failed")
    assert [(t.section, t.url) for t in waiting_for(cast.otto, at=now)] == [("Mail", "/notices/undelivered/")]
    row.delete()
    assert waiting_for(cast.otto, at=now) == []


def test_sections_show_the_first_few_of_each_role(cast: Cast, now: datetime) -> None:
    world = make_world(cast, now)
    for _ in range(9):
        submitted(world)
    found = {s.title: (len(s.todo), s.more) for s in sections(waiting_for(cast.che, at=now))}
    assert found == {"Changes to move on": (9, 0)}
    mixed = [Todo("st-wait", "Act", str(n), "/", section=name) for name in ("A", "B") for n in range(8)]
    assert [(s.title, len(s.todo), s.more) for s in sections(mixed)] == [("A", 6, 2), ("B", 6, 2)]
