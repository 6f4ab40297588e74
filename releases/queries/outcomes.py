"""What became of each host of a release, as its RFCs are told it."""

from __future__ import annotations

from changes.enums import TargetOutcome
from releases.enums_rollout import JobState
from releases.models import Job, Release
from releases.queries.manifests import current


def outcomes_of(release: Release) -> dict[int, str]:
    """Host → done, not_needed or owed, by its newest job. What was taken back, failed, was left out or never begun is owed.

    A host that is planned but not in the manifest had everything already when that was sealed.
    """
    manifest = current(release.pk)
    inside = {h["host"] for h in manifest.document["hosts"]} if manifest else set()
    planned = set(release.planned_hosts.values_list("host_id", flat=True))
    found: dict[int, str] = dict.fromkeys(planned - inside, TargetOutcome.NOT_NEEDED) if manifest else {}
    found |= dict.fromkeys(inside, TargetOutcome.OWED)
    rows = (
        Job.objects.filter(rollout__release=release).order_by("id").values_list("host_id", "state", "rollout__reverses")
    )
    for host_id, state, reverses in rows:
        if reverses is None:
            found[host_id] = _forward(state)
        elif state != JobState.CANCELLED:
            found[host_id] = TargetOutcome.OWED
    return found


def _forward(state: str) -> str:
    match state:
        case JobState.SUCCEEDED:
            return TargetOutcome.DONE
        case JobState.NOT_NEEDED:
            return TargetOutcome.NOT_NEEDED
    return TargetOutcome.OWED
