"""Knowing a machine again. In this order: (source, the source's own id) → machine-id with SSH host key → serial with
product UUID → full name; never an address alone. Two hits are a discrepancy, nothing is merged by itself; one machine-id
with two live host keys is a clone and is split."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import transaction

from cmdb.domain import discrepancies, hosts
from cmdb.domain.permission import demand
from cmdb.enums import DiscrepancyKind
from cmdb.models import Host, HostIdentity
from cmdb.scanners.base import Fingerprint, HostReport
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked
from patchflow.kernel.models import User

NO_SERIAL = frozenset(
    {"", "0", "none", "not specified", "to be filled by o.e.m.", "system serial number", "default string"}
)
"""What firmware says that has no serial number of its own."""

Rung = Literal["source", "fingerprint", "serial", "fqdn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a source says about the identity of a machine; empty: it does not know."""

    source: str
    source_id: str = ""
    machine_id: str = ""
    ssh_host_key: str = ""
    serial: str = ""
    product_uuid: str = ""
    fqdn: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which host a claim is: by which rung; `how` "new": none was known; "split": a clone of one; "undecided": two hits."""

    host_id: int | None
    how: Rung | Literal["new", "split", "undecided"]
    discrepancy_id: int | None = None


def candidates(claim: Claim) -> dict[Rung, set[int]]:
    """Live hosts that match, by rung, the surest first. A clone's original is no candidate of the lower rungs."""
    live = Host.objects.live()
    found: dict[Rung, set[int]] = {}
    if claim.source_id:
        known = HostIdentity.objects.filter(
            source=claim.source, source_id=claim.source_id, host__retired_at__isnull=True
        )
        found["source"] = set(known.values_list("host_id", flat=True))
    clones = set[int]()
    if claim.machine_id and claim.ssh_host_key:
        same = dict(live.filter(machine_id=claim.machine_id).values_list("pk", "ssh_host_key"))
        found["fingerprint"] = {pk for pk, key in same.items() if key == claim.ssh_host_key}
        clones = {pk for pk, key in same.items() if key and key != claim.ssh_host_key}
    if claim.serial.strip().lower() not in NO_SERIAL and claim.product_uuid:
        same_box = live.filter(serial=claim.serial, product_uuid=claim.product_uuid)
        found["serial"] = set(same_box.values_list("pk", flat=True)) - clones
    if claim.fqdn:
        found["fqdn"] = set(live.filter(fqdn__iexact=claim.fqdn).values_list("pk", flat=True)) - clones
    return {rung: pks for rung, pks in found.items() if pks}


@workflow.verb("cmdb.host.added")
def resolve(*, claim: Claim, actor: User, at: datetime) -> Resolution:
    """Finds or makes the host of a claim from a source (not from a connection, which names its host).

    One hit on any rungs: that host, and the source's id is remembered. Hits on different hosts: an open discrepancy and
    nobody ("undecided"). A known machine-id with another live key: a clone, so a new host and a discrepancy ("split").
    Needs host.add.
    """
    demand("host.add", None, actor)
    found = candidates(claim)
    hits = sorted({pk for pks in found.values() for pk in pks})
    if len(hits) > 1:
        first, second = Host.objects.get(pk=hits[0]), Host.objects.get(pk=hits[1])
        opened = discrepancies.note(
            host=first,
            other=second,
            kind=DiscrepancyKind.TWO_HITS,
            key=f"{claim.source}:{claim.source_id or claim.fqdn}",
            sentence=english(
                "What %(source)s calls %(source_id)s could be %(first)s or %(second)s.",
                source=claim.source,
                source_id=claim.source_id or claim.fqdn,
                first=first,
                second=second,
            ),
            detail={rung: sorted(pks) for rung, pks in found.items()},
            source=claim.source,
            actor=actor,
            at=at,
        )
        return Resolution(None, "undecided", opened.pk)
    if hits:
        _remember(Host.objects.get(pk=hits[0]), claim, at)
        return Resolution(hits[0], next(iter(found)))
    original = Host.objects.live().filter(machine_id=claim.machine_id).exclude(machine_id="").order_by("pk").first()
    name = claim.fqdn or claim.source_id or claim.machine_id
    made = hosts.create(name=hosts.free_name(name), fqdn=claim.fqdn, actor=actor, at=at)
    made.machine_id, made.ssh_host_key = claim.machine_id, claim.ssh_host_key
    made.serial, made.product_uuid = claim.serial, claim.product_uuid
    made.save()
    _remember(made, claim, at)
    if original is None:
        return Resolution(made.pk, "new")
    audit.record(
        made, "cmdb.host.split", actor=actor, at=at, detail={"from": original.pk, "machine_id": claim.machine_id}
    )
    return Resolution(made.pk, "split", _note_clone(original, made, claim.source, actor, at))


