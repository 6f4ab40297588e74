"""Worlds to look at: a fresh installation (nothing but people), and one with one of each thing in its interesting states.

`Scene.things` says which object stands for a noun of the addresses (`rfc` of `changes:rfc-detail`), `Scene.more` which
others deserve a picture of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from changes.domain import (
    agendas,
    calendar_keys,
    change_models,
    change_tasks,
    dossiers,
    families,
    freezes,
    holds,
    meetings,
    routing,
    slots,
)
from changes.models import RFC, SoftwareUpdate, Vulnerability
from changes.queries.updates import standing
from cmdb.domain import baselines, discrepancies, exemptions, groups, inventory, items, points, scans, support, windows
from cmdb.enums import DiscrepancyKind
from cmdb.models import Baseline, ConfigurationItem, Host, HostGroup, ScanRun, SupportGroup
from cmdb.scanners.base import InstalledPackage, RestartEvidence, Source
from patchflow.kernel import access, people, registry, saved_filters, service_accounts, signoffs, substitutes, trail
from patchflow.kernel.models import AuditEntry, SavedFilter
from patchflow.notices import webhooks
from patchflow.notices.models import Delivery
from releases.domain import (
    amendments,
    change_rehearsals,
    delays,
    owners,
    periodic,
    plan_rehearsals,
    releases,
    reviews,
    stagings,
    steps,
    tasks_by_hand,
)
from releases.domain.tasks_by_hand import HouseDesk
from releases.executors.manual import ManualExecutor
from releases.models import (
    HandTask,
    HostStep,
    Job,
    PlannedHost,
    PlannedRing,
    PostImplementationReview,
    Release,
    Representative,
)
from tests.factories import changes as made
from tests.factories import cmdb as estate
from tests.factories import identify
from tests.factories import releases as stages
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment
from tests.factories.steps import made_step, service_steps
from tests.fakes.repository import SUITE, Package, Repository
from tests.releases.domain.test_reviews import answered, review_of, rolled_out

Arguments = dict[str, Any]
INSTALLED = {
    "nginx": "1.22.1-9",
    "gnutls28": "3.7.9-2+deb12u2",
    "linux": "6.1.137-1",
    "postgresql-15": "15.10-0+deb12u1",
    "sudo": "1.9.13p3-1",
    "rsync": "3.2.7-1",
}
FIXED = {
    "nginx": "1.22.1-9+deb12u3",
    "gnutls28": "3.7.9-2+deb12u5",
    "linux": "6.1.148-1",
    "postgresql-15": "15.14-0+deb12u1",
    "sudo": "1.9.13p3-1+deb12u2",
    "rsync": "3.2.7-1+deb12u2",
}
DONE = "rsync"
"""The update of the changes that were carried out: the hosts report it since."""
WORDS = {
    "nginx": "A crafted request makes a worker read memory that is not its own. Sites that serve MP4 files are concerned.",
    "gnutls28": "Certificates with very many name constraints keep a handshake busy for minutes.",
    "linux": "Several flaws let a local user become root. The flaw in the packet scheduler is exploited in the wild.",
    "postgresql-15": "A dump of a hostile database runs commands as the user who restores it.",
    "sudo": "The option --host is honoured by commands other than --list.",
    "rsync": "A server that was given a short checksum length writes beyond its buffer.",
}
KERNEL = "6.1.0-35-amd64"
CARRIED_OUT = ("in_review", "closed")
"""States of a change after which its hosts show its update."""
BULK = ("apt", "base-files", "bash", "coreutils", "curl", "dpkg", "grep", "gzip", "htop", "openssh", "systemd", "tar")


@dataclass
class Scene:
    """A world as the photographer finds it."""

    cast: Cast
    things: dict[str, Arguments] = field(default_factory=dict)
    more: dict[str, dict[str, Arguments]] = field(default_factory=dict)

    def also(self, page: str, name: str, **arguments: Any) -> None:
        """One more picture of a page: another object, or (`query`) another question."""
        self.more.setdefault(page, {})[name] = arguments


@dataclass
class Little:
    """What the small world consists of, for those who build on it."""

    scene: Scene
    yard: stages.Yard
    updates: dict[str, SoftwareUpdate]
    deployment: Deployment


def make_little(cast: Cast, now: datetime, folder: Path, repository: Repository) -> Little:
    """Three web and database hosts that were patched, miss five updates, and a rollout over nine more."""
    scene = Scene(cast)
    deployment = rolling(cast, now, folder)
    yard = stages.make_yard(
        cast, now - timedelta(days=21), repository, folder / "keyrings", names=["web-01", "web-02", "db-01"],
        source="curl",
    )  # fmt: skip
    review = finished(yard)
    yard.world.at = now - timedelta(hours=6)
    everywhere = [*yard.world.hosts, yard.test_host]
    for host in everywhere:
        report(host, yard, INSTALLED, at=now - timedelta(hours=5))
    updates = heard(scene, yard, now)
    known(scene, yard, now)
    decided(scene, yard, updates, now)
    for host in everywhere:
        report(host, yard, {**INSTALLED, DONE: FIXED[DONE]}, at=now - timedelta(minutes=40))
    agrees(cast, now)
    released(scene, yard, updates["nginx"])
    settle(now)
    scene.things |= {
        "review": {"pk": review.pk},
        "rollout": {"pk": deployment.rollout.pk},
        "ring": {"pk": deployment.ring(1).pk},
        "job": {"pk": deployment.job(2).pk},
    }
    reviewed(scene, now)
    planned_ahead(scene, yard, now)
    scene.also("releases:rollout-detail", "target", pk=deployment.rollout.pk, query=f"target={deployment.job(2).pk}")
    catalogue(scene, now)
    by_hand(scene, now, folder)
    told(scene, now)
    chain(scene, deployment, now)
    trail.seal(at=now)
    refused = AuditEntry.objects.exclude(outcome="done").order_by("-pk").first()
    entry = AuditEntry.objects.filter(verb="change.rfc.authorized").latest("pk")
    scene.things["audit"] = {"pk": entry.pk}
    scene.things["audit-object"] = {"object_type": entry.object_type, "object_id": entry.object_id}
    if refused:
        scene.also("reports:audit-detail", "refused", pk=refused.pk)
    kept(scene, now)
    hooked(scene, now)
    staffed(scene, now)
    scene.also("reports:find", "openssl", query="q=openssl")
    scene.also("reports:find", "nothing", query="q=no+such+thing")
    return Little(scene, yard, updates, deployment)


def told(scene: Scene, now: datetime) -> None:
    """Mail on its way, sent, and refused by its server."""
    rows = Delivery.objects.filter(channel="mail")
    rows.update(state="sent", sent_at=now - timedelta(hours=3))
    rows.filter(user=scene.cast.ann).update(
        state="failed", attempts=1, error="The mail server refused the address: 550 5.1.1 No such mailbox"
    )
    asked = rows.filter(user=scene.cast.mia).latest("pk")
    failed = rows.filter(state="failed").latest("pk")
    scene.things |= {
        "notice": {"pk": asked.pk},
        "undelivered": {"pk": failed.pk},
        "notices": {},
        "settings": {},
        "trial": {},
        "rollout-kill-switch": {},
    }


def kept(scene: Scene, now: datetime) -> None:
    """Saved filters: che's own, one that she shares with the board, and one that rex shares with change managers."""
    asked = {
        "Waiting for the board": (scene.cast.che, "/changes/?state=awaiting_approval&sort=clock", "cab_member"),
        "Mine in evaluation": (scene.cast.che, "/changes/?state=evaluating&without=requested-by-username", ""),
        "Production, oldest facts first": (scene.cast.che, "/estate/?environment=production&sort=age", ""),
        "Failed last": (scene.cast.rex, "/rollouts/?state=halted", "change_manager"),
    }
    for name, (actor, address, role) in asked.items():
        saved_filters.save(name=name, address=address, shared_with=role, actor=actor, at=now)
    board = SavedFilter.objects.get(name="Waiting for the board")
    saved_filters.begin_with(filter_id=board.pk, actor=scene.cast.che, at=now)
    scene.things["filter"] = {"pk": board.pk}
    scene.also("changes:rfc-list", "saved", query=f"{board.query}&saved={board.pk}")
    scene.also("changes:rfc-list", "whole", query="saved=0")
    scene.also("web:filter-save", "form", query="of=%2Fchanges%2F%3Fstate%3Ddraft")


