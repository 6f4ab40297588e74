"""The tables of releases."""

from releases.models.acceptance import AcceptancePlan, AcceptanceRun, AcceptanceStep
from releases.models.build import Build, BuildArtifact, BuildClass
from releases.models.job import Job, JobEvent
from releases.models.manifest import Manifest
from releases.models.plan import InstallProfile, PlannedHost, PlannedRing, PlannedWindow
from releases.models.readiness import ReadinessReview, ReviewDefinition
from releases.models.release import Release, ReleaseRFC
from releases.models.review import PostImplementationReview, ReviewAnswer
from releases.models.rollout import Ring, Rollout
from releases.models.slip import PermissionSlip
from releases.models.switch import KillSwitch
from releases.models.telling import DelayRequest, Representative

__all__ = [
    "AcceptancePlan",
    "AcceptanceRun",
    "AcceptanceStep",
    "Build",
    "BuildArtifact",
    "BuildClass",
    "DelayRequest",
    "InstallProfile",
    "Job",
    "JobEvent",
    "KillSwitch",
    "Manifest",
    "PermissionSlip",
    "PlannedHost",
    "PlannedRing",
    "PlannedWindow",
    "PostImplementationReview",
    "ReadinessReview",
    "Release",
    "ReleaseRFC",
    "Representative",
    "ReviewAnswer",
    "ReviewDefinition",
    "Ring",
    "Rollout",
]
