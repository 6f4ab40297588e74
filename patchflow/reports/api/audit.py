"""The audit trail over REST: read, in the sealer's order if asked, and verified."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.views import ReadViewSet
from patchflow.kernel import trail
from patchflow.kernel.models import AuditEntry
from patchflow.reports.queries.trail import entries


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    seal = serializers.SerializerMethodField()

    class Meta:
        model = AuditEntry
        fields = (
            "id", "chain", "seq", "object_type", "object_id", "object_label", "verb", "outcome", "actor_name", "correlation_id",
            "before_state", "after_state", "detail", "effective_at", "recorded_at", "previous", "hash", "seal",
        )  # fmt: skip

    def get_seal(self, entry: AuditEntry) -> int | None:
        return entry.leaf.seal.number if hasattr(entry, "leaf") else None


class VerificationSerializer(serializers.Serializer[Any]):
    whole = serializers.BooleanField()
    entries = serializers.IntegerField()
    chains = serializers.IntegerField()
    seals = serializers.IntegerField()
    unsealed = serializers.IntegerField()
    unpublished = serializers.IntegerField()
    faults = serializers.ListField(child=serializers.CharField())


class AuditFilter(django_filters.FilterSet):
    class Meta:
        model = AuditEntry
        fields = ("verb", "outcome", "object_type", "object_id", "actor_name", "correlation_id")


class AuditViewSet(ReadViewSet):
    """Entries, newest first. Needs the right to audit."""

    serializer_class = AuditEntrySerializer
    filterset_class = AuditFilter
    queryset = AuditEntry.objects.none()

    def get_queryset(self) -> QuerySet[AuditEntry]:
        if getattr(self, "swagger_fake_view", False):
            return AuditEntry.objects.none()
        actor: Any = self.request.user
        return entries(actor)

    @extend_schema(request=None, responses=VerificationSerializer)
    @action(detail=False, methods=["post"], filter_backends=[], pagination_class=None)
    def verify(self, request: Request) -> Response:
        """Recomputes every chain, seal and published head."""
        actor: Any = request.user
        if actor.scopes_for("audit.verify") is not None:
            raise PermissionDenied("Verifying the whole trail is for auditors.")
        return Response(VerificationSerializer(trail.verify()).data)
