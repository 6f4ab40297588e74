"""Late-comers: hosts that join a sealed release by a revision of their own, signed by its own round, under the same gates.

Leaving never voids; joining is an amendment (law 2). Everything that was signed before stays word for word, so that hosts at
work go on under what they were ordered by. Locks: RFCs < Release < Rollout < Ring < Round.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.urls import reverse

from changes.domain import reminders
from changes.enums import EvidenceKind, RFCKind
from patchflow.kernel import audit, queue, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import Verdict
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import SignOff, SignOffRound, User
from patchflow.kernel.registry import SignOffSubject, gate, signoff_subjects
from patchflow.kernel.rules import capability, failing
from releases import confidence
from releases.amending import amended, joined, only_joiners
from releases.domain import readiness, releases, rollouts
from releases.domain.ring_plans import FAILURE_PERCENT
from releases.enums import ReleaseState
from releases.enums_rollout import RingState, RolloutState
from releases.models import Amendment, Manifest, PlannedHost, Release, Ring, Rollout
from releases.models.plan import share
from releases.queries.amendments import LateComers, late_comers, open_amendment
from releases.queries.manifests import current
from releases.queries.releases import Reach, authorizations
from releases.rules import contained, not_signer

OPEN_RELEASE = (ReleaseState.READY, ReleaseState.DEPLOYING)
GOING = (RolloutState.RUNNING, RolloutState.PAUSED)
NOT_BEGUN = (RingState.PENDING, RingState.NOTIFIED)
STILL_OPEN = (*NOT_BEGUN, RingState.RUNNING)
LATE_RING = "Late-comers"


# --- proposing --------------------------------------------------------------------------------------------------------
@workflow.verb("release.amendment.proposed", Release, "release_id")
def propose(
    *, release_id: int, reason: str, actor: User, at: datetime, host_ids: Collection[int] | None = None
) -> Amendment:
    """Proposes that late-comers (all that can join, or those named) join a release that is ready or deploying, and asks those
    who sign its readiness about exactly the next revision.

    Raises NotAllowed (role; who signed does not propose), Blocked (its rollout is halted, stopping or over; nobody can join,
    each with the reason; what the revision would say is not within every change), Conflict (one is being decided).
    """
    reason = releases.said(reason)
    releases.lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    release = workflow.lock(Release, release_id)
    if refused := failing([capability("release.seal"), not_signer], release, actor):
        raise NotAllowed(refused)
    rollout = _locked_rollout(release)
    if blockers := find_standing(release, rollout):
        raise Blocked(blockers)
    _one_at_a_time(release, actor=actor, at=at)
    base = current(release_id)
    assert base is not None  # noqa: S101  find_standing has looked
    entries = _chosen(late_comers(release, base, actor=actor, at=at), host_ids)
    if refused := failing([capability("release.seal")], Reach(tuple(e["host"] for e in entries)), actor):
        raise NotAllowed(refused)
    document = amended(base.document, entries, _place(base.document, rollout, len(entries)))
    changes = [one.document for one in authorizations(release.rfc_ids(), at=at)]
    if blockers := [*only_joiners(base.document, document), *contained(document, changes)]:
        raise Blocked(blockers)
    amendment = Amendment.objects.create(
        release=release, base=base, document=document, digest=digest(document), hosts=len(entries), reason=reason,
        proposed_by=actor, proposed_at=at,
    )  # fmt: skip
    audit.record(amendment, "release.amendment.proposed", actor=actor, at=at, after=str(amendment.state), detail={
        "digest": amendment.digest, "amends": base.digest, "reason": reason, "hosts": [e["name"] for e in entries],
    })  # fmt: skip
    levels = readiness.level_specs(release, at=at, over=amendment.scope_keys())
    round_ = signoffs.open_round(subject=amendment, levels=levels, actor=actor, at=at, kind="amendment")
    reminders.ask(round_, at=at)
    return amendment


def _locked_rollout(release: Release) -> Rollout | None:
    """The way forward that is open, locked."""
    row = Rollout.objects.open().filter(release=release, reverses__isnull=True).first()
    return workflow.lock(Rollout, row.pk) if row else None


def find_standing(release: Release, rollout: Rollout | None) -> list[Blocker]:
    """Why nobody can join this release now."""
    if release.state not in OPEN_RELEASE or current(release.pk) is None:
        said = english(
            "It is %(state)s: hosts join what is ready or deploying; the next change takes up others.",
            state=label_of(release),
        )
        return [Blocker("amendment.release", said)]
    if release.state == ReleaseState.READY:
        return []
    if rollout is None or rollout.state not in GOING:
        stands = (
            english("%(rollout)s is %(state)s", rollout=rollout.number, state=label_of(rollout))
            if rollout
            else english("Its rollout is over")
        )
        said = english("%(stands)s: nobody joins it now; the next change takes up who came late.", stands=stands)
        return [Blocker("amendment.rollout", said, rollout.get_absolute_url() if rollout else "", "wait")]
    if not rollout.rings.exclude(state__in=[RingState.PASSED, RingState.SKIPPED]).exists():
        return [Blocker("amendment.rollout", "Its last ring has ended; the next change takes up who came late.")]
    return []


def _one_at_a_time(release: Release, *, actor: User, at: datetime) -> None:
    """Refuses a second proposal; one that events have overtaken is withdrawn for it."""
    open_ = open_amendment(release)
    if open_ is None:
        return
    if not find_overtaken(open_):
        raise Conflict("Late-comers are being decided about already.", code="conflict.amendment")
    retire(release, actor=actor, at=at, reason=english("It was overtaken by events, and is proposed anew."))


def _chosen(late: LateComers, host_ids: Collection[int] | None) -> list[dict[str, Any]]:
    """The entries of those that shall join. Raises Blocked: with each reason why one named cannot, or nobody can."""
    if host_ids is None:
        if late.entries:
            return late.entries
        reasons = list(late.refused.values()) or [
            Blocker("amendment.nobody", "No host came late that its changes name.")
        ]
        raise Blocked([*reasons, *_next_change(late)])
    known = {entry["host"]: entry for entry in late.entries}
    wanted = sorted(set(host_ids))
    reasons = [late.refused[pk] for pk in wanted if pk in late.refused]
    if strangers := [pk for pk in wanted if pk not in known and pk not in late.refused]:
        said = english(
            "%(n)s of these hosts are in no change of this release, miss nothing, or are in its manifest.",
            n=len(strangers),
        )
        reasons.append(Blocker("amendment.stranger", said))
    if reasons or not wanted:
        raise Blocked([*reasons, *_next_change(late)] or [Blocker("amendment.nobody", "Choose at least one host.")])
    return [known[pk] for pk in wanted]


def _next_change(late: LateComers) -> list[Blocker]:
    """What takes up those that cannot join."""
    count = len(late.refused) + len(late.outside)
    if not count:
        return []
    said = english(
        "%(n)s hosts need what this release brings and cannot join it: raise the next change for them.", n=count
    )
    return [Blocker("amendment.next_rfc", said, reverse("changes:rfc-raise"), "wait")]


def _place(document: dict[str, Any], rollout: Rollout | None, count: int) -> dict[str, Any]:
    """The last ring while it has not begun; else a new one after it, by the same numbers."""
    last: dict[str, Any] = document["rings"][-1]
    ring = rollout.rings.filter(position=last["ring"]).first() if rollout else None
    if rollout is None or (ring is not None and ring.state in NOT_BEGUN):
        return last
    sure = last.get("confidence_percent", confidence.USUAL_CONFIDENCE)
    bound = last.get("bound_percent", 0)
    like = {name: value for name, value in last.items() if name != "classes"}  # nothing follows it that it could try
    return {
        **like, "ring": last["ring"] + 1, "name": LATE_RING, "failure_limit": share(FAILURE_PERCENT, count),
        "bound_percent": bound if confidence.proves(count, count, bound, confidence=sure) else 0,
    }  # fmt: skip


# --- deciding -----------------------------------------------------------------------------------------------------------
@workflow.verb("signoff.round.signed", SignOffRound, "round_id")
def decide(
    *, round_id: int, verdict: str, actor: User, at: datetime, comment: str = "", digest_seen: str = "",
    authenticated_at: datetime | None = None,
) -> SignOff:  # fmt: skip
    """Signs the revision in which hosts join, or refuses it with a comment; when the tally closes they join, or nothing changes."""
    peek = SignOffRound.objects.filter(pk=round_id, subject_type=Amendment._meta.label_lower).first()
    if peek is None:
        raise Conflict("This round does not exist.", code="conflict.gone")
    release_id = Amendment.objects.values_list("release_id", flat=True).get(pk=peek.subject_id)
    releases.lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    _locked_rollout(workflow.lock(Release, release_id))
    signed = signoffs.decide(
        round_id=round_id, verdict=verdict, comment=comment, actor=actor, at=at, digest_seen=digest_seen,
        authenticated_at=authenticated_at,
    )  # fmt: skip
    now = SignOffRound.objects.get(pk=round_id)
    if now.is_open and now.position != peek.position:
        reminders.ask(now, at=at)
    return signed


@workflow.verb("release.amendment.withdrawn", Amendment, "amendment_id")
def withdraw(*, amendment_id: int, reason: str, actor: User, at: datetime) -> Amendment:
    """Takes a proposal back; its round is void. Raises NotAllowed, Conflict (it was decided)."""
    reason = releases.said(reason)
    peek = Amendment.objects.filter(pk=amendment_id).first()
    if peek is None:
        raise Conflict("This proposal no longer exists.", code="conflict.gone")
    workflow.lock(Release, peek.release_id)
    amendment = workflow.fire(Amendment, amendment_id, "withdraw", actor=actor, at=at, reason=reason)
    signoffs.void(subject=amendment, actor=actor, at=at, reason=reason)
    return amendment


def retire(release: Release, *, actor: User, at: datetime, reason: str) -> None:
    """Withdraws the open proposal of a release that goes another way. The release is locked by the caller."""
    open_ = open_amendment(release)
    if open_ is None:
        return
    amendment = workflow.fire(Amendment, open_.pk, "withdraw", actor=User.bot(), at=at, reason=reason)
    signoffs.void(subject=amendment, actor=actor, at=at, reason=reason)


def find_overtaken(amendment: Amendment, becoming: int | None = None) -> list[Blocker]:
    """What happened since it was proposed that keeps its hosts from joining like this. `becoming`: the manifest that it is
    about to be."""
    rollout = Rollout.objects.open().filter(release=amendment.release, reverses__isnull=True).first()
    if blockers := find_standing(amendment.release, rollout):
        return blockers
    newest = current(amendment.release_id)
    if newest is None or newest.pk not in (amendment.base_id, becoming):
        return [Blocker("amendment.base", "A newer manifest stands since: propose it anew.")]
    if rollout is None:
        return []
    last = amendment.document["rings"][-1]["ring"]
    ring = rollout.rings.filter(position=last).first()
    began = ring is None and len(amendment.document["rings"]) == len(amendment.base.document["rings"])
    if began or (ring is not None and ring.state not in STILL_OPEN):
        return [Blocker("amendment.ring", "The ring that they would join has ended since: propose it anew.")]
    return []


@gate("releases.amendment", "adopt")
def find_unsigned(amendment: Amendment, *, at: datetime, facts: dict[str, Any], **_: object) -> list[Blocker]:
    """They join by a passed round on exactly this revision, which lies within every change as it stands now."""
    found = find_overtaken(amendment, facts.get("manifest_id"))
    if digest(amendment.document) != amendment.digest:
        found.append(Blocker("amendment.digest", "The stored revision has not the digest that was proposed."))
    if not signoffs.passed_round_of(amendment, digest_now=amendment.digest):
        found.append(Blocker("amendment.unsigned", "Nobody has signed that these hosts join.", tone="wait"))
    changes = authorizations(amendment.release.rfc_ids(), at=at)
    found += [b for one in changes for b in one.blockers]
    found += only_joiners(amendment.base.document, amendment.document)
    return found + contained(amendment.document, [one.document for one in changes])


# --- joining ------------------------------------------------------------------------------------------------------------
def _adopt(amendment: Amendment, *, actor: User, at: datetime) -> None:
    """Writes the next revision, and gives its new hosts their jobs where the rollout goes on."""
    release, document = amendment.release, amendment.document
    manifest = Manifest.objects.create(
        release=release, build=amendment.base.build, revision=document["revision"], document=document,
        digest=amendment.digest, sealed_at=at, sealed_by=amendment.proposed_by,
    )  # fmt: skip
    workflow.fire(Amendment, amendment.pk, "adopt", actor=actor, at=at, manifest_id=manifest.pk)
    new = joined(amendment.base.document, document)
    there = set(release.planned_hosts.values_list("host_id", flat=True))
    PlannedHost.objects.bulk_create(
        [PlannedHost(release=release, host_id=entry["host"]) for entry in new if entry["host"] not in there]
    )
    rollout = _locked_rollout(release)
    if rollout is not None:
        _join(rollout, manifest, new, at=at)
    releases.push_evidence(
        release, EvidenceKind.MANIFEST, at=at, passed=None, digest=manifest.digest,
        summary=english(
            "%(release)s: manifest %(revision)s, %(n)s hosts joined.",
            release=release.number, revision=manifest.revision, n=len(new),
        ),
    )  # fmt: skip


def _join(rollout: Rollout, manifest: Manifest, new: list[Any], *, at: datetime) -> None:
    """The rollout goes on by the revision that holds all its hosts; those before stand in it as they did."""
    planned: dict[str, Any] = manifest.document["rings"][-1]
    ring = rollout.rings.filter(position=planned["ring"]).first()
    if ring is None:
        ring = Ring.objects.create(rollout=rollout, state_at=at, **rollouts.numbers_of(planned))
    rollouts.add_jobs(rollout, ring, {entry["host"]: entry["packages"] for entry in new}, at=at)
    rollout.manifest = manifest
    rollout.save(update_fields=["manifest"])
    audit.record(rollout, "release.rollout.amended", actor=User.bot(), at=at, detail={
        "manifest": manifest.digest, "ring": ring.name, "hosts": [entry["name"] for entry in new],
    })  # fmt: skip
    queue.enqueue(rollouts.ADVANCE, rollout_id=rollout.pk)


# --- the sign-off subject ---------------------------------------------------------------------------------------------
def excluded(amendment: Amendment) -> dict[int, str]:
    """Who may not sign it, and why (law 1): who may not sign the manifest, and who proposed it."""
    found = readiness.excluded(amendment.release)
    found[amendment.proposed_by_id] = english("You proposed that these hosts join; somebody else signs.")
    return found


def _not_now(amendment: Amendment) -> list[Blocker]:
    return [*readiness.not_now(amendment.release), *find_overtaken(amendment)]


def _passed(amendment: Amendment, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    _adopt(amendment, actor=actor, at=at)


def _ended(amendment: Amendment, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    """Refused, or silence: nothing changes."""
    comments = " ".join(s.comment for s in round_.signoffs.filter(verdict=Verdict.REFUSE))
    why = comments or round_.reason or english("The round ended without a decision.")
    workflow.fire(Amendment, amendment.pk, "refuse", actor=actor, at=at, reason=why)


signoff_subjects.add(
    "releases.amendment",
    SignOffSubject(
        label="releases.amendment",
        document=lambda amendment: amendment.document,
        excluded=excluded,
        capability="release.sign",
        on_passed=_passed,
        on_refused=_ended,
        on_expired=_ended,
        not_now=_not_now,
        url=lambda amendment: str(amendment.get_absolute_url()),
        visible=lambda actor: Amendment.objects.visible_to(actor).values("pk"),
        emergency=lambda amendment: amendment.release.kind == RFCKind.EMERGENCY,
        decide=decide,
    ),
)
