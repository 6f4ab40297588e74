"""Reviews of operations and of service levels over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import VerbViewSet, parsed
from releases.domain import periodic
from releases.enums import PeriodicKind
from releases.models import PeriodicAction, PeriodicRemark, PeriodicReview
from releases.queries.periodic import figures


class PeriodicRemarkSerializer(serializers.ModelSerializer[PeriodicRemark]):
    said_by = serializers.CharField(source="said_by.username")

    class Meta:
        model = PeriodicRemark
        fields = ("text", "said_by", "said_at")


class PeriodicActionSerializer(serializers.ModelSerializer[PeriodicAction]):
    owner = serializers.CharField(source="owner.username")
    progress = serializers.CharField(source="state", help_text="open, done or dropped")

    class Meta:
        model = PeriodicAction
        fields = ("id", "text", "owner", "due_on", "progress", "outcome", "raised_at", "settled_at")


class PeriodicReviewSerializer(serializers.ModelSerializer[PeriodicReview]):
    owner = serializers.CharField(source="owner.username", default=None)
    completed_by = serializers.CharField(source="completed_by.username", default=None)
    remarks = PeriodicRemarkSerializer(many=True)
    actions = PeriodicActionSerializer(many=True)
    recorded = serializers.SerializerMethodField()
    digest = serializers.CharField(source="record.digest", default=None)

    class Meta:
        model = PeriodicReview
        fields = (
            "id", "kind", "state", "starts_at", "ends_at", "due_at", "owner", "opened_at", "completed_at", "completed_by", "conclusion",
            "remarks", "actions", "recorded", "digest",
        )  # fmt: skip

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_recorded(self, review: PeriodicReview) -> Any:
        """The figures of a completed review, as they were recorded."""
        record = getattr(review, "record", None)
        return record.figures if record else None


class OpenPeriodicSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(PeriodicKind.choices)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(help_text="The period is [starts_at, ends_at), and is over.")
    owner_id = serializers.IntegerField(required=False, allow_null=True, default=None)


class AssignPeriodicSerializer(serializers.Serializer[Any]):
    owner_id = serializers.IntegerField()


class ReviewRemarkSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=4000)


class RaiseActionSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=500)
    owner_id = serializers.IntegerField()
    due_on = serializers.DateField()


class SettleActionSerializer(serializers.Serializer[Any]):
    action_id = serializers.IntegerField()
    outcome = serializers.CharField(max_length=500)
    dropped = serializers.BooleanField(default=False)


class ConcludeReviewSerializer(serializers.Serializer[Any]):
    conclusion = serializers.CharField(max_length=4000)


class PeriodicReviewViewSet(VerbViewSet):
    """Reviews at intervals: dated, with figures from rows, a discussion, and actions that are followed."""

    serializer_class = PeriodicReviewSerializer
    filterset_fields = ("kind", "state")

    def visible(self) -> QuerySet[PeriodicReview]:
        rows = PeriodicReview.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        rows = rows.select_related("owner", "completed_by", "record")
        return rows.prefetch_related("remarks__said_by", "actions__owner")

    def _did(self, request: Request, verb: Any, shape: Any) -> Response:
        review_id = self.seen_pk()
        self.act(verb, request, review_id=review_id, **parsed(shape, request))
        return self.answer(review_id)

    @extend_schema(request=OpenPeriodicSerializer, responses={201: PeriodicReviewSerializer})
    def create(self, request: Request) -> Response:
        """Opens a review over a period that is over."""
        made = self.act(periodic.open_review, request, **parsed(OpenPeriodicSerializer, request))
        return self.answer(made.pk, status=201)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def figures(self, request: Request, pk: str | None = None) -> Response:
        """The figures of the period as the rows say now."""
        review = self.get_object()
        return Response(figures(review.kind, review.starts_at, review.ends_at, at=timezone.now()))

    @extend_schema(request=AssignPeriodicSerializer, responses=PeriodicReviewSerializer)
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: str | None = None) -> Response:
        """Gives the review to a person."""
        return self._did(request, periodic.assign, AssignPeriodicSerializer)

    @extend_schema(request=ReviewRemarkSerializer, responses=PeriodicReviewSerializer)
    @action(detail=True, methods=["post"])
    def remark(self, request: Request, pk: str | None = None) -> Response:
        """Says something in the discussion."""
        return self._did(request, periodic.remark, ReviewRemarkSerializer)

    @extend_schema(request=RaiseActionSerializer, responses=PeriodicReviewSerializer)
    @action(detail=True, methods=["post"], url_path="raise-action")
    def raise_action(self, request: Request, pk: str | None = None) -> Response:
        """Writes down what will be done, by whom, until when."""
        return self._did(request, periodic.raise_action, RaiseActionSerializer)

    @extend_schema(request=SettleActionSerializer, responses=PeriodicReviewSerializer)
    @action(detail=True, methods=["post"], url_path="settle-action")
    def settle_action(self, request: Request, pk: str | None = None) -> Response:
        """Says what came of an action."""
        return self._did(request, periodic.settle_action, SettleActionSerializer)

    @extend_schema(request=ConcludeReviewSerializer, responses=PeriodicReviewSerializer)
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, pk: str | None = None) -> Response:
        """Completes the review; its figures are recorded as they stand now."""
        return self._did(request, periodic.complete, ConcludeReviewSerializer)
