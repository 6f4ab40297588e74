"""Rows of a deployment on thousands of simulated hosts, written in bulk: for real processes to work on.

    python -m tests.faults.yard --rings 100,400,500 --concurrency 300 --rfcs 20

writes into the database of PATCHFLOW_DATABASE_URL (migrated, empty) a release that is deploying and its planned rollout,
beside it RFCs that await their approval, and prints their numbers and the people's passwords as JSON.

    python -m tests.faults.yard --start 1

starts the rollout of that release, as its release manager.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

PEOPLE = ("rex", "otto", "cal", "mia", "sam", "ann", "che", "gus", "aud")


def many_hosts(number: int, cast: Any, at: datetime, seen: datetime | None = None) -> list[Any]:
    """`number` hosts in service with fingerprint, connection and group, by a few statements; last read when `seen` (`at`)."""
    from cmdb.models import ConfigurationItem, Connection, Fact, GroupMember, Host
    from tests.factories import changes
    from tests.factories.cmdb import host_key

    platform, group = changes.make_platform(), changes.make_group("all", at=at)
    names = [f"sim{n:05}" for n in range(number)]
    common = {"kind": "host", "environment": "production", "criticality": 3, "state": "in_service", "in_service_at": at}
    items = ConfigurationItem.objects.bulk_create([ConfigurationItem(name=n, **common) for n in names])
    hosts = Host.objects.bulk_create([
        Host(
            ci=ci, name=ci.name, platform=platform, added_at=at, audited_at=seen or at, last_seen_at=seen or at,
            machine_id=f"{n:032x}", ssh_host_key=host_key(ci.name),
        )
        for n, ci in enumerate(items, start=1)
    ])  # fmt: skip
    GroupMember.objects.bulk_create([GroupMember(group=group, host=host, since_at=at) for host in hosts])
    Fact.objects.bulk_create(
        [Fact(host=host, key="machine_kind", value="server", source="ssh", seen_at=at) for host in hosts]
    )
    Connection.objects.bulk_create([
        Connection(
            host=h, address=h.name, host_key=h.ssh_host_key, shown_key=h.ssh_host_key, host_key_accepted_by=cast.cora,
            host_key_accepted_at=at,
        )
        for h in hosts
    ])  # fmt: skip
    return hosts


def make_yard(cast: Any, at: datetime, rings: Sequence[dict[str, Any]], *, executor: str = "simulator") -> Any:
    """The deploying release; its manifest names every host, signed like one that people made."""
    from patchflow.kernel.models import Instance
    from tests.factories import changes, rollouts

    made = at - timedelta(days=1)
    # Read lately: nobody shall scan, day by day, what exists in a ledger only.
    hosts = many_hosts(sum(ring["hosts"] for ring in rings), cast, made, seen=at)
    update = changes.make_update("openssl", at=made - timedelta(hours=3), hosts=hosts)
    world = changes.World(cast, hosts, update, made)
    rfc = changes.implementing(world)
    window = rollouts.open_window(at)
    Instance.objects.get_or_create(pk=1, defaults={"key": "patchfl1"})
    release = rollouts._release(cast, rfc, executor, at)
    document = rollouts._document(release, rfc, world, rings, window, None, None)
    document["profile"]["inventory_after"] = (
        False  # nobody could read the packages of hosts that exist in a ledger only
    )
    rollouts.seal(release, document, cast, at)
    rollouts.verify_files(document, cast, at)
    return release


def make_rfcs(number: int, cast: Any, at: datetime) -> list[dict[str, int]]:
    """RFCs over one host each that await their approval; the security officer has signed, the board has not."""
    from tests.factories import changes

    made = []
    for n in range(number):
        world = changes.make_world(cast, at - timedelta(hours=6), hosts=1, source=f"package{n:04}")
        rfc = changes.awaiting(world)
        changes.approve(rfc, cast.sam, at=at - timedelta(hours=5))
        made.append({"rfc": rfc.pk, "round": changes.round_of(rfc).pk})
    return made


def main() -> None:
    import django

    django.setup()
    from django.utils import timezone

    from patchflow.kernel.models import User
    from releases.domain import rollouts

    parser = argparse.ArgumentParser()
    parser.add_argument("--rings", default="1000", help="hosts of each ring: 100,900")
    parser.add_argument("--concurrency", type=int, default=400)
    parser.add_argument("--rfcs", type=int, default=0, help="RFCs that await their approval")
    parser.add_argument("--start", type=int, metavar="RELEASE", help="start its rollout, and nothing else")
    given = parser.parse_args()
    if given.start:
        rollouts.start(release_id=given.start, actor=User.objects.get(username="rex"), at=timezone.now())
    else:
        make(given)


def make(given: argparse.Namespace) -> None:
    """Writes the rows that the arguments ask for, and prints their numbers."""
    from django.utils import timezone

    from releases.domain import rollouts
    from tests.factories.people import make_cast

    numbers = [int(n) for n in given.rings.split(",")]
    rings = [
        {"hosts": n, "concurrency": given.concurrency, "failure_limit": n, "success_percent": 1, "soak_seconds": 0} for n in numbers
    ]  # fmt: skip
    at, cast = timezone.now(), make_cast()
    passwords = {}
    for name in PEOPLE:
        passwords[name] = secrets.token_urlsafe(12)
        person = getattr(cast, name)
        person.set_password(passwords[name])
        person.save()
    release = make_yard(cast, at, rings)
    rollout = rollouts.plan(release_id=release.pk, actor=cast.rex, at=timezone.now())
    rfcs = make_rfcs(given.rfcs, cast, at)
    print(json.dumps({"release": release.pk, "rollout": rollout.pk, "rfcs": rfcs, "passwords": passwords}))


if __name__ == "__main__":
    main()
