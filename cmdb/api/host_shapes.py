"""Shapes of hosts, their facts and connections over REST. Serializers check shapes and resolve ids; they never write."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from cmdb.api.shapes import Plain
from cmdb.enums import (
    Criticality,
    Environment,
    ItemState,
    KeyReference,
    Management,
)
from cmdb.models import (
    Connection,
    Host,
    Installation,
    PendingUpdate,
    Platform,
)
from cmdb.queries.hosts import is_stale


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
