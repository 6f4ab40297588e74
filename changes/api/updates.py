"""REST of updates: the catalogue, which hosts miss what and why, the response."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import responses
from changes.enums_identify import AppliesVerdict, UpdateClass
from changes.enums_identify import Response as UpdateResponseChoice
from changes.models import Advisory, SoftwareUpdate, UpdateResponse, Vulnerability
from changes.queries.applicability import hosts_concerned, updates_missing_on
from changes.queries.coverage import coverage
from changes.queries.updates import advisories_of, counted, vulnerabilities_of
from cmdb.models import Host
from patchflow.api.verbs import VerbViewSet, parsed


class UpdateSerializer(serializers.ModelSerializer[SoftwareUpdate]):
    """An update of `counted`. `reach`: how many hosts that the caller may see miss it."""

    reach = serializers.IntegerField(source="missed", read_only=True)

    class Meta:
        model = SoftwareUpdate
        fields = (
            "id", "distribution", "release", "name", "module", "flavour", "fixed_version", "title", "origin", "kind",
            "severity", "severity_rank", "exploited", "known_at", "notified_at", "withdrawn_at", "update_class",
            "class_reason", "start_by", "response", "superseded_by", "reach",
        )  # fmt: skip
        read_only_fields = fields


class MissingHostSerializer(serializers.Serializer[Any]):
    """A host and what the update is to it. `installable` null: cannot be said."""

    host_id = serializers.IntegerField()
    host_name = serializers.CharField()
    verdict = serializers.ChoiceField(AppliesVerdict.choices)
    package = serializers.CharField()
    arch = serializers.CharField()
    installed_version = serializers.CharField()
    fixed_version = serializers.CharField()
    installable = serializers.BooleanField(allow_null=True)
    basis = serializers.CharField()
    why = serializers.CharField()
    since = serializers.DateTimeField()
    low_confidence = serializers.BooleanField()
    exempt = serializers.BooleanField()
    held = serializers.BooleanField()
    candidate = serializers.CharField()
    audited_at = serializers.DateTimeField(allow_null=True)


class MissingUpdateSerializer(serializers.Serializer[Any]):
    """What an update is to the host asked for; `update` null: the vendor has no fix."""

    update = UpdateSerializer(allow_null=True)  # type: ignore[assignment]  # DRF's own method of that name is not used
    advisory_id = serializers.IntegerField(allow_null=True)
    covered_by = serializers.IntegerField(allow_null=True)
    on_host = MissingHostSerializer()


class RespondSerializer(serializers.Serializer[Any]):
    response = serializers.ChoiceField(UpdateResponseChoice.choices)
    reason = serializers.CharField(max_length=2000)
    revisit_on = serializers.DateField(required=False, allow_null=True)


class ClassifyUpdateSerializer(serializers.Serializer[Any]):
    update_class = serializers.ChoiceField(UpdateClass.choices)
    reason = serializers.CharField(max_length=400)


class UpdateResponseSerializer(serializers.ModelSerializer[UpdateResponse]):
    decided_by = serializers.CharField(source="decided_by.username")

    class Meta:
        model = UpdateResponse
        fields = ("response", "reason", "revisit_on", "decided_by", "decided_at")
        read_only_fields = fields


class VulnerabilitySerializer(serializers.ModelSerializer[Vulnerability]):
    class Meta:
        model = Vulnerability
        fields = (
            "cve", "aliases", "cvss", "severity_vendor", "epss", "epss_percentile", "epss_model", "epss_on",
            "exploited_since_on", "exploited_due_on", "ransomware", "rejected",
        )  # fmt: skip
        read_only_fields = fields


class AdvisorySerializer(serializers.ModelSerializer[Advisory]):
    feed = serializers.CharField(source="feed.name")

    class Meta:
        model = Advisory
        fields = (
            "id", "feed", "advisory_id", "scope", "vendor", "title", "text", "kind", "severity_vendor", "severity_rank",
            "status", "references", "cvss", "notes", "published_at", "modified_at", "withdrawn_at", "vanished_at",
            "revision", "document_sha256",
        )  # fmt: skip
        read_only_fields = fields


class CoverageSerializer(serializers.Serializer[Any]):
    """What is known of a platform. `fresh` false: what is not known to be missing there is unknown."""

    distribution = serializers.CharField()
    release = serializers.CharField()
    hosts = serializers.IntegerField()
    feeds = serializers.ListField(child=serializers.CharField())
    as_of = serializers.DateTimeField(allow_null=True)
    advisories = serializers.IntegerField()
    fresh = serializers.BooleanField()
    sentence = serializers.CharField()


class UpdateViewSet(VerbViewSet):
    """The catalogue of updates. Hosts behind an update are only those that the caller may see."""

    serializer_class = UpdateSerializer
    filterset_fields = (
        "distribution", "release", "name", "origin", "kind", "severity_rank", "exploited", "update_class", "response",
    )  # fmt: skip
    available = None  # type: ignore[assignment]  # an update has no states of its own

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        return counted(SoftwareUpdate.objects.visible_to(actor), actor)

    @extend_schema(responses=MissingHostSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def hosts(self, request: Request, pk: str | None = None) -> Response:
        """The hosts on which it is not known to be fixed, with verdict and versions compared."""
        found = hosts_concerned(self.seen_pk(), actor=request.user, at=timezone.now())  # type: ignore[arg-type]
        return self.table(MissingHostSerializer, found)

    @extend_schema(responses=VulnerabilitySerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def vulnerabilities(self, request: Request, pk: str | None = None) -> Response:
        """What it mends."""
        return self.table(VulnerabilitySerializer, vulnerabilities_of(self.get_object()))

    @extend_schema(responses=AdvisorySerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def advisories(self, request: Request, pk: str | None = None) -> Response:
        """The notices that announce it."""
        return self.table(AdvisorySerializer, advisories_of(self.get_object()))

    @extend_schema(responses=UpdateResponseSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def responses(self, request: Request, pk: str | None = None) -> Response:
        """What was decided about it, the newest first."""
        rows = self.get_object().responses.select_related("decided_by")
        return self.table(UpdateResponseSerializer, rows)

    @extend_schema(request=RespondSerializer, responses=UpdateSerializer)
    @action(detail=True, methods=["post"])
    def respond(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(responses.respond, request, update_id=found, **parsed(RespondSerializer, request))
        return self.answer(found)

    @extend_schema(request=ClassifyUpdateSerializer, responses=UpdateSerializer)
    @action(detail=True, methods=["post"])
    def classify(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(responses.classify, request, update_id=found, **parsed(ClassifyUpdateSerializer, request))
        return self.answer(found)

    @extend_schema(
        parameters=[OpenApiParameter("host", int, required=True, description="Id of a host.")],
        responses=MissingUpdateSerializer(many=True),
    )
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def missing(self, request: Request) -> Response:
        """What a host misses, and what is unknown about it."""
        asked = request.query_params.get("host", "")
        if not asked.isdigit() or len(asked) > 18:
            raise serializers.ValidationError({"host": "The id of a host is needed."})
        visible = Host.objects.visible_to(request.user) if self.visible().exists() else Host.objects.none()  # type: ignore[arg-type]
        host = get_object_or_404(visible, pk=int(asked))
        rows = updates_missing_on(host.pk, at=timezone.now())
        updates = [row.update for row in rows if row.update]
        counts = dict(self.visible().filter(pk__among=[each.pk for each in updates]).values_list("pk", "missed"))
        for each in updates:
            each.missed = counts[each.pk]  # type: ignore[attr-defined]
        return self.table(MissingUpdateSerializer, rows)

    @extend_schema(responses=CoverageSerializer(many=True))
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def coverage(self, request: Request) -> Response:
        """What is known of each platform in the estate, by which feed, and how old it is."""
        return self.table(CoverageSerializer, coverage(at=timezone.now(), actor=request.user))  # type: ignore[arg-type]