def staffed(scene: Scene, now: datetime) -> None:
    """A person with a role everywhere, one for a group and a substitute; one who has left; one without a role."""
    cast, ada = scene.cast, scene.cast.ada
    liz, _password = people.add(
        username="liz", first_name="Liz", last_name="Meyer", email="liz@example.org", actor=ada, at=now
    )
    everywhere = access.grant_role(user_id=liz.pk, role="cab_member", actor=ada, at=now)
    if group := HostGroup.objects.live().first():
        access.grant_role(user_id=liz.pk, role="operator", scope=f"group:{group.pk}", actor=ada, at=now)
    substitutes.name_substitute(
        user_id=liz.pk, substitute_id=cast.mia.pk, starts_at=now, ends_at=now + timedelta(days=7), actor=liz, at=now,
    )  # fmt: skip
    left, _password = people.add(username="leo", first_name="Leo", actor=ada, at=now)
    people.deactivate(user_id=left.pk, reason="Has left.", actor=ada, at=now)
    program = service_accounts.add(username="pipeline", name="Build pipeline", actor=ada, at=now)
    access.grant_role(user_id=program.pk, role="requester", actor=ada, at=now)
    token, _text = service_accounts.give_token(user_id=program.pk, days=90, actor=ada, at=now)
    scene.things |= {
        "person-give-token": {"pk": program.pk},
        "person-revoke-token": {"pk": program.pk, "token": service_accounts.name_of(token)},
        "person": {"pk": liz.pk}, "person-revoke": {"pk": liz.pk, "grant": everywhere.pk}, "person-reactivate": {"pk": left.pk},
    }  # fmt: skip
    scene.also("reports:person-detail", "left", pk=left.pk)
    scene.also("reports:person-detail", "own", pk=ada.pk)
    scene.also("reports:person-detail", "program", pk=program.pk)


def hooked(scene: Scene, now: datetime) -> None:
    """A webhook with a message of each kind of end, and one that is switched off."""
    ada = scene.cast.ada
    desk, _secret = webhooks.add(name="Service desk", url="https://desk.example.org/hooks/patchflow", actor=ada, at=now)
    chat, _secret = webhooks.add(
        name="Chat of the board", url="https://chat.example.org/hook", actor=ada, at=now, kind_names=["approval_requested"],
        roles=["cab_member", "cab_chair"],
    )  # fmt: skip
    webhooks.switch(webhook_id=chat.pk, off=True, actor=ada, at=now)
    rows = [webhooks.test(webhook_id=desk.pk, actor=ada, at=now) for _ in range(3)]
    ends = [("sent", 204, ""), ("failed", 503, "It answered 503."), ("queued", None, "")]
    for row, (state, answer, error) in zip(rows, ends, strict=True):
        row.state, row.answer, row.error = state, answer, error
        row.tries = [{"at": now.isoformat(), "answer": answer, "said": error}] if answer else []
        row.save()
    scene.things |= {"webhook": {"pk": desk.pk}, "webhook-again": {"pk": desk.pk, "message": rows[1].pk}}
    scene.also("reports:webhook-detail", "message", pk=desk.pk, query=f"message={rows[1].pk}")
    scene.also("reports:webhook-detail", "off", pk=chat.pk)


