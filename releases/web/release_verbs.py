"""The verbs of a release as its page offers them: transitions from the machine, and the steps of planning beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.queries.holds import hold_blocker, open_hold_of
from patchflow.kernel import trial, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.verbs import Verb
from releases.domain import acceptance, owed, plans, standing
from releases.enums import ReleaseState
from releases.models import Release
from releases.models.release import CLOSED
from releases.queries.releases import newest_runs
from releases.web.rollout_offers import against_roll_back

ICONS = {
    "build": "package",
    "seal": "lock",
    "deploy": "rollout",
    "revise": "pen",
    "void": "ban",
    "cancel": "x",
    "stop": "ban",
    "roll_back": "back",
    "accept": "check",
    "test": "test",
    "hold": "pause",
    "resume": "run",
}
PRIMARY = {
    ReleaseState.PLANNING: "build",
    ReleaseState.TESTING: "test",
    ReleaseState.SCHEDULING: "seal",
    ReleaseState.READY: "deploy",
    ReleaseState.DEPLOYED: "accept",
    ReleaseState.ROLLED_BACK: "accept",
}
AT_A_CLICK = {"build", "seal", "test", "accept", "propose_next"}
AFTER = (ReleaseState.DEPLOYING, ReleaseState.DEPLOYED, ReleaseState.ROLLED_BACK, ReleaseState.COMPLETED)
STANDING = {"hold": standing.why_not_place, "resume": standing.why_not_resume}
"""Verbs that are no transition: they let it stand where it is, or go on."""
LABELS = {
    "hold": gettext_lazy("Put on hold"),
    "resume": gettext_lazy("Resume"),
    "build": gettext_lazy("Build"),
    "seal": gettext_lazy("Seal the manifest"),
    "accept": gettext_lazy("Complete"),
    "deploy": gettext_lazy("Start the deployment"),
    "cancel": gettext_lazy("Cancel the release"),
    "stop": gettext_lazy("End the deployment"),
}


def verbs_of_release(release: Release, *, actor: User, at: datetime) -> list[Verb]:
    """What can be done to the release where it stands; refused verbs with every reason."""
    hosts = release.planned_hosts.count()
    reach = {"deploy": ngettext("on %(n)d host", "on %(n)d hosts", hosts) % {"n": hosts}}
    found = [
        _verb(
            release,
            one.name,
            str(LABELS.get(one.name, one.label)),
            against_roll_back(release, actor, at) if one.name == "roll_back" else one.blockers,
            # to deploy takes the release on, and its page shows the reach all the same; to void takes signatures away
            (one.dangerous and one.name != "deploy") or one.name == "void",
            reach.get(one.name, ""),
        )
        for one in workflow.available(release, actor=actor, at=at)
    ]
    if release.state == ReleaseState.TESTING:
        found.insert(0, _verb(release, "test", _("Run the tests"), against_tests(release, actor)))
    if (count := len(owed.owed_hosts(release.pk))) and release.state in AFTER:
        found.append(
            _verb(
                release, "propose_next", _("Propose the next change"), against_next(release, actor),
                reach=ngettext("for %(n)d missed host", "for %(n)d missed hosts", count) % {"n": count},
            )
        )  # fmt: skip
    name = "resume" if open_hold_of(release) else "hold"
    if release.state not in CLOSED:
        found.append(_verb(release, name, str(LABELS[name]), STANDING[name](release, actor)))
    return sorted(found, key=lambda verb: not verb.primary)


def against_next(release: Release, actor: User) -> list[Blocker]:
    """Why this person cannot propose the next change now."""
    found = failing([capability("rfc.raise")], None, actor) if not actor.holds_somewhere("rfc.raise") else []
    last = release.next_rfc
    if last is not None and last.state not in owed.OVER:
        said = _("%(rfc)s takes up what is owed already.") % {"rfc": last.number}
        found.append(Blocker("conflict.next_rfc", said, last.get_absolute_url()))
    elif not owed.owed_hosts(release.pk):
        found.append(Blocker("release.nothing_owed", english("No host is owed anything.")))
    return found


def against_tests(release: Release, actor: User) -> list[Blocker]:
    """Why this person cannot run the tests now."""
    found = failing([capability("acceptance.run")], release, actor)
    if release.state != ReleaseState.TESTING:
        state = english("It is %(state)s: acceptance runs on a build.", state=label_of(release))
        return found or [Blocker("conflict.state", state)]
    found += [*trial.mismatch(release.trial, str(release)), *hold_blocker(release)]
    found += [
        Blocker("acceptance.uncovered", english("No test is planned for %(update)s.", update=u), tone="wait")
        for u in acceptance.uncovered(release)
    ]
    live = [run for run in newest_runs(release).values() if run.state in ("planned", "running")]
    if live:
        sentence = ngettext("One test is at work.", "%(n)d tests are at work.", len(live)) % {"n": len(live)}
        found.append(Blocker("acceptance.live", sentence, tone="wait"))
    return found


def _verb(
    release: Release, name: str, label: str, blockers: Sequence[Blocker], dangerous: bool = False, reach: str = ""
) -> Verb:
    address = f"release-{name.replace('_', '-')}"
    return Verb(
        name=name,
        label=label,
        url=reverse(f"releases:{address}", args=[release.pk]),
        allowed=not blockers,
        blockers=tuple(blockers),
        dangerous=dangerous,
        reach=reach,
        method="post" if name in AT_A_CLICK else "get",
        icon=ICONS.get(name, ""),
        primary=name == PRIMARY.get(ReleaseState(release.state)),
    )


def may_plan(release: Release, actor: User) -> bool:
    """Whether the steps of the builder lead anywhere for this person now."""
    return not plans.why_not_plan(release, actor)
