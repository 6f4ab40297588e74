"""After a release: the baselines of the classes that it brought up, proposed from its signed manifest and put in force.

Nothing comes in by this way that was not signed: what is not contained in the manifest goes to a sign-off round.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from cmdb.domain import baselines
from cmdb.domain.departures import vouchers
from cmdb.domain.software import key_of
from cmdb.models import Baseline, Platform
from cmdb.queries.baselines import hosts_of
from patchflow.kernel import registry, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked
from patchflow.kernel.models import User
from patchflow.kernel.signoffs import open_round_of
from releases.enums import ReleaseOutcome
from releases.enums_rollout import LIVE, JobState
from releases.models import BuildClass, Job, Manifest, Release
from releases.queries.manifests import current, intact, manifest_signed

Place = tuple[str, str]


def propose_baselines(release: Release, *, at: datetime) -> list[Baseline]:
    """After a full deployment: the next version of each baseline in force over hosts of the manifest, of platforms and of
    groups; where a platform has none, its first. Adopted at once if its gates are open (contained in what was signed),
    else put to the vote; where nobody can be asked it stays proposed, for a person.

    What a baseline says about other packages stays, and nothing goes back to an older version. A partial, failed or
    taken-back release changes no baseline, and a trial proposes none.
    """
    manifest = current(release.pk)
    if release.trial or release.outcome != ReleaseOutcome.FULL or manifest is None:
        return []
    reached = {host["host"]: host["class"] for host in manifest.document["hosts"]}
    made = []
    for platform_id, labels in _labels_by_platform(manifest).items():
        platform = Platform.objects.get(pk=platform_id)
        force = list(Baseline.objects.approved().filter(platform=platform).select_related("group").order_by("pk"))
        if not any(one.group_id is None for one in force):
            made.append(_next(str(platform), platform, None, agreed(manifest, labels), manifest, at=at))
        for one in force:
            ids = set(hosts_of(one).filter(pk__in=list(reached)).values_list("pk", flat=True))
            brought = agreed(manifest, {reached[pk] for pk in ids} & labels)
            if brought:
                made.append(_next(one.name, platform, one, brought, manifest, at=at))
    return [_put_in_force(baseline, at=at) for baseline in made if baseline is not None]


def changed_as_signed(host_ids: set[int], since: datetime) -> set[int]:
    """The hosts that a rollout is at work on, or has worked on within a day before `since`: vouched for as signed."""
    jobs = Job.objects.filter(host_id__among=list(host_ids)).filter(
        Q(state__in=LIVE) | Q(state=JobState.SUCCEEDED, ended_at__gte=since - timedelta(days=1))
    )
    return set(jobs.values_list("host_id", flat=True))


vouchers.add("rollouts", changed_as_signed)


def _labels_by_platform(manifest: Manifest) -> dict[int, set[str]]:
    """Platform → labels of the manifest's host classes that are on it."""
    named = {one["class"] for one in manifest.document["classes"]}
    found: dict[int, set[str]] = defaultdict(set)
    for label, platform_id in BuildClass.objects.filter(build=manifest.build).values_list("label", "platform_id"):
        if label in named:
            found[platform_id].add(label)
    return dict(found)


def agreed(manifest: Manifest, labels: set[str]) -> dict[Place, str]:
    """(package, architecture) → version, of those on whose version all these host classes agree."""
    versions: dict[Place, set[str]] = defaultdict(set)
    for one in manifest.document["classes"]:
        if one["class"] in labels:
            for package in one["packages"]:
                versions[package["name"], package["arch"]].add(package["to"])
    return {place: next(iter(found)) for place, found in versions.items() if len(found) == 1}


def _next(
    name: str,
    platform: Platform,
    before: Baseline | None,
    brought: dict[Place, str],
    manifest: Manifest,
    *,
    at: datetime,
) -> Baseline | None:
    """The next version as proposed; None where it would say what the one in force says already."""
    kept = {(i.name, i.arch): i.version for i in before.items.all()} if before else {}
    items = {**kept, **{place: _later(platform, kept.get(place), version) for place, version in brought.items()}}
    if items == kept:
        return None
    return baselines.propose(
        name=name,
        platform_id=platform.pk,
        group_id=before.group_id if before else None,
        source_digest=manifest.digest,
        items=[(package, arch, version) for (package, arch), version in sorted(items.items())],
        actor=User.bot(),
        at=at,
    )


def _later(platform: Platform, kept: str | None, brought: str) -> str:
    """A baseline never goes back by a release: the later of two versions; what cannot be read gives way."""
    if kept is None:
        return brought
    old, new = key_of(platform.ecosystem, kept), key_of(platform.ecosystem, brought)
    return kept if old is not None and new is not None and old > new else brought


def _put_in_force(baseline: Baseline, *, at: datetime) -> Baseline:
    bot = User.bot()
    if not workflow.find_blockers(baseline, "adopt", actor=bot, at=at):
        return baselines.adopt(baseline_id=baseline.pk, actor=bot, at=at)
    try:
        baselines.request_approval(baseline_id=baseline.pk, actor=bot, at=at)
    except Blocked:
        assert open_round_of(baseline) is None  # noqa: S101  it stays proposed: its page offers to put it to the vote
    return baseline


@registry.gate("cmdb.baseline", "adopt")
def find_unsigned_items(baseline: Baseline, **_: Any) -> list[Blocker]:
    """Vouches for a baseline taken from a manifest: signed in a passed round, fully deployed, and every version either in
    it or in the baseline in force before."""
    manifest = Manifest.objects.filter(digest=baseline.source_digest).first() if baseline.source_digest else None
    if manifest is None or not intact(manifest):
        return [Blocker("baseline.no_manifest", "The manifest it names is not known here.")]
    release = manifest.release
    if not manifest_signed(manifest) or release.outcome != ReleaseOutcome.FULL:
        return [
            Blocker(
                "baseline.not_signed", english("%(manifest)s was not signed and fully deployed.", manifest=manifest)
            )
        ]
    signed = {(p["name"], p["arch"], p["to"]) for c in manifest.document["classes"] for p in c["packages"]}
    before = Baseline.objects.filter(name=baseline.name, version__lt=baseline.version, approved_at__isnull=False)
    last = before.order_by("-version").first()
    signed |= set(last.items.values_list("name", "arch", "version")) if last else set()
    extra = set(baseline.items.values_list("name", "arch", "version")) - signed
    return [
        Blocker(
            "baseline.not_contained",
            english(
                "%(name)s %(version)s is neither in the manifest nor in the baseline before.",
                name=name,
                version=version,
            ),
        )
        for name, _arch, version in sorted(extra)
    ]
