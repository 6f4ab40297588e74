"""A large estate with long names: what the small world has, many times over. The mass is written as rows."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

from changes.models import RFC, Advisory, Feed, FeedRun, Fix, SoftwareUpdate, VersionFix, Vulnerability
from changes.models.advisory import AdvisoryVulnerability
from changes.models.update import UpdateAdvisory
from cmdb import versions
from cmdb.domain import discrepancies, windows
from cmdb.enums import DiscrepancyKind
from cmdb.models import (
    Baseline,
    ConfigurationItem,
    GroupMember,
    Host,
    HostGroup,
    Installation,
    PackageVersion,
    ScanResult,
    ScanRun,
)
from patchflow.kernel import trail
from patchflow.kernel.models import User
from patchflow.kernel.numbers import next_number
from releases.models import Job, PostImplementationReview, Release, ReleaseRFC, Ring, Rollout
from tests.browser.worlds import Scene, make_little
from tests.factories import changes as made
from tests.factories import cmdb as estate
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import PACKAGE, Deployment, seal
from tests.fakes.repository import Repository

HOSTS, UPDATES, RFCS, RELEASES = 320, 220, 50, 30
TOWNS = ("köln", "düsseldorf", "nürnberg", "münchen", "würzburg", "saarbrücken", "göttingen", "lübeck")
DUTIES = ("abrechnung", "bürgerportal", "fährbuchung", "geodaten", "kfz-zulassung", "wählerverzeichnis", "übersetzung")
SENTENCES = (
    "Die Störung der Bürgerportale am Wochenende darf sich nicht wiederholen, deshalb wird jeder Ring einzeln freigegeben.",
    "Vor der Installation wird ein Abbild gezogen; nach dem Neustart prüft die Fachabteilung die Anmeldung, die Suche und den Ausdruck.",
    "Rücksetzung: vorherige Pakete aus dem Zwischenspeicher, danach Prüfung der Straßenverkehrsdaten auf Vollständigkeit.",
)
LONG = " ".join(SENTENCES)
RINGS = ("Prüfstand", "Verwaltungsarbeitsplätze", "Bürgerportale und Fachverfahren der Städte", "Alle übrigen")
AT_WORK = (
    *("succeeded",) * 9, "failed", "claimed", "staged", "installing", "restarting", "verifying", "unknown", "refused",
    "not_needed", "cancelled", *("pending",) * 6,
)  # fmt: skip
"""The states of the jobs of a ring that is at work."""


def name_of(number: int) -> str:
    return f"{DUTIES[number % 7]}-{TOWNS[number % 8]}-prod-{number:03}.rz-süd.landesverwaltung.example.org"


def make_much(cast: Cast, now: datetime, folder: Path, repository: Repository) -> Scene:
    """The small world, and hundreds of everything."""
    small = make_little(cast, now, folder, repository)
    scene = small.scene
    scene.more.clear()  # seen in the small world
    hosts = many_hosts(now)
    updates = many_updates(hosts, now)
    many_windows_and_groups(cast, hosts, now)
    many_scans(cast, hosts, now)
    rfcs = many_rfcs(scene, hosts, updates, now)
    many_releases(small.deployment, rfcs, now)
    wide = large_rollout(cast, small.deployment, hosts, now)
    scene.things |= {
        "rollout": {"pk": wide.pk},
        "ring": {"pk": wide.rings.order_by("position")[2].pk},
        "job": {"pk": wide.jobs.filter(state="failed")[0].pk},
        "release": {"pk": wide.release_id},
        "cycle": {"pk": rfcs[-1].cycle_id},
        "cycle-step": {"pk": rfcs[-1].cycle_id, "key": "threats"},
        "update": {"pk": updates[0].pk},
        "scan": {"pk": ScanRun.objects.latest("pk").pk},
        "group": {"pk": HostGroup.objects.get(name__startswith="Alle").pk},
    }
    scene.also("cmdb:host-list", "second-page", query="sort=name&environment=production")
    scene.also("changes:update-list", "filtered", query="class=high&missing=yes&sort=-missing")
    trail.seal(at=now)
    return scene


def many_hosts(now: datetime) -> list[Host]:
    """Hosts with long names; a tenth has not been heard of for days, a twentieth never."""
    platform = made.make_platform()
    environments = ("production", "production", "staging", "test")
    items = ConfigurationItem.objects.bulk_create(
        ConfigurationItem(
            kind="host", name=name_of(n), environment=environments[n % 4], criticality=1 + n % 4, state="in_service",
            in_service_at=now - timedelta(days=200),
        )
        for n in range(HOSTS)
    )  # fmt: skip
    hosts = []
    for n, item in enumerate(items):
        heard = None if n % 20 == 7 else now - (timedelta(days=4, hours=n) if n % 10 == 3 else timedelta(minutes=3 * n))
        hosts.append(
            Host(
                ci=item, name=item.name, fqdn=item.name, platform=platform, machine_id=f"{n + 70_000:032x}",
                ssh_host_key=estate.host_key(f"many-{n}"), added_at=now - timedelta(days=200), audited_at=heard, last_seen_at=heard,
                restart_needed=None if heard is None else n % 5 == 0, kernel_running="6.1.0-35-amd64",
            )
        )  # fmt: skip
    return Host.objects.bulk_create(hosts)


def many_updates(hosts: list[Host], now: datetime) -> list[SoftwareUpdate]:
    """Updates of every class, each missed by some hosts; the first by nearly all of them, with many vulnerabilities."""
    feed = Feed.objects.get(name="debian-security")
    platform = made.make_platform()
    classes = ("critical", "high", "high", "medium", "medium", "low")
    spans = {"critical": timedelta(days=1), "high": timedelta(days=7), "medium": timedelta(days=30)}
    responses = ("undecided", "undecided", "deploy", "decline", "wait_for_rollup")
    updates = []
    for n in range(UPDATES):
        known, kind = now - timedelta(hours=5 * n + 2), classes[n % 6]
        name = f"lib{DUTIES[n % 7].encode('ascii', 'ignore').decode()}-schnittstellen-anbindung{n}"
        updates.append(
            SoftwareUpdate(
                ecosystem="deb", distribution="debian", release="12", name=name, fixed_version=f"1:{n}.4.2+dfsg-1+deb12u{n % 9}",
                fixed_key=versions.key("deb", f"1:{n}.4.2+dfsg-1+deb12u{n % 9}"), origin="advisory",
                title=f"{name}: Denial of service and information disclosure in the handling of very long names ({TOWNS[n % 8]})",
                severity=("", "important", "moderate", "low")[n % 4], severity_rank=(0, 4, 3, 2)[n % 4], exploited=n % 30 == 0,
                known_at=known, notified_at=known, update_class=kind, start_by=known + spans[kind] if kind in spans else None,
                response=responses[n % 5], reach=1 + (n * 7) % 60 if n else 200,
            )
        )  # fmt: skip
    updates = SoftwareUpdate.objects.bulk_create(updates)
    advisories = Advisory.objects.bulk_create(
        Advisory(
            feed=feed, advisory_id=f"DSA-{7000 + n}-1", scope="debian:12", vendor="debian", title=update.title, text=LONG * 3,
            modified_at=update.known_at, document_sha256=f"{n:064x}", first_seen_at=update.known_at,
        )
        for n, update in enumerate(updates)
    )  # fmt: skip
    UpdateAdvisory.objects.bulk_create(
        UpdateAdvisory(update=u, advisory=a) for u, a in zip(updates, advisories, strict=True)
    )
    fixes = Fix.objects.bulk_create(
        Fix(
            advisory=a, update=u, ecosystem="deb", distribution="debian", release="12", name=u.name, name_kind="source", state="fixed",
            fixed_version=u.fixed_version, fixed_key=u.fixed_key, known_at=u.known_at,
        )
        for u, a in zip(updates, advisories, strict=True)
    )  # fmt: skip
    key = versions.key("deb", "1:0.1-1")
    packages = PackageVersion.objects.bulk_create(
        PackageVersion(
            platform=platform, name=u.name, version="1:0.1-1", arch="amd64", source_name=u.name, source_version="1:0.1-1",
            origin_class="distribution", key=key, source_key=key, key_version=versions.KEY_VERSION,
        )
        for u in updates
    )  # fmt: skip
    VersionFix.objects.bulk_create(
        VersionFix(package_version=p, fix=f, verdict="applicable", basis="below")
        for p, f in zip(packages, fixes, strict=True)
    )
    Installation.objects.bulk_create(
        Installation(host=host, package_version=package, installed_seen_at=now - timedelta(days=100))
        for n, package in enumerate(packages)
        for host in (hosts[:200] if n == 0 else hosts[n % 50 : n % 50 + 1 + (n * 7) % 60])
    )
    cves = Vulnerability.objects.bulk_create(
        Vulnerability(cve=f"CVE-2026-{50000 + n}", epss=f"0.{n:03}", first_seen_at=now) for n in range(40)
    )
    AdvisoryVulnerability.objects.bulk_create(
        AdvisoryVulnerability(advisory=advisories[0], vulnerability=cve) for cve in cves
    )
    Feed.objects.bulk_create(
        Feed(
            name=f"feed-{n:02}", kind="osv", location_kind="url", created_at=now, last_good_at=now - timedelta(hours=n),
            location=f"https://advisories.example.org/very/long/path/of/a/mirror/in/saarbrücken/number/{n}/all.zip", records=n * 1200,
        )
        for n in range(12)
    )  # fmt: skip
    FeedRun.objects.bulk_create(
        FeedRun(
            feed=feed, state="completed", requested_by=User.bot(), requested_at=now - timedelta(hours=n), ended_at=now,
            documents=70_000 + n, new=n, unchanged=70_000,
        )
        for n in range(2, 40)
    )  # fmt: skip
    return updates


def many_windows_and_groups(cast: Cast, hosts: list[Host], now: datetime) -> None:
    """Groups for every duty and town, one with all, each with a window; discrepancies; old baselines."""
    at = now - timedelta(days=30)
    everything = HostGroup.objects.create(
        name="Alle Fachverfahren der Landesverwaltung außer den Prüfständen", made_at=at
    )
    GroupMember.objects.bulk_create(GroupMember(group=everything, host=h, since_at=at) for h in hosts)
    for n, (duty, town) in enumerate((d, t) for d in DUTIES for t in TOWNS):
        group = HostGroup.objects.create(name=f"{duty.title()} in {town.title()}, Produktion", made_at=at)
        GroupMember.objects.bulk_create(
            GroupMember(group=group, host=h, since_at=at) for h in hosts if h.name.startswith(f"{duty}-{town}-")
        )
        windows.add(
            name=f"Wartungsfenster {duty} {town}, jeden {n % 3 + 1}. Dienstag des Monats", starts_local=time(n % 24), length_minutes=180,
            from_on=date(2026, 1, 1), nth=n % 3 + 1, zone="Europe/Berlin", group_ids=[group.pk], actor=cast.cora, at=at,
        )  # fmt: skip
    for host in hosts[:25]:
        discrepancies.note(
            host=host, kind=DiscrepancyKind.CLONE, key="machine-id", source="ssh", actor=cast.bot, at=now - timedelta(hours=3),
            sentence=f"{host.name} and another machine show the same machine-id with two live keys.",
        )  # fmt: skip
    Baseline.objects.bulk_create(
        Baseline(
            name=f"Grundstand {duty}",
            version=1,
            platform=made.make_platform(),
            state="draft",
            proposed_by=cast.cora,
            made_at=at,
        )
        for duty in DUTIES
    )


def many_scans(cast: Cast, hosts: list[Host], now: datetime) -> None:
    """Sixty nightly scans; the last one has an answer of every kind for each host."""
    runs = ScanRun.objects.bulk_create(
        ScanRun(
            state="partial" if n % 3 else "completed", scanner="ssh", requested_by=cast.bot,
            requested_at=now - timedelta(hours=24 * (60 - n)),
            started_at=now - timedelta(hours=24 * (60 - n)), ended_at=now - timedelta(hours=24 * (60 - n) - 1),
        )
        for n in range(60)
    )  # fmt: skip
    ScanResult.objects.bulk_create(
        ScanResult(
            scan_run=run, host=host, state="failed" if k % 9 == 0 else "scanned", ended_at=run.ended_at,
            reason=f"{host.name} does not answer on port 22 after 30 s: no route to host" if k % 9 == 0 else "",
        )
        for run in runs[-1:]
        for k, host in enumerate(hosts)
    )  # fmt: skip
    ScanResult.objects.bulk_create(
        ScanResult(scan_run=run, host=host, state="scanned", ended_at=run.ended_at)
        for run in runs[:-1]
        for host in hosts[:6]
    )


def many_rfcs(scene: Scene, hosts: list[Host], updates: list[SoftwareUpdate], now: datetime) -> list[RFC]:
    """RFCs in every early state, with long titles and plans; the last one waits for mia and reaches hundreds of hosts."""
    cast, rfcs = scene.cast, []
    makers = (made.draft, made.submitted, made.evaluating, made.awaiting, made.authorized)
    text = {"implementation_plan": LONG, "test_plan": LONG, "back_out_plan": LONG}
    for n in range(RFCS):
        world = made.World(cast, [], updates[n + 1], now - timedelta(hours=60 - n))
        title = f"{updates[n + 1].name} auf allen Fachverfahren in {TOWNS[n % 8].title()} und Umgebung, einschließlich der Prüfstände"
        rfcs.append(makers[n % 5](world, title=title, host_ids=[h.pk for h in hosts[n : n + 4]], **text))
    for person in range(6):
        make_user(f"prüferin-mit-langem-namen-{person}", "cab_member")
    world = made.World(cast, [], updates[0], now - timedelta(hours=7))
    wide = made.awaiting(world, host_ids=[h.pk for h in hosts[:200]], title=SENTENCES[0], **text)
    made.approve(wide, cast.sam, at=now - timedelta(hours=5))
    scene.things |= {"rfc": {"pk": wide.pk}, "board": {"pk": made.round_of(wide).pk}}
    return [*rfcs, wide]


def many_releases(like: Deployment, rfcs: list[RFC], now: datetime) -> None:
    """Completed releases with their rollouts and reviews, of the last months."""
    cast = like.cast
    releases = Release.objects.bulk_create(
        Release(
            number=f"REL-2025-{n:05}", title=f"Sammelfreigabe {TOWNS[n % 8].title()}: {SENTENCES[2]}", kind="normal", executor="simulator",
            profile=like.release.profile, composed_by=cast.rex, composed_at=now - timedelta(days=200 - n), state="completed",
            outcome=("full", "partial", "failed")[n % 3], state_at=now - timedelta(days=190 - n), started_by=cast.rex,
            started_at=now - timedelta(days=195 - n),
        )
        for n in range(RELEASES)
    )  # fmt: skip
    Rollout.objects.bulk_create(
        Rollout(
            number=f"RO-2025-{n:05}", release=release, manifest=like.manifest, state="completed", executor="simulator", planned_by=cast.rex,
            planned_at=release.composed_at, state_at=release.state_at, started_by=cast.rex, started_at=release.started_at,
            ended_at=release.state_at,
        )
        for n, release in enumerate(releases)
    )  # fmt: skip
    figures = PostImplementationReview.objects.all()[0].figures
    PostImplementationReview.objects.bulk_create(
        PostImplementationReview(
            release=release, name="Release Approved Review", questions=["Was the change successful?"],
            state="completed" if n % 4 else "open", opened_at=release.state_at,
            completed_at=release.state_at if n % 4 else None, completed_by=cast.che if n % 4 else None, lessons=LONG, actions=LONG,
            figures=figures,
        )
        for n, release in enumerate(releases)
    )  # fmt: skip


def large_rollout(cast: Cast, like: Deployment, hosts: list[Host], now: datetime) -> Rollout:
    """A rollout over all hosts: a ring that passed, one that is watched, one at work with every state, one that waits."""
    at = now - timedelta(hours=9)
    release = Release.objects.create(
        number=next_number("REL", at=at), title=SENTENCES[1], kind="normal", executor=like.release.executor, profile=like.release.profile,
        composed_by=cast.rex, composed_at=at, state_at=at, state="deploying", started_by=cast.rex, started_at=at,
    )  # fmt: skip
    rfc = RFC.objects.filter(state="authorized").latest("pk")
    ReleaseRFC.objects.create(release=release, rfc=rfc, digest=rfc.change_digest, joined_at=at)
    document = like.manifest.document
    places = [0 if n < 10 else 1 if n < 60 else 2 if n < 200 else 3 for n in range(len(hosts))]
    lanes = [{**document["rings"][0], "ring": n, "name": name} for n, name in enumerate(RINGS)]
    fleet = [
        {**document["hosts"][0], "host": host.pk, "name": host.name, "fingerprint": host.fingerprint, "ring": place}
        for host, place in zip(hosts, places, strict=True)
    ]
    manifest = seal(release, {**document, "release": release.number, "hosts": fleet, "rings": lanes}, cast, at)
    rollout = Rollout.objects.create(
        number=next_number("RO", at=at), release=release, manifest=manifest, state="running", executor=release.executor,
        planned_by=cast.rex, planned_at=at, state_at=at, started_by=cast.rex, started_at=at,
    )  # fmt: skip
    rings = Ring.objects.bulk_create(
        Ring(
            rollout=rollout, position=n, name=name, concurrency=40, failure_limit=15, success_percent=95, soak_seconds=3600,
            state=("passed", "soaking", "running", "pending")[n], state_at=at + timedelta(hours=n), started_at=at + timedelta(hours=n),
            soak_until=now + timedelta(minutes=20) if n == 1 else None,
        )
        for n, name in enumerate(RINGS)
    )  # fmt: skip
    Job.objects.bulk_create(
        job_of(rings[place], host, n, now) for n, (host, place) in enumerate(zip(hosts, places, strict=True))
    )
    return rollout


def job_of(ring: Ring, host: Host, number: int, now: datetime) -> Job:
    """A job in the state that its place in the ring gives it; what ended says how, what waits says for what."""
    states = {0: ("succeeded",), 1: ("succeeded",) * 20 + ("not_needed", "failed"), 2: AT_WORK, 3: ("pending",)}[
        ring.position
    ]
    state = states[number % len(states)]
    said = {
        "failed": "Failed: the script after the installation of libübersetzung ended with 1; left half-configured.",
        "refused": "Will not run, because another package manager holds the lock of the host since 06:12.",
        "pending": "Will run when ring 2 has been watched for an hour, in “Wartungsfenster”.",
        "unknown": "Out of sight since it began to install; looked at every minute.",
    }
    return Job(
        rollout=ring.rollout, ring=ring, host=host, state=state, state_at=now - timedelta(minutes=number),
        code="postinst" if state == "failed" else "",
        job_key=f"{ring.rollout.number}-{number}-1", packages=[dict(PACKAGE)], statement=said.get(state, ""), reason=said.get(state, ""),
        ended_at=now - timedelta(minutes=number) if state in ("succeeded", "failed", "refused", "not_needed") else None,
        unknown_since=now - timedelta(minutes=9) if state == "unknown" else None,
    )  # fmt: skip
