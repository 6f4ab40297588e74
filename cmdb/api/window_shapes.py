"""Shapes of service windows, groups and calendar files over REST."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from rest_framework import serializers

from cmdb.api.shapes import Plain
from cmdb.enums import (
    Criticality,
    Environment,
    GroupKind,
    QueuedRule,
    Recurrence,
)
from cmdb.models import (
    HostGroup,
    Nth,
    ServiceWindow,
    Weekday,
)


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