def planned_ahead(scene: Scene, yard: stages.Yard, now: datetime) -> None:
    """A calendar with a freeze to come, one that was lifted, and two changes whose slots meet."""
    cast = scene.cast
    year = {
        "reason": "The books are closed.",
        "starts_at": now + timedelta(days=8),
        "ends_at": now + timedelta(days=11),
    }
    freeze = freezes.declare(name="End of the quarter", **year, actor=cast.che, at=now - timedelta(days=2))
    launch = freezes.declare(name="Launch", **year, passes=[], actor=cast.che, at=now - timedelta(days=2))
    freezes.lift(freeze_id=launch.pk, reason="The launch was moved.", actor=cast.che, at=now - timedelta(days=1))
    begins = (now + timedelta(days=4)).replace(hour=1, minute=0, second=0, microsecond=0)
    for n, rfc in enumerate(RFC.objects.filter(state="authorized")[:2]):
        span = slots.Span(
            None, "Web tier, second Tuesday", begins + n * timedelta(hours=1), begins + timedelta(hours=3), hosts=3
        )
        slots.reserve(
            rfc_id=rfc.pk, holder=f"REL-2026-0009{n}", spans=[span], responsible=cast.rex, actor=cast.rex, at=now
        )
        scene.also("changes:rfc-detail", f"slot-{n}", pk=rfc.pk)
    scene.things |= {"freeze": {"pk": freeze.pk}, "freeze-lift": {"pk": freeze.pk}}
    scene.things |= {"calendar": {}, "calendar-feed": {"secret": calendar_keys.make(actor=cast.rex, at=now)}}
    scene.also("changes:freeze-detail", "lifted", pk=launch.pk)
    month = f"{now:%Y-%m-%d}"
    scene.also("changes:calendar-show", "month", query=f"on={month}")
    scene.also("changes:calendar-show", "week", query=f"view=week&on={begins:%Y-%m-%d}")
    scene.also("changes:calendar-show", "list", query=f"view=list&on={month}")


def reviewed(scene: Scene, now: datetime) -> None:
    """Reviews at intervals: one of service levels that is completed, one of operations that is being discussed."""
    cast, start = scene.cast, now - timedelta(days=30)
    done = periodic.open_review(kind="sla", starts_at=start - timedelta(days=30), ends_at=start, actor=cast.che, at=now)
    said = {"actor": cast.che, "at": now}
    periodic.remark(review_id=done.pk, text="Nothing was due in these weeks.", **said)
    todo = {"text": "Agree on start-by dates for databases", "owner_id": cast.sam.pk, "due_on": now.date()}
    action = periodic.raise_action(review_id=done.pk, **todo, **said)
    periodic.complete(review_id=done.pk, conclusion="The levels stay as they are.", **said)
    periodic.settle_action(review_id=done.pk, action_id=action.pk, outcome="Agreed: seven days.", **said)
    going = periodic.open_review(
        kind="operations", starts_at=start, ends_at=now, owner_id=cast.che.pk, actor=cast.rex, at=now
    )
    periodic.remark(
        review_id=going.pk, text="One rollout stood for a day. Whom do we call at night?", actor=cast.rex, at=now
    )
    night = {"text": "Name who is called at night", "owner_id": cast.che.pk, "due_on": now.date() + timedelta(days=14)}
    mine = periodic.raise_action(review_id=going.pk, **night, actor=cast.rex, at=now)
    scene.things |= {"periodic": {"pk": going.pk}, "periodic-settle": {"pk": going.pk, "action": mine.pk}}
    scene.things["slot"] = {"slot": "before_deploy"}
    scene.also("releases:periodic-detail", "completed", pk=done.pk)


def chain(scene: Scene, deployment: Deployment, now: datetime) -> None:
    """Of the people of the second ring one knows; of those of the third one asks for more time."""
    cast, ring, last = scene.cast, deployment.ring(1), deployment.ring(2)
    owners.acknowledge(ring_id=ring.pk, actor=cast.gus, at=now - timedelta(minutes=30), comment="The shop knows.")
    Representative.objects.create(ring=last, user=cast.mia, hosts=1, told_at=now - timedelta(minutes=5))
    asked = delays.ask(
        ring_id=last.pk, until=now + timedelta(days=2), reason="Year-end closing: the ledger must not restart before Friday.",
        actor=cast.mia, at=now - timedelta(minutes=4),
    )  # fmt: skip
    scene.things |= {
        "delay": {"pk": asked.pk},
        "rfc-notices": scene.things["rfc"],
        "release-notices": scene.things["release"],
    }
    scene.also("releases:ring-people", "delay", pk=last.pk)


def catalogue(scene: Scene, now: datetime) -> None:
    """Steps before and after an installation: approved, waiting for a review, and refused."""
    cast = scene.cast
    service_steps(cast, now - timedelta(days=9))
    call = {
        "kind": "silence",
        "target": "https://monitor.example.org/api/v2/silences",
        "amount": 120,
        "limit_seconds": 20,
    }
    silence = made_step(
        cast.otto, now - timedelta(hours=3), name="Silence the monitoring", secret_file="/etc/patchflow/monitor.token",
        body='{"host": "{host}", "endsAt": "{until}", "comment": "{job}"}', description="Two hours.", **call,
    )  # fmt: skip
    dump = made_step(
        cast.rex, now - timedelta(days=2), name="Dump the database", kind="command", target="/opt/dump", amount=0
    )
    steps.refuse(step_id=dump.pk, comment="Use the backup check instead.", actor=cast.sam, at=now - timedelta(days=1))
    scene.things["step"] = {"pk": silence.pk}
    scene.also("releases:step-detail", "refused", pk=dump.pk)


def by_hand(scene: Scene, now: datetime, folder: Path) -> None:
    """Three hosts that people update: one waits, at one somebody is at work, one could not be done."""
    cast = scene.cast
    deployment = make_deployment(
        cast, now - timedelta(minutes=40), folder, names=["vault-01", "vault-02", "vault-03"],
        rings=[{"hosts": 3, "concurrency": 3, "failure_limit": 3}], steps=list(HostStep.objects.approved().order_by("-kind")),
    )  # fmt: skip
    as_planned(deployment)
    name = f"manual-{deployment.release.executor}"
    registry.executors.add(name, ManualExecutor(HouseDesk(deployment.clock.now), deployment.simulator))
    Release.objects.filter(pk=deployment.release.pk).update(executor=name)
    deployment.start()
    deployment.tick()
    for number in range(3):
        deployment.visit(number)
    waiting, begun, lost = HandTask.objects.order_by("pk")
    for task in (begun, lost):
        tasks_by_hand.begin(task_id=task.pk, actor=cast.otto, at=deployment.clock.at)
    tasks_by_hand.give_up(
        task_id=lost.pk, remark="The key of the room is lost.", actor=cast.otto, at=deployment.clock.at
    )
    for number in range(3):
        deployment.pass_time(seconds=31)
        deployment.visit(number)
    scene.things["task"] = {"pk": waiting.pk}
    for verb in ("finish", "attest"):
        scene.things[f"task-{verb}"] = {"pk": begun.pk}
    scene.also("releases:task-detail", "begun", pk=begun.pk)
    scene.also("releases:task-detail", "lost", pk=lost.pk)


