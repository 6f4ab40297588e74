"""The gates of one host, asked when it would be let through and again at the moment of acting.

Ring open → in the manifest, the same machine → not retired or exempt → between earliest and latest start → window open
for long enough → redundancy of its services kept → audit current → no other live job → files verified → what it may be
restarted by → reachable by a registered executor → a way for its downloads (`ways`). What they look at is in `host_batches`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from cmdb.models import ServiceWindow
from cmdb.queries.hosts import ActingFacts
from patchflow.kernel import registry
from patchflow.kernel.blockers import kept
from releases.domain.host_batches import Batch, Target
from releases.domain.profiles import find_unkept, must_stay, restart_for
from releases.domain.slips import Answer, NamedGate, Slip, ask, never, passed, wait
from releases.domain.ways import downloads
from releases.enums_rollout import RingState, RolloutState
from releases.models import Job
from releases.wording import many

BUSY = timedelta(minutes=1)
LATER = timedelta(hours=1)


def ring_open(target: Target) -> Answer:
    return target.batch.once("ring", answer=lambda: _ring_open(target))


def _ring_open(target: Target) -> Answer:
    batch, ring, rollout = target.batch, target.batch.ring, target.batch.rollout
    bad = batch.bad
    given = {"rollout": rollout.state, "ring": ring.state, "failed": bad, "limit": ring.failure_limit}
    if rollout.state != RolloutState.RUNNING:
        return wait(
            kept("%(rollout)s is %(state)s", rollout=rollout.number, state=rollout.state), batch.at + BUSY, **given
        )
    if ring.state != RingState.RUNNING:
        return wait(kept("ring “%(ring)s” is %(state)s", ring=ring.name, state=ring.state), batch.at + BUSY, **given)
    if bad >= ring.failure_limit:
        return wait(
            kept(
                "ring “%(ring)s” has reached its limit of %(failure_limit)s failures",
                ring=ring.name,
                failure_limit=ring.failure_limit,
            ),
            batch.at + BUSY,
            **given,
        )
    return passed(kept("ring “%(ring)s” is open", ring=ring.name), **given)


def same_machine(target: Target) -> Answer:
    entry, facts = target.entry, target.facts
    if entry is None or entry["ring"] != target.batch.ring.position:
        return never(kept("it is not in the signed manifest of this ring"), entry=None)
    given = {"signed": entry["fingerprint"], "now": facts.fingerprint if facts else None}
    if facts is None:
        return never(kept("it is no longer known"), **given)
    if not facts.fingerprint:
        return wait(kept("nobody has seen which machine it is now"), target.batch.at + LATER, **given)
    if facts.fingerprint != entry["fingerprint"]:
        return never(kept("it is another machine than the one that was signed"), **given)
    return passed(kept("it is the machine that was signed"), **given)


def in_service(target: Target) -> Answer:
    facts, entry = target.facts, target.entry
    assert facts is not None  # noqa: S101  same_machine has looked
    assert entry is not None  # noqa: S101
    names = frozenset(p["name"] for p in entry["packages"])
    alike = ("service_state", facts.status, facts.retired, facts.exempt, entry["class"], names)
    return target.batch.once(*alike, answer=lambda: _in_service(target, facts, entry, names))


def _in_service(target: Target, facts: ActingFacts, entry: Mapping[str, Any], names: frozenset[str]) -> Answer:
    given = {"status": facts.status, "retired": facts.retired, "exempt": [list(e) for e in facts.exempt]}
    if facts.retired:
        return never(kept("it was retired"), **given)
    sources = {
        p["source"]
        for one in target.batch.signed.document["classes"]
        if one["class"] == entry["class"]
        for p in one["packages"]
        if p["name"] in names
    }
    mine = sorted(subject for kind, subject in facts.exempt if kind == "package" and subject in names | sources)
    if mine and not target.batch.rollout.is_way_back:
        return never(kept("it is exempt from changes of %(names)s", names=", ".join(mine)), **given)
    return passed(kept("it is in service and not exempt"), **given)


def start_span(target: Target) -> Answer:
    return target.batch.once("start", answer=lambda: _start_span(target.batch))


def _start_span(batch: Batch) -> Answer:
    earliest, latest = batch.signed.moment("earliest"), batch.signed.moment("latest")
    given = {"earliest": earliest, "latest": latest}
    if batch.rollout.is_way_back:
        return passed(kept("a way back is not bound to the start dates"), **given)
    if latest and batch.at >= latest:
        return never(
            kept("the latest start that was signed, %(latest)s UTC, has passed", latest=f"{latest:%d %b %Y %H:%M}"),
            **given,
        )
    if earliest and batch.at < earliest:
        return wait(kept("this is the earliest start that was signed"), earliest, key=f"{earliest:%Y%m%d%H%M}", **given)
    return passed(kept("it is between the earliest and the latest start"), **given)


def windows_signed(target: Target) -> list[ServiceWindow]:
    """The windows of the host that were signed."""
    return [w for w in target.batch.windows.get(target.host_id, []) if w.pk in target.batch.signed_windows]


def window_open(target: Target) -> Answer:
    batch, entry = target.batch, target.entry
    assert entry is not None  # noqa: S101
    if batch.rollout.is_way_back:
        return passed(kept("a way back does not wait for a window"), windows=[])
    mine = windows_signed(target)
    alike = ("window", entry["class"], *(w.pk for w in mine))
    return batch.once(*alike, answer=lambda: _window_open(batch, entry, mine))


def _window_open(batch: Batch, entry: Mapping[str, Any], mine: list[ServiceWindow]) -> Answer:
    need = batch.minutes[entry["class"]]
    given = {"windows": [w.name for w in mine], "minutes": need}
    if not mine:
        return never(kept("it has none of the windows that were signed"), **given)
    return _opening(batch, mine, timedelta(minutes=need), given)


def _opening(batch: Batch, mine: Iterable[ServiceWindow], need: timedelta, given: dict[str, Any]) -> Answer:
    found = [o for w in mine for o in batch.openings_of(w)]
    fits = [o for o in found if o.is_open(batch.at) and batch.at <= o.last_start_at and o.ends_at - batch.at >= need]
    if fits:
        best = max(fits, key=lambda o: o.ends_at)
        said = kept(
            "window “%(window)s” is open until %(when)s UTC", window=best.name, when=f"{best.ends_at:%d %b %H:%M}"
        )
        return passed(said, until=best.ends_at, window=best.window_id, revision=best.revision, **given)
    coming = [o for o in found if o.starts_at > batch.at and o.ends_at - o.starts_at >= need]
    if not coming:
        return never(
            kept("none of its windows opens again for %(minutes)s minutes", minutes=int(need.total_seconds() // 60)),
            **given,
        )
    first = min(coming, key=lambda o: o.starts_at)
    latest = batch.signed.moment("latest")
    if latest and first.starts_at >= latest:
        return never(
            kept(
                "its next window, %(when)s UTC, comes after the latest start that was signed",
                when=f"{first.starts_at:%d %b %Y %H:%M}",
            ),
            **given,
        )
    said = kept("window “%(window)s” opens then", window=first.name)
    return wait(
        said, first.starts_at, key=f"{first.window_id}:{first.starts_at:%Y%m%d%H%M}", opens=first.starts_at, **given
    )


REDUNDANT = kept("every service that it supports keeps enough hosts, or has only this one")


def redundancy(target: Target) -> Answer:
    """Of every service and cluster that it supports enough other hosts stay: never all of them, as many as the signed
    profile asks, and as many as the service itself asks now. A rule of a service only makes it stricter, so it needs no
    signature, and people can change it: it makes the host wait, where the profile refuses it."""
    batch = target.batch
    services = batch.supports.get(target.host_id, ())
    if not services:
        return batch.once("redundancy", answer=lambda: passed(REDUNDANT, services={}))
    away = batch.lacking - {target.host_id}
    counted: dict[str, list[int]] = {}
    short = ""
    for service in services:
        members = batch.members.get(service, set()) | {target.host_id}
        staying = len(members - away - {target.host_id})
        asked = must_stay(batch.signed.document["profile"], len(members))
        rule = batch.rules.get(service)
        needed = max(asked if len(members) > 1 else 0, rule.must_stay(len(members)) if rule else 0)
        counted[str(service)] = [len(members), staying, needed]
        if 1 < len(members) <= asked:
            return never(
                kept(
                    "a service that it supports has %(hosts)s hosts, and the profile keeps %(asked)s of them",
                    hosts=len(members),
                    asked=asked,
                ),
                services=counted,
            )
        if staying < needed and not short:
            short = _too_few_stay(len(members), staying, needed)
    if not short:
        return passed(REDUNDANT, services=counted)
    return wait(short, batch.at + BUSY, services=counted)


def _too_few_stay(hosts: int, staying: int, needed: int) -> str:
    """Why the host waits. No service is named: who sees the host need not see them; their ids stand in the answer."""
    if needed >= hosts:
        return kept("a service that it supports keeps all its hosts: change its rule, or give it another one")
    if not staying:
        return kept("the other hosts of a service that it supports are away")
    return kept(
        "%(hosts)s of a service would stay without it, and %(needed)s must", hosts=many(staying, "host"), needed=needed
    )


def audit_current(target: Target) -> Answer:
    facts = target.facts
    assert facts is not None  # noqa: S101
    return target.batch.once("audit", facts.audited_at, answer=lambda: _audit_current(target, facts))


def _audit_current(target: Target, facts: ActingFacts) -> Answer:
    limit: timedelta = settings.PATCHFLOW["AUDIT_GATE"]
    given = {"audited_at": facts.audited_at, "limit_hours": int(limit.total_seconds() // 3600)}
    if facts.audited_at is None:
        return wait(kept("its packages were never read: scan it"), target.batch.at + BUSY * 10, key="never", **given)
    if target.batch.at - facts.audited_at > limit:
        days = (target.batch.at - facts.audited_at).days
        return wait(
            kept("its packages were last read %(days)s days ago: scan it", days=days),
            target.batch.at + BUSY * 10,
            key="old",
            **given,
        )
    return passed(kept("its packages were read lately"), **given)


def alone(target: Target) -> Answer:
    other = target.batch.others.get(target.host_id)
    if other:
        return wait(kept("%(job)s is at work there", job=other), target.batch.at + BUSY, key=other, other=other)
    return target.batch.once("alone", answer=lambda: passed(kept("no other job is at work there"), other=None))


def files_verified(target: Target) -> Answer:
    entry, batch = target.entry, target.batch
    assert entry is not None  # noqa: S101
    side = batch.signed.back.get(target.host_id, {"packages": []}) if batch.rollout.is_way_back else entry
    wanted = frozenset((p["name"], p["to"], p["arch"]) for p in side["packages"] if p["to"])
    return batch.once("files", wanted, answer=lambda: _files_verified(batch, wanted))


def _files_verified(batch: Batch, wanted: frozenset[tuple[str, str, str]]) -> Answer:
    for place in sorted(wanted):
        sha = batch.named_files.get(place)
        if sha is None:
            return never(
                kept("%(package)s %(version)s has no file in the manifest", package=place[0], version=place[1]),
                file=list(place),
            )
        if (*place, sha) not in batch.proven:
            return wait(
                kept("%(package)s %(version)s has no passing verification", package=place[0], version=place[1]),
                batch.at + BUSY * 10,
                key=sha[:12],
                file=list(place),
            )
    return passed(kept("its files are verified"), files=len(wanted))


def restart(target: Target) -> Answer:
    """What the profile's restart rule means for this machine; it takes a restart away and never denies the work."""
    kind = target.facts.kind if target.facts else ""
    return target.batch.once("restart", kind, answer=lambda: _restart(target.batch, kind))


