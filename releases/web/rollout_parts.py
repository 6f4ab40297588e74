"""A rollout as its page shows it: lanes of cells, what each waits for, the slip and the log of one target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Case, When
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.web import parts, states, words
from releases import confidence
from releases.enums_rollout import BAD, GOOD, LIVE, REPORTED, JobState, RingState, RolloutState
from releases.enums_tasks import TaskState
from releases.models import HandTask, Job, PermissionSlip, Ring, Rollout
from releases.planning import RingView
from releases.web.class_lines import ring_lines
from releases.web.release_parts import at_once

DRAWN = 240
"""Cells drawn for each ring, by name, so that each keeps its place; of a larger ring those in trouble before those at work
before the others, which are in the list of the hosts."""
GATES = {
    "kill_switch": gettext_lazy("Kill switch off"),
    "trial": gettext_lazy("No trial, or the simulator acts"),
    "release": gettext_lazy("Release deploying"),
    "digests": gettext_lazy("Signed and unchanged"),
    "changes": gettext_lazy("Changes authorized, nothing on hold"),
    "freeze": gettext_lazy("No freeze"),
    "windows": gettext_lazy("Windows as signed"),
    "starter": gettext_lazy("Starter still has the right"),
    "ring": gettext_lazy("Ring open, under its limit"),
    "machine": gettext_lazy("In the manifest, the same machine"),
    "service_state": gettext_lazy("In service, not exempt"),
    "start": gettext_lazy("Between earliest and latest start"),
    "window": gettext_lazy("Window open for long enough"),
    "redundancy": gettext_lazy("Services keep a host"),
    "audit": gettext_lazy("Packages read lately"),
    "alone": gettext_lazy("No other job there"),
    "files": gettext_lazy("Files verified"),
    "restart": gettext_lazy("Restart rule"),
    "reach": gettext_lazy("Reachable"),
    "downloads": gettext_lazy("A way for its downloads"),
    "turn": gettext_lazy("Its job waits for its turn"),
    "ahead": gettext_lazy("Some hours before its window"),
}


@dataclass(frozen=True)
class Tally:
    """How many hosts stand where, of the rollout or of one ring. `by_hand`: of the live ones those that wait for a person who
    has not begun; 0 where nobody asked."""

    counts: dict[str, int]
    by_hand: int = 0

    def number(self, *which: str) -> int:
        return sum(self.counts.get(state, 0) for state in which)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def good(self) -> int:
        return self.number(*GOOD)

    @property
    def bad(self) -> int:
        return self.number(*BAD)

    @property
    def live(self) -> int:
        return self.number(*LIVE)

    @property
    def out_of_sight(self) -> int:
        """Of the live ones those of which nobody knows whether they are at work (law 3)."""
        return self.number(JobState.UNKNOWN)

    @property
    def at_work(self) -> int:
        return self.live - self.out_of_sight - self.by_hand

    @property
    def pending(self) -> int:
        return self.number(JobState.PENDING)

    @property
    def ended(self) -> int:
        return self.total - self.live - self.pending

    @property
    def ended_badly(self) -> int:
        """Of those that have ended; a host out of sight has not."""
        return self.bad - self.out_of_sight


@dataclass(frozen=True)
class LaneView:
    """A lane, and the verbs of its ring."""

    lane: parts.Lane
    ring: Ring
    tally: Tally
    more: int
    more_url: str


def tallies(rollout: Rollout, actor: User) -> dict[int, Tally]:
    """Ring id → how its hosts stand, of those in the person's scope. One query."""
    from django.db.models import Count

    found: dict[int, dict[str, int]] = defaultdict(dict)
    rows = Job.objects.filter(rollout=rollout).visible_to(actor).order_by().values_list("ring_id", "state")
    for ring_id, state, number in rows.annotate(n=Count("pk")):
        found[ring_id][state] = number
    return {ring_id: Tally(counts) for ring_id, counts in found.items()}


