"""The steps of the builder as a page shows them: how each stands, what is chosen, where it is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.models import SoftwareUpdate
from patchflow.kernel.sentences import say
from patchflow.web import words
from releases.domain.checklist import Item
from releases.domain.profiles import staging_rule
from releases.enums import ArtifactUse
from releases.models import Build, Release
from releases.queries.releases import Proof
from releases.web.release_parts import at_once, files, hosts, look_of_item, packages


@dataclass(frozen=True)
class Step:
    """One step of the builder: how it stands, what is chosen, where it is changed."""

    number: int
    title: str
    css: str
    word: str
    lines: list[str]
    url: str = ""
    button: str = ""


def steps_of(
    release: Release,
    *,
    updates: Sequence[SoftwareUpdate],
    build: Build | None,
    proof: Proof,
    items: dict[str, Item],
    plan: bool,
    now: datetime,
) -> list[Step]:
    """The builder in order: updates, targets and rings, windows, profile, way back, tests, build, readiness."""

    def at(name: str) -> str:
        return reverse(f"releases:release-{name}", args=[release.pk]) if plan else ""

    rings = list(release.planned_rings.prefetch_related("hosts"))
    unplaced = release.planned_hosts.filter(ring__isnull=True).count()
    windows = list(release.planned_windows.order_by("name"))
    made = [
        _updates_step(release, updates),
        Step(
            0,
            _("Targets and rings"),
            *_look(bool(rings) and not unplaced, bool(rings)),
            lines=[
                *(_ring_line(r, len(r.hosts.all())) for r in rings),
                *([_("%(hosts)s in no ring") % {"hosts": hosts(unplaced)}] if unplaced else []),
            ],
            url=at("rings"),
            button=_("Plan rings"),
        ),
        Step(
            0,
            _("Windows and dates"),
            *_look(bool(windows)),
            lines=_window_lines(release, windows, now),
            url=at("windows"),
            button=_("Choose windows"),
        ),
        Step(
            0,
            _("Install profile"),
            *_look(release.profile_id is not None),
            lines=_profile_lines(release),
            url=at("profile"),
            button=_("Choose profile"),
        ),
        Step(
            0,
            _("Way back"),
            *look_of_item(items.get("Way back")),
            lines=[str(release.get_way_back_display())],
            url=at("way-back"),
            button=_("Choose way back"),
        ),
        Step(
            0, _("Sources and build"), *_build_look(build), lines=_build_lines(build, items.get("Files verified"), now)
        ),
        Step(
            0,
            _("Acceptance"),
            *_proof_look(proof),
            lines=_proof_lines(proof),
            url=reverse("releases:release-tests", args=[release.pk]),
            button=_("Tests"),
        ),
    ]
    return [Step(n, s.title, s.css, s.word, s.lines, s.url, s.button) for n, s in enumerate(made, start=1)]


def _look(done: bool, begun: bool = False) -> tuple[str, str]:
    if done:
        return "st-good", _("planned")
    return ("st-warn", _("incomplete")) if begun else ("st-open", _("to do"))


def _updates_step(release: Release, updates: Sequence[SoftwareUpdate]) -> Step:
    lines = [f"{u.name} {u.fixed_version} ({u.distribution} {u.release})" for u in updates[:6]]
    if len(updates) > 6:
        lines.append(_("and %(n)d more") % {"n": len(updates) - 6})
    return Step(0, _("Updates"), *(("st-good", _("authorized")) if updates else ("st-bad", _("none"))), lines=lines)


def _ring_line(ring: Any, count: int) -> str:
    soak = _("not watched")
    if ring.soak_seconds:
        soak = _("watched %(span)s") % {"span": words.duration(timedelta(seconds=ring.soak_seconds))}
    limit = ring.halts_at(count)
    halts = ngettext("halts at %(n)d failure", "halts at %(n)d failures", limit) % {"n": limit}
    told = [hosts(count), at_once(ring.at_once(count), count), soak, halts]
    return f"{ring.name}: {', '.join(filter(None, told))}"


def _window_lines(release: Release, windows: Sequence[Any], now: datetime) -> list[str]:
    lines = [w.name for w in windows]
    if release.earliest_at:
        lines.append(_("not before %(when)s") % {"when": words.at(release.earliest_at, now=now)})
    if release.latest_at:
        lines.append(_("starts only before %(when)s") % {"when": words.at(release.latest_at, now=now)})
    return lines


def _profile_lines(release: Release) -> list[str]:
    profile = release.profile
    if profile is None:
        return []
    return [
        str(profile),
        _("restart %(mode)s, at most %(each)d min per update, %(total)d min in all")
        % {
            "mode": profile.get_restart_display(),
            "each": profile.max_minutes_each,
            "total": profile.max_minutes_total,
        },
        *([staging_rule({"stage_hours": profile.stage_hours})] if profile.stage_hours else []),
    ]


def _build_look(build: Build | None) -> tuple[str, str]:
    if build is None:
        return "st-open", _("to do")
    return {"built": ("st-good", _("built")), "failed": ("st-bad", _("failed"))}.get(
        build.state, ("st-run", _("pending"))
    )


def _build_lines(build: Build | None, verified: Item | None, now: datetime) -> list[str]:
    if build is None:
        return []
    lines = [_("Build %(n)d, asked for %(when)s") % {"n": build.number, "when": words.at(build.requested_at, now=now)}]
    if build.reason:
        return [*lines, say(build.reason, mixed=True)]
    classes = list(build.classes.all())
    for one in classes:
        along = sum(1 for p in one.packages if p["dependency"])
        lines.append(
            _("%(label)s: %(packages)s, %(d)d of them dependencies, resolved on %(host)s")
            % {
                "label": one.label,
                "packages": packages(len(one.packages)),
                "d": along,
                "host": one.representative,
            }
        )
    if classes:
        lines.append(_files_line(build) if verified and verified.holds else _("files are not all verified"))
    return lines


def _files_line(build: Build) -> str:
    """What is verified: the files that are installed, and those of the way back."""
    back = build.artifacts.filter(use=ArtifactUse.BACK).count()
    forward = files(build.artifacts.count() - back)
    if not back:
        return _("%(files)s, each verified") % {"files": forward}
    return _("%(files)s to install and %(back)s for the way back, each verified") % {
        "files": forward, "back": files(back),
    }  # fmt: skip


def _proof_look(proof: Proof) -> tuple[str, str]:
    if proof.complete:
        return "st-good", _("passed")
    if proof.failed:
        return "st-bad", _("failed")
    return ("st-wait", _("waits")) if proof.asked else ("st-open", _("to do"))


def _proof_lines(proof: Proof) -> list[str]:
    if not proof.asked:
        return []
    tests = ngettext("%(passed)d of %(asked)d test passed", "%(passed)d of %(asked)d tests passed", proof.asked)
    return [
        _("%(tests)s on this build") % {"tests": tests % {"passed": proof.passed, "asked": proof.asked}},
        _("the way back was tested in %(back)d of them") % {"back": proof.back},
    ]
