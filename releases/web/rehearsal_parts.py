"""What pages show of a rehearsed plan: the result in sentences, its rings, its course over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from patchflow.kernel.sentences import say
from patchflow.web import words
from patchflow.web.geometry import Course, course
from releases.domain.plan_digests import digest_of_release
from releases.models import PlanRehearsal, Release
from releases.models.release import BEFORE_DEPLOY
from releases.queries.rehearsals import last_rehearsal
from releases.web.release_parts import hosts

CSS = {"full": "st-open", "partial": "st-warn", "failed": "st-bad", "halted": "st-bad", "stuck": "st-bad"}
"""What goes well on paper is no state of anything: it looks like nothing that was done."""


@dataclass(frozen=True)
class RingRow:
    """A ring of the result with its times as times."""

    name: str
    hosts: int
    state: str
    starts_at: datetime | None
    ends_at: datetime | None
    good: int
    bad: int
    refused: int
    nights: list[tuple[str, datetime, int]]


def moment(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None


def ring_rows(row: PlanRehearsal) -> list[RingRow]:
    return [
        RingRow(
            ring["name"], ring["hosts"], ring["state"], moment(ring["started_at"]), moment(ring["ended_at"]),
            ring["good"], ring["bad"], ring["refused"] + (ring["waiting"] if row.end == "stuck" else 0),
            [(n["window"], datetime.fromisoformat(n["opens"]), n["hosts"]) for n in ring["nights"]],
        )
        for ring in row.result["rings"]
    ]  # fmt: skip


def course_of(row: PlanRehearsal) -> Course | None:
    """The hosts done over time, with a line where each ring begins."""
    points = [(datetime.fromisoformat(at), good, bad) for at, good, bad, _refused in row.result["marks"]]
    rings = [(ring["name"], at) for ring in row.result["rings"] if (at := moment(ring["started_at"]))]
    return course(points, rings, row.result["hosts"])


def unfit_line(row: PlanRehearsal) -> str:
    """ "7 of 40 hosts will not fit"; empty: all do."""
    unfit, total = row.result["unfit_count"], row.result["hosts"]
    said = ngettext("%(n)d of %(total)d host will not fit", "%(n)d of %(total)d hosts will not fit", total)
    return said % {"n": unfit, "total": total} if unfit else ""


def ended(row: PlanRehearsal) -> str:
    """How it ended, for its badge: never to be read as something that was done."""
    return _("on paper: %(end)s") % {"end": row.get_end_display()}


def summary(row: PlanRehearsal, *, now: datetime) -> list[str]:
    """The result in sentences, for the readiness of a release and the head of the page."""
    lines = []
    if row.ends_at:
        done = {"when": words.at(row.ends_at, now=now), "span": words.duration(row.ends_at - row.starts_at)}
        lines.append(_("On paper: the last ring would end %(when)s, %(span)s after the start.") % done)
    elif row.end == "halted" and row.stopped_at:
        lines.append(
            _("On paper: it would halt %(when)s: %(why)s")
            % {"when": words.at(row.stopped_at, now=now), "why": say(row.cause)}
        )
    else:
        lines.append(_("On paper: %(why)s") % {"why": say(row.cause)})
    good = row.result["good"]
    done_said = {"good": good, "hosts": hosts(row.result["hosts"])}
    lines.append(_("%(good)d of %(hosts)s would be done; none was touched.") % done_said)
    if unfit := unfit_line(row):
        lines.append(f"{unfit}.")
    if row.result.get("unbuilt"):
        lines.append(_("It was rehearsed before a build: packages and files that only a build finds are not in it."))
    return lines


def is_stale(release: Release, row: PlanRehearsal, *, at: datetime) -> bool:
    """Whether the plan says something else by now. What has begun is not planned any more."""
    return release.state in BEFORE_DEPLOY and row.digest != digest_of_release(release, at=at)


def card_of(release: Release, *, at: datetime) -> dict[str, Any]:
    """What the page of a release says of its last rehearsal."""
    row = last_rehearsal(release)
    if row is None:
        return {"row": None}
    return {
        "row": row,
        "lines": summary(row, now=at),
        "stale": is_stale(release, row, at=at),
        "css": CSS[row.end],
        "ended": ended(row),
    }
