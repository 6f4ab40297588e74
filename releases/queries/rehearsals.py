"""Questions about rehearsed plans: what is rehearsed, the last rehearsal, and whether it still is of this plan."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from patchflow.kernel.integrity import digest
from releases.enums import ReleaseState
from releases.models import PlanRehearsal, Release
from releases.queries.manifests import current, draft_document

SEALED = (ReleaseState.AWAITING_READINESS, ReleaseState.READY)


def planned_document(release: Release, *, at: datetime) -> tuple[str, dict[str, Any]]:
    """(digest, document): the sealed manifest, or what a manifest sealed now would say."""
    manifest = current(release.pk) if release.state in SEALED else None
    if manifest is not None:
        return manifest.digest, manifest.document
    document = draft_document(release, at=at)
    return digest(document), document


def last_rehearsal(release: Release) -> PlanRehearsal | None:
    """The newest one, with who made it."""
    found: PlanRehearsal | None = (
        PlanRehearsal.objects.filter(release=release).select_related("made_by", "release").order_by("-pk").first()
    )
    return found
