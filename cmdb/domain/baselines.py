"""Baselines: drafted, proposed, approved by a sign-off round (or adopted after a release that was signed), superseded.

Nothing of a proposed baseline is edited: a change is the next version.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Max
from django.urls import NoReverseMatch, reverse

from cmdb.domain import departures
from cmdb.domain.permission import demand, said
from cmdb.domain.software import key_of
from cmdb.enums import BaselineState
from cmdb.models import Baseline, BaselineItem, HostGroup, Platform
from patchflow.kernel import audit, registry, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import Quorum
from patchflow.kernel.errors import Conflict, Invalid
from patchflow.kernel.integrity import digest
from patchflow.kernel.levels import LevelSpec, voters_by_role
from patchflow.kernel.models import SignOffRound, User
from patchflow.kernel.registry import gates_of, signoff_subjects

Item = tuple[str, str, str]
APPROVERS = "security_officer"
DEADLINE = timedelta(days=5)
"""After so long in silence the question goes back."""
SUPERSEDABLE = (BaselineState.PROPOSED, BaselineState.APPROVED)
"""Which versions of a name the next one takes out of force, now or when they are signed."""


@workflow.verb("cmdb.baseline.drafted")
def draft(
    *,
    name: str,
    platform_id: int,
    items: Sequence[Item],
    actor: User,
    at: datetime,
    group_id: int | None = None,
    source_digest: str = "",
) -> Baseline:
    """Writes the next version of a baseline as a draft: `items` are (package, architecture, version). Needs
    baseline.propose for its hosts, and for those of the versions of that name that it would supersede. A version that
    cannot be read is kept; its result on hosts is unknown."""
    name = said("name", name, what="A name", limit=80)
    platform = Platform.objects.filter(pk=platform_id).first()
    group = HostGroup.objects.live().filter(pk=group_id).first() if group_id else None
    if platform is None or (group_id and group is None):
        raise Invalid("This platform or group does not exist.", code="invalid.platform")
    demand("baseline.propose", group, actor)
    for old in Baseline.objects.filter(name=name, state__in=SUPERSEDABLE).select_related("group"):
        demand("baseline.propose", old, actor)
    rows = _rows(platform, items)
    last = Baseline.objects.filter(name=name).aggregate(Max("version"))["version__max"] or 0
    baseline = Baseline.objects.create(
        name=name,
        version=last + 1,
        platform=platform,
        group=group,
        source_digest=source_digest,
        proposed_by=actor,
        made_at=at,
    )
    for row in rows:
        row.baseline = baseline
    BaselineItem.objects.bulk_create(rows, batch_size=500)
    detail = {"version": baseline.version, "items": len(rows), "digest": digest(baseline.document())}
    audit.record(baseline, "cmdb.baseline.drafted", actor=actor, at=at, after=BaselineState.DRAFT, detail=detail)
    return baseline


def _rows(platform: Platform, items: Sequence[Item]) -> list[BaselineItem]:
    if len({item[:2] for item in items}) != len(items):
        raise Invalid("A package is named twice.", code="invalid.items")
    if any(
        not name or not arch or not version or len(name) > 200 or len(version) > 300 or len(arch) > 20
        for name, arch, version in items
    ):
        raise Invalid("Each item has a package, an architecture and a version.", code="invalid.items")
    return [
        BaselineItem(name=name, arch=arch, version=version, key=key_of(platform.ecosystem, version))
        for name, arch, version in items
    ]


def propose(
    *,
    name: str,
    platform_id: int,
    items: Sequence[Item],
    actor: User,
    at: datetime,
    group_id: int | None = None,
    source_digest: str = "",
) -> Baseline:
    """Drafts the next version and proposes it. Taken from a signed manifest (`source_digest`) it waits to be adopted;
    otherwise a sign-off round is opened (first security officer, not the proposer)."""
    baseline = draft(
        name=name,
        platform_id=platform_id,
        items=items,
        group_id=group_id,
        source_digest=source_digest,
        actor=actor,
        at=at,
    )
    baseline = workflow.fire(Baseline, baseline.pk, "propose", actor=actor, at=at)
    if not source_digest:
        request_approval(baseline_id=baseline.pk, actor=actor, at=at)
    return baseline


def propose_from(
    *, platform_id: int, items: Sequence[Item], source_digest: str, actor: User, at: datetime, name: str = ""
) -> Baseline:
    """After a release: the approved baseline of the platform with what the signed manifest brought, as its next version,
    adopted at once if the gates of `adopt` are open for `actor`, else left proposed. `name`: default the platform's."""
    platform = Platform.objects.filter(pk=platform_id).first()
    name = name or str(platform)
    before = {(i.name, i.arch): i.version for i in BaselineItem.objects.filter(baseline__in=_in_force(name))}
    after = before | {(package, arch): version for package, arch, version in items}
    merged = [(*place, version) for place, version in sorted(after.items())]
    baseline = propose(
        name=name, platform_id=platform_id, items=merged, source_digest=source_digest, actor=actor, at=at
    )
    may = actor.holds("baseline.adopt", over=_concerned(baseline))
    if may and not workflow.find_blockers(baseline, "adopt", actor=actor, at=at):
        return adopt(baseline_id=baseline.pk, actor=actor, at=at)
    return baseline


def _in_force(name: str) -> models.QuerySet[Baseline]:
    return Baseline.objects.approved().filter(name=name)


def _concerned(baseline: Baseline) -> list[frozenset[str]]:
    """Whose standing it changes: the hosts for which it is, and those of the version that it supersedes."""
    olds = _in_force(baseline.name).exclude(pk=baseline.pk).select_related("group")
    return [*baseline.scope_keys(), *(keys for old in olds for keys in old.scope_keys())]


