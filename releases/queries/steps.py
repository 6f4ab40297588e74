"""Questions about steps on hosts: what a manifest says of them, and whether it still may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cmdb.models import GroupMember
from patchflow.kernel.blockers import Blocker, english, label_of
from releases.enums_steps import StepState
from releases.executors.base import Step
from releases.models import HostStep, InstallProfile, Release

ON_HOST = (
    "name", "revision", "moment", "kind", "target", "body", "secret_file", "amount", "expect", "limit", "on_failure", "runs",
)  # fmt: skip
"""What of a step a host is told."""


def steps_of(profile: InstallProfile | None) -> list[HostStep]:
    """The steps that a profile names, in its order."""
    named = [(one["name"], one["revision"]) for one in profile.steps] if profile else []
    rows = {(r.name, r.revision): r for r in HostStep.objects.filter(name__in=[name for name, _revision in named])}
    return [rows[place] for place in named if place in rows]


def label(step: Mapping[str, Any]) -> str:
    """How a host of a manifest refers to a step of it."""
    return f"{step['name']} | {step['revision']}"


def written_down(
    profile: InstallProfile | None, host_ids: Iterable[int]
) -> tuple[list[dict[str, Any]], dict[int, list[str]]]:
    """(the steps for a manifest with their whole content and its digest, in their order; host → labels of its own)."""
    steps = steps_of(profile)
    contents = [{**step.content(), "digest": step.digest} for step in steps]
    groups = {step.group_id for step in steps if step.group_id}
    members = (
        set(GroupMember.objects.filter(group_id__in=groups).values_list("group_id", "host_id")) if groups else set()
    )
    return contents, {
        host_id: [label(c) for c in contents if c["group"] is None or (c["group"], host_id) in members]
        for host_id in host_ids
    }


def steps_for(document: Mapping[str, Any], entry: Mapping[str, Any], *, back: bool) -> tuple[Step, ...]:
    """The steps of one host of a manifest, in their order; of a way back those that are meant for it."""
    mine = entry.get("steps", [])
    return tuple(
        Step(**{key: step[key] for key in ON_HOST})
        for step in document.get("steps", [])
        if label(step) in mine and (step["way_back"] or not back)
    )


def minutes_of(document: Mapping[str, Any]) -> int:
    """Minutes that the steps of a manifest may take on a host."""
    return -(-sum(int(step["limit"]) for step in document.get("steps", [])) // 60)


def find_unapproved(document: Mapping[str, Any]) -> list[Blocker]:
    """Steps of a manifest that are not, or no longer, what another person has approved."""
    named = document.get("steps", [])
    if not named:
        return []
    rows = {(r.name, r.revision): r for r in HostStep.objects.filter(name__in={step["name"] for step in named})}
    found = []
    for step in named:
        row = rows.get((step["name"], step["revision"]))
        shown, where = f"Step {step['name']} (revision {step['revision']})", row.get_absolute_url() if row else ""
        if row is None or row.digest != step["digest"] or not row.intact:
            found.append(
                Blocker("step.digest", english("%(shown)s is not what the catalogue says.", shown=shown), where)
            )
        elif row.state != StepState.APPROVED:
            found.append(
                Blocker(
                    "step.not_approved",
                    english("%(shown)s is %(state)s: plan without it.", shown=shown, state=label_of(row)),
                    where,
                )
            )
    return found


# --- where a step is used ---------------------------------------------------------------------------------------------
def profiles_with(step: HostStep) -> list[InstallProfile]:
    """The profiles that name this revision. (JSON is searched here, not in the database: both vendors are served.)"""
    rows = InstallProfile.objects.exclude(steps=[]).order_by("name", "revision")
    return [row for row in rows if {"name": step.name, "revision": step.revision} in row.steps]


def sealed_with(step: HostStep) -> list[str]:
    """Numbers of the releases under way whose newest manifest carries it."""
    named = {profile.pk for profile in profiles_with(step)}
    rows = Release.objects.open().filter(profile__in=named, manifests__isnull=False).distinct()
    return sorted(rows.values_list("number", flat=True))