def settle(now: datetime) -> None:
    """What the factories leave at its first value: hosts stand in service, updates know whom they reach."""
    ConfigurationItem.objects.filter(host__audited_at__isnull=False).update(state="in_service")
    SoftwareUpdate.objects.filter(name="openssl").update(reach=12, start_by=now + timedelta(days=5, hours=20))


# --- Deploy, once through -----------------------------------------------------------------------------------------------
def finished(yard: stages.Yard) -> PostImplementationReview:
    """A change that was released three weeks ago, rolled out, reviewed, accepted; answers without gaps."""
    cast = yard.cast
    release = stages.ready(yard)
    releases.deploy(release_id=release.pk, actor=cast.rex, at=yard.at)
    release = rolled_out(yard, release)
    assert release.state == "deployed", release.state
    answered(yard, release)
    end = yard.at + timedelta(days=16)
    review = reviews.complete(
        review_id=review_of(release).pk, lessons="Tell the help desk on the day before.", actions="Shorten the soak of ring 0.",
        actor=cast.che, at=end,
    )  # fmt: skip
    releases.accept(release_id=release.pk, actor=cast.rex, at=end)
    return review


def as_planned(deployment: Deployment) -> None:
    """The plan from which the manifest of a deployment would have been sealed: its rings, and which host is in which."""
    release, document = deployment.release, deployment.manifest.document
    names = ("name", "concurrency", "failure_limit", "success_percent", "soak_seconds")
    rings = {
        ring["ring"]: PlannedRing.objects.create(
            release=release, number=ring["ring"], **{name: ring[name] for name in names}
        )
        for ring in document["rings"]
    }
    PlannedHost.objects.bulk_create(
        PlannedHost(release=release, host_id=host["host"], ring=rings[host["ring"]]) for host in document["hosts"]
    )


def rolling(cast: Cast, now: datetime, folder: Path) -> Deployment:
    """A rollout whose files were laid ready before its window, whose first ring has passed and whose second has a failed host and
    a silent one."""
    names, opens = [f"app-{n:02}" for n in range(1, 13)], now - timedelta(minutes=51)
    deployment = make_deployment(
        cast, opens - timedelta(hours=2), folder, names=names, profile={"stage_hours": 3},
        window={"weekday": opens.weekday(), "starts_local": opens.time().replace(second=0, microsecond=0)},
        rings=[
            {"hosts": 2, "name": "Canary"},
            {"hosts": 4, "name": "Pilot", "failure_limit": 3, "success_percent": 90, "soak_seconds": 3600},
            {"hosts": 6, "name": "Rest"},
        ],
    )  # fmt: skip
    as_planned(deployment)
    deployment.start()
    laid_ready(deployment)
    deployment.clock.at = now - timedelta(minutes=50)
    deployment.habit(2, "fail")
    deployment.habit(4, "lose")
    for number, owner in enumerate([cast.mia, cast.sam, cast.mia, cast.gus, cast.tia, None, cast.mia]):
        ConfigurationItem.objects.filter(host=deployment.hosts[number]).update(owner=owner)
    deployment.work(turns=12, until=lambda: Job.objects.filter(rollout=deployment.rollout, state="unknown").exists())
    return deployment


def laid_ready(deployment: Deployment) -> None:
    """Files on most hosts; one would do what was not signed, one does not answer."""
    odd = {7: "refuse", 9: "unreachable"}
    for number, habit in odd.items():
        deployment.habit(number, habit)
    for _turn in range(3):
        stagings.sweep(now=deployment.clock.at)
        for ring in deployment.rollout.rings.all():
            stagings.run(ring_id=ring.pk, owner="test", now=deployment.clock.now)
        deployment.clock.wait(15)
    for number in odd:
        deployment.habit(number, None)


# --- Assess ---------------------------------------------------------------------------------------------------------------
def packages(old: dict[str, str]) -> list[InstalledPackage]:
    return [
        *(estate.make_package(name, version) for name, version in old.items() if name != "linux"),
        estate.make_package(f"linux-image-{KERNEL}", old["linux"], source_name="linux", source_version=old["linux"]),
        estate.make_package("curl", stages.NEW),
        *(estate.make_package(name, "1.0-1") for name in BULK if name != "curl"),
    ]


def report(host: Host, yard: stages.Yard, installed: dict[str, str], *, at: datetime) -> None:
    """A complete scan, as the collector on the host makes it."""
    inventory.record(
        host_id=host.pk,
        report=estate.make_report(
            host,
            packages=packages(installed),
            pending=[
                estate.make_pending(name, INSTALLED[name], FIXED[name]) for name in ("nginx", "linux", "sudo")
            ],
            restart=RestartEvidence(
                needed=True, reasons=("A newer kernel is installed.",), kernel_running=KERNEL, kernel_installed="6.1.0-37-amd64"
            ),
            kernel=KERNEL,
            sources=[
                Source(
                    uris=(yard.repository.uri,), suites=(SUITE,), components=("main",), signed_by="/etc/apt/archive.pgp"
                )
            ],
            collected_at=at,
        ),
        source="ssh",
        actor=yard.cast.bot,
        at=at,
    )  # fmt: skip
    machine = yard.machine(host) if host.name == yard.test_host.name else yard.executor.machines[f"{host.name}.test"]
    machine.packages.update(installed)


