"""Choice sets and audited verbs of changes: cycles, RFCs, approvals, evidence, holds."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from changes.enums_identify import Response as Response
from changes.enums_identify import UpdateClass as UpdateClass
from patchflow.kernel.registry import verbs

verbs(
    change__cycle={
        "opened": "Cycle opened",
        "notified": "Notified of updates",
        "rfc_submitted": "RFC submitted",
        "deployment_approved": "Deployment approved",
        "release_completed": "Release completed",
        "closed_unneeded": "Closed as not needed",
        "step_done": "Step done",
        "step_waived": "Step waived",
        "step_assigned": "Step given to a person",
        "decision_day_set": "Decision day set",
    },
    change__rfc={
        "raised": "RFC raised",
        "revised": "Revised",
        "submitted": "Submitted",
        "evaluated": "Evaluation begun",
        "approval_requested": "Approval requested",
        "routes_not_asked": "Approval routes not asked, since all that they name is retired",
        "authorized": "Authorized",
        "refused": "Approval refused",
        "expired": "Approval expired",
        "voided": "Approval void",
        "sent_back": "Sent back",
        "rejected": "Rejected",
        "lapsed": "Authorization lapsed",
        "glass_asked": "Break-glass asked for",
        "glass_broken": "Glass broken",
        "glass_reviewed": "Break-glass reviewed",
        "cancelled": "Cancelled",
        "begun": "Implementation begun",
        "implemented": "Implemented",
        "stopped": "Stopped",
        "closed": "Closed",
        "scored": "Risk assessed",
        "classified": "Class changed",
        "clock_stopped": "Clock stopped",
        "clock_started": "Clock started",
        "target_left": "Target left",
        "target_done": "Target's outcome recorded",
        "evidence_recorded": "Evidence recorded",
        "held": "Put on hold",
        "resumed": "Resumed",
        "hold_ended": "Hold ended",
        "superseded": "Update replaced or withdrawn",
        "moved": "Moved to the newer update",
        "slots_reserved": "Slots reserved",
        "slots_released": "Slots given back",
        "parent_set": "Parent set",
        "commented": "Commented",
        "attached": "File attached",
        "attachment_withdrawn": "File withdrawn",
        "reference_added": "Reference added",
        "reference_removed": "Reference taken off",
    },
    change__calendar={"key_made": "Calendar address made", "key_revoked": "Calendar address revoked"},
    change__model={
        "drafted": "Model drafted",
        "revised": "Model revised",
        "proposed": "Model proposed",
        "approved": "Model approved",
        "refused": "Model refused",
        "voided": "Model's round void",
        "licence_lost": "Licence lost",
        "retired": "Model retired",
    },
    change__route={
        "written": "Approval route written",
        "revised": "Approval route revised",
        "retired": "Approval route retired",
    },
    change__freeze={"declared": "Freeze declared", "lifted": "Freeze lifted"},
    change__hold={"placed": "Put on hold", "resumed": "Resumed"},
)


class RFCKind(models.TextChoices):
    STANDARD = "standard", _("standard")
    NORMAL = "normal", _("normal")
    EMERGENCY = "emergency", _("emergency")


class Owners(models.TextChoices):
    """Whose owners a level of approval asks."""

    TARGETS = "targets", _("owners of the hosts")
    SERVICES = "services", _("owners of the services that rest on the hosts")


class RFCState(models.TextChoices):
    DRAFT = "draft", _("draft")
    SUBMITTED = "submitted", _("submitted")
    EVALUATING = "evaluating", _("evaluating")
    AWAITING_APPROVAL = "awaiting_approval", _("awaiting approval")
    AUTHORIZED = "authorized", _("authorized")
    IMPLEMENTING = "implementing", _("implementing")
    SUSPENDED = "suspended", _("suspended")
    IN_REVIEW = "in_review", _("in review")
    CLOSED = "closed", _("closed")
    REJECTED = "rejected", _("rejected")
    CANCELLED = "cancelled", _("cancelled")


TERMINAL = (RFCState.CLOSED, RFCState.REJECTED, RFCState.CANCELLED)
WITHDRAWN = (RFCState.REJECTED, RFCState.CANCELLED)


class CloseCode(models.TextChoices):
    SUCCESSFUL = "successful", _("successful")
    WITH_ISSUES = "successful_with_issues", _("successful with issues")
    BACKED_OUT = "backed_out", _("backed out")
    FAILED = "failed", _("failed")
    NOT_NEEDED = "not_needed", _("not needed")


class WayBack(models.TextChoices):
    """How a host gets back to where it was: signed with the request, and kept by its release."""

    REINSTALL_PREVIOUS = "reinstall_previous", _("reinstall the previous versions")
    SNAPSHOT = "snapshot", _("return to a snapshot")
    NONE = "none", _("none")


class TargetOutcome(models.TextChoices):
    PLANNED = "planned", _("planned")
    DONE = "done", _("done")
    OWED = "owed", _("owed")
    NOT_NEEDED = "not_needed", _("not needed")


class RiskLevel(models.TextChoices):
    LOW = "low", _("low")
    MEDIUM = "medium", _("medium")
    HIGH = "high", _("high")


class EvidenceKind(models.TextChoices):
    ACCEPTANCE = "acceptance", _("acceptance test")
    ROLLBACK_REHEARSAL = "rollback_rehearsal", _("rehearsal of the way back")
    PLAN_REHEARSAL = "plan_rehearsal", _("rehearsal of the plan")
    MANIFEST = "manifest", _("manifest")
    READINESS = "readiness", _("readiness review")
    DEPLOYMENT = "deployment", _("deployment")
    REVIEW = "review", _("post-implementation review")
    DOCUMENT = "document", _("document that was owed")


class HoldCause(models.TextChoices):
    PERSON = "person", _("a person asked for it")
    SUPERSEDED = "superseded", _("an update was superseded")
    FACTS_CHANGED = "facts_changed", _("facts have changed")
    PARENT = "parent", _("its parent is on hold")


class ReferenceKind(models.TextChoices):
    INCIDENT = "incident", _("incident")
    PROBLEM = "problem", _("problem")
    REQUEST = "request", _("request")


class ModelState(models.TextChoices):
    DRAFT = "draft", _("draft")
    PROPOSED = "proposed", _("proposed")
    APPROVED = "approved", _("approved")
    RETIRED = "retired", _("retired")


class CycleKind(models.TextChoices):
    MONTHLY = "monthly", _("monthly")
    OUT_OF_BAND = "out_of_band", _("out of band")
    EMERGENCY = "emergency", _("emergency")


class CycleState(models.TextChoices):
    ASSESS = "assess", _("assess")
    IDENTIFY = "identify", _("identify")
    EVALUATE_AND_PLAN = "evaluate_and_plan", _("evaluate and plan")
    DEPLOY = "deploy", _("deploy")
    COMPLETED = "completed", _("completed")


class CycleEventKind(models.TextChoices):
    """What moves a cycle from one phase to the next (MOF: the event that leaves each phase)."""

    NOTIFIED = "notified", _("notification that an update exists")
    RFC_SUBMITTED = "rfc_submitted", _("submission of an RFC")
    DEPLOYMENT_APPROVED = "deployment_approved", _("approval to deploy into production")
    RELEASE_COMPLETED = "release_completed", _("completion of the release")


class StepState(models.TextChoices):
    OPEN = "open", _("open")
    DONE = "done", _("done")
    WAIVED = "waived", _("waived")


class StepKey(models.TextChoices):
    """The steps of the four phases (MOF update management process)."""

    INVENTORY = "inventory", _("inventory computing assets")
    THREATS = "threats", _("assess threats and vulnerabilities")
    SOURCES = "sources", _("determine sources of information")
    DISTRIBUTION = "distribution", _("assess the distribution infrastructure")
    EFFECTIVENESS = "effectiveness", _("assess operational effectiveness")
    DISCOVER = "discover", _("discover updates reliably")
    RELEVANCE = "relevance", _("determine relevance")
    FILES = "files", _("obtain and verify source files")
    NATURE = "nature", _("determine the nature of the update and submit the RFC")
    RESPONSE = "response", _("determine the response")
    PLAN = "plan", _("plan the release")
    BUILD = "build", _("build the release")
    ACCEPTANCE = "acceptance", _("acceptance test")
    PREPARATION = "preparation", _("deployment preparation")
    DEPLOYMENT = "deployment", _("deployment to targets")
    REVIEW = "review", _("post-implementation review")


STEPS: dict[CycleState, tuple[StepKey, ...]] = {
    CycleState.ASSESS: (
        StepKey.INVENTORY,
        StepKey.THREATS,
        StepKey.SOURCES,
        StepKey.DISTRIBUTION,
        StepKey.EFFECTIVENESS,
    ),
    CycleState.IDENTIFY: (StepKey.DISCOVER, StepKey.RELEVANCE, StepKey.FILES, StepKey.NATURE),
    CycleState.EVALUATE_AND_PLAN: (StepKey.RESPONSE, StepKey.PLAN, StepKey.BUILD, StepKey.ACCEPTANCE),
    CycleState.DEPLOY: (StepKey.PREPARATION, StepKey.DEPLOYMENT, StepKey.REVIEW),
}
"""The steps of each phase, in order."""
