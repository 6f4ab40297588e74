"""Sealing the manifest: the document is written down, contained in every change digest, and put up for signature."""

from __future__ import annotations

from datetime import datetime

from changes.enums import EvidenceKind
from patchflow.kernel import workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import User
from releases.domain import readiness, releases, slots
from releases.models import Manifest, Release
from releases.queries.manifests import built, draft_document
from releases.wording import many


@workflow.verb("release.release.sealed", Release, "release_id")
def seal(*, release_id: int, actor: User, at: datetime) -> Manifest:
    """Writes the manifest of what is planned and built now, and opens its readiness review.

    Raises NotAllowed (role; who signed an RFC does not seal), Blocked with the readiness list: an RFC no longer
    authorized or wider than its digest, a file without a passing verification, no acceptance, no way back, no ring or
    window, nobody who could sign. The release waits in awaiting_readiness; the RFCs get the manifest as evidence.
    """
    rfc_ids = Release.objects.get(pk=release_id).rfc_ids()
    releases.lock_rfcs(rfc_ids)
    release = workflow.lock(Release, release_id)
    document = draft_document(release, at=at)
    release = workflow.fire(Release, release_id, "seal", actor=actor, at=at, digest=digest(document))
    build = built(release)
    assert build is not None  # noqa: S101  the gate has looked
    manifest = Manifest.objects.create(
        release=release, build=build, revision=document["revision"], document=document, digest=digest(document),
        sealed_at=at, sealed_by=actor,
    )  # fmt: skip
    hosts, files = many(len(document["hosts"]), "host"), many(len(document["artifacts"]), "file")
    releases.push_evidence(
        release, EvidenceKind.MANIFEST, at=at, passed=None, digest=manifest.digest,
        summary=english(
            "%(release)s: manifest %(revision)s, %(hosts)s, %(files)s.",
            release=release.number, revision=manifest.revision, hosts=hosts, files=files,
        ),
    )  # fmt: skip
    slots.reserve(release, actor=actor, at=at)
    readiness.open_review(release=release, manifest=manifest, actor=actor, at=at)
    return manifest
