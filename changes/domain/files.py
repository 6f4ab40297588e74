"""Source files: which exact files a signed repository lists, and the proof. What was checked is kept, passed or not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from changes.enums_identify import VerificationOutcome
from changes.models import Artifact, RepositoryIndex, Verification
from changes.queries.files import last_seen
from changes.rules_identify import may_respond, may_verify, may_verify_by_system
from changes.sources import apt
from changes.sources.apt_release import RepositorySpec
from changes.sources.base import Fetcher, PackageRecord, VerificationResult, verify_file
from changes.sources.rpm import RpmRepository, RpmRepositorySpec, fetch_rpm_repository
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Blocked, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import failing

_CHUNK = 500
Place = tuple[str, str, str]
"""(package, version, architecture)."""
AnySpec = RepositorySpec | RpmRepositorySpec
"""A repository of one family or the other: what it is decides how it is read and proven."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What a repository gave: the index that vouches, and the files by (package, version, architecture)."""

    index: RepositoryIndex
    artifacts: dict[Place, Artifact]
    rejected: tuple[str, ...]


def register(
    *,
    spec: AnySpec,
    fetcher: Fetcher,
    actor: User,
    at: datetime,
    wanted: Collection[Place] | None = None,
    names: Collection[str] | None = None,
) -> Registered:
    """Reads a repository and keeps the files it vouches for: those `wanted`, or of these package `names`,
    or all. The network is used outside of any transaction.

    Raises Blocked, with the first check that failed, where signature or index do not hold: the refusal is kept, and
    nothing is registered. Raises NotAllowed.
    """
    _demand(actor)
    seen = last_seen(spec.uri, spec.suite)
    found: apt.Repository | RpmRepository
    if isinstance(spec, RpmRepositorySpec):
        found = fetch_rpm_repository(spec, fetcher=fetcher, now=at, last_seen=seen)
    else:
        found = apt.fetch_repository(spec, fetcher=fetcher, now=at, last_seen=seen)
    records, rejected = [], []
    if found.result.ok:
        for each in found.packages():
            if not isinstance(each, PackageRecord):
                rejected.append(f"{each.name}: {each.error}")
            elif _is_wanted(each, wanted, names):
                records.append(each)
    kept = _keep(spec=spec, result=found.result, records=records, actor=actor, at=at)
    if kept is None:
        code = f"files.{found.result.failed or 'refused'}"
        raise Blocked(Blocker(code, found.result.reason or "The repository could not be verified."))
    return Registered(kept[0], kept[1], tuple(rejected))


def verify(*, artifact_id: int, source: Path | bytes, actor: User, at: datetime) -> Verification:
    """Compares a file with what the signed index says of it (size, SHA-256) and keeps the result, passed or not."""
    _demand(actor)
    artifact = Artifact.objects.select_related("index").get(pk=artifact_id)
    record = PackageRecord(
        name=artifact.package,
        version=artifact.version,
        arch=artifact.arch,
        source_name=artifact.source_name,
        source_version=artifact.source_version,
        filename=artifact.filename,
        size=artifact.size,
        sha256=artifact.sha256,
    )
    return _record_file(artifact=artifact, result=verify_file(source, record), actor=actor, at=at)


@workflow.verb("change.files.verified")
def _record_file(*, artifact: Artifact, result: VerificationResult, actor: User, at: datetime) -> Verification:
    index = workflow.lock(RepositoryIndex, artifact.index_id)
    row = _verification(result, subject=str(artifact), artifact=artifact, index=index, actor=actor, at=at)
    row.save(force_insert=True)
    verb = "change.files.verified" if result.ok else "change.files.refused"
    audit.record(index, verb, artifact, actor=actor, at=at, detail={"sha256": artifact.sha256, "why": result.reason})
    return row


@workflow.verb("change.files.registered")
def _keep(
    *, spec: AnySpec, result: VerificationResult, records: Sequence[PackageRecord], actor: User, at: datetime
) -> tuple[RepositoryIndex, dict[Place, Artifact]] | None:
    subject = f"{spec.uri} {spec.suite}"
    if not result.ok:
        _verification(result, subject=subject, actor=actor, at=at).save(force_insert=True)
        detail = {"subject": subject, "check": result.failed, "why": result.reason}
        audit.record(audit.named("files"), "change.files.refused", actor=actor, at=at, detail=detail)
        return None
    index, _made = RepositoryIndex.objects.get_or_create(
        uri=spec.uri,
        suite=spec.suite,
        release_sha256=result.release_sha256,
        index_sha256=result.index_sha256,
        defaults={  # what the signature says of itself
            "signer": result.signer,
            "signer_name": result.signer_name[:200],
            "dated_at": result.date,
            "valid_until": result.valid_until,
            "registered_at": at,
        },
    )
    index = workflow.lock(RepositoryIndex, index.pk)
    artifacts = _artifacts(records, index, origin=subject)
    _verification(result, subject=subject, index=index, actor=actor, at=at).save(force_insert=True)
    detail = {
        "subject": subject,
        "files": str(len(artifacts)),
        "release_sha256": result.release_sha256,
        "signer": result.signer,
    }
    audit.record(index, "change.files.registered", actor=actor, at=at, detail=detail)
    return index, artifacts


def _artifacts(records: Sequence[PackageRecord], index: RepositoryIndex, *, origin: str) -> dict[Place, Artifact]:
    Artifact.objects.bulk_create(
        [
            Artifact(
                package=each.name,
                version=each.version,
                arch=each.arch,
                source_name=each.source_name,
                source_version=each.source_version,
                filename=each.filename,
                size=each.size,
                sha256=each.sha256,
                origin=origin[:640],
                index=index,
            )
            for each in records
        ],
        batch_size=_CHUNK,
        update_conflicts=True,
        unique_fields=["package", "version", "arch", "sha256", "origin"],
        update_fields=["index", "filename", "size"],
    )
    hashes = {(each.name, each.version, each.arch): each.sha256 for each in records}
    found: dict[Place, Artifact] = {}
    names = sorted({each.name for each in records})
    for start in range(0, len(names), _CHUNK):
        rows = Artifact.objects.filter(origin=origin[:640], package__in=names[start : start + _CHUNK])
        for row in rows:
            place = (row.package, row.version, row.arch)
            if hashes.get(place) == row.sha256:
                found[place] = row
    return found


def _verification(
    result: VerificationResult,
    *,
    subject: str,
    actor: User,
    at: datetime,
    index: RepositoryIndex | None = None,
    artifact: Artifact | None = None,
) -> Verification:
    return Verification(
        index=index,
        artifact=artifact,
        outcome=VerificationOutcome.PASSED if result.ok else VerificationOutcome.REFUSED,
        checks=[asdict(check) for check in result.checks],
        reason=result.reason,
        subject=subject[:640],
        verified_by=actor,
        verified_at=at,
    )


def _is_wanted(each: PackageRecord, wanted: Collection[Place] | None, names: Collection[str] | None) -> bool:
    if wanted is None and names is None:
        return True
    place = (each.name, each.version, each.arch)
    return (wanted is not None and place in wanted) or (names is not None and each.name in names)


def _demand(actor: User) -> None:
    rules: Iterable = (may_verify, may_verify_by_system, may_respond)
    refused = [failing([rule], RepositoryIndex, actor) for rule in rules]
    if all(refused):
        raise NotAllowed(refused[0])