def served(scene: Scene, hosts: list[Host], group: str, at: datetime) -> None:
    """A service on a cluster of hosts, of which two must stay; one that is planned, with nothing under it."""
    said: dict[str, Any] = {"actor": scene.cast.cora, "at": at}
    cluster = items.add(kind="cluster", name="Web nodes", criticality=2, support_group=group, **said)
    items.link(item_id=cluster.pk, how="members", names=[h.name for h in hosts], **said)
    shop = items.add(
        kind="service",
        name="Web shop",
        criticality=1,
        owner_id=scene.cast.mia.pk,
        min_alive=1,
        min_alive_percent=50,
        **said,
    )
    links = items.link(item_id=shop.pk, how="depends_on", names=["Web nodes"], **said)
    items.enter_service(item_id=shop.pk, **said)
    planned = items.add(kind="service", name="Customer portal", environment="staging", **said)
    scene.things["item"] = {"pk": shop.pk}
    scene.things["item-enter"] = {"pk": planned.pk}
    scene.things["item-unlink"] = {"pk": shop.pk, "relation": links[0].pk}
    scene.also("cmdb:item-detail", "planned", pk=planned.pk)
    scene.also("cmdb:item-detail", "cluster", pk=cluster.pk)


def distributed(scene: Scene, hosts: list[Host], at: datetime) -> None:
    """A point that answers and serves a group, one that does not and serves a site without hosts."""
    said: dict[str, Any] = {"actor": scene.cast.cora, "at": at}
    branch = groups.add(name="Branch in Berlin", host_ids=[host.pk for host in hosts], **said)
    berlin = points.add(
        name="dp-berlin", address="http://192.0.2.20:3142", group_id=branch.pk, throttle_kib=512, **said
    )
    site = items.add(kind="site", name="Hamburg", **said)
    hamburg = points.add(
        name="dp-hamburg", address="http://192.0.2.21:3142", site_id=site.pk, when_silent="direct", **said
    )
    points.check(point_id=berlin.pk, ask=lambda _address: (True, "It answered within 4 ms."), **said)
    points.check(
        point_id=hamburg.pk, ask=lambda _address: (False, "192.0.2.21 did not answer (ConnectTimeout)."), **said
    )
    scene.things["point"] = {"pk": berlin.pk}
    scene.also("cmdb:point-detail", "silent", pk=hamburg.pk)


def known(scene: Scene, yard: stages.Yard, now: datetime) -> None:
    """Groups, windows, baselines, exemptions, scans, a discrepancy; and a host that was only just added."""
    cast, hosts, at = yard.cast, yard.world.hosts, now - timedelta(hours=5)
    group = groups.add(
        name="Web tier", description="What the public sees", host_ids=[h.pk for h in hosts[:2]], actor=cast.cora, at=at
    )
    rule = groups.add(name="Test", kind="rule", rule_environment="test", actor=cast.cora, at=at)
    window = windows.add(
        name="Web tier, second Tuesday", starts_local=time(2), length_minutes=180, cutoff_minutes=30, from_on=date(2026, 1, 1),
        zone="Europe/Berlin", group_ids=[group.pk], actor=cast.cora, at=at,
    )  # fmt: skip
    items = [(name, "amd64", version) for name, version in FIXED.items()]
    platform = made.make_platform().pk
    draft = baselines.draft(name="Databases", platform_id=platform, items=items[:2], actor=cast.cora, at=at)
    asked = baselines.propose(name="Debian 12", platform_id=platform, items=items, actor=cast.cora, at=at)
    subject = hosts[2]
    wanted = exemptions.request(
        kind="package", subject="postgresql-15", reason="The vendor certifies 15.10 only.", compensating_control="No restore on this host.",
        expires_at=now + timedelta(days=60), host_id=subject.pk, actor=cast.cora, at=at,
    )  # fmt: skip
    granted = exemptions.request(
        kind="cve", subject="CVE-2026-1111", reason="Only with the vendor's next version.", compensating_control="The port is closed.",
        expires_at=now + timedelta(days=90), host_id=hosts[1].pk, actor=cast.cora, at=at,
    )  # fmt: skip
    exemptions.grant(exemption_id=granted.pk, actor=cast.sam, at=at)
    clone = discrepancies.note(
        host=hosts[1], kind=DiscrepancyKind.CLONE, key="machine-id", sentence="web-02 and web-03 show one machine-id with two live keys.",
        source="ssh", actor=cast.bot, at=at,
    )  # fmt: skip
    for run in ScanRun.objects.filter(state__in=scans.OPEN):
        scans.cancel(scan_run_id=run.pk, actor=cast.otto, at=at)
    scan = scans.request(host_ids=[hosts[0].pk, hosts[1].pk], actor=cast.otto, at=now - timedelta(minutes=3))
    fresh = estate.make_host("new-01", groups=[group])
    estate.make_connection(fresh, shown_key=estate.host_key("new-01"))
    scene.things |= {
        "host": {"pk": subject.pk},
        "group": {"pk": group.pk},
        "window": {"pk": window.pk},
        "baseline": {"pk": asked.pk},
        "scan": {"pk": scan.pk},
        "discrepancy": {"pk": clone.pk},
        "exemption": {"pk": wanted.pk},
        "exemption-revoke": {"pk": granted.pk},
    }
    force = Baseline.objects.approved().get(platform=platform, group=None)
    judged_by(
        cast, "Web servers", group.pk, [*items[:1], ("sudo", "amd64", "1.9.12p2-1"), ("apt", "amd64", "1.0-1")], at
    )
    judged_by(cast, "Test hosts", rule.pk, [("sudo", "amd64", "1.9.12p2-1")], at)
    scene.also("cmdb:host-baseline", "below", pk=hosts[0].pk)
    scene.also("cmdb:host-baseline", "above", pk=yard.test_host.pk)
    scene.also("cmdb:group-baseline", "above", pk=rule.pk, query="result=above")
    scene.things["host-explain"] = {"pk": subject.pk, "baseline": force.pk}
    scene.also("cmdb:baseline-detail", "in-force", pk=force.pk)
    scene.also("cmdb:group-baseline", "below", pk=group.pk, query="result=below")
    scene.also("changes:rfc-raise", "below", query=f"below=group:{group.pk}")
    web = support.define(name="Web operations", lead="otto", members=["otto", "tia"], actor=cast.cora, at=at)
    ConfigurationItem.objects.filter(host__in=[h.pk for h in hosts[:2]]).update(support_group=web.name, owner=cast.mia)
    scene.things["support"] = {"pk": web.pk}
    others = Host.objects.exclude(pk__in=[h.pk for h in hosts]).order_by("pk")
    served(scene, list(others[:3]), web.name, at)
    scene.also("cmdb:support-items", "missing", query="missing=both")
    distributed(scene, [fresh], now - timedelta(minutes=2))
    scene.also("cmdb:host-detail", "new", pk=fresh.pk)
    scene.also("cmdb:host-connect", "new", pk=fresh.pk)
    scene.also("cmdb:group-detail", "rule", pk=rule.pk)
    scene.also("cmdb:baseline-detail", "draft", pk=draft.pk)
    scene.also("cmdb:exemption-detail", "granted", pk=granted.pk)
    scene.also("cmdb:group-revise", "rule", pk=rule.pk)


