"""Choice sets and audited verbs of cmdb."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    cmdb__item={
        "planned": "Item planned",
        "revised": "Item revised",
        "entered_service": "Entered service",
        "retired": "Retired",
        "related": "Relation added",
        "linked": "Relations said",
        "unlinked": "Relation taken back",
        "unrelated": "Relation removed",
    },
    cmdb__host={
        "added": "Host added",
        "revised": "Host revised",
        "retired": "Host retired",
        "identified": "Fingerprint recorded",
        "fingerprint_changed": "Fingerprint changed",
        "split": "Split off as another machine",
        "left_baseline": "Left its baseline",
    },
    cmdb__fact={"set": "Fact set by a person", "released": "Fact left to discovery again"},
    cmdb__inventory={"recorded": "Inventory recorded", "recorded_partly": "Inventory recorded in part"},
    cmdb__connection={
        "revised": "Connection revised",
        "key_shown": "Host key shown",
        "key_accepted": "Host key accepted",
        "tested": "Connection tested",
    },
    cmdb__scan={
        "requested": "Scan requested",
        "started": "Scan started",
        "completed": "Scan completed",
        "partial": "Scan completed in part",
        "failed": "Scan failed",
        "lost": "Scan lost",
        "cancelled": "Scan cancelled",
        "host_scanned": "Host scanned",
        "host_scanned_partly": "Host scanned in part",
        "host_not_scanned": "Host could not be scanned",
        "host_left_out": "Host left out of the scan",
        "host_lost": "Host's scan lost",
    },
    cmdb__support_group={"defined": "Support group defined"},
    cmdb__group={
        "added": "Group added",
        "revised": "Group revised",
        "members_changed": "Members changed",
        "retired": "Group retired",
    },
    cmdb__point={
        "added": "Distribution point added",
        "revised": "Distribution point revised",
        "checked": "Distribution point checked",
        "retired": "Distribution point retired",
    },
    cmdb__window={"added": "Window added", "revised": "Window revised", "retired": "Window retired"},
    cmdb__baseline={
        "drafted": "Baseline drafted",
        "proposed": "Baseline proposed",
        "approval_requested": "Approval of the baseline requested",
        "approved": "Baseline approved",
        "adopted": "Baseline adopted",
        "refused": "Baseline refused",
        "superseded": "Baseline superseded",
        "retired": "Baseline retired",
    },
    cmdb__exemption={
        "requested": "Exemption requested",
        "granted": "Exemption granted",
        "refused": "Exemption refused",
        "revoked": "Exemption revoked",
        "expired": "Exemption expired",
    },
    cmdb__discrepancy={
        "opened": "Discrepancy found",
        "explained": "Discrepancy explained",
        "corrected": "Discrepancy corrected",
        "handed_over": "Handed to problem management",
    },
)


class ItemKind(models.TextChoices):
    HOST = "host", _("host")
    SERVICE = "service", _("service")
    APPLICATION = "application", _("application")
    DATABASE = "database", _("database")
    NETWORK_DEVICE = "network_device", _("network device")
    CLUSTER = "cluster", _("cluster")
    SITE = "site", _("site")


class ItemState(models.TextChoices):
    PLANNED = "planned", _("planned")
    IN_SERVICE = "in_service", _("in service")
    RETIRED = "retired", _("retired")


class Management(models.TextChoices):
    MANAGED = "managed", _("managed")
    UNMANAGED = "unmanaged", _("not managed")
    FOREIGN = "foreign", _("managed by others")


class Environment(models.TextChoices):
    PRODUCTION = "production", _("production")
    STAGING = "staging", _("staging")
    TEST = "test", _("test")
    LAB = "lab", _("lab")


class Criticality(models.IntegerChoices):
    """1 is the highest."""

    VITAL = 1, _("1 · vital")
    HIGH = 2, _("2 · high")
    MEDIUM = 3, _("3 · medium")
    LOW = 4, _("4 · low")


class MachineKind(models.TextChoices):
    """What the fact `machine_kind` of a host says; another word, or none, is unknown."""

    SERVER = "server", _("server")
    WORKSTATION = "workstation", _("workstation")


class RelationKind(models.TextChoices):
    DEPENDS_ON = "depends_on", _("depends on")
    RUNS_ON = "runs_on", _("runs on")
    MEMBER_OF = "member_of", _("member of")
    CONNECTS_TO = "connects_to", _("connects to")


class Link(models.TextChoices):
    """How an item hangs together with others, said from its side."""

    DEPENDS_ON = "depends_on", _("depends on")
    NEEDED_BY = "needed_by", _("is needed by")
    RUNS_ON = "runs_on", _("runs on")
    CARRIES = "carries", _("carries")
    MEMBERS = "members", _("has as members")
    MEMBER_OF = "member_of", _("is member of")
    CONNECTS_TO = "connects_to", _("connects to")


class Ecosystem(models.TextChoices):
    DEB = "deb", _("Debian packages")
    RPM = "rpm", _("RPM packages")


class OriginClass(models.TextChoices):
    """Where a package version comes from: what a distribution's advisories say holds for the distribution's own only."""

    DISTRIBUTION = "distribution", _("distribution")
    THIRD_PARTY = "third_party", _("third party")
    UNKNOWN = "unknown", _("unknown")


class ConnectionKind(models.TextChoices):
    SSH = "ssh", _("SSH")
    LOCAL = "local", _("this computer")


class KeyReference(models.TextChoices):
    ACCOUNT = "account", _("keys of the account that Patchflow runs as")
    FILE = "file", _("a file on the server")
    ENVIRONMENT = "environment", _("an environment variable that names the file")


class ScanState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    COMPLETED = "completed", _("completed")
    PARTIAL = "partial", _("partial")
    FAILED = "failed", _("failed")
    LOST = "lost", _("lost")
    CANCELLED = "cancelled", _("cancelled")


class ResultState(models.TextChoices):
    PENDING = "pending", _("pending")
    SCANNED = "scanned", _("scanned")
    PARTIAL = "partial", _("scanned in part")
    FAILED = "failed", _("not scanned")
    LOST = "lost", _("lost")
    CANCELLED = "cancelled", _("left out")


class GroupKind(models.TextChoices):
    STATIC = "static", _("chosen hosts")
    RULE = "rule", _("by rule")


class QueuedRule(models.TextChoices):
    """What becomes of queued work whose window is edited or ended."""

    HALT = "halt", _("stand still until what was signed is signed anew")
    MOVE = "move", _("move to the next opening that was signed and stays; cancel what finds none")
    CANCEL = "cancel", _("cancel what no longer opens when it did")


class Recurrence(models.TextChoices):
    WEEKLY = "weekly", _("every week")
    MONTHLY = "monthly", _("nth weekday of the month")


class BaselineState(models.TextChoices):
    DRAFT = "draft", _("draft")
    PROPOSED = "proposed", _("proposed")
    APPROVED = "approved", _("approved")
    SUPERSEDED = "superseded", _("superseded")
    RETIRED = "retired", _("retired")


class BaselineResult(models.TextChoices):
    BELOW = "below", _("below")
    AT = "at", _("at")
    ABOVE = "above", _("above")
    EXEMPT = "exempt", _("exempt")
    UNKNOWN = "unknown", _("unknown")


class ExemptionState(models.TextChoices):
    REQUESTED = "requested", _("requested")
    GRANTED = "granted", _("granted")
    EXPIRED = "expired", _("expired")
    REVOKED = "revoked", _("revoked")
    REFUSED = "refused", _("refused")


class ExemptionKind(models.TextChoices):
    PACKAGE = "package", _("package")
    VULNERABILITY = "cve", _("vulnerability")
    BASELINE = "baseline", _("baseline")


class DiscrepancyKind(models.TextChoices):
    TWO_HITS = "two_hits", _("two records could be this machine")
    CLONE = "clone", _("one machine-id, two host keys")
    SAME_FINGERPRINT = "same_fingerprint", _("another host shows the same fingerprint")
    FINGERPRINT_CHANGED = "fingerprint_changed", _("the machine is another one than before")
    SOURCES_DIFFER = "sources_differ", _("sources differ")
    ABOVE_BASELINE = "above_baseline", _("newer than the baseline says")
    BELOW_BASELINE = "below_baseline", _("stays older than the baseline says")


class BelowCause(models.TextChoices):
    """Why a host stays below its baseline."""

    DISTRIBUTION = "distribution", _("the update does not reach it")
    SCHEDULE = "schedule", _("it has no fitting window, or is away then")
    PERMISSION = "permission", _("Patchflow may not work on it")
    SPECIAL_CARE = "special_care", _("it needs special care")


class DiscrepancyState(models.TextChoices):
    OPEN = "open", _("open")
    EXPLAINED = "explained", _("explained")
    CORRECTED = "corrected", _("corrected")
    HANDED_OVER = "handed_to_problem_management", _("handed to problem management")


class PointState(models.TextChoices):
    IN_SERVICE = "in_service", _("in service")
    RETIRED = "retired", _("retired")


class PointAnswer(models.TextChoices):
    """Whether a distribution point answers; what was asked too long ago, or could not be asked, is unknown."""

    ANSWERING = "answering", _("answering")
    SILENT = "silent", _("not answering")
    UNKNOWN = "unknown", _("unknown")


class WhenSilent(models.TextChoices):
    """What the hosts of a distribution point do while nobody knows that it answers."""

    WAIT = "wait", _("wait until it answers")
    DIRECT = "direct", _("download directly")
    TRY = "try", _("try it all the same")
