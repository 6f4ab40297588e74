"""The tables of changes."""

from changes.models.advisory import Advisory, AdvisoryVulnerability, Revision, Vulnerability
from changes.models.applicability import EvaluationOrder, VersionFix
from changes.models.artifact import Artifact, RepositoryIndex, Verification
from changes.models.calendar import CalendarKey, ChangeSlot
from changes.models.change_model import ChangeModel
from changes.models.change_task import ChangeTask
from changes.models.cycle import Cycle, CycleEvent, CycleUpdate, PhaseStep
from changes.models.dossier import Attachment, Comment, Reference
from changes.models.evidence import Evidence
from changes.models.feed import Feed, FeedRun, QuarantinedDocument
from changes.models.freeze import FreezeWindow
from changes.models.hold import Hold
from changes.models.meeting import AgendaItem, Attendee, Meeting, Minutes
from changes.models.rfc import RFC
from changes.models.rfc_parts import BreakGlass, RFCRevision, RFCTarget, RFCUpdate, RFCWindow
from changes.models.risk import RiskAssessment
from changes.models.route import ApprovalRoute
from changes.models.update import Fix, SoftwareUpdate, Supersedence, UpdateAdvisory, UpdateResponse
