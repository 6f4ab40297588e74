"""Shapes of cmdb over REST. Serializers check shapes and resolve ids; they never write."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django.utils import timezone
from rest_framework import serializers

from cmdb.enums import (
    BaselineResult,
    BelowCause,
    Criticality,
    Environment,
    ExemptionKind,
    GroupKind,
    ItemState,
    KeyReference,
    Management,
    QueuedRule,
    Recurrence,
    ResultState,
)
from cmdb.models import (
    Baseline,
    BaselineItem,
    Connection,
    Discrepancy,
    Exemption,
    Host,
    HostGroup,
    Installation,
    Nth,
    PendingUpdate,
    Platform,
    ScanResult,
    ScanRun,
    ServiceWindow,
    Weekday,
)
from cmdb.queries.hosts import is_stale


class Plain(serializers.Serializer[Any]):
    """Base of what verbs take and of answers that are no rows."""


# --- hosts ---------------------------------------------------------------------------------------------------------------
class PlatformSerializer(serializers.ModelSerializer[Platform]):
    label = serializers.CharField(source="__str__", read_only=True)  # type: ignore[assignment]

    class Meta:
        model = Platform
        fields = ("id", "label", "ecosystem", "distribution", "release", "codename", "arch", "supported_until")
        read_only_fields = fields


class HostSerializer(serializers.ModelSerializer[Host]):
    """A host. `stale`: its facts are too old to count; `fingerprint` empty: not known yet."""

    state = serializers.ChoiceField(ItemState.choices, source="ci.state", read_only=True)
    environment = serializers.ChoiceField(Environment.choices, source="ci.environment", read_only=True)
    criticality = serializers.IntegerField(source="ci.criticality", read_only=True)
    management = serializers.ChoiceField(Management.choices, source="ci.management", read_only=True)
    owner = serializers.CharField(source="ci.owner.username", default=None, read_only=True)
    platform = serializers.CharField(source="platform.__str__", default=None, read_only=True)
    fingerprint = serializers.CharField(read_only=True)
    stale = serializers.SerializerMethodField()
    groups = serializers.SerializerMethodField()

    class Meta:
        model = Host
        fields = (
            "id",
            "name",
            "fqdn",
            "state",
            "environment",
            "criticality",
            "management",
            "owner",
            "platform",
            "fingerprint",
            "kernel_running",
            "restart_needed",
            "restart_reasons",
            "last_seen_at",
            "audited_at",
            "stale",
            "report_errors",
            "is_local",
            "groups",
            "added_at",
            "retired_at",
        )
        read_only_fields = fields

    def get_stale(self, host: Host) -> bool:
        return is_stale(host, timezone.now())

    def get_groups(self, host: Host) -> list[int]:
        return [member.group_id for member in host.memberships.all()]


class ConnectionSerializer(serializers.ModelSerializer[Connection]):
    """How a host is reached. Keys are shown by fingerprint; our own key by reference only."""

    accepted_fingerprint = serializers.CharField(read_only=True)
    shown_fingerprint = serializers.CharField(read_only=True)
    jump_host = serializers.IntegerField(source="jump.host_id", default=None, read_only=True)

    class Meta:
        model = Connection
        fields = (
            "kind",
            "address",
            "port",
            "user",
            "become",
            "jump_host",
            "key_kind",
            "key_reference",
            "accepted_fingerprint",
            "host_key_accepted_at",
            "shown_fingerprint",
            "shown_at",
            "last_tested_at",
            "last_test_ok",
            "last_test_reasons",
        )
        read_only_fields = fields


class ReachSerializer(Plain):
    """Where a host is and how it lets us in."""

    address = serializers.CharField(max_length=255, required=False)
    port = serializers.IntegerField(required=False)
    user = serializers.CharField(max_length=64, required=False)
    become = serializers.BooleanField(required=False)
    jump_host_id = serializers.IntegerField(required=False, allow_null=True)
    key_kind = serializers.ChoiceField(KeyReference.choices, required=False)
    key_reference = serializers.CharField(max_length=300, required=False, allow_blank=True)


class AddHostSerializer(ReachSerializer):
    name = serializers.CharField(max_length=120)
    fqdn = serializers.CharField(max_length=255, required=False)
    environment = serializers.ChoiceField(Environment.choices, required=False)
    criticality = serializers.ChoiceField(Criticality.choices, required=False)
    owner_id = serializers.IntegerField(required=False)
    group_id = serializers.IntegerField(required=False)


class ReviseHostSerializer(Plain):
    name = serializers.CharField(max_length=120, required=False)
    fqdn = serializers.CharField(max_length=255, required=False, allow_blank=True)
    environment = serializers.ChoiceField(Environment.choices, required=False)
    criticality = serializers.ChoiceField(Criticality.choices, required=False)
    management = serializers.ChoiceField(Management.choices, required=False)
    management_reason = serializers.CharField(max_length=300, required=False, allow_blank=True)
    owner_id = serializers.IntegerField(required=False, allow_null=True)
    support_group = serializers.CharField(max_length=80, required=False, allow_blank=True)


class AcceptKeySerializer(Plain):
    fingerprint = serializers.CharField(max_length=100, help_text="SHA256:… as you compared it.")


class ProbeSerializer(Plain):
    """What a test of a connection found, as far as it got; null: not reached."""

    usable = serializers.BooleanField()
    reachable = serializers.BooleanField()
    host_key_matches = serializers.BooleanField(allow_null=True)
    authenticated = serializers.BooleanField(allow_null=True)
    sudo = serializers.BooleanField(allow_null=True)
    python = serializers.CharField()
    account = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())


class OtherValueSerializer(Plain):
    source = serializers.CharField()  # type: ignore[assignment]
    value = serializers.JSONField()


class FactSerializer(Plain):
    """The value that counts, with source and age, and what others say instead."""

    key = serializers.CharField()
    value = serializers.JSONField()
    source = serializers.CharField()  # type: ignore[assignment]
    seen_at = serializers.DateTimeField()
    locked_by = serializers.CharField(allow_blank=True)
    others = serializers.SerializerMethodField()

    def get_others(self, row: Any) -> list[dict[str, Any]]:
        return [{"source": source, "value": value} for source, value in row.others]


class SetFactSerializer(Plain):
    key = serializers.CharField(max_length=80)
    value = serializers.JSONField()


class FactKeySerializer(Plain):
    key = serializers.CharField(max_length=80)


class InstallationSerializer(serializers.ModelSerializer[Installation]):
    name = serializers.CharField(source="package_version.name", read_only=True)
    version = serializers.CharField(source="package_version.version", read_only=True)
    arch = serializers.CharField(source="package_version.arch", read_only=True)
    source_name = serializers.CharField(source="package_version.source_name", read_only=True)
    source_version = serializers.CharField(source="package_version.source_version", read_only=True)
    origin = serializers.CharField(source="package_version.origin_class", read_only=True)
    readable = serializers.SerializerMethodField(help_text="False: findings about this version are unknown.")

    class Meta:
        model = Installation
        fields = (
            "name",
            "version",
            "arch",
            "source_name",
            "source_version",
            "origin",
            "status",
            "held",
            "readable",
            "installed_seen_at",
            "gone_seen_at",
        )
        read_only_fields = fields

    def get_readable(self, row: Installation) -> bool:
        return row.package_version.key is not None


class PendingUpdateSerializer(serializers.ModelSerializer[PendingUpdate]):
    class Meta:
        model = PendingUpdate
        fields = (
            "name",
            "arch",
            "installed_version",
            "candidate_version",
            "source_name",
            "origin",
            "suite",
            "is_security",
            "kept_back",
            "seen_at",
        )
        read_only_fields = fields


# --- windows and groups ----------------------------------------------------------------------------------------------------
class OpeningSerializer(Plain):
    window_id = serializers.IntegerField()
    revision = serializers.IntegerField()
    name = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    last_start_at = serializers.DateTimeField()


class WindowSerializer(serializers.ModelSerializer[ServiceWindow]):
    groups: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = ServiceWindow
        fields = (
            "id",
            "name",
            "revision",
            "recurrence",
            "nth",
            "weekday",
            "offset_days",
            "starts_local",
            "zone",
            "length_minutes",
            "cutoff_minutes",
            "from_on",
            "until_on",
            "groups",
            "retired_at",
        )
        read_only_fields = fields


class ReviseWindowSerializer(Plain):
    name = serializers.CharField(max_length=80, required=False)
    recurrence = serializers.ChoiceField(Recurrence.choices, required=False)
    nth = serializers.ChoiceField(Nth.choices, required=False)
    weekday = serializers.ChoiceField(Weekday.choices, required=False)
    offset_days = serializers.IntegerField(required=False)
    starts_local = serializers.TimeField(required=False)
    zone = serializers.CharField(max_length=64, required=False)
    length_minutes = serializers.IntegerField(required=False)
    cutoff_minutes = serializers.IntegerField(required=False)
    from_on = serializers.DateField(required=False)
    until_on = serializers.DateField(required=False, allow_null=True)
    group_ids = serializers.ListField(child=serializers.IntegerField(), required=False)


class EditWindowSerializer(ReviseWindowSerializer):
    """`queued`: what becomes of the hosts that wait for the window."""

    queued = serializers.ChoiceField(QueuedRule.choices, default=QueuedRule.HALT)


class EndWindowSerializer(Plain):
    reason = serializers.CharField(max_length=2000)
    queued = serializers.ChoiceField(QueuedRule.choices, default=QueuedRule.HALT)


class LookAheadSerializer(EditWindowSerializer):
    """`ends`: not an edit but the end of the window."""

    ends = serializers.BooleanField(default=False)


class QueuedHostSerializer(Plain):
    """A queued host and what becomes of it. `opens`: when it would begin at the earliest; `becomes`: when it does then."""

    deployment = serializers.CharField()
    host_id = serializers.IntegerField()
    host = serializers.CharField()
    opens = serializers.DateTimeField(allow_null=True)
    becomes = serializers.DateTimeField(allow_null=True)
    word = serializers.ChoiceField(["stays", "moved", "cancelled", "halted"])
    why = serializers.CharField()


class AddWindowSerializer(ReviseWindowSerializer):
    name = serializers.CharField(max_length=80)
    starts_local = serializers.TimeField()
    length_minutes = serializers.IntegerField()
    from_on = serializers.DateField()


class PreviewWindowSerializer(AddWindowSerializer):
    """When a window would open: without name and groups."""

    name: Any = None
    group_ids: Any = None


class GroupSerializer(serializers.ModelSerializer[HostGroup]):
    hosts = serializers.IntegerField(read_only=True, source="host_count")

    class Meta:
        model = HostGroup
        fields = (
            "id",
            "name",
            "kind",
            "description",
            "rule_environment",
            "rule_distribution",
            "rule_release",
            "rule_criticality",
            "hosts",
            "retired_at",
        )
        read_only_fields = fields


class RuleSerializer(Plain):
    rule_environment = serializers.ChoiceField(Environment.choices, required=False, allow_blank=True)
    rule_distribution = serializers.CharField(max_length=40, required=False, allow_blank=True)
    rule_release = serializers.CharField(max_length=40, required=False, allow_blank=True)
    rule_criticality = serializers.ChoiceField(Criticality.choices, required=False, allow_null=True)


class ReviseGroupSerializer(RuleSerializer):
    name = serializers.CharField(max_length=80)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)


class AddGroupSerializer(ReviseGroupSerializer):
    kind = serializers.ChoiceField(GroupKind.choices, required=False)
    host_ids = serializers.ListField(child=serializers.IntegerField(), required=False)


class HostIdsSerializer(Plain):
    host_ids = serializers.ListField(child=serializers.IntegerField())


class PreviewSerializer(Plain):
    count = serializers.IntegerField()
    hosts = serializers.ListField(child=serializers.CharField(), help_text="The first 50 by name.")


# --- scans -------------------------------------------------------------------------------------------------------------------
class ScanRunSerializer(serializers.ModelSerializer[ScanRun]):
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    counts = serializers.SerializerMethodField(help_text="State of the hosts' results → number of hosts.")

    class Meta:
        model = ScanRun
        fields = (
            "id",
            "state",
            "scanner",
            "refresh",
            "requested_by",
            "requested_at",
            "started_at",
            "ended_at",
            "reason",
            "counts",
        )
        read_only_fields = fields

    def get_counts(self, run: ScanRun) -> dict[str, int]:
        states = [str(result.state) for result in run.results.all()]
        return {state: states.count(state) for state in ResultState.values if state in states}


class ScanResultSerializer(serializers.ModelSerializer[ScanResult]):
    host_name = serializers.CharField(source="host.name", read_only=True)

    class Meta:
        model = ScanResult
        fields = ("host", "host_name", "state", "code", "reason", "packages", "changed", "ended_at")
        read_only_fields = fields


class ScanRequestSerializer(Plain):
    scanner = serializers.CharField(max_length=40, required=False)
    refresh = serializers.BooleanField(required=False)


class RequestScanSerializer(ScanRequestSerializer):
    host_ids = serializers.ListField(child=serializers.IntegerField(), allow_empty=False)


# --- baselines, exemptions, discrepancies --------------------------------------------------------------------------------------
class BaselineItemSerializer(serializers.ModelSerializer[BaselineItem]):
    class Meta:
        model = BaselineItem
        fields = ("name", "arch", "version")


class BaselineSerializer(serializers.ModelSerializer[Baseline]):
    proposed_by = serializers.CharField(source="proposed_by.username", read_only=True)
    platform = serializers.CharField(source="platform.__str__", read_only=True)

    class Meta:
        model = Baseline
        fields = (
            "id",
            "name",
            "version",
            "state",
            "platform",
            "group",
            "source_digest",
            "proposed_by",
            "made_at",
            "approved_at",
            "ended_at",
        )
        read_only_fields = fields


class ProposeBaselineSerializer(Plain):
    name = serializers.CharField(max_length=80)
    platform_id = serializers.IntegerField()
    group_id = serializers.IntegerField(required=False)
    items = BaselineItemSerializer(many=True)


class HostResultSerializer(Plain):
    host_id = serializers.IntegerField()
    host_name = serializers.CharField()
    result = serializers.ChoiceField(BaselineResult.choices)
    below = serializers.IntegerField()
    at = serializers.IntegerField()
    above = serializers.IntegerField()
    unreadable = serializers.IntegerField()
    absent = serializers.IntegerField()
    audited_at = serializers.DateTimeField(allow_null=True)
    stale = serializers.BooleanField()


class HostStandingSerializer(HostResultSerializer):
    """`baseline`: the one that decides; null where none is in force for the host, which is then unknown. `explained`:
    somebody said who brought what is above."""

    baseline = serializers.IntegerField(allow_null=True)
    explained = serializers.BooleanField()


class BaselineReasonSerializer(Plain):
    package = serializers.CharField()
    arch = serializers.CharField()
    installed = serializers.CharField()
    wanted = serializers.CharField()
    verdict = serializers.ChoiceField(BaselineResult.choices)
    seen_at = serializers.DateTimeField()


class HostBaselineSerializer(HostResultSerializer):
    """A host against one baseline in force: each package beside the version that is wanted, what differs first."""

    baseline = serializers.IntegerField()
    baseline_name = serializers.CharField()
    packages = BaselineReasonSerializer(many=True)


class ExplainAboveSerializer(Plain):
    baseline_id = serializers.IntegerField()
    how = serializers.ChoiceField(["explain", "correct", "hand_over"])
    reason = serializers.CharField(max_length=2000)


class IntervalSerializer(Plain):
    """Good, unknown, bad and exempt hosts: the share of good ones lies between `low` and `high` percent."""

    good = serializers.IntegerField()
    unknown = serializers.IntegerField()
    bad = serializers.IntegerField()
    exempt = serializers.IntegerField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class ComplianceSerializer(Plain):
    interval = IntervalSerializer()
    hosts = HostResultSerializer(many=True)


class StandingSerializer(Plain):
    """The members of a group against the baselines in force. The five counts add up to `total`."""

    total = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())
    interval = IntervalSerializer()
    oldest_at = serializers.DateTimeField(allow_null=True)
    hosts = HostStandingSerializer(many=True)


class IcsSerializer(Plain):
    """An iCalendar file as text. With `preview` nothing is saved; `numbers` are the events to take, counted from 1."""

    ics = serializers.CharField(max_length=600_000, trim_whitespace=False)
    zone = serializers.CharField(max_length=64, default="UTC", help_text="For whole days and times without a zone.")
    preview = serializers.BooleanField(default=True)
    numbers = serializers.ListField(child=serializers.IntegerField(min_value=1), default=list)

    def validate_zone(self, zone: str) -> str:
        if zone not in available_timezones():
            raise serializers.ValidationError("This is no IANA time zone.")
        return zone


class ImportWindowsSerializer(IcsSerializer):
    group_ids = serializers.ListField(child=serializers.IntegerField(), default=list)
    cutoff_minutes = serializers.IntegerField(min_value=0, default=0)


class IcsLineSerializer(Plain):
    """What an event becomes: `made` is the id of what it became; `problem` says why it is nothing."""

    number = serializers.IntegerField(source="entry.number")
    name = serializers.CharField(source="entry.name")
    starts_at = serializers.DateTimeField(source="entry.starts_at", allow_null=True)
    ends_at = serializers.DateTimeField(source="entry.ends_at", allow_null=True)
    made = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField()


class ExemptionSerializer(serializers.ModelSerializer[Exemption]):
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    decided_by = serializers.CharField(source="decided_by.username", default=None, read_only=True)

    class Meta:
        model = Exemption
        fields = (
            "id",
            "state",
            "kind",
            "subject",
            "platform",
            "host",
            "group",
            "reason",
            "compensating_control",
            "requested_by",
            "requested_at",
            "decided_by",
            "decided_at",
            "expires_at",
        )
        read_only_fields = fields


class RequestExemptionSerializer(Plain):
    kind = serializers.ChoiceField(ExemptionKind.choices)
    subject = serializers.CharField(max_length=200)
    platform = serializers.CharField(max_length=100, required=False)
    host_id = serializers.IntegerField(required=False)
    group_id = serializers.IntegerField(required=False)
    reason = serializers.CharField(max_length=2000)
    compensating_control = serializers.CharField(max_length=2000)
    expires_at = serializers.DateTimeField(help_text="When it ends; at most 180 days from now.")


class DiscrepancySerializer(serializers.ModelSerializer[Discrepancy]):
    settled_by = serializers.CharField(source="settled_by.username", default=None, read_only=True)

    class Meta:
        model = Discrepancy
        fields = (
            "id",
            "state",
            "kind",
            "host",
            "other",
            "sentence",
            "detail",
            "source",
            "opened_at",
            "settled_at",
            "settled_by",
            "settlement",
            "cause",
        )
        read_only_fields = fields


class SettleSerializer(Plain):
    how = serializers.ChoiceField(["explain", "correct", "hand_over"])
    reason = serializers.CharField(max_length=2000)
    cause = serializers.ChoiceField(
        BelowCause.choices, required=False, help_text="Of a host that stays below its baseline, when it is handed over."
    )