def judged_by(cast: Cast, name: str, group_id: int, items: list[tuple[str, str, str]], at: datetime) -> None:
    """A baseline of a group, in force."""
    platform = made.make_platform().pk
    one = baselines.propose(name=name, platform_id=platform, group_id=group_id, items=items, actor=cast.cora, at=at)
    round_ = signoffs.open_round_of(one)
    assert round_ is not None
    signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=cast.sam, at=at)


# --- Identify -------------------------------------------------------------------------------------------------------------
def heard(scene: Scene, yard: stages.Yard, now: datetime) -> dict[str, SoftwareUpdate]:
    """A feed that announced six updates and then lost records, and one that was never polled."""
    cast = yard.cast
    feed = identify.make_feed(cast.sam, at=now - timedelta(days=9), name="debian-security")
    documents = [
        identify.record(
            f"DSA-{6000 + n}-1",
            [(name, FIXED[name])],
            summary=f"{name} - security update",
            details=WORDS[name],
            cves=[f"CVE-2026-{40100 + n * 10 + each}" for each in range(1 + n % 3)],
        )
        for n, name in enumerate(INSTALLED)
    ]
    others = [identify.record(f"DSA-{5900 + n}-1", [(f"package{n}", "2")]) for n in range(7)]
    identify.poll(feed, [*documents, *others], actor=cast.sam, at=now - timedelta(hours=30))
    Vulnerability.objects.filter(cve="CVE-2026-40121").update(
        exploited_since_on=now.date() - timedelta(days=3), epss="0.91000"
    )
    run = identify.poll(
        feed,
        [*documents, *others[:1], identify.quarantined("DSA-6009-1.json")],
        actor=cast.sam,
        at=now - timedelta(hours=1),
    )
    assert run.state == "held", run.state
    identify.make_feed(cast.sam, at=now - timedelta(days=1), name="vendor-feed")
    updates = {u.name: u for u in SoftwareUpdate.objects.filter(name__in=INSTALLED)}
    assert set(updates) == set(INSTALLED), updates
    SoftwareUpdate.objects.filter(name="linux").update(exploited=True)
    scene.things |= {
        "update": {"pk": updates["linux"].pk},
        "feed": {"pk": feed.pk},
        "feedrun": {"pk": run.pk},
    }
    return {u.name: u for u in SoftwareUpdate.objects.filter(name__in=INSTALLED)}


# --- Evaluate and plan ------------------------------------------------------------------------------------------------------
def tasked(scene: Scene, held: RFC, now: datetime) -> None:
    """Tasks of a change that will be held, of one that the board decides about, and of one that is carried out."""
    cast, at = scene.cast, now - timedelta(hours=4)

    def add(rfc_id: int, title: str, stage: str, **given: Any) -> int:
        said = {"rfc_id": rfc_id, "title": title, "stage": stage, "actor": cast.che, "at": at}
        return change_tasks.add(**{**said, **given}).pk

    def end(pk: int, outcome: str, by: Any) -> None:
        change_tasks.begin(task_id=pk, actor=by, at=at + timedelta(hours=1))
        change_tasks.finish(task_id=pk, outcome=outcome, actor=by, at=at + timedelta(hours=2))

    group = SupportGroup.objects.get(name="Web operations").pk
    waits = add(held.pk, "Ask the vendor when the next build comes", "planning", assignee_id=cast.tia.pk)
    board, going = scene.things["rfc"]["pk"], scene.more["changes:rfc-detail"]["implementing"]["pk"]
    add(
        board,
        "Announce the restart of the shop to the branches",
        "preparation",
        group_id=group,
        due_at=now + timedelta(days=1),
    )
    soon = {"assignee_id": cast.tia.pk, "due_at": now - timedelta(hours=1)}
    asked = add(going, "Ask the owners of the shop for a quiet hour", "planning", group_id=group)
    end(asked, "Tuesday after 22:00, they watch it themselves.", cast.otto)
    spare = add(going, "Borrow a spare load balancer", "preparation")
    change_tasks.dismiss(task_id=spare, reason="The two that we have carry the load.", actor=cast.che, at=at)
    drain = add(going, "Drain the first node by hand and watch its sessions", "implementation", **soon)
    change_tasks.begin(task_id=drain, actor=cast.tia, at=at + timedelta(hours=1))
    add(going, "Write down how long the drain took", "review", required=False)
    check = add(
        going, "Place a test order", "testing", assignee_id=cast.tia.pk, group_id=group, due_at=now + timedelta(days=2),
        instructions="With the test customer, by card and by invoice.\nCancel both orders afterwards.",
    )  # fmt: skip
    scene.things |= {
        "changetask": {"pk": check},
        "changetask-finish": {"pk": drain},
        "changetask-reopen": {"pk": asked},
    }
    for name, pk in (("held", waits), ("done", asked), ("overdue", drain), ("not-needed", spare)):
        scene.also("changes:changetask-detail", name, pk=pk)
    scene.also("changes:changetask-list", "mine", query="mine=yes")


