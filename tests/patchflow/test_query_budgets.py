"""No list asks the database more often because it has more rows: 5 or 50, the number of queries is the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from changes.domain import agendas, change_models, change_tasks, freezes, meetings, routing
from changes.models import RFC, AgendaItem, ApprovalRoute, Cycle, Feed, FeedRun, Meeting
from cmdb.domain import baselines, discrepancies, exemptions, groups, items, points, scans, support, windows
from cmdb.enums import DiscrepancyKind
from cmdb.models import ConfigurationItem, PendingUpdate, SupportGroup
from patchflow.kernel import audit, saved_filters, substitutes
from patchflow.kernel.models import RoleGrant, SavedFilter, SignOffLevel, SignOffRound, User
from patchflow.kernel.numbers import next_number
from patchflow.notices import webhooks
from releases.models import (
    HandTask,
    InstallProfile,
    Job,
    PeriodicReview,
    PostImplementationReview,
    Release,
    ReleaseRFC,
    Ring,
    Rollout,
)
from tests.factories import changes as made
from tests.factories.notices import make_delivery
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import make_deployment
from tests.factories.steps import made_step

pytestmark = pytest.mark.django_db
FEW, MANY = 5, 50
LIMIT = 40
"""Queries that no list may exceed, the rail and the session included."""


class Filler:
    """Adds rows to a list; each row with relations of its own, so that a query per row shows."""

    def __init__(self, cast: Cast, now: datetime, folder: Path) -> None:
        self.cast, self.at, self.folder, self.number = cast, now, folder, 0

    def fill(self, name: str, count: int) -> None:
        add: Callable[[int], None] = getattr(self, name.partition(":")[2].replace("-", "_"))
        for _row in range(count):
            self.number += 1
            add(self.number)

    def world(self, n: int) -> made.World:
        host = made.make_host(f"budget-{n}", at=self.at, group=f"group {n}", environment=("production", "test")[n % 2])
        return made.World(self.cast, [host], made.make_update(f"source{n}", at=self.at, hosts=[host]), self.at)

    # --- Assess ---
    def host_list(self, n: int) -> None:
        (host,) = self.world(n).hosts
        PendingUpdate.objects.create(
            host=host, name="sudo", arch="amd64", installed_version="1", candidate_version="2", seen_at=self.at
        )

    def group_list(self, n: int) -> None:
        groups.add(name=f"Group {n}", host_ids=[self.world(n).hosts[0].pk], actor=self.cast.cora, at=self.at)

    def support_list(self, n: int) -> None:
        support.define(
            name=f"Support {n}", lead=make_user(f"lead{n}").username, members=[make_user(f"member{n}").username],
            actor=self.cast.cora, at=self.at,
        )  # fmt: skip
        ConfigurationItem.objects.filter(host=self.world(n).hosts[0]).update(support_group=f"Support {n}")

    def window_list(self, n: int) -> None:
        self.world(n)
        windows.add(
            name=f"Window {n}", starts_local=time(2), length_minutes=60, from_on=date(2026, 1, 1), actor=self.cast.cora, at=self.at,
            group_ids=[made.make_group(f"group {n}", at=self.at).pk],
        )  # fmt: skip

    def baseline_list(self, n: int) -> None:
        self.world(n)
        baselines.propose(
            name=f"Baseline {n}", platform_id=made.make_platform().pk, items=[("bash", "amd64", "5.2-1")], actor=self.cast.cora, at=self.at,
            group_id=made.make_group(f"group {n}", at=self.at).pk,
        )  # fmt: skip

    def item_list(self, n: int) -> None:
        item = items.add(
            kind="service", name=f"Service {n}", owner_id=make_user(f"owner{n}").pk, actor=self.cast.cora, at=self.at
        )
        host = self.world(n).hosts[0].name
        items.link(item_id=item.pk, how="runs_on", names=[host], actor=self.cast.cora, at=self.at)

    def point_list(self, n: int) -> None:
        group, _said = made.make_group(f"points {n}", at=self.at), self.world(n)
        groups.set_members(
            group_id=group.pk, host_ids=[self.world(n + 5000).hosts[0].pk], actor=self.cast.cora, at=self.at
        )
        points.add(
            name=f"dp-{n}",
            address=f"http://dp-{n}.example.org:3142",
            group_id=group.pk,
            actor=self.cast.cora,
            at=self.at,
        )

    def scan_list(self, n: int) -> None:
        scans.request(host_ids=[self.world(n).hosts[0].pk], actor=self.cast.otto, at=self.at)

    def discrepancy_list(self, n: int) -> None:
        discrepancies.note(
            host=self.world(n).hosts[0], kind=DiscrepancyKind.CLONE, key=str(n), sentence="Two.", source="ssh", actor=self.cast.bot,
            at=self.at, other=self.world(n + 1000).hosts[0],
        )  # fmt: skip

    def exemption_list(self, n: int) -> None:
        exemptions.request(
            kind="package", subject=f"package{n}", reason="The vendor pins it.", compensating_control="Behind a proxy.",
            expires_at=self.at + timedelta(days=30), host_id=self.world(n).hosts[0].pk, actor=self.cast.cora, at=self.at,
        )  # fmt: skip

    # --- Identify ---
    def update_list(self, n: int) -> None:
        self.world(n)

    def feed_list(self, n: int) -> None:
        feed = Feed.objects.create(name=f"feed-{n}", kind="osv", location_kind="file", location="x", created_at=self.at)
        FeedRun.objects.create(feed=feed, state="held", requested_by=self.cast.sam, requested_at=self.at)

    # --- Evaluate and plan ---
    def rfc_list(self, n: int) -> None:
        made.submitted(self.world(n))

    def changetask_list(self, n: int) -> None:
        group = SupportGroup.objects.create(name=f"Support {n}")
        change_tasks.add(
            rfc_id=made.draft(self.world(n)).pk, title=f"Task {n}", stage="planning", assignee_id=make_user(f"t{n}", "tester").pk,
            group_id=group.pk, due_at=self.at + timedelta(days=1), actor=self.cast.che, at=self.at,
        )  # fmt: skip

    def board_list(self, n: int) -> None:
        rfc = made.draft(self.world(n))
        over = {"state": "passed", "closed_at": self.at} if n % 3 == 0 else {"state": "open"}
        round_ = SignOffRound.objects.create(
            subject_type="changes.rfc", subject_id=rfc.pk, subject_label=str(rfc), number=1, kind="approval", digest="0" * 64, document={},
            opened_by=self.cast.che, opened_at=self.at, **over,
        )  # fmt: skip
        level = SignOffLevel.objects.create(round=round_, position=1, name="CAB", quorum="first", deadline_at=self.at)
        level.voters.create(user=self.cast.mia, via="planted")

    def model_list(self, n: int) -> None:
        model = change_models.draft(kind="standard", name=f"Model {n}", actor=self.cast.che, at=self.at)
        RFC.objects.filter(pk=made.draft(self.world(n)).pk).update(kind="standard", change_model=model)

    def route_list(self, n: int) -> None:
        route = routing.write(
            name=f"Route {n}", reason="We agreed.", kinds=["normal"], actor=self.cast.che, at=self.at,
            level={"name": "Chair", "roles": ["cab_chair"], "quorum": "first", "hours": 2},
        )  # fmt: skip
        route.groups.add(made.make_group(f"group {n}", at=self.at))
        ApprovalRoute.objects.filter(pk=route.pk).update(written_by=make_user(f"writer{n}"))

    def meeting_list(self, n: int) -> None:
        meeting = meetings.plan(
            kind="cab",
            starts_at=self.at + timedelta(days=n),
            actor=self.cast.che,
            at=self.at,
            member_ids=[self.cast.mia.pk],
        )
        Meeting.objects.filter(pk=meeting.pk).update(chair=make_user(f"chair{n}"))

    def meeting_item(self, n: int) -> None:
        """The session of one meeting, whose agenda grows."""
        self.board_list(n * 3 + 1)
        if not hasattr(self, "meeting"):
            self.meeting = meetings.plan(
                kind="cab", starts_at=self.at + timedelta(days=1), actor=self.cast.che, at=self.at,
                member_ids=[self.cast.mia.pk],
            )  # fmt: skip
        agendas.fill(meeting_id=self.meeting.pk, actor=self.cast.che, at=self.at)
        AgendaItem.objects.filter(round=SignOffRound.objects.latest("pk")).update(consent=n % 2 == 0)

    def substitute_list(self, n: int) -> None:
        away = make_user(f"away{n}")
        substitutes.name_substitute(
            user_id=away.pk, substitute_id=self.cast.mia.pk, starts_at=self.at, ends_at=self.at + timedelta(days=7),
            actor=away, at=self.at,
        )  # fmt: skip

    def freeze_list(self, n: int) -> None:
        freezes.declare(
            name=f"Freeze {n}", reason="Books.", starts_at=self.at, ends_at=self.at + timedelta(days=n), actor=self.cast.che, at=self.at
        )  # fmt: skip

    def cycle_list(self, n: int) -> None:
        Cycle.objects.create(
            name=f"Cycle {n}", kind="out_of_band", state="identify", state_at=self.at, opened_at=self.at
        )

    def release_list(self, n: int) -> None:
        self._release(n)

    def profile_list(self, n: int) -> None:
        InstallProfile.objects.create(
            name=f"Profile {n}", restart="always", defined_by=self.cast.rex, defined_at=self.at
        )

    def step_list(self, n: int) -> None:
        made_step(make_user(f"writer{n}", "operator"), self.at, name=f"Step {n}")

    # --- Deploy ---
    def rollout_list(self, n: int) -> None:
        rollout = Rollout.objects.create(
            number=next_number("RO", at=self.at), release=self._release(n), manifest=self.like.manifest, state="completed",
            executor="simulator", planned_by=self.cast.rex, planned_at=self.at, state_at=self.at,
            started_by=self.cast.rex, started_at=self.at,
        )  # fmt: skip
        ring = Ring.objects.create(
            rollout=rollout, position=0, name="All", concurrency=1, failure_limit=1, success_percent=95, soak_seconds=0, state="passed",
            state_at=self.at,
        )  # fmt: skip
        for place, state in enumerate(("succeeded", "failed")):
            Job.objects.create(
                rollout=rollout, ring=ring, host=self.like.hosts[place], state=state, state_at=self.at, job_key=f"{n}-{place}",
            )  # fmt: skip

    def periodic_list(self, n: int) -> None:
        PeriodicReview.objects.create(
            kind="sla", state="completed", starts_at=self.at - timedelta(days=n + 1), ends_at=self.at - timedelta(days=n), due_at=self.at,
            opened_by=self.cast.bot, opened_at=self.at, owner=make_user(f"owner{n}"), completed_at=self.at,
            completed_by=make_user(f"closer{n}"),
        )  # fmt: skip

    def task_list(self, n: int) -> None:
        if not Rollout.objects.filter(release=self.like.release).exists():
            self.like.start()
        HandTask.objects.create(
            job=self.like.job(), job_key=f"task-{n}", order={"packages": []}, minutes=30, given_at=self.at, begin_by=self.at,
            begun_by=make_user(f"hand{n}"), begun_at=self.at,
        )  # fmt: skip

    def review_list(self, n: int) -> None:
        PostImplementationReview.objects.create(
            release=self._release(n),
            name="Review",
            opened_at=self.at,
            state="completed",
            completed_at=self.at,
            completed_by=self.cast.che,
            figures={"hosts": {"done": 1, "manifest": 1}},
        )

    @property
    def like(self) -> Any:
        """One real deployment whose manifest and hosts the others borrow."""
        if not hasattr(self, "_like"):
            self._like = make_deployment(self.cast, self.at, self.folder, hosts=2)
        return self._like

    def _release(self, n: int) -> Release:
        profile = InstallProfile.objects.create(
            name=f"For {n}", restart="always", defined_by=self.cast.rex, defined_at=self.at
        )
        release = Release.objects.create(
            number=next_number("REL", at=self.at), title=f"Release {n}", kind="normal", executor="simulator", profile=profile,
            composed_by=self.cast.rex, composed_at=self.at, state_at=self.at, state="planning",
        )  # fmt: skip
        rfc = self.like.rfc
        ReleaseRFC.objects.create(
            release=release, rfc=rfc, digest=rfc.change_digest, joined_at=self.at, left_at=self.at
        )
        return release

    # --- Home ---
    def notice_list(self, n: int) -> None:
        for person in (self.cast.aud, self.cast.mia):
            make_delivery(person, at=self.at)

    def filter_list(self, n: int) -> None:
        for person in (self.cast.aud, self.cast.mia):
            saved_filters.save(
                name=f"Filter {n}", address="/changes/?sort=number&without=kind", actor=person, at=self.at,
            )  # fmt: skip
            shared = {"owner": make_user(f"{person}-{n}"), "shared_with": person.role_grants.first().role}
            SavedFilter.objects.create(
                name="Shared", list_name="changes:rfc-list", query="sort=number", made_at=self.at, **shared
            )

    def webhook_list(self, n: int) -> None:
        RoleGrant.objects.get_or_create(user=self.cast.mia, role="administrator")
        RoleGrant.objects.get_or_create(user=self.cast.aud, role="administrator")
        keeper = make_user(f"keeper-{n}", "administrator")
        webhooks.add(name=f"Hook {n}", url="https://example.org/", actor=keeper, at=self.at)

    def person_list(self, n: int) -> None:
        RoleGrant.objects.get_or_create(user=self.cast.mia, role="administrator")
        RoleGrant.objects.get_or_create(user=self.cast.aud, role="administrator")
        group = made.make_group(f"group {n}", at=self.at)
        make_user(f"person{n}", "tester", "operator", scope=f"group:{group.pk}")

    def undelivered_list(self, n: int) -> None:
        RoleGrant.objects.get_or_create(user=self.cast.mia, role="operator")
        make_delivery(make_user(f"reader-{n}"), at=self.at, state="failed", error="550 no such mailbox")

    # --- Prove ---
    def audit_list(self, n: int) -> None:
        group = made.make_group(f"group {n}", at=self.at)
        audit.record(group, "cmdb.group.added", actor=self.cast.cora, at=self.at)


def lists() -> list[str]:
    """The names of all list pages."""
    found = []
    for outer in get_resolver("patchflow.urls").url_patterns:
        if isinstance(outer, URLResolver) and outer.namespace:
            found += [f"{outer.namespace}:{p.name}" for p in outer.url_patterns if isinstance(p, URLPattern)]
    return sorted(name for name in found if name.endswith("-list"))


@pytest.mark.parametrize("name", lists())
def test_a_list_asks_as_often_for_few_rows_as_for_many(name: str, cast: Cast, now: datetime, tmp_path: Path) -> None:
    filler = Filler(cast, now, tmp_path)
    counts = []
    for more in (FEW, MANY - FEW):
        filler.fill(name, more)
        counts.append([asked(name, person) for person in (cast.aud, cast.mia)])
    assert counts[0] == counts[1], f"{name}: {counts}"
    assert max(counts[1]) <= LIMIT


def test_the_session_of_a_board_asks_as_often_for_five_items_as_for_fifty(
    cast: Cast, now: datetime, tmp_path: Path
) -> None:
    filler = Filler(cast, now, tmp_path)
    counts = []
    for more in (FEW, MANY - FEW):
        filler.fill("changes:meeting-item", more)
        meeting = filler.meeting
        item = meeting.items.filter(consent=False).first()
        pages = [reverse("changes:meeting-detail", args=[meeting.pk])]
        pages += [reverse(f"changes:meeting-{name}", args=[meeting.pk, item.pk]) for name in ("item", "tally")]
        counts.append([asked_at(page, person) for page in pages for person in (cast.che, cast.cal)])
    assert meeting.items.count() == MANY
    assert counts[0] == counts[1]
    assert max(counts[1]) <= 70


def asked_at(address: str, person: User) -> int:
    """How many queries this address costs this person, once it is warm."""
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(address).status_code == 200
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


def asked(name: str, person: User) -> int:
    """How many queries the page costs this person, once it is warm; 0 where they may not look."""
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    if client.get(reverse(name)).status_code == 403:
        return 0
    with CaptureQueriesContext(connection) as seen:
        assert client.get(reverse(name)).status_code == 200
    return len(seen)