def _restart(batch: Batch, kind: str) -> Answer:
    profile = batch.signed.document["profile"]
    found = restart_for(profile, kind)
    return passed(
        found.sentence, mode=found.policy.mode, kind=kind or None, kinds=list(profile.get("restart_kinds", []))
    )


def reachable(target: Target) -> Answer:
    """An executor is registered that keeps the profile's rules, and the host's connection can be used; whether it answers
    is seen when it is asked."""
    name = target.batch.rollout.executor
    usable = target.batch.once("executor", answer=lambda: _executor(target.batch, name))
    if usable.word != "pass":
        return usable
    endpoint = target.batch.endpoints(target.host_id)
    return passed(
        kept("it is reached as %(endpoint)s by %(executor)s", endpoint=endpoint, executor=name),
        executor=name,
        endpoint=str(endpoint),
    )


def _executor(batch: Batch, name: str) -> Answer:
    if name not in registry.executors:
        return wait(
            kept("no executor named %(executor)s is registered", executor=name), batch.at + BUSY * 10, executor=name
        )
    if unkept := find_unkept(batch.signed.document["profile"], name):
        return wait(unkept[0].sentence, batch.at + BUSY * 10, key="profile", executor=name)
    return passed("")


GATES: list[NamedGate[Target]] = [
    ("ring", ring_open),
    ("machine", same_machine),
    ("service_state", in_service),
    ("start", start_span),
    ("window", window_open),
    ("redundancy", redundancy),
    ("audit", audit_current),
    ("alone", alone),
    ("files", files_verified),
    ("restart", restart),
    ("reach", reachable),
    ("downloads", downloads),
]


def ask_hosts(
    batch: Batch, *, limit: int, gates: Sequence[NamedGate[Target]] | None = None, brief: bool = False
) -> list[tuple[Job, Slip]]:
    """Every job of the batch with its slip, by all gates or by these, until `limit` may run; the rest are not asked now.
    `brief`: the slips of those that may run are not kept, and say nothing but that."""
    gates = GATES if gates is None else gates
    try:
        with transaction.atomic():
            return _ask_hosts(batch, limit, gates, guarded=False, brief=brief)
    except DatabaseError:
        batch.forget()
        return _ask_hosts(batch, limit, gates, guarded=True, brief=brief)


def _ask_hosts(
    batch: Batch, limit: int, gates: Sequence[NamedGate[Target]], *, guarded: bool, brief: bool
) -> list[tuple[Job, Slip]]:
    found: list[tuple[Job, Slip]] = []
    for job in batch.jobs:
        if len(batch.through) >= limit:
            break
        slip = ask(gates, Target(batch, job), at=batch.at, guarded=guarded, told=batch.told, brief=brief)
        if slip.runs:
            batch.let_through(job.host_id)
        found.append((job, slip))
    return found
