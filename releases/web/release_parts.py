"""What the pages of a release show, as parts of the toolkit: next step, the builder's steps, readiness, manifest, figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from changes.queries.holds import open_hold_of
from changes.web import rfc_next
from patchflow.kernel.sentences import say
from patchflow.kernel.signoffs import open_round_of
from patchflow.web import words
from patchflow.web.parts import Next, Statement
from releases.diversity import trial_of
from releases.domain.checklist import Item
from releases.enums import ReleaseState, RunState
from releases.enums_steps import Act, Effect, Moment
from releases.models import AcceptancePlan, AcceptanceRun, Manifest, PostImplementationReview, Release
from releases.web.class_lines import planned_lines
from releases.web.outlook import ahead

PHASE = {
    ReleaseState.DEPLOYING,
    ReleaseState.DEPLOYED,
    ReleaseState.ROLLING_BACK,
    ReleaseState.ROLLED_BACK,
    ReleaseState.COMPLETED,
}


def phase_of(release: Release) -> int:
    """In which phase of the cycle it stands: planned and signed in the third, deployed in the fourth."""
    return 4 if release.state in PHASE else 3


def hosts(n: int) -> str:
    return ngettext("%(n)d host", "%(n)d hosts", n) % {"n": n}


def packages(n: int) -> str:
    return ngettext("%(n)d package", "%(n)d packages", n) % {"n": n}


def files(n: int) -> str:
    return ngettext("%(n)d file", "%(n)d files", n) % {"n": n}


def at_once(limit: int, count: int) -> str:
    """How many of so many hosts are at work at once, where the limit may be more than there are."""
    if count <= 1:
        return ""
    return _("all at once") if limit >= count else _("at most %(n)d at once") % {"n": limit}


# --- what happens next ----------------------------------------------------------------------------------------------------
NEXT: dict[str, tuple[str, str]] = {
    ReleaseState.PLANNING: (gettext_noop("A release manager plans rings, windows and way back, then builds."), ""),
    ReleaseState.BUILDING: (
        gettext_noop("A dry run on real hosts works out exact versions and files."),
        gettext_noop("Whatever cannot be proven fails the build."),
    ),
    ReleaseState.TESTING: (
        gettext_noop("A tester runs the acceptance tests on this build."),
        gettext_noop("One failure sends it back to planning."),
    ),
    ReleaseState.SCHEDULING: (
        gettext_noop("A release manager seals the manifest."),
        gettext_noop("From then on an edit voids what was signed."),
    ),
    ReleaseState.READY: (
        gettext_noop("A release manager starts the deployment."),
        gettext_noop("Everything is asked again at that moment."),
    ),
    ReleaseState.DEPLOYING: (gettext_noop("Its rollout goes through the rings."), ""),
    ReleaseState.DEPLOYED: (
        gettext_noop(
            "Somebody who carried out nothing of it completes its review; then a release manager completes it."
        ),
        "",
    ),
    ReleaseState.ROLLING_BACK: (gettext_noop("The hosts go back to their previous versions."), ""),
    ReleaseState.ROLLED_BACK: (
        gettext_noop(
            "Somebody who carried out nothing of it completes its review; then a release manager completes it."
        ),
        "",
    ),
    ReleaseState.COMPLETED: (gettext_noop("Nothing more: it is completed and reviewed."), ""),
    ReleaseState.CANCELLED: (gettext_noop("Nothing more: it was cancelled."), ""),
}


YOURS: dict[str, str] = {
    ReleaseState.PLANNING: gettext_noop("Plan rings, windows and way back, then build."),
    ReleaseState.TESTING: gettext_noop("Run the acceptance tests on this build."),
    ReleaseState.SCHEDULING: gettext_noop("Seal the manifest."),
    ReleaseState.READY: gettext_noop("Start the deployment when you are ready."),
}
"""What happens next, for a reader who may do it now."""
REVIEWED = {ReleaseState.DEPLOYED, ReleaseState.ROLLED_BACK}
"""States that the review ends."""


def next_of(release: Release, *, now: datetime, yours: bool = False, whole: bool = True) -> Next:
    """Who must act, and by when; why it came back, if it did. `yours`: the reader may do it now. Of a release that is ready
    also when its first host could start at the earliest, and what stands against it, to who sees it `whole`."""
    if hold := open_hold_of(release):
        return rfc_next.next_of_hold(hold, now=now)
    if release.state == ReleaseState.AWAITING_READINESS:
        return _next_signature(release, now)
    sentence, detail = NEXT[ReleaseState(release.state)]
    if (
        release.state in REVIEWED
        and PostImplementationReview.objects.filter(release=release, state="completed").exists()
    ):
        return Next(_("Its review is completed: a release manager completes the release."))
    if yours:
        sentence = YOURS.get(ReleaseState(release.state), sentence)
    if release.reason:
        detail = _("Last time: %(why)s") % {"why": say(release.reason, mixed=True)}
    if release.state == ReleaseState.READY and whole:
        said = [_(detail) if not release.reason else detail, ahead(release, at=now)]
        return Next(_(sentence), " ".join(one for one in said if one))
    return Next(_(sentence), _(detail) if detail and not release.reason else detail)


def _next_signature(release: Release, now: datetime) -> Next:
    round_ = open_round_of(release)
    if round_ is None:
        return Next(_("A readiness review must be opened."))
    level = round_.levels.get(position=round_.position)
    people = ", ".join(str(v.user) for v in level.voters.select_related("user")[:6])
    by = _(" by %(when)s") % {"when": words.at(level.deadline_at, now=now)} if level.deadline_at else ""
    sentence = _("Level %(n)d, %(name)s, decides%(by)s: go or no-go.") % {
        "n": level.position,
        "name": level.name,
        "by": by,
    }
    return Next(sentence, _("Asked: %(people)s. Silence is never yes.") % {"people": people})


# --- tests ------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TestRow:
    """A planned test with its newest run on this build and its steps."""

    plan: AcceptancePlan
    run: AcceptanceRun | None
    steps: list[Statement]

    @property
    def live(self) -> bool:
        """Whether its run is not over."""
        return self.run is not None and self.run.state in (RunState.PLANNED, RunState.RUNNING)


def test_rows(
    release: Release, newest: dict[int, AcceptanceRun], looks: Callable[[str, Any], Any], now: datetime
) -> list[TestRow]:
    rows = []
    plans = release.acceptance_plans.filter(dropped_at__isnull=True).select_related("update", "host").order_by("pk")
    for plan in plans:
        run = newest.get(plan.pk)
        steps = [
            Statement(
                looks("releases.acceptancestep", s.outcome).css,
                f"{capfirst(str(s.get_kind_display()))}: {say(s.summary, mixed=True)}",
                words.at(s.at, now=now),
            )
            for s in (run.steps.all() if run else [])
        ]
        rows.append(TestRow(plan, run, steps))
    return rows


def look_of_item(item: Item | None) -> tuple[str, str]:
    if item is None:
        return "st-unk", _("not shown")
    if item.holds:
        return "st-good", _("holds")
    if not item.blockers:
        return "st-unk", _("not known yet")
    return ("st-wait", _("waits")) if all(b.tone == "wait" for b in item.blockers) else ("st-bad", _("does not hold"))


# --- the manifest -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RingRow:
    name: str
    hosts: int
    concurrency: int
    failure_limit: int
    success_percent: int
    soak: str
    classes: list[str]


def step_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a manifest in words."""
    return [
        {
            **step,
            "when": Moment(step["moment"]).label,
            "what": Act(step["kind"]).label,
            "effect": Effect(step["on_failure"]).label,
        }
        for step in document.get("steps", [])
    ]


