"""The tables of releases."""

from releases.models.acceptance import AcceptancePlan, AcceptanceRun, AcceptanceStep
from releases.models.amendment import Amendment
from releases.models.build import Build, BuildArtifact, BuildClass
from releases.models.job import Job, JobEvent
from releases.models.manifest import Manifest
from releases.models.periodic import PeriodicAction, PeriodicRecord, PeriodicRemark, PeriodicReview
from releases.models.plan import InstallProfile, PlannedHost, PlannedRing, PlannedWindow
from releases.models.readiness import ReadinessReview, ReviewDefinition
from releases.models.rehearsal import PlanRehearsal
from releases.models.release import Release, ReleaseRFC
from releases.models.review import PostImplementationReview, ReviewAnswer
from releases.models.rollout import Ring, Rollout
from releases.models.slip import PermissionSlip
from releases.models.staging import Staging
from releases.models.step import HostStep
from releases.models.switch import KillSwitch
from releases.models.task import HandTask
from releases.models.telling import DelayRequest, Representative
from releases.models.window_change import WindowChange

__all__ = [
    "AcceptancePlan",
    "AcceptanceRun",
    "AcceptanceStep",
    "Amendment",
    "Build",
    "BuildArtifact",
    "BuildClass",
    "DelayRequest",
    "HandTask",
    "HostStep",
    "InstallProfile",
    "Job",
    "JobEvent",
    "KillSwitch",
    "Manifest",
    "PeriodicAction",
    "PeriodicRecord",
    "PeriodicRemark",
    "PeriodicReview",
    "PermissionSlip",
    "PlanRehearsal",
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
    "Staging",
    "WindowChange",
]
