"""Freezes over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import freeze_import, freezes
from changes.enums import RFCKind
from changes.models import FreezeWindow
from cmdb.api.window_shapes import IcsLineSerializer, IcsSerializer
from patchflow.api.verbs import ReasonSerializer, VerbViewSet, parsed


class FreezeSerializer(serializers.ModelSerializer[FreezeWindow]):
    declared_by = serializers.CharField(source="declared_by.username", read_only=True)
    lifted_by = serializers.CharField(source="lifted_by.username", default=None, read_only=True)
    passes = serializers.ListField(child=serializers.ChoiceField(RFCKind.choices), read_only=True)

    class Meta:
        model = FreezeWindow
        fields = ("id", "name", "reason", "starts_at", "ends_at", "passes", "declared_by", "declared_at", "lifted_by",
                  "lifted_at", "lift_reason")  # fmt: skip
        read_only_fields = fields


class DeclareSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    reason = serializers.CharField(max_length=2000)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    passes = serializers.ListField(child=serializers.ChoiceField(RFCKind.choices), required=False)


class ImportFreezesSerializer(IcsSerializer):
    reason = serializers.CharField(
        max_length=2000, allow_blank=True, default="", help_text="Where an event has no description."
    )
    passes = serializers.ListField(child=serializers.ChoiceField(RFCKind.choices), allow_null=True, default=None)


class FreezeViewSet(VerbViewSet):
    """Spans in which only some kinds of change start. Everybody who may see changes anywhere sees them."""

    serializer_class = FreezeSerializer

    def visible(self) -> QuerySet[Any]:
        rows = FreezeWindow.objects.select_related("declared_by", "lifted_by")
        return rows.visible_to(self.request.user)  # type: ignore[arg-type]

    @extend_schema(request=DeclareSerializer, responses={201: FreezeSerializer})
    def create(self, request: Request) -> Response:
        """Declares a freeze."""
        freeze = self.act(freezes.declare, request, **parsed(DeclareSerializer, request))
        return self.answer(freeze.pk, status=201)

    @extend_schema(request=ImportFreezesSerializer, responses=IcsLineSerializer(many=True))
    @action(detail=False, methods=["post"], url_path="import-ics", pagination_class=None, filter_backends=[])
    def import_ics(self, request: Request) -> Response:
        """Freezes from an iCalendar file: what each event would become, or, without `preview`, declared of the chosen ones."""
        given = parsed(ImportFreezesSerializer, request)
        common = {"content": given["ics"].encode(), "zone": given["zone"]}
        if given["preview"]:
            lines = self.act(freeze_import.preview, request, **common)
        else:
            more = {name: given[name] for name in ("numbers", "reason", "passes")}
            lines = self.act(freeze_import.take_over, request, **common, **more)
        return Response(IcsLineSerializer(lines, many=True).data)

    @extend_schema(request=ReasonSerializer, responses=FreezeSerializer)
    @action(detail=True, methods=["post"])
    def lift(self, request: Request, pk: str | None = None) -> Response:
        """Ends it at once."""
        found = self.seen_pk()
        self.act(freezes.lift, request, freeze_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)
