"""The chain of communication over REST: who was told about a ring and knows, and requests for more time."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, VerbViewSet, parsed
from patchflow.api.views import ReadViewSet
from releases.domain import delays, owners
from releases.models import DelayRequest, Representative, Rollout


class RepresentativeSerializer(serializers.ModelSerializer[Representative]):
    user = serializers.CharField(source="user.username")

    class Meta:
        model = Representative
        fields = (
            "id", "ring", "user", "via", "hosts", "told_at", "reminded_at", "passed_on_at", "reported_at", "acknowledged_at", "comment",
        )  # fmt: skip


class AcknowledgeSerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class DelayRequestSerializer(serializers.ModelSerializer[DelayRequest]):
    asked_by = serializers.CharField(source="asked_by.username")
    decided_by = serializers.CharField(source="decided_by.username", default=None)
    granted_before = serializers.IntegerField(help_text="How often the ring had been granted more time before.")

    class Meta:
        model = DelayRequest
        fields = (
            "id", "ring", "state", "until", "reason", "asked_by", "asked_at", "decided_by", "decided_at", "comment",
            "granted_before",
        )  # fmt: skip


class AskDelaySerializer(serializers.Serializer[Any]):
    ring_id = serializers.IntegerField()
    until = serializers.DateTimeField(help_text="The ring shall not start before.")
    reason = serializers.CharField(max_length=2000)


class DecideDelaySerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


def _seen(actor: Any) -> Q:
    return Q(ring__rollout__in=Rollout.objects.all().visible_to(actor))


class RepresentativeViewSet(ReadViewSet):
    """Who was told about a ring: one's own rows, and those of rollouts that the caller sees."""

    serializer_class = RepresentativeSerializer
    filterset_fields = ("ring",)
    queryset = Representative.objects.none()

    def get_queryset(self) -> QuerySet[Representative]:
        if getattr(self, "swagger_fake_view", False):
            return Representative.objects.none()
        actor: Any = self.request.user
        rows = Representative.objects.filter(_seen(actor) | Q(user=actor))
        return rows.select_related("user").order_by("-pk")

    @extend_schema(request=AcknowledgeSerializer, responses=RepresentativeSerializer)
    @action(detail=True, methods=["post"], filter_backends=[], pagination_class=None)
    def acknowledge(self, request: Request, pk: str | None = None) -> Response:
        """The caller knows, and has passed it on; for oneself only."""
        actor: Any = request.user
        given = parsed(AcknowledgeSerializer, request)
        row = owners.acknowledge(ring_id=self.get_object().ring_id, actor=actor, at=timezone.now(), **given)
        return Response(RepresentativeSerializer(row).data)


class DelayRequestViewSet(VerbViewSet):
    """Requests for more time before a ring: one's own, and those of rollouts that the caller sees."""

    serializer_class = DelayRequestSerializer
    filterset_fields = ("ring", "state")

    def visible(self) -> QuerySet[DelayRequest]:
        actor: Any = self.request.user
        rows = DelayRequest.objects.filter(_seen(actor) | Q(asked_by=actor))
        return rows.counted().select_related("asked_by", "decided_by").order_by("-pk")

    @extend_schema(request=AskDelaySerializer, responses={201: DelayRequestSerializer})
    def create(self, request: Request) -> Response:
        """Asks that a ring starts later."""
        asked = self.act(delays.ask, request, **parsed(AskDelaySerializer, request))
        return self.answer(asked.pk, status=201)

    @extend_schema(request=DecideDelaySerializer, responses=DelayRequestSerializer)
    @action(detail=True, methods=["post"])
    def grant(self, request: Request, pk: str | None = None) -> Response:
        """Keeps the ring from starting before the time asked for."""
        self.act(delays.grant, request, request_id=self.seen_pk(), **parsed(DecideDelaySerializer, request))
        return self.answer(pk)

    @extend_schema(request=DecideDelaySerializer, responses=DelayRequestSerializer)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: str | None = None) -> Response:
        """Says no, and why."""
        self.act(delays.refuse, request, request_id=self.seen_pk(), **parsed(DecideDelaySerializer, request))
        return self.answer(pk)

    @extend_schema(request=EmptySerializer, responses=DelayRequestSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str | None = None) -> Response:
        """Takes one's own request back."""
        self.act(delays.withdraw, request, request_id=self.seen_pk())
        return self.answer(pk)