def decided(scene: Scene, yard: stages.Yard, updates: dict[str, SoftwareUpdate], now: datetime) -> None:
    """An RFC in every state; on the board one that waits for mia, on hold another, broken glass asked for a third."""
    cast, at = yard.cast, now - timedelta(hours=4)
    names = [name for name in INSTALLED if name != DONE]
    for n, state in enumerate(made.AT_STATE):
        name = DONE if state in CARRIED_OUT else names[n % len(names)]
        world = made.World(cast, yard.world.hosts, updates[name], at)
        rfc = made.AT_STATE[state](world)
        scene.also("changes:rfc-detail", state, pk=rfc.pk)
        if state == "awaiting_approval":
            made.approve(rfc, cast.sam, at=at)
            scene.things |= {
                "rfc": {"pk": rfc.pk},
                "board": {"pk": made.round_of(rfc).pk},
                "cycle": {"pk": rfc.cycle_id},
                "cycle-step": {"pk": rfc.cycle_id, "key": "threats"},
            }
    world = made.World(cast, yard.world.hosts, updates["sudo"], at)
    held = made.evaluating(world)
    tasked(scene, held, now)
    holds.place(rfc_id=held.pk, reason="The vendor withdrew the first build.", actor=cast.che, at=at)
    scene.also("changes:rfc-detail", "on-hold", pk=held.pk)
    scene.also("changes:rfc-detail", "glass", pk=made.glass_asked(world).pk)
    routine = made.licensed_model(
        world, name="Routine browser updates", packages=["curl", "firefox-esr"], description="Monthly updates of browsers.",
        implementation_plan="Ring by ring, one host at a time.", back_out_plan="Install the previous version.",
    )  # fmt: skip
    proposed = change_models.draft(
        kind="emergency", name="Exploited in the wild", max_score=25, actor=cast.che, at=at,
        levels=[{"name": "Chair", "roles": ["cab_chair"], "quorum": "first", "hours": 2, "escalate_to": "change_manager"}],
    )  # fmt: skip
    change_models.propose(model_id=proposed.pk, actor=cast.che, at=at)
    urgent = made.submitted(world, kind="emergency", test_plan="", implementation_plan="")
    scene.also("changes:rfc-detail", "emergency", pk=urgent.pk)
    scene.also(
        "changes:rfc-detail", "licence", pk=made.submitted(world, kind="standard", change_model_id=routine.pk).pk
    )
    shown = RFC.objects.get(pk=scene.things["rfc"]["pk"])
    dossiers.comment(
        rfc_id=shown.pk, text="Does the vendor certify this build for the cluster? @sam knows whom to ask.", actor=cast.che, at=at
    )  # fmt: skip
    dossiers.comment(
        rfc_id=shown.pk, text="It does, since last Monday.\n\nThe letter is attached.", actor=cast.sam, at=at
    )
    letter = dossiers.attach(
        rfc_id=shown.pk, name="Certification letter.pdf", content=BytesIO(b"%PDF-1.7 certified"), actor=cast.sam, at=at
    )
    ticket = dossiers.refer(
        rfc_id=shown.pk, kind="problem", system="Service desk", name="PRB-1187", url="https://desk.example.org/PRB-1187",
        actor=cast.che, at=at,
    )  # fmt: skip
    child = made.draft(world, title="Drain the cluster before its nodes restart")
    families.set_parent(rfc_id=child.pk, parent_id=shown.pk, actor=cast.che, at=at)
    scene.things["rfc-file"] = scene.things["rfc-withdraw-file"] = {"pk": shown.pk, "attachment": letter.pk}
    scene.things["rfc-drop-reference"] = {"pk": shown.pk, "reference": ticket.pk}
    scene.things["model"] = {"pk": routine.pk}
    scene.also("changes:model-detail", "proposed", pk=proposed.pk)
    routed(scene, at)
    draft = change_models.draft(kind="normal", name="Database servers", actor=cast.che, at=at)
    scene.things["model-revise"] = {"pk": draft.pk}
    one = substitutes.name_substitute(
        user_id=cast.mia.pk, substitute_id=cast.cal.pk, starts_at=now + timedelta(days=3), ends_at=now + timedelta(days=10),
        reason="On leave", actor=cast.mia, at=at,
    )  # fmt: skip
    scene.things["substitute"] = {"pk": one.pk}
    met(scene, made.World(cast, yard.world.hosts, updates["nginx"], at), now)
    scene.also("changes:rfc-raise", "update", query=f"update={updates['linux'].pk}")


def agrees(cast: Cast, now: datetime) -> None:
    """No host misses the update of a change that was carried out there."""
    for rfc in RFC.objects.filter(state__in=CARRIED_OUT):
        for link in rfc.updates.filter(removed_at__isnull=True).select_related("update"):
            targets = set(rfc.targets.filter(removed_at__isnull=True).values_list("host_id", flat=True))
            missing = {host.host_id for host in standing(link.update, actor=None, at=now).concerned} & targets
            assert not missing, f"{rfc} ({rfc.state}): {link.update} is missing on {missing}"


def routed(scene: Scene, at: datetime) -> None:
    """A route in force that asks the owners of databases, and one that is retired."""
    level = {
        "name": "Owners",
        "owners": "targets",
        "quorum": "all",
        "working_days": 2,
        "escalate_to": "change_manager",
        "veto": True,
    }
    group = HostGroup.objects.live().order_by("pk")[:1]
    route = routing.write(
        name="Owners of what matters most", reason="Agreed with the business after the outage in May.", kinds=["normal", "emergency"],
        min_risk="high", classes=["critical", "high"], max_criticality=1, environments=["production"], level=level,
        group_ids=[g.pk for g in group], actor=scene.cast.che, at=at,
    )  # fmt: skip
    old = routing.write(
        name="Chair for everything urgent", reason="While there was no emergency board.", kinds=["emergency"], actor=scene.cast.che, at=at,
        level={"name": "Chair", "roles": ["cab_chair"], "quorum": "first", "hours": 2}, asked_last=True,
    )  # fmt: skip
    routing.retire(route_id=old.pk, reason="There is one now.", actor=scene.cast.che, at=at)
    scene.things["route"] = {"pk": route.pk}
    scene.also("changes:route-detail", "retired", pk=old.pk)