def new_items(baseline: Baseline) -> list[Item]:
    """What this version brings that the approved one of the same name does not have: what a manifest must vouch for."""
    known = set(
        BaselineItem.objects.filter(baseline__in=_in_force(baseline.name)).values_list("name", "arch", "version")
    )
    return sorted(set(baseline.items.values_list("name", "arch", "version")) - known)


@workflow.verb("cmdb.baseline.approval_requested", Baseline, "baseline_id")
def request_approval(*, baseline_id: int, actor: User, at: datetime) -> SignOffRound:
    """Opens the sign-off round of a proposed baseline, of those who answer for the version before as well. Needs
    baseline.propose; raises Blocked when nobody can sign."""
    baseline = workflow.lock(Baseline, baseline_id)
    demand("baseline.propose", baseline, actor)
    if baseline.state != BaselineState.PROPOSED:
        raise Conflict(
            english("It is %(state)s; only a proposed baseline is put to the vote.", state=label_of(baseline))
        )
    voters = voters_by_role(APPROVERS, over=_concerned(baseline))
    level = LevelSpec(
        "Security officers", voters, Quorum.FIRST, deadline_at=at + DEADLINE, escalate_to="configuration_manager"
    )
    round_ = signoffs.open_round(subject=baseline, levels=[level], actor=actor, at=at, kind="baseline")
    audit.record(baseline, "cmdb.baseline.approval_requested", actor=actor, at=at, detail={"round": round_.number})
    return round_


def adopt(*, baseline_id: int, actor: User, at: datetime) -> Baseline:
    """Puts a baseline taken from a signed manifest in force without a further round; the version before is superseded.
    Needs baseline.adopt, over that version too; gates: something signed contains it."""
    peek = Baseline.objects.filter(pk=baseline_id).first()
    if peek is None:
        raise Conflict("This baseline does not exist.", code="conflict.gone")
    workflow.demand_role(peek, "adopt", actor=actor)
    return _put_in_force(baseline=peek, transition="adopt", actor=actor, at=at)


@workflow.verb("cmdb.baseline.adopted")
def _put_in_force(*, baseline: Baseline, transition: str, actor: User, at: datetime) -> Baseline:
    """One approved version per name: the old one leaves first, and stays after all if the new one is refused."""
    for old in Baseline.objects.filter(name=baseline.name, state=BaselineState.APPROVED):
        workflow.fire(Baseline, old.pk, "supersede", actor=actor, at=at)
    found = workflow.fire(Baseline, baseline.pk, transition, actor=actor, at=at)
    departures.begin(found, at=at)
    return found


def retire(*, baseline_id: int, reason: str, actor: User, at: datetime) -> Baseline:
    """Ends a baseline without a successor: hosts are compared with it no more. Needs baseline.adopt."""
    reason = said("reason", reason, what="A reason", limit=2000)
    return workflow.fire(Baseline, baseline_id, "retire", actor=actor, at=at, reason=reason)


@registry.gate("cmdb.baseline", "propose")
def find_propose_blockers(baseline: Baseline, *, actor: User, at: datetime, facts: Any) -> list[Blocker]:
    """An empty baseline would call every host good."""
    if not baseline.items.exists():
        return [Blocker("baseline.empty", "It lists no package: every host would be at it.")]
    return []


@registry.gate("cmdb.baseline", "approve")
def find_approve_blockers(baseline: Baseline, *, actor: User, at: datetime, facts: Any) -> list[Blocker]:
    """Approval is a passed round on the present content (law 2)."""
    if signoffs.passed_round_of(baseline, digest_now=digest(baseline.document())) is None:
        return [Blocker("baseline.not_signed", "No sign-off round on its present content has passed.", tone="wait")]
    return []


@registry.gate("cmdb.baseline", "adopt")
def find_adopt_blockers(baseline: Baseline, *, actor: User, at: datetime, facts: Any) -> list[Blocker]:
    """Adopted is only what was signed elsewhere: it names its manifest, and an app above vouches that the manifest was
    signed and contains it. Without such a voucher the gate stays shut."""
    if not baseline.source_digest:
        return [Blocker("baseline.no_manifest", "It was not taken from a signed manifest: put it to the vote instead.")]
    if len(gates_of("cmdb.baseline", "adopt")) < 2:
        sentence = english("Nothing here can tell whether its manifest was signed: put it to the vote instead.")
        return [Blocker("baseline.nobody_vouches", sentence, tone="unknown")]
    return []


def _excluded(baseline: Baseline) -> dict[int, str]:
    return {baseline.proposed_by_id: english("You proposed this baseline: another person approves it.")}


def _passed(baseline: Baseline, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    _put_in_force(baseline=baseline, transition="approve", actor=actor, at=at)


def _back_to_draft(baseline: Baseline, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    workflow.fire(
        Baseline,
        baseline.pk,
        "refuse",
        actor=actor,
        at=at,
        reason=english("Round %(number)s refused it.", number=round_.number),
    )


def _expired(baseline: Baseline, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    """Silence is never yes: it stays proposed, and may be put to the vote again."""


def _address(baseline: Baseline) -> str:
    try:
        return reverse("cmdb:baseline-detail", args=[baseline.pk])
    except NoReverseMatch:
        return ""


signoff_subjects.add(
    "cmdb.baseline",
    registry.SignOffSubject(
        label="cmdb.baseline",
        document=Baseline.document,
        excluded=_excluded,
        capability="baseline.approve",
        on_passed=_passed,
        on_refused=_back_to_draft,
        on_expired=_expired,
        url=_address,
        visible=lambda actor: Baseline.objects.all().visible_to(actor).values("pk"),
    ),
)
