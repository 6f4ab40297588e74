"""The verbs that the pages of a rollout, a ring and a host offer: with their reach, or greyed with every reason."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from patchflow.kernel import signoffs, workflow
from patchflow.kernel.blockers import Blocker, english, english_n, label_of
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.verbs import Verb
from releases.domain.rollbacks import another_than
from releases.enums_rollout import LIVE, TOUCHED, JobState, RingState, RolloutState
from releases.models import Job, Release, Ring, Rollout
from releases.queries.rollouts import forward_of
from releases.web.rollout_parts import Tally, summed, tallies

ICONS = {
    "pause": "pause",
    "resume": "run",
    "halt": "ban",
    "stop": "x",
    "cancel": "x",
    "roll_back": "back",
    "retry": "retry",
}
OVER = (RolloutState.STOPPED, RolloutState.COMPLETED)


def verbs_of_rollout(rollout: Rollout, tally: Tally, *, actor: User, at: datetime) -> list[Verb]:
    """The verbs of the rollout where it stands, with their reach; refused ones with every reason."""
    reach = {
        "stop": _("%(live)d at work or out of sight, %(pending)d waiting")
        % {"live": tally.live, "pending": tally.pending},
        "resume": _("%(pending)d waiting") % {"pending": tally.pending},
        "cancel": _("%(pending)d waiting") % {"pending": tally.pending},
    }
    found = [
        Verb(
            name=one.name,
            label=str(one.label),
            url=reverse(f"releases:rollout-{one.name}", args=[rollout.pk]),
            allowed=not one.blockers,
            blockers=tuple(one.blockers),
            dangerous=one.dangerous,
            reach=reach.get(one.name, ""),
            method="get",
            icon=ICONS.get(one.name, ""),
            primary=one.name == "resume",
        )
        for one in workflow.available(rollout, actor=actor, at=at)
    ]
    if not rollout.is_way_back and (rollout.started_at is not None):
        found.append(back_verb(rollout, tally, actor))
    return found


def back_verb(rollout: Rollout, tally: Tally, actor: User) -> Verb:
    """Taking back what the rollout did, with the hosts that it would reach."""
    touched = tally.number(*TOUCHED)
    blockers = failing([capability("rollout.roll_back")], rollout, actor)
    if other := another_than(forward_of(rollout.release_id), rollout.pk):
        blockers += other
    elif not touched:
        blockers.append(Blocker("rollback.nothing", _("No host was changed.")))
    if tally.at_work:
        live = english_n(
            "%(n)d host is at work: stop first and wait.",
            "%(n)d hosts are at work: stop first and wait.",
            tally.at_work,
        )
        blockers.append(Blocker("rollback.live_jobs", live, tone="wait"))
    if tally.out_of_sight:
        unseen = english_n(
            "%(n)d host is out of sight: look at it, or stop and wait until it is known.",
            "%(n)d hosts are out of sight: look at them, or stop and wait until it is known.",
            tally.out_of_sight,
        )
        blockers.append(Blocker("rollback.live_jobs", unseen, tone="wait"))
    if rollout.release.state not in ("deploying", "deployed"):
        stands = english("The release is %(state)s.", state=label_of(rollout.release))
        blockers.append(Blocker("rollback.state", stands))
    return Verb(
        name="roll_back",
        label=_("Roll back"),
        url=reverse("releases:rollout-roll-back", args=[rollout.pk]),
        allowed=not blockers,
        blockers=tuple(blockers),
        dangerous=True,
        reach=ngettext("%(n)d changed host", "%(n)d changed hosts", touched) % {"n": touched},
        method="get",
        icon="back",
    )


def against_roll_back(release: Release, actor: User, at: datetime) -> list[Blocker]:
    """What stands against the way back of a release: its own gates, and those of the rollout that would be taken back."""
    found = workflow.why_not(release, "roll_back", actor=actor, at=at)
    rollout = forward_of(release.pk)
    if rollout is None:
        more = [Blocker("rollback.nothing", english("Nothing was rolled out."))]
    else:
        more = list(back_verb(rollout, summed(tallies(rollout, actor)), actor).blockers)
    return found + [one for one in more if one.code not in {known.code for known in found}]


def verbs_of_ring(ring: Ring, tally: Tally, *, actor: User, at: datetime) -> list[Verb]:
    """Retry, accept, leave out; only where the ring's state has them."""
    failed = tally.number(JobState.FAILED, JobState.UNDONE)
    labels = {
        "retry": ngettext("Retry %(n)d failed host", "Retry %(n)d failed hosts", failed) % {"n": failed},
        "skip": _("Leave this ring out"),
    }
    if ring.rollout.state not in (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.HALTED):
        return []
    found = [
        Verb(
            name=one.name,
            label=labels[one.name],
            url=reverse(f"releases:ring-{one.name.replace('_', '-')}", args=[ring.pk]),
            allowed=not one.blockers,
            blockers=tuple(one.blockers),
            dangerous=one.dangerous,
            method="get",
            icon=ICONS.get(one.name, ""),
        )
        for one in workflow.available(ring, actor=actor, at=at)
        if one.name in labels
    ]
    if ring.state == RingState.FAILED:
        found.append(_accept_verb(ring, actor))
    if ring.state == RingState.RUNNING and failed:
        blockers = failing([capability("rollout.retry")], ring, actor)
        found.append(
            Verb(
                "retry",
                labels["retry"],
                reverse("releases:ring-retry", args=[ring.pk]),
                not blockers,
                tuple(blockers),
                True,
                method="get",
                icon="retry",
            )
        )
    return found


def _accept_verb(ring: Ring, actor: User) -> Verb:
    """To the page where it is proposed, and where others decide."""
    round_ = signoffs.open_round_of(ring)
    either_right = [capability("rollout.retry"), capability("rollout.accept_partial")]
    refused = [failing([one], ring, actor) for one in either_right]
    blockers = refused[1] if all(refused) and round_ is None else []
    return Verb(
        "accept_partial",
        _("Decide whether it is accepted") if round_ else _("Accept as it is"),
        reverse("releases:ring-accept-partial", args=[ring.pk]),
        not blockers,
        tuple(blockers),
        method="get",
        icon="check",
    )


def verbs_of_job(job: Job, *, actor: User) -> list[Verb]:
    """Leave one host out, or look at it again."""
    found = []
    if job.state == JobState.PENDING or job.state in LIVE:
        blockers = failing([capability("job.cancel")], job, actor)
        found.append(
            Verb(
                "cancel",
                _("Leave this host out"),
                reverse("releases:job-cancel", args=[job.pk]),
                not blockers,
                tuple(blockers),
                method="get",
                icon="x",
            )
        )
    if job.state in (JobState.UNKNOWN, JobState.LOST):
        blockers = failing([capability("job.observe")], job, actor)
        found.append(
            Verb(
                "look",
                _("Look again"),
                reverse("releases:job-look", args=[job.pk]),
                not blockers,
                tuple(blockers),
                icon="retry",
            )
        )
    return found