def summed(found: dict[int, Tally]) -> Tally:
    total: dict[str, int] = defaultdict(int)
    for tally in found.values():
        for state, number in tally.counts.items():
            total[state] += number
    return Tally(dict(total))


def not_begun(rollout: Rollout, actor: User) -> int:
    """The hosts for which a person has a task and has not begun it, of those that the reader may see."""
    live = Job.objects.filter(rollout=rollout, state__in=LIVE).exclude(state=JobState.UNKNOWN).visible_to(actor)
    return HandTask.objects.filter(state=TaskState.WAITING, job__in=live).count()


def legend(tally: Tally, *, chosen: str) -> list[parts.Count]:
    """The filters that are the legend: every state that a host is in."""
    return [
        parts.Count(
            str(look.label),
            tally.counts[state],
            look.css,
            "?" if chosen == state else f"?state={state}",
            look.shape,
            chosen == state,
        )
        for state, look in states.table("releases.job").items()
        if state in tally.counts
    ]


def lanes(
    rollout: Rollout, found: dict[int, Tally], *, actor: User, at: datetime, chosen: str, target: int | None
) -> list[LaneView]:
    """A lane for each ring, with at most `DRAWN` cells; two queries for each ring."""
    views, whole = [], actor.scopes_for("rollout.view") is None
    rings = list(rollout.rings.order_by("position"))
    classes = ring_lines(rollout, rings)
    for ring in rings:
        tally = found.get(ring.pk, Tally({}))
        rows = Job.objects.filter(ring=ring).visible_to(actor)
        if chosen:
            rows = rows.filter(state=chosen)
        first = Case(When(state__in=BAD, then=0), When(state__in=LIVE, then=1), default=2)
        jobs = list(rows.order_by(first, "host__name").values_list("pk", "host__name", "state")[: DRAWN + 1])
        cells = []
        for pk, name, state in sorted(jobs[:DRAWN], key=lambda one: one[1]):
            look = states.look("releases.job", state)
            address = "?" + urlencode({**({"state": chosen} if chosen else {}), "target": pk}) + "#why"
            cells.append(parts.Cell(name, look.css, look.shape, str(look.label), address, pk == target))
        more = (tally.counts.get(chosen, 0) if chosen else tally.total) - len(cells)
        look = states.look_of(ring)
        lane = parts.Lane(
            _("Ring %(n)d · %(name)s") % {"n": ring.position, "name": ring.name},
            look.css,
            str(look.label),
            figures(ring, tally, at, classes.get(ring.pk, []), whole=whole),
            cells,
        )
        address = reverse("releases:rollout-hosts", args=[rollout.pk])
        asked = urlencode({"ring": ring.pk, **({"state": chosen} if chosen else {})})
        views.append(LaneView(lane, ring, tally, max(0, more), f"{address}?{asked}"))
    return views