def ring_rows(document: dict[str, Any]) -> list[RingRow]:
    count: dict[int, int] = {}
    for host in document["hosts"]:
        count[host["ring"]] = count.get(host["ring"], 0) + 1
    return [
        RingRow(
            r["name"],
            count.get(r["ring"], 0),
            r["concurrency"],
            r["failure_limit"],
            r["success_percent"],
            words.duration(timedelta(seconds=r["soak_seconds"])) if r["soak_seconds"] else _("not"),
            planned_lines(trial_of(r)),
        )
        for r in document["rings"]
    ]


def manifest_head(manifest: Manifest) -> str:
    """ "3 hosts, 2 packages, 4 files"."""
    document = manifest.document
    named = {(p["name"], p["to"]) for c in document["classes"] for p in c["packages"]}
    return ", ".join((hosts(len(document["hosts"])), packages(len(named)), files(len(document["artifacts"]))))


def readiness_rows(items: Iterable[Item]) -> list[dict[str, Any]]:
    """The checklist with a look for each line."""
    return [
        {"item": item, "name": _(item.name), "css": look_of_item(item)[0], "word": look_of_item(item)[1]}
        for item in items
    ]


# --- review -----------------------------------------------------------------------------------------------------------------
def review_statements(figures: dict[str, Any]) -> list[Statement]:
    """The figures that a reader asks first, each as a line."""
    hosts = figures["hosts"]
    found = [
        Statement(
            "st-good" if hosts["done"] == hosts["manifest"] else "st-warn",
            _("Hosts at the new versions"),
            _("%(d)d of %(m)d") % {"d": hosts["done"], "m": hosts["manifest"]},
        ),
        Statement(
            "st-bad" if figures["failures"] else "st-good", _("Failures"), str(sum(figures["failures"].values()))
        ),
        Statement("st-open", _("Restarts"), str(figures["restarts"])),
        Statement(
            "st-warn" if figures["owed"] else "st-good", _("Hosts still to be updated"), str(len(figures["owed"]))
        ),
    ]
    if back := hosts.get("taken_back"):
        found.insert(1, Statement("st-warn", _("Hosts taken back to what they had"), str(back)))
    if figures["seconds"] is not None:
        found.append(
            Statement("st-open", _("From start to end"), words.duration(timedelta(seconds=figures["seconds"])))
        )
    clocks = figures["clocks"]
    if clocks["met"] or clocks["missed"]:
        text = _("%(m)d of %(n)d") % {"m": clocks["met"], "n": clocks["met"] + clocks["missed"]}
        found.append(Statement("st-bad" if clocks["missed"] else "st-good", _("Changes started by their date"), text))
    return found


def moment(text: str | None) -> datetime | None:
    """A time of the figures."""
    return datetime.fromisoformat(text) if text else None


def simulated(release: Release) -> list[str]:
    """What its pages say beside its name where no host is touched for it."""
    if release.trial:
        return [_("trial: simulated, never counts as real")]
    return [release.simulated_word] if release.is_simulated else []
