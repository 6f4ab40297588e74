"""Shapes of scans over REST."""

from __future__ import annotations

from rest_framework import serializers

from cmdb.api.shapes import Plain
from cmdb.enums import (
    ResultState,
)
from cmdb.models import (
    ScanResult,
    ScanRun,
)
from cmdb.queries.scans import reason_for


class ScanRunSerializer(serializers.ModelSerializer[ScanRun]):
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    reason = serializers.SerializerMethodField(help_text="Its figures count the hosts that the caller may see.")
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

    def get_reason(self, run: ScanRun) -> str:
        return reason_for(run)

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