def figures(ring: Ring, tally: Tally, at: datetime, classes: Sequence[str], *, whole: bool) -> list[str]:
    """What a ring has reached, and what decides about it. `whole`: the tally is of all its hosts."""
    lines = [
        ngettext("%(ended)d of %(total)d host has ended", "%(ended)d of %(total)d hosts have ended", tally.total)
        % {"ended": tally.ended, "total": tally.total}
    ]
    if tally.ended < tally.total:
        together = at_once(ring.concurrency, tally.total if whole else ring.concurrency + 1)
        lines += [_("its hosts are worked on: %(how)s") % {"how": together}] if together else []
    lines.append(
        _("%(bad)d failed or out of sight; the rollout halts at %(limit)d")
        % {"bad": tally.bad, "limit": ring.failure_limit}
    )
    lines += proof_lines(ring, tally, classes)
    if ring.state == RingState.SOAKING and ring.soak_until:
        left = max(0, int((ring.soak_until - at).total_seconds() // 60))
        lines.append(ngettext("watched for %(n)d minute more", "watched for %(n)d minutes more", left) % {"n": left})
    if ring.reason:
        lines.append(say(ring.reason, mixed=True))
    return lines


def proof_lines(ring: Ring, tally: Tally, classes: Sequence[str]) -> list[str]:
    """What the hosts that reported show, as an interval; what is asked of it; and which `classes` of machine were tried."""
    reported = tally.number(*REPORTED)
    return [*(_share_lines(ring, tally, reported) if reported else []), *classes]


def _share_lines(ring: Ring, tally: Tally, reported: int) -> list[str]:
    sure = ring.confidence_percent
    between = confidence.interval(tally.good, reported, confidence=sure)
    lines = [
        ngettext(
            "%(good)d of %(reported)d host that reported is good; needed are %(percent)d %%",
            "%(good)d of %(reported)d hosts that reported are good; needed are %(percent)d %%",
            reported,
        )
        % {"good": tally.good, "reported": reported, "percent": ring.success_percent},
        _(
            "The share of success is at least %(low)d %% with %(sure)d %% confidence and at most %(high)d %% with as much; "
            "that it lies between them with %(both)d %% (Wilson's bounds)."
        )
        % {"low": between.low, "high": between.high, "sure": sure, "both": max(0, 2 * sure - 100)},
    ]
    bound = ring.bound_percent
    if not bound:
        return lines
    if confidence.proves(tally.good, reported, bound, confidence=sure):
        return [*lines, _("at least %(bound)d %%, as asked") % {"bound": bound}]
    needed = confidence.hosts_needed(bound, confidence=sure, failed=reported - tally.good)
    return [
        *lines,
        ngettext(
            "at least %(bound)d %% are asked for: that takes %(n)d host that reported",
            "at least %(bound)d %% are asked for: that takes %(n)d hosts that reported",
            needed,
        )
        % {"bound": bound, "n": needed},
    ]


def next_step(
    rollout: Rollout, waits: str, tally: Tally, current: Ring | None, standing: RingView | None, unseen: Sequence[str]
) -> parts.Next:
    """One sentence: what happens next, and who must act. `waits`: what the whole waits for; `standing`: the ring that
    waits for hosts out of sight alone, of which the reader may see those named `unseen`."""
    name = current.name if current else ""
    match rollout.state:
        case RolloutState.PLANNED:
            return parts.Next(
                _("It starts when somebody starts the deployment of %(release)s.") % {"release": rollout.release.number}
            )
        case RolloutState.RUNNING if standing is not None:
            return _standing(standing, unseen)
        case RolloutState.RUNNING if waits:
            return parts.Next(waits, _("Hosts at work go on; nobody new is let through."))
        case RolloutState.RUNNING if current is not None and current.state == RingState.SOAKING:
            return parts.Next(_("Ring “%(ring)s” is watched; the next one follows by itself.") % {"ring": name})
        case RolloutState.RUNNING:
            return parts.Next(
                _running(tally, name),
                _(
                    "It halts by itself at its limit of failures. Pause: nothing is wrong. Halt: something is. Stop: it ends here."
                ),
            )
        case RolloutState.PAUSED:
            return parts.Next(_("Somebody must resume it."), rollout.reason)
        case RolloutState.HALTED:
            return parts.Next(_("Somebody must look, and decide: retry, accept, roll back or stop."), rollout.reason)
        case RolloutState.STOPPING:
            sentence = ngettext(
                "It is stopped as soon as %(n)d host at work or out of sight has ended.",
                "It is stopped as soon as %(n)d hosts at work or out of sight have ended.",
                tally.live,
            )
            return parts.Next(sentence % {"n": tally.live}, rollout.reason)
    return parts.Next(
        ngettext(
            "Nothing more happens here: %(good)d of %(total)d host is where it should be.",
            "Nothing more happens here: %(good)d of %(total)d hosts are where they should be.",
            tally.total,
        )
        % {"good": tally.good, "total": tally.total},
        rollout.reason,
    )


def _standing(ring: RingView, unseen: Sequence[str]) -> parts.Next:
    """Why nothing moves although it is running, and what to do about it: without figures, which are of hosts out of the reader's
    sight too."""
    sentence = _("Stands still: ring “%(ring)s” waits until its hosts out of sight are known.") % {"ring": ring.name}
    limit = words.duration(settings.PATCHFLOW["LOOK_AFTER_UNKNOWN"])
    more = [_("Look again at %(hosts)s.") % {"hosts": ", ".join(unseen)}] if unseen else []
    more.append(
        _("Whoever does not answer is looked at by itself, and given up as lost after %(limit)s.") % {"limit": limit}
    )
    if ring.falls_short:
        more.append(_("Even if all of them are good, too few of its hosts are: retry what failed, or the ring fails."))
    return parts.Next(sentence, " ".join(more))


def _running(tally: Tally, ring: str) -> str:
    """How many hosts are at work, out of sight (said apart: nobody knows whether they are at work), and waiting."""
    said = [
        ngettext(
            "%(n)d host is at work in ring “%(ring)s”", "%(n)d hosts are at work in ring “%(ring)s”", tally.at_work
        )
        % {"n": tally.at_work, "ring": ring}
    ]
    if tally.out_of_sight:
        unseen = ngettext("%(n)d is out of sight", "%(n)d are out of sight", tally.out_of_sight)
        said.append(unseen % {"n": tally.out_of_sight})
    if tally.by_hand:
        said.append(
            ngettext("%(n)d waits for a person", "%(n)d wait for a person", tally.by_hand) % {"n": tally.by_hand}
        )
    said.append(ngettext("%(n)d waits", "%(n)d wait", tally.pending) % {"n": tally.pending})
    return ", ".join(said) + "."


# --- one target -------------------------------------------------------------------------------------------------------
def gates_of(slip: PermissionSlip) -> tuple[list[parts.Gate], int]:
    """The gates that were asked, and how many were not."""
    asked = [g for g in slip.gates if g["verdict"] != "not asked"]
    css = {"pass": "st-good", "defer": "st-wait", "refuse": "st-bad"}
    rows = [
        parts.Gate(css[g["verdict"]], str(GATES.get(g["gate"], g["gate"])), g["sentence"], g["verdict"] != "pass")
        for g in asked
    ]
    return rows, len(slip.gates) - len(asked)


def log_of(job: Job, *, limit: int = 200) -> list[parts.LogLine]:
    """The journal of the present attempt, as the host wrote it; what Patchflow wrote for it, in the reader's language."""
    rows = list(job.events.filter(attempt=job.attempt).order_by("-seq")[:limit])
    css: dict[str, Any] = {"succeeded": "ok", "not_needed": "ok", "failed": "er", "refused": "er"}
    return [
        parts.LogLine(words.clock(e.at), e.stage, say(e.message, mixed=True), css.get(e.stage, ""))
        for e in reversed(rows)
    ]


def changes_of(job: Job) -> list[tuple[str, str]]:
    """(package, from → to) of a target."""
    return [(f"{p['name']}:{p['arch']}", f"{p['from'] or '–'} → {p['to'] or '–'}") for p in job.packages]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The newest permission slip, its gates that were asked, how many were not, and the slips before it."""

    slip: PermissionSlip
    gates: list[parts.Gate]
    not_asked: int
    earlier: Sequence[PermissionSlip]


def verdicts(slips: Sequence[PermissionSlip]) -> Verdicts | None:
    """Slips, newest first, as they are shown; None where there is none."""
    return Verdicts(slips[0], *gates_of(slips[0]), slips[1:]) if slips else None


def slips_of(job: Job) -> Sequence[PermissionSlip]:
    """Every verdict about the target, newest first; not those about laying its files ready."""
    return list(job.slips.about_jobs().order_by("-pk")[:20])
