"""Assess: the simulated estate is described, reached, read; services, groups, windows and owners around it."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from cmdb.domain import connections, groups, hosts, items, support, windows
from cmdb.models import ConfigurationItem, Host
from cmdb.remote.connection import HostKey
from releases.demo.story import Story
from releases.executors.simulator_fleet import SITES, SimulatedHost
from releases.executors.simulator_scanner import installed

ZONES = {"ber": "Europe/Berlin", "ham": "Europe/Berlin", "vie": "Europe/Vienna", "muc": "Europe/Berlin"}
NIGHTS = {"ber": (0, 2, 4), "ham": (1, 3, 5), "vie": (0, 2, 4), "muc": (1, 3, 5)}
"""Weekdays (0 is Monday) of the production windows of each site: never more than three days apart."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
OWNERS = {
    "web": "olga",
    "app": "olga",
    "api": "olga",
    "db": "dirk",
    "cache": "dirk",
    "mail": "dirk",
    "file": "dirk",
    "auth": "dirk",
}
SERVICES: tuple[tuple[str, int, str, tuple[str, ...]], ...] = (
    ("Web shop (simulated)", 1, "olga", ("web", "app", "db", "cache")),
    ("Customer portal (simulated)", 2, "olga", ("api", "app")),
    ("Mail (simulated)", 2, "dirk", ("mail",)),
    ("File service (simulated)", 3, "dirk", ("file",)),
    ("Directory (simulated)", 1, "dirk", ("auth",)),
    ("Monitoring (simulated)", 3, "otto", ("mon",)),
)  # fmt: skip
APPLICATIONS = {
    "web": ("application", "Shop front end (simulated)"),
    "app": ("application", "Shop application (simulated)"),
    "db": ("database", "Shop database (simulated)"),
    "cache": ("cluster", "Shop cache (simulated)"),
    "mail": ("application", "Mail relay (simulated)"),
}  # fmt: skip


def describe(story: Story) -> None:
    """Cora enters the fleet: hosts with their owners, how they are reached, whose key is accepted."""
    story.say(f"{len(story.fleet())} simulated hosts are described …")
    for one in story.fleet():
        story.hosts[one.name] = _add(story, one)
    support.define(
        name="Server operations", lead="otto", members=["otto", "cora"], actor=story.people["cora"], at=story.at
    )
    _group(story)
    _relate(story)


def _add(story: Story, one: SimulatedHost) -> Host:
    cora: dict[str, Any] = {"actor": story.people["cora"], "at": story.at}
    owner = OWNERS.get(one.duty) if one.environment == "production" else None
    host = hosts.add(
        name=one.name, fqdn=one.address, address=one.address, user="deploy", become=True, environment=one.environment,
        criticality=one.criticality, owner_id=story.people[owner].pk if owner else None, **cora,
    )  # fmt: skip
    kind, key = one.host_key.split()
    shown = HostKey(kind, key)
    connections.show_key(host_id=host.pk, fetch=lambda _place: shown, **cora)
    connections.accept_key(host_id=host.pk, fingerprint=shown.fingerprint, **cora)
    story.simulator.furnish(one.address, installed(one))
    return host


def _group(story: Story) -> None:
    """Groups by site and duty, and by rule; the windows of production by site, of the rest round the clock."""
    cora: dict[str, Any] = {"actor": story.people["cora"], "at": story.at}
    from_on = date(story.at.year - 1, 1, 1)
    for site, city in SITES.items():
        pks = [story.hosts[one.name].pk for one in story.fleet() if one.site == site and _serves(one)]
        group = groups.add(name=f"{city}, production servers", description="Simulated", host_ids=pks, **cora)
        for weekday in NIGHTS[site]:
            windows.add(
                name=f"{city}, night of {WEEKDAYS[weekday]}",
                recurrence="weekly", weekday=weekday, starts_local=time(21), length_minutes=420, cutoff_minutes=30,
                from_on=from_on, zone=ZONES[site], group_ids=[group.pk], **cora,
            )  # fmt: skip
    desks = groups.add(
        name="Workstations", description="Simulated", host_ids=story.ids(lambda one: one.is_workstation), **cora
    )
    windows.add(
        name="Workstations, every Wednesday", recurrence="weekly", weekday=2, starts_local=time(11), length_minutes=360, from_on=from_on,
        zone="Europe/Berlin", group_ids=[desks.pk], **cora,
    )  # fmt: skip
    around: dict[str, Any] = {
        "recurrence": "weekly",
        "weekday": 0,
        "starts_local": time(0),
        "length_minutes": 7 * 24 * 60,
        "zone": "UTC",
    }
    for environment in ("staging", "test", "lab"):
        group = groups.add(name=environment.capitalize(), kind="rule", rule_environment=environment, **cora)
        windows.add(
            name=f"{environment.capitalize()}, round the clock", from_on=from_on, group_ids=[group.pk], **around, **cora
        )
    for duty, label in (("db", "Database servers"), ("web", "Web servers"), ("bench", "Test benches")):
        pks = [story.hosts[one.name].pk for one in story.fleet() if one.duty == duty]
        groups.add(name=label, description="Simulated", host_ids=pks, **cora)


def _serves(one: SimulatedHost) -> bool:
    return one.environment == "production" and not one.is_workstation


def _relate(story: Story) -> None:
    """Services on their applications, those on the production hosts of their duty; sites with what stands there."""
    cora: dict[str, Any] = {"actor": story.people["cora"], "at": story.at}
    made: dict[str, ConfigurationItem] = {}
    for duty, (kind, name) in APPLICATIONS.items():
        made[duty] = items.add(kind=kind, name=name, criticality=2, owner_id=story.people[OWNERS[duty]].pk, **cora)
    for name, criticality, owner, duties in SERVICES:
        service = items.add(kind="service", name=name, criticality=criticality, owner_id=story.people[owner].pk, **cora)
        for duty in duties:
            if duty in made:
                items.relate(source_id=service.pk, target_id=made[duty].pk, kind="depends_on", **cora)
            else:
                _carry(story, service, duty, cora)
    for duty, item in made.items():
        _carry(story, item, duty, cora)
    for city in SITES.values():
        items.add(kind="site", name=f"{city} (simulated)", criticality=2, **cora)


def _carry(story: Story, item: ConfigurationItem, duty: str, cora: dict[str, Any]) -> None:
    for pk in story.ids(lambda one: one.duty == duty and one.environment == "production"):
        host = next(h for h in story.hosts.values() if h.pk == pk)
        if item.kind == "cluster":
            items.relate(source_id=host.ci_id, target_id=item.pk, kind="member_of", **cora)
        else:
            items.relate(source_id=item.pk, target_id=host.ci_id, kind="runs_on", **cora)


def read(story: Story) -> None:
    """Otto has all of them read: most are in service then."""
    story.say("… and read")
    story.scan()