def met(scene: Scene, world: made.World, now: datetime) -> None:
    """A board in session over changes, two of them by consent; an emergency board that is planned, and one with minutes."""
    cast, at = world.cast, world.at
    old = meetings.plan(kind="cab", starts_at=at + timedelta(minutes=5), actor=cast.che, at=at, place="Room 4")
    for item in old.items.all():
        agendas.withdraw(meeting_id=old.pk, item_id=item.pk, reason="Decided by mail.", actor=cast.che, at=at)
    topic = agendas.add_topic(meeting_id=old.pk, title="Soak time of class high", actor=cast.che, at=at)
    meetings.publish(meeting_id=old.pk, actor=cast.che, at=at)
    meetings.open_session(meeting_id=old.pk, actor=cast.cal, at=at)
    agendas.attend(meeting_id=old.pk, presence={cast.mia.pk: "excused"}, actor=cast.cal, at=at)
    agendas.conclude(meeting_id=old.pk, item_id=topic.pk, outcome="24 hours stay.", actor=cast.cal, at=at)
    meetings.minute(meeting_id=old.pk, notes="The next meeting is on Tuesday.", actor=cast.cal, at=at)
    ways = ("none", "reinstall_previous", "reinstall_previous")
    rfcs = [made.approve(made.awaiting(world, way_back=way), cast.sam, at=at) for way in ways]
    meeting = meetings.plan(kind="cab", starts_at=at + timedelta(minutes=9), actor=cast.che, at=at, place="Room 4")
    last = agendas.add_topic(
        meeting_id=meeting.pk, title="Minutes of last week", text="They were sent on Friday.", actor=cast.che, at=at
    )
    meetings.publish(meeting_id=meeting.pk, actor=cast.che, at=at)
    meetings.open_session(meeting_id=meeting.pk, actor=cast.cal, at=now - timedelta(minutes=11))
    rows = meeting.items.filter(round__subject_type="changes.rfc").select_related("round")
    items = {item.round.subject_id: item for item in rows}
    current = items[rfcs[0].pk]
    agendas.begin(meeting_id=meeting.pk, item_id=current.pk, actor=cast.cal, at=now - timedelta(minutes=6))
    made.approve(rfcs[0], cast.mia, at=now - timedelta(minutes=2))
    agendas.pull(meeting_id=meeting.pk, item_id=items[rfcs[2].pk].pk, reason="Which hosts?", actor=cast.mia, at=now)
    later = meetings.plan(kind="ecab", starts_at=now + timedelta(days=2), actor=cast.che, at=now)
    scene.things["meeting"] = {"pk": meeting.pk}
    for verb in ("postpone", "cancel"):
        scene.things[f"meeting-{verb}"] = {"pk": later.pk}
    for page in ("item", "carry-over", "withdraw", "pull", "begin", "tally"):
        scene.things[f"meeting-{page}"] = {"pk": meeting.pk, "item": current.pk}
    scene.things["meeting-conclude"] = {"pk": meeting.pk, "item": last.pk}
    scene.also("changes:meeting-detail", "minuted", pk=old.pk)
    scene.also("changes:meeting-detail", "planned", pk=later.pk)
    scene.also("changes:meeting-item", "topic", pk=meeting.pk, item=last.pk)
    scene.also("changes:meeting-item", "consent", pk=meeting.pk, item=items[rfcs[1].pk].pk)


def late_comer(scene: Scene, yard: stages.Yard) -> None:
    """A release that was sealed without one host, which is proposed to join."""
    yard.machine(yard.test_host).packages[yard.world.update.name] = yard.old
    release = stages.scheduling(yard)
    alike = next(one.hosts for one in release.builds.latest("pk").classes.all() if len(one.hosts) > 1)
    rex = {"actor": yard.cast.rex, "at": yard.at}
    stages.plans.drop_host(release_id=release.pk, host_id=alike[-1], reason="Is being installed.", **rex)
    stages.manifests.seal(release_id=release.pk, **rex)
    stages.sign(yard, Release.objects.get(pk=release.pk))
    scene.things["release-amend"] = {"pk": release.pk}
    amendments.propose(release_id=release.pk, reason="It was installed yesterday.", **rex)
    scene.also("releases:release-detail", "late", pk=release.pk)


def rehearsed_alone(scene: Scene, yard: stages.Yard) -> None:
    """A change that is evaluated, rehearsed before any release carries it, with hosts that do not answer."""
    rfc = made.evaluating(yard.world, host_ids=[host.pk for host in yard.world.hosts])
    change_rehearsals.rehearse(
        rfc_id=rfc.pk, profile_id=yard.profile.pk, executor="fake", actor=yard.cast.rex, at=yard.at,
        wanted=plan_rehearsals.Wanted(away_percent=40, seed=3),
    )  # fmt: skip
    scene.things["rfc-rehearse"] = {"pk": rfc.pk}
    scene.also("changes:rfc-detail", "rehearsed", pk=rfc.pk)


def released(scene: Scene, yard: stages.Yard, update: SoftwareUpdate) -> None:
    """A release at every stage before the deployment; the last one is shown by default."""
    old, new = INSTALLED[update.name], FIXED[update.name]
    yard.repository.packages += [Package(update.name, old), Package(update.name, new)]
    stage_yard = replace(yard, world=made.World(yard.cast, yard.world.hosts, update, yard.at), old=old)
    for name, make in stages.AT_STATE.items():
        yard.machine(yard.test_host).packages[update.name] = old
        release = make(stage_yard)
        scene.also("releases:release-detail", name, pk=release.pk)
        if name == "testing":
            scene.also("releases:release-tests", name, pk=release.pk)
        if name == "planning":
            planning = release
    run = release.acceptance_plans.get().runs.latest("pk")
    manifest = stages.manifest_of(release)
    supposed = plan_rehearsals.Wanted(fail_percent=20, away_percent=20, seed=3)
    plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at, wanted=supposed)
    scene.also("releases:release-rehearse", "never", pk=planning.pk)
    rehearsed_alone(scene, stage_yard)
    late_comer(scene, stage_yard)
    plan = planning.acceptance_plans.get()
    scene.things |= {
        "release": {"pk": release.pk},
        "manifest": {"pk": release.pk, "revision": manifest.revision},
        "release-judge": {"pk": release.pk, "run": run.pk},
        "release-drop-test": {"pk": planning.pk, "plan": plan.pk},
    }
    for verb in ("rings", "windows", "profile", "way-back", "drop-host", "plan-test"):
        scene.things[f"release-{verb}"] = {"pk": planning.pk}
    done = Release.objects.filter(state="completed").latest("pk")
    scene.also("releases:release-detail", "completed", pk=done.pk)
