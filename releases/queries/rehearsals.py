"""Questions about rehearsed plans: what is rehearsed, the last rehearsal, and whether it still is of this plan."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changes.models import RFC
from patchflow.kernel.integrity import digest
from releases.enums import ReleaseState
from releases.models import PlanRehearsal, Release
from releases.queries.builds import class_plans, unbuilt
from releases.queries.manifests import built, current, draft_document

SEALED = (ReleaseState.AWAITING_READINESS, ReleaseState.READY)


def planned_document(release: Release, *, at: datetime) -> tuple[str, dict[str, Any]]:
    """(digest, document): the sealed manifest, or what a manifest sealed now would say.

    Before any build what the updates themselves bring, without the packages and files that only a build finds; the document
    then says `unbuilt`.
    """
    manifest = current(release.pk) if release.state in SEALED else None
    if manifest is not None:
        return manifest.digest, manifest.document
    if built(release):
        document = draft_document(release, at=at)
    else:
        classes = [unbuilt(plan) for plan in class_plans(release)]
        document = {**draft_document(release, at=at, classes=classes), "unbuilt": True}
    return digest(document), document


def last_rehearsal_of(rfc: RFC) -> PlanRehearsal | None:
    """The newest one of an RFC alone, with who made it."""
    found: PlanRehearsal | None = (
        PlanRehearsal.objects.filter(rfc=rfc).select_related("made_by", "rfc").order_by("-pk").first()
    )
    return found


def last_rehearsal(release: Release) -> PlanRehearsal | None:
    """The newest one, with who made it."""
    found: PlanRehearsal | None = (
        PlanRehearsal.objects.filter(release=release).select_related("made_by", "release").order_by("-pk").first()
    )
    return found
