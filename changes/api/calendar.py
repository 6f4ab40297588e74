"""The calendar over REST: all entries of a span, reserved slots, the caller's own feed address."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import calendar_keys
from changes.models import ChangeSlot
from changes.queries.calendar import slots_seen
from patchflow.api.verbs import EmptySerializer, VerbViewSet
from patchflow.api.views import ViewSet
from patchflow.kernel import calendars

SPAN = timedelta(days=31)
LONGEST = timedelta(days=400)


class EntrySerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    key = serializers.CharField()
    title = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    url = serializers.CharField()
    detail = serializers.CharField()


class AskedSerializer(serializers.Serializer[Any]):
    """The span asked for, 31 days from now on if nothing is said, 400 days at most; `kind` narrows it."""

    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    kind = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        since = attrs.setdefault("since", timezone.now())
        until = attrs.setdefault("until", since + SPAN)
        if not since < until <= since + LONGEST:
            raise serializers.ValidationError({"until": "It lies after `since`, at most 400 days."})
        if attrs.get("kind") and attrs["kind"] not in calendars.sources:
            raise serializers.ValidationError({"kind": f"Known kinds: {', '.join(calendars.sources)}."})
        return attrs


class AddressSerializer(serializers.Serializer[Any]):
    url = serializers.URLField()


class CalendarViewSet(ViewSet):
    """The forward schedule of change, as far as the caller may see it."""

    @extend_schema(
        parameters=[
            OpenApiParameter("since", str, description="From when, ISO 8601; now if not said."),
            OpenApiParameter("until", str, description="Until when; 31 days later if not said, 400 at most."),
            OpenApiParameter("kind", str, description="One kind of entries only."),
        ],
        responses=EntrySerializer(many=True),
    )
    def list(self, request: Request) -> Response:
        """Every entry that touches the span, in order of start."""
        asked = AskedSerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        kinds = [said["kind"]] if said.get("kind") else None
        found = calendars.entries(
            actor=request.user,  # type: ignore[arg-type]
            since=said["since"],
            until=said["until"],
            at=timezone.now(),
            kinds=kinds,
        )
        return Response(EntrySerializer(found, many=True).data)

    @extend_schema(request=EmptySerializer, responses={201: AddressSerializer})
    @action(detail=False, methods=["post"], url_path="make-key")
    def make_key(self, request: Request) -> Response:
        """A new secret address for the caller's own iCalendar feed; an earlier one is revoked. Shown this once."""
        secret = calendar_keys.make(actor=request.user, at=timezone.now())  # type: ignore[arg-type]
        url = request.build_absolute_uri(reverse("changes:calendar-feed", args=[secret]))
        return Response({"url": url}, status=201, headers={"Cache-Control": "no-store"})

    @extend_schema(request=EmptySerializer, responses={204: None})
    @action(detail=False, methods=["post"], url_path="revoke-key")
    def revoke_key(self, request: Request) -> Response:
        """Ends the caller's own feed address at once."""
        calendar_keys.revoke(actor=request.user, at=timezone.now())  # type: ignore[arg-type]
        return Response(status=204)


class SlotSerializer(serializers.ModelSerializer[ChangeSlot]):
    responsible = serializers.CharField(source="responsible.username", read_only=True)
    hosts = serializers.SerializerMethodField(help_text="null for who may not see every host of the change.")

    class Meta:
        model = ChangeSlot
        fields = ("id", "rfc", "holder", "window", "name", "starts_at", "ends_at", "hosts", "simulated", "responsible", "reserved_at",
                  "released_at", "release_reason")  # fmt: skip
        read_only_fields = fields

    def get_hosts(self, slot: ChangeSlot) -> int | None:
        return slot.hosts if slot.whole else None  # type: ignore[attr-defined]


class SlotViewSet(VerbViewSet):
    """Slots that releases have reserved for changes, those given back too."""

    serializer_class = SlotSerializer
    filterset_fields = ("rfc", "holder")
    available: Any = None  # a slot has no machine

    def visible(self) -> QuerySet[ChangeSlot]:
        rows: QuerySet[ChangeSlot] = slots_seen(self.request.user)  # type: ignore[arg-type]
        return rows.select_related("responsible")
