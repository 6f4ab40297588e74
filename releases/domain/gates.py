"""The gates of a whole rollout, asked once a tick and again at the moment of acting.

Kill switch off → release deploying → both digests signed and unchanged → changes authorized, no hold → no freeze →
windows as signed → the starter still has the right. The gates of each host follow in `host_gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from changes.models import RFC, FreezeWindow
from changes.queries.authorization import Authorization
from changes.queries.holds import hold_blocker
from cmdb.models import ServiceWindow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.registry import gate
from patchflow.kernel.signoffs import passed_round_of
from releases.containment import contained
from releases.domain.slips import Answer, NamedGate, Slip, ask, halt, passed, wait
from releases.enums import ReleaseState
from releases.models import KillSwitch, Release, Ring, Rollout
from releases.queries.manifests import newest_manifest
from releases.queries.releases import authorizations
from releases.queries.rollouts import Signed, at_work, live_jobs, signed

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
        return passed("the kill switch is off", on=False)
    return wait(
        f"the kill switch is on: {switch.reason}", whole.soon, on=True, by=str(switch.set_by), reason=switch.reason
    )


def release_state(whole: Whole) -> Answer:
    state = whole.release.state
    wanted = (ReleaseState.ROLLING_BACK,) if whole.rollout.is_way_back else FORWARD
    if state in wanted:
        return passed(f"{whole.release.number} is {state.replace('_', ' ')}", state=state)
    return halt(f"{whole.release.number} is {state.replace('_', ' ')}", state=state)


def digests(whole: Whole) -> Answer:
    """The manifest is intact, the current one, signed by a passed round; a way forward lies within every change digest."""
    manifest, given = whole.signed, {"manifest": whole.signed.digest}
    newest, revision = newest_manifest(whole.rollout.release_id)
    if not manifest.intact:
        return halt("the stored manifest has not the digest that was signed", **given)
    if newest != manifest.manifest_id:
        return halt("a newer manifest was sealed since", newest=revision, **given)
    if passed_round_of(whole.release, digest_now=manifest.digest) is None:
        return halt(f"no passed round has signed manifest {manifest.digest[:12]}…", **given)
    if whole.rollout.is_way_back:
        return passed("the way back is part of the signed manifest", **given)
    if wider := _wider(manifest, whole.changes):
        return halt(
            f"the manifest is not within what was approved: {wider[0].sentence}",
            reasons=[b.code for b in wider],
            **given,
        )
    return passed("manifest and changes are as signed", changes={c.number: c.digest for c in whole.changes}, **given)


def changes_authorized(whole: Whole) -> Answer:
    if whole.rollout.is_way_back:
        return passed("a way back needs no new authorization", changes=[])
    given: dict[str, Any] = {"changes": {change.number: change.state for change in whole.changes}}
    if not whole.changes:
        return halt("it serves no change", **given)
    for change in whole.changes:
        lost = [b for b in change.blockers if not b.code.startswith("hold.")]
        if lost:
            return halt(
                f"{change.number} is not authorized: {lost[0].sentence}", reasons=[b.code for b in lost], **given
            )
    held = [b for change in whole.changes for b in change.blockers] + hold_blocker(whole.release)
    if held:
        return wait(held[0].sentence, whole.soon, held=True, **given)
    return passed("its changes are authorized, nothing is on hold", **given)


def freeze(whole: Whole) -> Answer:
    """Each kind of its changes passes every freeze in force. What is at work runs on, and a way back waits for no freeze."""
    if whole.rollout.is_way_back:
        return passed("a way back does not wait for a freeze", kinds=[])
    kinds = {str(change.kind) for change in whole.changes}
    for found in FreezeWindow.objects.in_force(whole.at).order_by("-ends_at"):
        if stopped := kinds - set(found.passes):
            given = {"kinds": sorted(kinds), "freeze": found.pk, "passes": found.passes, "ends_at": found.ends_at}
            until = f"until {found.ends_at:%d %b %Y %H:%M} UTC"
            sentence = (
                f"freeze “{found.name}” lets no {' or '.join(sorted(stopped))} change start {until}: {found.reason}"
            )
            return wait(sentence, whole.soon, **given)
    return passed("no freeze is in force for its kinds", kinds=sorted(kinds))


def windows_as_signed(whole: Whole) -> Answer:
    named = whole.signed.document["windows"]
    now = dict(ServiceWindow.objects.live().filter(pk__in=[w["window"] for w in named]).values_list("pk", "revision"))
    given = {"signed": {str(w["window"]): w["revision"] for w in named}, "now": {str(k): v for k, v in now.items()}}
    if whole.rollout.is_way_back:
        return passed("a way back does not wait for a window", **given)
    for window in named:
        if now.get(window["window"]) != window["revision"]:
            return halt(f"window “{window['name']}” is not what was signed (revision {window['revision']})", **given)
    return passed("its windows are as signed", **given)


def starter(whole: Whole) -> Answer:
    person = whole.rollout.started_by
    if person is None:
        return halt("nobody has started it", starter=None)
    needed = "rollout.roll_back" if whole.rollout.is_way_back else "rollout.start"
    given = {"starter": str(person), "capability": needed}
    scopes = person.scopes_for(needed)
    if scopes is not None and not person.holds(needed, over=whole.rollout.scope_keys()):
        return halt(f"{person}, who started it, no longer has the right to", **given)
    if person.pk in whole.release.signer_ids():
        return halt(f"{person}, who started it, has signed it", **given)
    return passed(f"{person} has the right to start it", **given)


GATES: list[NamedGate[Whole]] = [
    ("kill_switch", kill_switch),
    ("release", release_state),
    ("digests", digests),
    ("changes", changes_authorized),
    ("freeze", freeze),
    ("windows", windows_as_signed),
    ("starter", starter),
]


def ask_whole(rollout: Rollout, *, at: datetime) -> Slip:
    """All gates of the rollout, in order. A refusal halts it; what can pass waits."""
    return ask(GATES, Whole(rollout, at), at=at)


# --- the same reasons before a verb -----------------------------------------------------------------------------------
@gate("releases.rollout", "resume")
def find_resume_blockers(rollout: Rollout, *, at: datetime, **_: object) -> list[Blocker]:
    """A rollout goes on when no ring stands failed and nothing would halt it at once."""
    found = [
        Blocker(
            "rollout.ring_failed",
            f"Ring {ring.name} has failed: retry its failed hosts or accept it as it is first.",
            tone="wait",
        )
        for ring in rollout.rings.filter(state="failed")
    ]
    slip = ask_whole(rollout, at=at)
    if not slip.runs and slip.halts:
        found.append(Blocker(f"gate.{slip.code}", f"{slip.sentence[:1].upper()}{slip.sentence[1:]}."))
    return found


@gate("releases.ring", "retry", "accept_partial")
def find_ring_blockers(ring: Ring, **_: object) -> list[Blocker]:
    """A failed ring is decided about while its rollout is open and none of its hosts is at work."""
    found = []
    if ring.rollout.state not in ("halted", "paused", "running"):
        found.append(Blocker("ring.rollout_over", f"{ring.rollout.number} is {ring.rollout.get_state_display()}."))
    if live := live_jobs(ring=ring).count():
        found.append(
            Blocker(
                "ring.live_jobs",
                f"{at_work(live)} in this ring: wait until it is known.",
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
                f"{at_work(live)}: stop the rollout and wait.",
                tone="wait",
            )
        )
    for rollout in Rollout.objects.open().filter(release=release):
        found.append(
            Blocker(
                "release.rollout_open",
                f"{rollout.number} is {rollout.get_state_display()}: stop it first.",
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
            f"{r.number} carries it out ({r.get_state_display()}): stop that first.",
            r.get_absolute_url(),
            tone="wait",
        )
        for r in rows
    ]
