"""Trial mode in releases: only the simulator acts, whatever is ordered; and what was made in a trial never runs for real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmdb.models import Baseline, Installation
from patchflow.kernel import registry, trial
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked
from releases.enums import SIMULATOR
from releases.executors.base import Batch, Executor, Handle, PackageState
from releases.models import Job, Manifest, Release


class OnlyLooks:
    """A real executor in trial mode: it may be asked what it sees, and starts nothing."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def start(self, batch: Batch) -> Handle:
        raise Blocked([Blocker("trial.nothing", trial.NOTHING)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)


def acting(name: str) -> Executor:
    """The executor of this name, as everything that orders work on hosts gets it. In trial mode one that only looks, unless
    it is the simulator."""
    found: Executor = registry.executors[name]
    return OnlyLooks(found) if name != SIMULATOR and trial.active() else found


def furnish(executor: Executor, address: str, host_id: int, names: set[str]) -> None:
    """Lets the simulator know what a real host has of these packages, before it is asked what it would do there.

    What was simulated there before stays.
    """
    simulator: Any = executor
    rows = Installation.objects.open().filter(host_id=host_id, package_version__name__in=names)
    states = [
        PackageState(name=name, arch=arch, version=version, status="installed")
        for name, arch, version in rows.values_list(
            "package_version__name", "package_version__arch", "package_version__version"
        )
    ]
    simulator.furnish(address, states, only_new=True)


# --- gates ------------------------------------------------------------------------------------------------------------
@registry.gate("releases.release", "build", "seal", "ready", "deploy", "roll_back")
def find_trial_blockers(release: Release, **_: Any) -> list[Blocker]:
    """A release of a trial goes on in the trial alone, and a real one outside of it."""
    return trial.mismatch(release.trial, str(release))


@trial.before_entering
def find_live_jobs(**_: Any) -> list[Blocker]:
    """No trial begins while something is at work on real hosts, or out of sight there."""
    live = Job.objects.live().exclude(rollout__executor=SIMULATOR).count()
    if not live:
        return []
    return [
        Blocker(
            "trial.live_jobs",
            english("%(live)s jobs are at work on hosts: stop them and wait.", live=live),
            "/rollouts/",
            tone="wait",
        )
    ]


@registry.gate("cmdb.baseline", "adopt", "approve")
def find_trial_baseline(baseline: Baseline, **_: Any) -> list[Blocker]:
    """A baseline that rests on a trial's manifest says nothing about any host."""
    manifest = Manifest.objects.filter(digest=baseline.source_digest).first() if baseline.source_digest else None
    if manifest is None or not of_trial(manifest.document):
        return []
    return [
        Blocker(
            "baseline.trial",
            english(
                "It comes from a trial (%(manifest)s): nothing was installed anywhere. Retire it.", manifest=manifest
            ),
        )
    ]


def of_trial(document: Mapping[str, Any]) -> bool:
    """Whether a manifest was sealed in trial mode: it says so in what was signed."""
    return bool(document.get("trial"))