def _remember(host: Host, claim: Claim, at: datetime) -> None:
    if claim.source_id:
        HostIdentity.objects.get_or_create(
            source=claim.source, source_id=claim.source_id, defaults={"host": host, "since_at": at}
        )


def _note_clone(original: Host, clone: Host, source: str, actor: User, at: datetime) -> int:
    opened = discrepancies.note(
        host=original,
        other=clone,
        kind=DiscrepancyKind.CLONE,
        key=f"{original.machine_id}:{clone.pk}",
        sentence=english(
            "%(original)s and %(clone)s have one machine-id and two host keys: one is a clone of the other.",
            original=original,
            clone=clone,
        ),
        source=source,
        actor=actor,
        at=at,
    )
    return opened.pk


def refuse_double(*, host_id: int, fingerprint: Fingerprint, source: str, actor: User, at: datetime) -> None:
    """Opens a discrepancy and raises Blocked if another live host has exactly this fingerprint: two records, one machine.
    In a transaction of its own, so that the discrepancy outlives the refusal."""
    if not fingerprint:
        return
    same = Host.objects.live().filter(machine_id=fingerprint.machine_id, ssh_host_key=fingerprint.host_key)
    other = same.exclude(pk=host_id).first()
    if other is None:
        return
    sentence = english(
        "%(other)s is this machine already: it has the same machine-id and host key. Retire one of the two.",
        other=other,
    )
    with transaction.atomic():
        discrepancies.note(
            host=workflow.lock(Host, host_id),
            other=other,
            kind=DiscrepancyKind.SAME_FINGERPRINT,
            key=str(other.pk),
            sentence=sentence,
            source=source,
            actor=actor,
            at=at,
        )
    raise Blocked([Blocker("identity.same_fingerprint", sentence)])


def settle_fingerprint(host: Host, report: HostReport, *, source: str, actor: User, at: datetime) -> None:
    """Sets the host's fingerprint from a report (unsaved). The first one is taken; another one than before is taken too,
    with a discrepancy: manifests name the old fingerprint, so nothing signed for it runs here."""
    seen = report.fingerprint
    if not seen.machine_id or (not seen.host_key and not host.is_local):
        return
    before = (host.machine_id, host.ssh_host_key)
    if before == (seen.machine_id, seen.host_key):
        return
    old = host.fingerprint
    host.machine_id, host.ssh_host_key = seen.machine_id, seen.host_key
    if not any(before):
        audit.record(host, "cmdb.host.identified", actor=actor, at=at, detail={"fingerprint": host.fingerprint})
    else:
        detail = {"before": old, "after": host.fingerprint}
        audit.record(host, "cmdb.host.fingerprint_changed", actor=actor, at=at, detail=detail)
        discrepancies.note(
            host=host,
            kind=DiscrepancyKind.FINGERPRINT_CHANGED,
            key=host.fingerprint or seen.machine_id,
            sentence=english(
                "%(host)s is another machine than before, or was installed anew: its fingerprint has changed.",
                host=host,
            ),
            detail=detail,
            source=source,
            actor=actor,
            at=at,
        )
    if seen.host_key:
        twins = Host.objects.live().filter(machine_id=seen.machine_id).exclude(pk=host.pk).exclude(ssh_host_key="")
        for twin in twins.order_by("pk"):
            _note_clone(twin, host, source, actor, at)
