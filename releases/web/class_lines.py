"""Classes of machine in words: what a planned ring will try for the next ones, and what a ring has tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from releases.diversity import Trial, counted, named, short_of, trial_of
from releases.enums_rollout import RingState
from releases.models import Ring, Rollout
from releases.queries.classes import tried_so_far
from releases.queries.rollouts import signed

NOT_BEGUN = (RingState.PENDING, RingState.NOTIFIED, RingState.SKIPPED)


def planned_lines(trial: Trial | None) -> list[str]:
    """What is asked of a planned ring, and of which classes nothing can be asked, with what to do."""
    if trial is None:
        return []
    lines = []
    if trial.asked:
        lines.append(
            ngettext(
                "Before the next ring starts, %(n)d class of machine that later rings have in production must be tried (%(least)s).",
                "Before the next ring starts, %(n)d classes of machine that later rings have in production must be tried (%(least)s).",
                len(trial.asked),
            )
            % {"n": len(trial.asked), "least": _least(trial.least)}
        )
    if trial.untried:
        lines.append(
            ngettext(
                "%(n)d class cannot be tried, for want of hosts so far: %(names)s. Move a host of it into this ring or an earlier one.",
                "%(n)d classes cannot be tried, for want of hosts so far: %(names)s. Move a host of each into this ring or an earlier one.",
                len(trial.untried),
            )
            % {"n": len(trial.untried), "names": named(counted(trial))}
        )
    if trial.unknown:
        lines.append(
            ngettext(
                "The class of %(n)d later production host is not known: nothing is tried for it. Scan it or say what it is.",
                "The class of %(n)d later production hosts is not known: nothing is tried for them. Scan them or say what they are.",
                trial.unknown,
            )
            % {"n": trial.unknown}
        )
    return lines


def _least(least: int) -> str:
    return ngettext("%(n)d good host of each", "%(n)d good hosts of each", least) % {"n": least}


def ring_lines(rollout: Rollout, rings: Sequence[Ring]) -> dict[int, list[str]]:
    """Ring id → how many of the classes that it asks were tried so far, which were not, and what cannot be tried. Of all its
    hosts, whoever looks: it is what decides. Two queries, the manifest kept."""
    if rollout.is_way_back:
        return {}
    manifest = signed(rollout.manifest_id)
    trials = {entry["ring"]: trial_of(entry) for entry in manifest.document["rings"]}
    begun = [ring.pk for ring in rings if ring.classes_asked and ring.state not in NOT_BEGUN]
    classes = tried_so_far(rings, manifest.hosts, of=begun)
    return {ring.pk: [*_tried(ring, classes.get(ring.pk, {})), *_unasked(trials.get(ring.position))] for ring in rings}


def _tried(ring: Ring, classes: Mapping[str, int]) -> list[str]:
    if not classes:
        return []
    untried = short_of(classes, ring.class_hosts)
    said = ngettext(
        "%(tried)d of %(n)d class of machine asked for the next rings is tried (%(least)s)",
        "%(tried)d of %(n)d classes of machine asked for the next rings are tried (%(least)s)",
        len(classes),
    ) % {"tried": len(classes) - len(untried), "n": len(classes), "least": _least(ring.class_hosts)}
    return [said, _("not yet tried: %(names)s") % {"names": named(untried)}] if untried else [said]


def _unasked(trial: Trial | None) -> list[str]:
    lines = []
    if trial and trial.untried:
        lines.append(
            ngettext(
                "%(n)d class of machine of the next rings cannot be tried before: %(names)s",
                "%(n)d classes of machine of the next rings cannot be tried before: %(names)s",
                len(trial.untried),
            )
            % {"n": len(trial.untried), "names": named(counted(trial))}
        )
    if trial and trial.unknown:
        lines.append(
            ngettext(
                "of %(n)d production host that follows the class of machine is not known",
                "of %(n)d production hosts that follow the class of machine is not known",
                trial.unknown,
            )
            % {"n": trial.unknown}
        )
    return lines
