"""Shapes of baselines, exemptions and discrepancies over REST."""

from __future__ import annotations

from rest_framework import serializers

from cmdb.api.shapes import Plain
from cmdb.enums import (
    BaselineResult,
    BelowCause,
    ExemptionKind,
)
from cmdb.models import (
    Baseline,
    BaselineItem,
    Discrepancy,
    Exemption,
)


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
