"""The gates of a whole rollout, asked once a tick and again at the moment of acting.

Kill switch off → release deploying → both digests signed and unchanged → changes authorized, no hold → no freeze →
windows and steps as signed → the starter still has the right. The gates of each host follow in `host_gates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from changes.models import RFC, FreezeWindow
from changes.queries.authorization import Authorization
from changes.queries.holds import hold_blocker
from patchflow.kernel import trial
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.hands import acts_for
from patchflow.kernel.registry import gate
from releases.containment import contained
from releases.domain.slips import Answer, NamedGate, Slip, ask, halt, passed, wait
from releases.domain.trials import of_trial
from releases.enums import SIMULATOR, ReleaseState
from releases.models import KillSwitch, Release, Ring, Rollout
from releases.queries.amendments import signature_of
from releases.queries.manifests import newest_manifest
from releases.queries.releases import authorizations
from releases.queries.rollouts import Signed, at_work, live_jobs, signed
from releases.queries.steps import find_unapproved
from releases.queries.window_changes import narrowed, revisions

SOON = timedelta(seconds=30)
FORWARD = (ReleaseState.READY, ReleaseState.DEPLOYING)


_compared: dict[tuple[str, ...], list[Blocker]] = {}


def _wider(manifest: Signed, changes: list[Authorization]) -> list[Blocker]:
    """Why the manifest is not contained in the changes; compared once per set of digests, since equal digests are equal documents."""
    key = (manifest.digest, *(change.digest for change in changes))
    if key not in _compared:
        while len(_compared) >= 16:
            _compared.pop(next(iter(_compared)))
        _compared[key] = contained(manifest.document, [change.document for change in changes])
    return _compared[key]


@dataclass
class Whole:
    """A rollout under question, with what its gates look at; read once, when first asked for."""

    rollout: Rollout
    at: datetime

    @cached_property
    def release(self) -> Release:
        return Release.objects.get(pk=self.rollout.release_id)

    @cached_property
    def signed(self) -> Signed:
        return signed(self.rollout.manifest_id)

    @cached_property
    def changes(self) -> list[Authorization]:
        return authorizations(self.release.rfc_ids(), at=self.at)

    @property
    def soon(self) -> datetime:
        return self.at + SOON


def kill_switch(whole: Whole) -> Answer:
    switch = KillSwitch.objects.filter(name="all").first()
    if switch is None or not switch.is_on:
        return passed(english("the kill switch is off"), on=False)
    return wait(
        english("the kill switch is on: %(reason)s", reason=switch.reason),
        whole.soon,
        on=True,
        by=str(switch.set_by),
        reason=switch.reason,
    )


def trial_mode(whole: Whole) -> Answer:
    """In trial mode nobody but the simulator acts; what was sealed in a trial never runs for real."""
    now, executor = trial.active(), whole.rollout.executor
    sealed = of_trial(whole.signed.document)
    given: dict[str, Any] = {"trial": now, "sealed_in_trial": sealed, "executor": executor}
    if sealed and not now:
        return halt(english("its manifest was sealed in trial mode: it never runs for real"), **given)
    if now and not (sealed and executor == SIMULATOR):
        return wait(english("trial mode: nothing is executed on hosts"), whole.soon, **given)
    if settings.PRODUCTION and not now and executor == SIMULATOR:
        return halt(english("in production the simulator acts in trial mode only"), **given)
    return passed(
        english("trial mode: the simulator acts, no host is touched") if now else english("this is no trial"), **given
    )


def release_state(whole: Whole) -> Answer:
    state = whole.release.state
    wanted = (ReleaseState.ROLLING_BACK,) if whole.rollout.is_way_back else FORWARD
    if state in wanted:
        return passed(
            english("%(release)s is %(state)s", release=whole.release.number, state=state.replace("_", " ")),
            state=state,
        )
    return halt(
        english("%(release)s is %(state)s", release=whole.release.number, state=state.replace("_", " ")), state=state
    )


def digests(whole: Whole) -> Answer:
    """The manifest is intact, the current one, signed by a passed round; a way forward lies within every change digest."""
    manifest, given = whole.signed, {"manifest": whole.signed.digest}
    newest, revision = newest_manifest(whole.rollout.release_id)
    if not manifest.intact:
        return halt(english("the stored manifest has not the digest that was signed"), **given)
    if newest != manifest.manifest_id:
        return halt(english("a newer manifest was sealed since"), newest=revision, **given)
    if signature_of(whole.release, manifest) is None:
        return halt(english("no passed round has signed manifest %(digest)s…", digest=manifest.digest[:12]), **given)
    if whole.rollout.is_way_back:
        return passed(english("the way back is part of the signed manifest"), **given)
    if wider := _wider(manifest, whole.changes):
        return halt(
            english("the manifest is not within what was approved: %(why)s", why=wider[0].sentence),
            reasons=[b.code for b in wider],
            **given,
        )
    return passed(
        english("manifest and changes are as signed"), changes={c.number: c.digest for c in whole.changes}, **given
    )


def changes_authorized(whole: Whole) -> Answer:
    if whole.rollout.is_way_back:
        return passed(english("a way back needs no new authorization"), changes=[])
    given: dict[str, Any] = {"changes": {change.number: change.state for change in whole.changes}}
    if not whole.changes:
        return halt(english("it serves no change"), **given)
    for change in whole.changes:
        lost = [b for b in change.blockers if not b.code.startswith("hold.")]
        if lost:
            return halt(
                english("%(change)s is not authorized: %(why)s", change=change.number, why=lost[0].sentence),
                reasons=[b.code for b in lost],
                **given,
            )
    held = [b for change in whole.changes for b in change.blockers] + hold_blocker(whole.release)
    if held:
        return wait(held[0].sentence, whole.soon, held=True, **given)
    return passed(english("its changes are authorized, nothing is on hold"), **given)


def freeze(whole: Whole) -> Answer:
    """Each kind of its changes passes every freeze in force. What is at work runs on, and a way back waits for no freeze."""
    if whole.rollout.is_way_back:
        return passed(english("a way back does not wait for a freeze"), kinds=[])
    kinds = {str(change.kind) for change in whole.changes}
    for found in FreezeWindow.objects.in_force(whole.at).order_by("-ends_at"):
        if stopped := kinds - set(found.passes):
            given = {"kinds": sorted(kinds), "freeze": found.pk, "passes": found.passes, "ends_at": found.ends_at}
            until = english("until %(when)s UTC", when=f"{found.ends_at:%d %b %Y %H:%M}")
            sentence = english(
                "freeze “%(name)s” lets no %(stopped)s change start %(until)s: %(reason)s",
                name=found.name,
                stopped=" or ".join(sorted(stopped)),
                until=until,
                reason=found.reason,
            )
            return wait(sentence, whole.soon, **given)
    return passed(english("no freeze is in force for its kinds"), kinds=sorted(kinds))


def windows_as_signed(whole: Whole) -> Answer:
    named = whole.signed.document["windows"]
    now = revisions(w["window"] for w in named)
    given = {"signed": {str(w["window"]): w["revision"] for w in named}, "now": {str(k): v for k, v in now.items()}}
    if whole.rollout.is_way_back:
        return passed(english("a way back does not wait for a window"), **given)
    edited = [window for window in named if now.get(window["window"]) != window["revision"]]
    if not edited:
        return passed(english("its windows are as signed"), **given)
    goes_on = narrowed(whole.rollout.pk, whole.signed.document)
    for window in edited:
        if window["window"] not in goes_on:
            return halt(
                english(
                    "window “%(window)s” is not what was signed (revision %(revision)s)",
                    window=window["name"],
                    revision=window["revision"],
                ),
                **given,
            )
    return passed(english("of its edited windows it uses only what was signed"), narrowed=sorted(goes_on), **given)


def steps_approved(whole: Whole) -> Answer:
    """A step that was retired since it was signed runs on no further host; a way back takes those that were signed with it."""
    document = whole.signed.document
    given = {"steps": {step["name"]: step["revision"] for step in document.get("steps", [])}}
    if whole.rollout.is_way_back:
        return passed(english("a way back carries out the steps that were signed"), **given)
    if lost := find_unapproved(document):
        return halt(lost[0].sentence.rstrip("."), reasons=[b.code for b in lost], **given)
    return passed(english("its steps are approved, as signed"), **given)


def starter(whole: Whole) -> Answer:
    person = whole.rollout.started_by
    if person is None:
        return halt(english("nobody has started it"), starter=None)
    needed = "rollout.roll_back" if whole.rollout.is_way_back else "rollout.start"
    given = {"starter": str(person), "capability": needed}
    scopes = person.scopes_for(needed)
    if scopes is not None and not person.holds(needed, over=whole.rollout.scope_keys()):
        return halt(english("%(person)s, who started it, no longer has the right to", person=person), **given)
    signers = whole.release.signer_ids(seats=False)  # seats are asked about before a start, and halt none that goes on
    if person.pk in signers:
        return halt(english("%(person)s, who started it, has signed it", person=person), **given)
    if not acts_for(person, until=whole.rollout.started_at).isdisjoint(signers):
        sentence = english(
            "%(person)s, which started it, is a program: somebody who had been given a token of it has signed it",
            person=person,
        )
        return halt(sentence, **given)
    return passed(english("%(person)s has the right to start it", person=person), **given)


GATES: list[NamedGate[Whole]] = [
    ("kill_switch", kill_switch),
    ("trial", trial_mode),
    ("release", release_state),
    ("digests", digests),
    ("changes", changes_authorized),
    ("freeze", freeze),
    ("windows", windows_as_signed),
    ("steps", steps_approved),
    ("starter", starter),
]


def ask_whole(rollout: Rollout, *, at: datetime, gates: Sequence[NamedGate[Whole]] | None = None) -> Slip:
    """All gates of the rollout, or these, in order. A refusal halts it; what can pass waits."""
    gates = GATES if gates is None else gates
    try:
        with transaction.atomic():
            return ask(gates, Whole(rollout, at), at=at, guarded=False)
    except DatabaseError:  # each by itself, so that it shows which of them
        return ask(gates, Whole(rollout, at), at=at)


# --- the same reasons before a verb -----------------------------------------------------------------------------------
@gate("releases.rollout", "resume")
def find_resume_blockers(rollout: Rollout, *, at: datetime, **_: object) -> list[Blocker]:
    """A rollout goes on when no ring stands failed and nothing would halt it at once."""
    found = [
        Blocker(
            "rollout.ring_failed",
            english("Ring %(name)s has failed: retry its failed hosts or accept it as it is first.", name=ring.name),
            tone="wait",
        )
        for ring in rollout.rings.filter(state="failed")
    ]
    slip = ask_whole(rollout, at=at)
    if not slip.runs and slip.halts:
        sentence = f"{slip.sentence[:1].upper()}{slip.sentence[1:]}."
        found.append(Blocker(f"gate.{slip.code}", sentence))
    return found


@gate("releases.ring", "retry", "accept_partial")
def find_ring_blockers(ring: Ring, **_: object) -> list[Blocker]:
    """A failed ring is decided about while its rollout is open and none of its hosts is at work."""
    found = []
    if ring.rollout.state not in ("halted", "paused", "running"):
        found.append(
            Blocker(
                "ring.rollout_over",
                english("%(number)s is %(state)s.", number=ring.rollout.number, state=label_of(ring.rollout)),
            )
        )
    if live := live_jobs(ring=ring).count():
        found.append(
            Blocker(
                "ring.live_jobs",
                english("%(at_work)s in this ring: wait until it is known.", at_work=at_work(live)),
                tone="wait",
            )
        )
    return found


@gate("releases.release", "finish", "stop", "rolled_back")
def find_live_jobs(release: Release, **_: object) -> list[Blocker]:
    """A deployment ends when nothing acts on a host any more, and nothing could start."""
    found = []
    if live := live_jobs(rollout__release=release).count():
        found.append(
            Blocker(
                "release.live_jobs",
                english("%(at_work)s: stop the rollout and wait.", at_work=at_work(live)),
                tone="wait",
            )
        )
    for rollout in Rollout.objects.open().filter(release=release):
        found.append(
            Blocker(
                "release.rollout_open",
                english("%(number)s is %(state)s: stop it first.", number=rollout.number, state=label_of(rollout)),
                rollout.get_absolute_url(),
                tone="wait",
            )
        )
    return found


@gate("changes.rfc", "stop")
def find_rfc_live_jobs(rfc: RFC, **_: object) -> list[Blocker]:
    """An RFC is stopped when no rollout acts for it."""
    rows = Rollout.objects.open().filter(release__links__rfc=rfc, release__links__left_at__isnull=True)
    return [
        Blocker(
            "rfc.rollout_open",
            english("%(number)s carries it out (%(state)s): stop that first.", number=r.number, state=label_of(r)),
            r.get_absolute_url(),
            tone="wait",
        )
        for r in rows
    ]
