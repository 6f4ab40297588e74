"""Readiness as a list of reasons: what must hold before a manifest is sealed, signed and started, line by line.

The same list on the page, over REST and in the verbs: the gates of seal, ready and deploy ask it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from changes.enums import WayBack
from changes.queries.files import verified
from cmdb.models import ServiceWindow
from cmdb.queries.hosts import target_facts
from patchflow.kernel import registry, signoffs
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.levels import able, needed
from releases.diversity import trial_of, untriable
from releases.domain import readiness
from releases.domain.profiles import find_unkept
from releases.enums import BuildState, ReadinessState, ReleaseState
from releases.models import Manifest, ReadinessReview, Release
from releases.queries.amendments import root_of, signature_of
from releases.queries.manifests import built, current, draft_document, intact
from releases.queries.releases import authorizations, proof_of
from releases.queries.rollouts import signed
from releases.queries.steps import find_unapproved
from releases.rules import contained


@dataclass(frozen=True)
class Item:
    """One line of the checklist: what is asked, and every reason against it (none: it holds)."""

    name: str
    blockers: list[Blocker]
    known: bool = True
    """False: there is nothing yet that it could be asked of; another line says what is missing (law 3)."""

    @property
    def holds(self) -> bool:
        return self.known and not self.blockers


def checklist(release: Release, *, at: datetime) -> list[Item]:
    """Everything that must hold before the manifest may be sealed and signed, line by line; the page shows the same.

    From the seal on it reads the sealed document, before it the document that would be sealed now.
    """
    sealed = release.state in (ReleaseState.AWAITING_READINESS, ReleaseState.READY, ReleaseState.DEPLOYING)
    manifest = current(release.pk) if sealed else None
    document = manifest.document if manifest else draft_document(release, at=at)
    changes = authorizations(release.rfc_ids(), at=at)
    made, tested = built(release) is not None, proof_of(release).asked > 0
    return [
        Item("Changes authorized", [b for c in changes for b in c.blockers]),
        Item("Built", list(_built(release))),
        Item("Files verified", list(_verified(release, at=at)), known=made),
        Item("Acceptance passed", list(_accepted(release))),
        Item("Rings and windows", list(_planned(release, document, at=at))),
        Item("Hosts", list(_hosts(document, at=at))),
        Item("Way back", list(_way_back(release, document)), known=made and tested),
        Item(
            "Within what was approved",
            [
                b if b.code != "manifest.artifact_missing" or looked_for_way_back(release) else replace(b, tone="wait")
                for b in _contained(manifest, document, [c.document for c in changes])
            ],
            known=bool(document["hosts"]),
        ),
        Item("People to sign", [] if sealed else list(_voters(release, at=at))),
    ]


def find_blockers(release: Release, *, at: datetime) -> list[Blocker]:
    """The reasons of the whole checklist in one list, each once."""
    found: dict[tuple[str, str], Blocker] = {}
    for item in checklist(release, at=at):
        for blocker in item.blockers:
            found.setdefault((blocker.code, blocker.sentence), blocker)
    return list(found.values())


@registry.gate("releases.release", "seal", "ready", "deploy")
def find_readiness_blockers(release: Release, *, at: datetime, **_: Any) -> list[Blocker]:
    return find_blockers(release, at=at)


@registry.gate("releases.release", "ready", "deploy")
def find_round_blockers(release: Release, **_: Any) -> list[Blocker]:
    """Only a passed round on exactly the manifest that stands there makes ready, and keeps ready."""
    manifest = current(release.pk)
    if manifest is None:
        return [Blocker("readiness.no_manifest", "No manifest is sealed.")]
    if not intact(manifest):
        return [Blocker("readiness.digest", "The stored manifest has not the digest it was sealed with.")]
    if not signature_of(release, signed(manifest.pk)):
        return [
            Blocker(
                "readiness.unsigned",
                english(
                    "Nobody has signed manifest %(revision)s (%(digest)s…) in a passed round.",
                    revision=manifest.revision,
                    digest=manifest.digest[:12],
                ),
                tone="wait",
            )
        ]
    if not ReadinessReview.objects.filter(manifest=root_of(manifest), state=ReadinessState.GO).exists():
        return [Blocker("readiness.not_go", "The readiness review of this manifest is not go.", tone="wait")]
    return []


def _built(release: Release) -> Iterator[Blocker]:
    if not release.builds.exists():
        yield Blocker("readiness.not_built", "It is not built yet.", tone="wait")
    elif release.builds.order_by("-number").values_list("state", flat=True).first() == BuildState.PENDING:
        yield Blocker("readiness.not_built", "The newest build is under way.", tone="wait")
    elif built(release) is None:
        yield Blocker("readiness.not_built", "The newest build has not succeeded.", tone="wait")


def _verified(release: Release, *, at: datetime) -> Iterator[Blocker]:
    build = built(release)
    if build is None:
        return
    artifacts = {row.artifact_id: row.artifact for row in build.artifacts.select_related("artifact")}
    if not artifacts:
        yield Blocker("readiness.no_files", "The build refers to no file.")
    proven = verified(list(artifacts), at=at)
    for pk, artifact in sorted(artifacts.items()):
        if not proven.get(pk, False):
            yield Blocker(
                "readiness.unverified", english("%(artifact)s has no passing verification.", artifact=artifact)
            )


def _accepted(release: Release) -> Iterator[Blocker]:
    proof = proof_of(release)
    if not proof.asked:
        yield Blocker("readiness.no_acceptance", "No acceptance test is planned for it.", tone="wait")
    elif not proof.complete:
        yield Blocker(
            "readiness.acceptance",
            english(
                "%(passed)s of %(asked)s acceptance tests have passed on this build.",
                passed=proof.passed,
                asked=proof.asked,
            ),
            tone="wait",
        )


def _planned(release: Release, document: dict[str, Any], *, at: datetime) -> Iterator[Blocker]:
    if not document["rings"]:
        yield Blocker("readiness.rings", "No ring is planned.", tone="wait")
    if not document["windows"]:
        yield Blocker("readiness.windows", "No window is chosen.", tone="wait")
    if not document["profile"]:
        yield Blocker("readiness.profile", "No install profile is chosen.", tone="wait")
    yield from find_unkept(document["profile"], release.executor)
    yield from find_unapproved(document)
    for ring in document["rings"]:
        if (trial := trial_of(ring)) and trial.must:
            yield from untriable(ring["name"], trial)
    revisions = {w.pk: w for w in ServiceWindow.objects.filter(pk__in=[w["window"] for w in document["windows"]])}
    for window in document["windows"]:
        now = revisions.get(window["window"])
        if now is None or now.retired_at is not None:
            yield Blocker(
                "readiness.window_gone", english("Window “%(name)s” is no longer in use.", name=window["name"])
            )
        elif now.revision != window["revision"]:
            yield Blocker(
                "readiness.window_changed",
                english("Window “%(name)s” was changed since it was chosen: choose it again.", name=window["name"]),
            )
    if release.latest_at and at >= release.latest_at:
        yield Blocker(
            "readiness.too_late",
            english(
                "Its latest start, %(latest_at)s UTC, has passed.", latest_at=f"{release.latest_at:%Y-%m-%d %H:%M}"
            ),
        )


def _hosts(document: dict[str, Any], *, at: datetime) -> Iterator[Blocker]:
    if not document["hosts"]:
        yield Blocker("readiness.hosts", "No host gets anything by it so far.", tone="wait")
    facts = target_facts([h["host"] for h in document["hosts"]], at=at)
    for host in document["hosts"]:
        now = facts.get(host["host"])
        if now is None or now.retired:
            yield Blocker(
                "readiness.host_gone", english("%(name)s is no longer in use: leave it out.", name=host["name"])
            )
        elif not now.fingerprint or now.fingerprint != host["fingerprint"]:
            yield Blocker(
                "readiness.fingerprint",
                english("%(name)s is not known by its fingerprint, or is another machine now.", name=host["name"]),
            )
        if host["ring"] is None:
            yield Blocker("readiness.no_ring", english("%(name)s is in no ring.", name=host["name"]), tone="wait")


def _way_back(release: Release, document: dict[str, Any]) -> Iterator[Blocker]:
    if document["way_back"]["kind"] != WayBack.REINSTALL_PREVIOUS:
        return
    proof = proof_of(release)
    if proof.asked and not proof.back:
        yield Blocker(
            "readiness.way_back_unproven", "No acceptance test has gone back to the previous versions yet.", tone="wait"
        )
    files = {(a["package"], a["version"], a["arch"]) for a in document["way_back"]["artifacts"]}
    wanted = {(p["name"], p["to"], p["arch"]) for h in document["way_back"]["hosts"] for p in h["packages"] if p["to"]}
    looked = looked_for_way_back(release)
    for name, version, arch in sorted(wanted - files):
        file = f"{name} {version} ({arch})"
        yield Blocker(
            "readiness.way_back_file",
            english("%(file)s is not in any signed repository: there is no way back to it.", file=file)
            if looked
            else english("%(file)s: the tests find its signed file.", file=file),
            tone="bad" if looked else "wait",
        )


def looked_for_way_back(release: Release) -> bool:
    """Whether a test of this build has looked for the files of the previous versions; before, their absence says nothing."""
    proof = proof_of(release)
    return proof.complete or bool(proof.back or proof.failed)


def _contained(manifest: Manifest | None, document: dict[str, Any], changes: list[dict[str, Any]]) -> list[Blocker]:
    if manifest is not None and not intact(manifest):
        return [Blocker("readiness.digest", "The stored manifest has not the digest it was sealed with.")]
    if not document["hosts"]:
        return []
    return contained(document, changes)


def _voters(release: Release, *, at: datetime) -> Iterator[Blocker]:
    out = signoffs.excluded_of(release)
    for spec in readiness.level_specs(release, at=at):
        people = able(spec, out)
        if len(people) < needed(spec.quorum, spec.amount, len(people)):
            yield Blocker(
                "readiness.voters",
                english("Level “%(name)s”: %(able)s people can sign, it needs more.", name=spec.name, able=len(people)),
                tone="wait",
            )
