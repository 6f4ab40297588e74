"""One's own notices and settings over REST, and the mail that did not arrive."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, parsed
from patchflow.api.views import ReadViewSet
from patchflow.notices import subscriptions
from patchflow.notices.delivery import send_again
from patchflow.notices.models import Delivery, Reach, Wanted


class NoticeSerializer(serializers.ModelSerializer[Delivery]):
    kind = serializers.CharField(source="notice.kind")
    url = serializers.CharField(source="notice.url")
    facts = serializers.JSONField(
        source="notice.facts", help_text="What was known, as every wording of it is made from."
    )
    written_at = serializers.DateTimeField(source="notice.written_at")

    class Meta:
        model = Delivery
        fields = (
            "id", "kind", "title", "body", "url", "facts", "audience", "language", "channel", "state", "written_at", "sent_at", "read_at",
        )  # fmt: skip


class UndeliveredSerializer(serializers.ModelSerializer[Delivery]):
    kind = serializers.CharField(source="notice.kind")
    to = serializers.CharField(source="user.username")

    class Meta:
        model = Delivery
        fields = ("id", "kind", "title", "to", "state", "attempts", "error", "not_before")


class ReadSerializer(serializers.Serializer[Any]):
    read = serializers.IntegerField(help_text="How many notices were read by this.")


class ChoiceSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(source="kind.name")
    label = serializers.CharField(source="kind.label")  # type: ignore[assignment]  # DRF's own attribute is not used here
    duty = serializers.BooleanField(
        source="kind.duty", help_text="It asks or warns in person and cannot be switched off."
    )
    open = serializers.BooleanField(help_text="Whether you may ask for all that you may see.")
    wanted = serializers.ChoiceField(Wanted.choices)
    reach = serializers.ChoiceField(Reach.choices)


class SubscribeSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(max_length=60)
    wanted = serializers.ChoiceField(Wanted.choices)
    reach = serializers.ChoiceField(Reach.choices, default=Reach.MINE)


class NoticeViewSet(ReadViewSet):
    """One's own notices, newest first."""

    serializer_class = NoticeSerializer
    filterset_fields = ("state", "channel")
    queryset = Delivery.objects.none()

    def get_queryset(self) -> QuerySet[Delivery]:
        if getattr(self, "swagger_fake_view", False):
            return Delivery.objects.none()
        actor: Any = self.request.user
        return Delivery.objects.visible_to(actor).select_related("notice").order_by("-pk")

    @extend_schema(request=EmptySerializer, responses=ReadSerializer)
    @action(detail=True, methods=["post"], filter_backends=[], pagination_class=None)
    def read(self, request: Request, pk: str | None = None) -> Response:
        """Notes that it was read."""
        actor: Any = request.user
        done = subscriptions.mark_read(actor=actor, at=timezone.now(), delivery_id=self.get_object().pk)
        return Response({"read": done})

    @extend_schema(request=EmptySerializer, responses=ReadSerializer)
    @action(detail=False, methods=["post"], url_path="read-all", filter_backends=[], pagination_class=None)
    def read_all(self, request: Request) -> Response:
        """Notes that all of them were read."""
        actor: Any = request.user
        return Response({"read": subscriptions.mark_read(actor=actor, at=timezone.now())})

    @extend_schema(responses=ChoiceSerializer(many=True))
    @action(detail=False, methods=["get"], filter_backends=[], pagination_class=None)
    def kinds(self, request: Request) -> Response:
        """Every kind of notice, and how the caller wants it."""
        actor: Any = request.user
        return Response(ChoiceSerializer(subscriptions.choices_of(actor), many=True).data)

    @extend_schema(request=SubscribeSerializer, responses=SubscribeSerializer)
    @action(detail=False, methods=["post"], filter_backends=[], pagination_class=None)
    def subscribe(self, request: Request) -> Response:
        """Says how the caller wants a kind of notice."""
        row = subscriptions.subscribe(
            actor=request.user,  # type: ignore[arg-type]
            at=timezone.now(),
            **parsed(SubscribeSerializer, request),
        )
        return Response(SubscribeSerializer(row).data)


class UndeliveredViewSet(ReadViewSet):
    """Mail that did not arrive. Needs notice.oversee."""

    serializer_class = UndeliveredSerializer
    queryset = Delivery.objects.none()
    filter_backends = ()

    def get_queryset(self) -> QuerySet[Delivery]:
        if getattr(self, "swagger_fake_view", False):
            return Delivery.objects.none()
        actor: Any = self.request.user
        return Delivery.objects.undelivered(actor).select_related("notice", "user").order_by("-pk")

    @extend_schema(request=EmptySerializer, responses=UndeliveredSerializer)
    @action(detail=True, methods=["post"], url_path="send-again", pagination_class=None)
    def send_again(self, request: Request, pk: str | None = None) -> Response:
        """Puts it back into the queue."""
        actor: Any = request.user
        done = send_again(delivery_id=self.get_object().pk, actor=actor, at=timezone.now())
        return Response(UndeliveredSerializer(done).data)
