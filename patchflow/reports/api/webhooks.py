"""Webhooks over REST: the same verbs as on their pages. Needs webhook.manage."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, VerbViewSet, parsed
from patchflow.notices import webhooks
from patchflow.notices.models import Webhook, WebhookDelivery

KNOWN = ("id", "name", "url", "kinds", "roles", "made_by", "made_at", "rotated_at", "disabled_at", "disabled_why")


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    made_by = serializers.CharField(source="made_by.username", read_only=True)

    class Meta:
        model = Webhook
        fields = KNOWN
        read_only_fields = KNOWN


class WithSecretSerializer(serializers.ModelSerializer[Webhook]):
    made_by = serializers.CharField(source="made_by.username", read_only=True)
    secret = serializers.CharField(read_only=True, help_text="Told this once; it is stored nowhere.")

    class Meta:
        model = Webhook
        fields = (*KNOWN, "secret")
        read_only_fields = fields


class WriteWebhookSerializer(serializers.Serializer[Any]):
    """`kind_names`, `roles`: which notices it gets; none named: all."""

    name = serializers.CharField(max_length=80)
    url = serializers.CharField(max_length=500)
    kind_names = serializers.ListField(child=serializers.CharField(max_length=60), required=False)
    roles = serializers.ListField(child=serializers.CharField(max_length=40), required=False)


class SwitchSerializer(serializers.Serializer[Any]):
    off = serializers.BooleanField()


class MessageSerializer(serializers.ModelSerializer[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "webhook",
            "message_id",
            "event",
            "state",
            "answer",
            "error",
            "tries",
            "made_at",
            "sent_at",
            "not_before",
            "body",
        )


class WebhookViewSet(VerbViewSet):
    """Which servers are told which notices."""

    serializer_class = WebhookSerializer

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        return Webhook.objects.visible_to(actor).select_related("made_by")

    @extend_schema(request=WriteWebhookSerializer, responses={201: WithSecretSerializer})
    def create(self, request: Request) -> Response:
        """A new one, with its secret, which is told this once."""
        hook, secret = self.act(webhooks.add, request, **parsed(WriteWebhookSerializer, request))
        return self._told(hook, secret, status=201)

    @extend_schema(request=WriteWebhookSerializer, responses=WebhookSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Another address, other notices."""
        found = self.seen_pk()
        self.act(webhooks.revise, request, webhook_id=found, **parsed(WriteWebhookSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=WithSecretSerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str | None = None) -> Response:
        """A new secret, told this once; for 24 hours messages are signed with both."""
        hook, secret = self.act(webhooks.rotate, request, webhook_id=self.seen_pk())
        return self._told(hook, secret)

    @extend_schema(request=SwitchSerializer, responses=WebhookSerializer)
    @action(detail=True, methods=["post"])
    def switch(self, request: Request, pk: str | None = None) -> Response:
        """Off or on; while it is off nothing is queued for it."""
        found = self.seen_pk()
        self.act(webhooks.switch, request, webhook_id=found, **parsed(SwitchSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=MessageSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Sends a message that says nothing but that it is a test."""
        row = self.act(webhooks.test, request, webhook_id=self.seen_pk())
        return Response(MessageSerializer(row).data)

    def _told(self, hook: Webhook, secret: str, *, status: int = 200) -> Response:
        answer = Response({**WebhookSerializer(hook).data, "secret": secret}, status=status)
        answer["Cache-Control"] = "no-store"
        return answer


class WebhookMessageViewSet(VerbViewSet):
    """What was sent to webhooks, and how it was answered."""

    serializer_class = MessageSerializer
    filterset_fields = ("webhook", "state", "event")

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        return WebhookDelivery.objects.filter(webhook__in=Webhook.objects.visible_to(actor))

    @extend_schema(request=EmptySerializer, responses=MessageSerializer)
    @action(detail=True, methods=["post"], url_path="send-again")
    def send_again(self, request: Request, pk: str | None = None) -> Response:
        """Sends it again, under the id that it has."""
        row = self.get_object()
        self.act(webhooks.send_again, request, webhook_id=row.webhook_id, delivery_id=row.pk)
        return self.answer(row.pk)
