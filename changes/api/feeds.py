"""REST of feeds and their polls."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import feeds, polls
from changes.enums_identify import LocationKind
from changes.models import Advisory, Feed, FeedRun, QuarantinedDocument, SoftwareUpdate
from changes.queries.feeds import losing, visible_feeds, visible_runs
from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed

MINUTES_MAX = 10_000_000


class FeedSerializer(serializers.ModelSerializer[Feed]):
    class Meta:
        model = Feed
        fields = (
            "id", "name", "title", "kind", "location_kind", "location", "allow_private", "every_minutes",
            "stale_after_minutes", "enabled", "covers", "records", "last_good_at", "last_tried_at", "problem",
        )  # fmt: skip
        read_only_fields = fields


class ReviseFeedSerializer(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=120, required=False, allow_blank=True)
    location_kind = serializers.ChoiceField(LocationKind.choices, required=False)
    location = serializers.CharField(max_length=500, required=False)
    every_minutes = serializers.IntegerField(required=False, min_value=1, max_value=MINUTES_MAX)
    stale_after_minutes = serializers.IntegerField(required=False, min_value=1, max_value=MINUTES_MAX)
    allow_private = serializers.BooleanField(required=False)


class AddFeedSerializer(ReviseFeedSerializer):
    name = serializers.SlugField(max_length=60)
    kind = serializers.CharField(max_length=20)
    location_kind = serializers.ChoiceField(LocationKind.choices)
    location = serializers.CharField(max_length=500)


class FeedRunSerializer(serializers.ModelSerializer[FeedRun]):
    feed = serializers.CharField(source="feed.name")
    requested_by = serializers.CharField(source="requested_by.username")

    class Meta:
        model = FeedRun
        fields = (
            "id", "feed", "state", "requested_by", "requested_at", "started_at", "ended_at", "documents", "new", "changed",
            "unchanged", "withdrawn", "quarantined", "vanished", "known_before", "loss_percent", "covers", "problem",
        )  # fmt: skip
        read_only_fields = fields


class QuarantinedSerializer(serializers.ModelSerializer[QuarantinedDocument]):
    class Meta:
        model = QuarantinedDocument
        fields = (
            "id", "document_name", "document_sha256", "advisory_id", "beginning", "error", "first_seen_at", "last_seen_at",
            "settled_at",
        )  # fmt: skip
        read_only_fields = fields


class LostUpdateSerializer(serializers.ModelSerializer[SoftwareUpdate]):
    class Meta:
        model = SoftwareUpdate
        fields = ("id", "distribution", "release", "name", "fixed_version", "reach")
        read_only_fields = fields


class LostAdvisorySerializer(serializers.ModelSerializer[Advisory]):
    """An advisory that a poll did not find any more, with the updates that it announces."""

    updates = LostUpdateSerializer(many=True)

    class Meta:
        model = Advisory
        fields = (
            "id", "advisory_id", "scope", "title", "severity_vendor", "severity_rank", "document_name", "modified_at",
            "updates",
        )  # fmt: skip
        read_only_fields = fields


class FeedViewSet(VerbViewSet):
    """Sources of advisories."""

    serializer_class = FeedSerializer
    filterset_fields = ("kind", "enabled")
    available = None  # type: ignore[assignment]  # a feed has no states of its own; its polls have

    def visible(self) -> QuerySet[Any]:
        return visible_feeds(self.request.user)  # type: ignore[arg-type]

    @extend_schema(request=AddFeedSerializer, responses={201: FeedSerializer})
    def create(self, request: Request) -> Response:
        """Adds a source; it is polled with the next sweep."""
        feed = self.act(feeds.add, request, **parsed(AddFeedSerializer, request))
        return Response(FeedSerializer(feed).data, status=201)

    @extend_schema(request=ReviseFeedSerializer, responses=FeedSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(feeds.revise, request, feed_id=found, **parsed(ReviseFeedSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=FeedSerializer)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(feeds.enable, request, feed_id=found)
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=FeedSerializer)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(feeds.disable, request, feed_id=found)
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses={202: FeedRunSerializer})
    @action(detail=True, methods=["post"])
    def poll(self, request: Request, pk: str | None = None) -> Response:
        """Asks for a poll; the run is carried out by a worker."""
        run = self.act(feeds.poll, request, feed_id=self.seen_pk())
        return Response(FeedRunSerializer(run).data, status=202)

    @extend_schema(responses=QuarantinedSerializer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def quarantine(self, request: Request, pk: str | None = None) -> Response:
        """Documents that were not taken in, with their errors."""
        return self.table(QuarantinedSerializer, self.get_object().quarantine.order_by("-pk"))


class FeedRunViewSet(VerbViewSet):
    """Polls of feeds, and what they brought."""

    serializer_class = FeedRunSerializer
    filterset_fields = ("feed", "state")

    def visible(self) -> QuerySet[Any]:
        return visible_runs(self.request.user)  # type: ignore[arg-type]

    @extend_schema(responses=LostAdvisorySerializer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def lost(self, request: Request, pk: str | None = None) -> Response:
        """Of a held poll, the advisories in force that it did not find; none, once a person has decided."""
        rows = losing(self.get_object(), request.user).order_by("-pk")  # type: ignore[arg-type]
        return self.table(LostAdvisorySerializer, rows)

    @extend_schema(request=ReasonSerializer, responses=FeedRunSerializer)
    @action(detail=True, methods=["post"])
    def accept_loss(self, request: Request, pk: str | None = None) -> Response:
        """Accepts that records are no longer listed: they become unknown, never "fixed"."""
        found = self.seen_pk()
        self.act(polls.accept_loss, request, run_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)

    @extend_schema(request=ReasonSerializer, responses=FeedRunSerializer)
    @action(detail=True, methods=["post"])
    def refuse_loss(self, request: Request, pk: str | None = None) -> Response:
        """Refuses it: everything stays in force."""
        found = self.seen_pk()
        self.act(polls.refuse_loss, request, run_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)
