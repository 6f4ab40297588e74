"""Rows for tests of changes: hosts that miss updates, and RFCs that get past their first state through the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from changes.domain import approvals, change_models, evidence, glass, rfcs
from changes.models import RFC, Advisory, ChangeModel, Feed, Fix, SoftwareUpdate, VersionFix
from cmdb import versions
from cmdb.models import ConfigurationItem, GroupMember, Host, HostGroup, Installation, PackageVersion, Platform
from patchflow.kernel import signoffs
from patchflow.kernel.models import SignOffRound, User
from tests.factories.people import Cast

_numbers = count(1)
PLANS = {
    "implementation_plan": "Ring by ring, one host at a time.",
    "test_plan": "Install on the test ring, then open the application.",
    "back_out_plan": "Install the previous versions from the cache.",
}


def make_platform() -> Platform:
    return Platform.objects.get_or_create(
        ecosystem="deb", distribution="debian", release="12", codename="bookworm", arch="amd64"
    )[0]


def make_group(name: str, *, at: datetime) -> HostGroup:
    return HostGroup.objects.get_or_create(name=name, defaults={"made_at": at})[0]


def make_host(
    name: str = "", *, at: datetime, group: str = "all", environment: str = "production", criticality: int = 3
) -> Host:
    """A host in service, member of `group`."""
    name = name or f"h{next(_numbers):03d}"
    ci = ConfigurationItem(kind="host", name=name, environment=environment, criticality=criticality, in_service_at=at)
    ci.save()
    host = Host.objects.create(ci=ci, name=name, platform=make_platform(), added_at=at, audited_at=at, last_seen_at=at)
    GroupMember.objects.create(group=make_group(group, at=at), host=host, since_at=at)
    return host


def make_update(
    name: str = "openssl",
    fixed: str = "3.0.15-1~deb12u2",
    *,
    at: datetime,
    hosts: Sequence[Host] = (),
    update_class: str = "high",
    exploited: bool = False,
) -> SoftwareUpdate:
    """An update that an advisory announces; `hosts` have an older version installed and miss it."""
    same = {"distribution": "debian", "release": "12", "name": name, "fixed_version": fixed}
    if (
        known := SoftwareUpdate.objects.filter(**same).first()
    ) is not None:  # announced before: these hosts miss it too
        miss(known, hosts, at=at)
        return known
    feed = Feed.objects.get_or_create(
        name="made", defaults={"kind": "osv", "location_kind": "file", "location": "made", "created_at": at}
    )[0]
    serial = next(_numbers)
    advisory = Advisory.objects.create(
        feed=feed,
        advisory_id=f"DSA-{serial}",
        scope="debian:12",
        vendor="debian",
        title=f"{name} security update",
        modified_at=at,
        document_sha256="0" * 64,
        first_seen_at=at,
    )
    update = SoftwareUpdate.objects.create(
        ecosystem="deb",
        distribution="debian",
        release="12",
        name=name,
        fixed_version=fixed,
        origin="advisory",
        title=f"{name} security update",
        update_class=update_class,
        exploited=exploited,
        known_at=at,
        notified_at=at,
    )
    Fix.objects.create(
        advisory=advisory,
        update=update,
        ecosystem="deb",
        distribution="debian",
        release="12",
        name=name,
        name_kind="source",
        state="fixed",
        fixed_version=fixed,
        fixed_key=versions.key("deb", fixed),
        known_at=at,
    )
    miss(update, hosts, at=at)
    return update


def miss(update: SoftwareUpdate, hosts: Sequence[Host], *, at: datetime, installed: str = "1.0-1") -> None:
    """`hosts` have an older version of what `update` mends, and are known to miss it."""
    key = versions.key("deb", installed)
    package = PackageVersion.objects.get_or_create(
        platform=make_platform(), name=update.name, version=installed, arch="amd64", source_name=update.name,
        source_version=installed, origin_class="distribution", defaults={"key": key, "source_key": key},
    )[0]  # fmt: skip
    for fix in update.fixes.all():
        verdict = {"verdict": "applicable", "basis": "below"}
        VersionFix.objects.get_or_create(package_version=package, fix=fix, defaults=verdict)
    there = set(Installation.objects.open().filter(package_version=package).values_list("host_id", flat=True))
    Installation.objects.bulk_create(
        [Installation(host=h, package_version=package, installed_seen_at=at) for h in hosts if h.pk not in there]
    )


@dataclass
class World:
    """Hosts of two groups, one update that all of them miss, and the people."""

    cast: Cast
    hosts: list[Host]
    update: SoftwareUpdate
    at: datetime


def make_world(
    cast: Cast, at: datetime, *, hosts: int = 3, names: Sequence[str] = (), source: str = "openssl"
) -> World:
    """New hosts, `hosts` of them or these names, that miss the update of `source`."""
    made = [make_host(name, at=at) for name in names or [""] * hosts]
    return World(cast, made, make_update(source, at=at - timedelta(hours=3), hosts=made), at)


# --- RFCs, through the verbs ---------------------------------------------------------------------------------------------------
def draft(world: World, **changes: Any) -> RFC:
    given: dict[str, Any] = {
        **PLANS,
        "actor": world.cast.ann,
        "at": world.at,
        "update_ids": [world.update.pk],
        **changes,
    }
    return rfcs.raise_rfc(**given)


def submitted(world: World, **changes: Any) -> RFC:
    rfc = draft(world, **changes)
    return rfcs.submit(rfc_id=rfc.pk, actor=rfc.requested_by, at=world.at)


def evaluating(world: World, **changes: Any) -> RFC:
    rfc = submitted(world, **changes)
    return rfcs.evaluate(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)


def awaiting(world: World, **changes: Any) -> RFC:
    rfc = evaluating(world, **changes)
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    return RFC.objects.get(pk=rfc.pk)


def round_of(rfc: RFC) -> SignOffRound:
    """The open round of an RFC."""
    found = signoffs.open_round_of(rfc)
    assert found is not None
    return found


def approve(rfc: RFC, *people: User, at: datetime) -> RFC:
    """Each of `people` signs for, in order."""
    round_ = round_of(rfc)
    for person in people:
        approvals.decide(round_id=round_.pk, verdict="approve", actor=person, at=at)
    return RFC.objects.get(pk=rfc.pk)


def authorized(world: World, **changes: Any) -> RFC:
    cast = world.cast
    return approve(awaiting(world, **changes), cast.sam, cast.cal, cast.mia, at=world.at)


def implementing(world: World, **changes: Any) -> RFC:
    rfc = authorized(world, **changes)
    return rfcs.begin(rfc_id=rfc.pk, actor=world.cast.rex, at=world.at)


def suspended(world: World, **changes: Any) -> RFC:
    rfc = implementing(world, **changes)
    return rfcs.lapse(rfc_id=rfc.pk, reason="superseded", actor=world.cast.che, at=world.at)


def in_review(world: World, **changes: Any) -> RFC:
    rfc = implementing(world, **changes)
    return rfcs.implemented(rfc_id=rfc.pk, outcome="full", actor=world.cast.bot, at=world.at)


def closed(world: World, code: str = "successful", **changes: Any) -> RFC:
    rfc = in_review(world, **changes)
    reviewed(rfc, world)
    return rfcs.close(rfc_id=rfc.pk, code=code, actor=world.cast.che, at=world.at)


def rejected(world: World, **changes: Any) -> RFC:
    rfc = evaluating(world, **changes)
    return rfcs.reject(rfc_id=rfc.pk, reason="not worth it", actor=world.cast.che, at=world.at)


def cancelled(world: World, **changes: Any) -> RFC:
    rfc = draft(world, **changes)
    return rfcs.cancel(rfc_id=rfc.pk, reason="not needed", actor=world.cast.ann, at=world.at)


AT_STATE = {
    "draft": draft,
    "submitted": submitted,
    "evaluating": evaluating,
    "awaiting_approval": awaiting,
    "authorized": authorized,
    "implementing": implementing,
    "suspended": suspended,
    "in_review": in_review,
    "closed": closed,
    "rejected": rejected,
    "cancelled": cancelled,
}
"""State → how an RFC gets there."""


def reviewed(rfc: RFC, world: World) -> None:
    evidence.record(
        rfc_id=rfc.pk,
        kind="review",
        digest="a" * 64,
        summary="All hosts at the version.",
        passed=True,
        actor=world.cast.bot,
        at=world.at,
    )


def glass_asked(world: World, **changes: Any) -> RFC:
    """An emergency for which ann asked to break the glass."""
    rfc = submitted(world, kind="emergency", **changes)
    glass.ask(rfc_id=rfc.pk, reason="exploited now", actor=world.cast.ann, at=world.at)
    return RFC.objects.get(pk=rfc.pk)


def licensed_model(world: World, **fields: Any) -> ChangeModel:
    """A standard model that the board has signed."""
    cast = world.cast
    given = {"name": "Routine", "max_score": 25, **fields}
    model = change_models.draft(kind="standard", actor=cast.che, at=world.at, **given)
    change_models.propose(model_id=model.pk, actor=cast.che, at=world.at)
    round_ = signoffs.open_round_of(model)
    assert round_ is not None
    for person in (cast.sam, cast.cal, cast.mia):
        approvals.decide(round_id=round_.pk, verdict="approve", actor=person, at=world.at)
    return ChangeModel.objects.get(pk=model.pk)


def closed_from(world: World, *, rfcs_kind: str, model_id: int, code: str) -> RFC:
    """A standard change that ran under its licence and was closed with `code`."""
    rfc = submitted(world, kind=rfcs_kind, change_model_id=model_id)
    rfcs.begin(rfc_id=rfc.pk, actor=world.cast.rex, at=world.at)
    rfcs.implemented(rfc_id=rfc.pk, outcome=code, actor=world.cast.bot, at=world.at)
    reviewed(rfc, world)
    return rfcs.close(rfc_id=rfc.pk, code=code, actor=world.cast.che, at=world.at)
