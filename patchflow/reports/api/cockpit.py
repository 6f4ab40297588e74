"""The cockpit of a cycle over REST: the facts of its page, as numbers and moments."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changes.models import Cycle
from changes.queries.notice import ClockState
from patchflow.api.views import ViewSet
from patchflow.reports.queries.cockpit import cockpit_of

COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}


@extend_schema_field(COUNTS)
class CountsField(serializers.DictField):
    """State → number; what nobody has is missing."""


class NotifiedSerializer(serializers.Serializer[Any]):
    """An update of the cycle and its clock; `begun_at`: in production, by the first change in sight that carries it."""

    update_id = serializers.IntegerField(source="update.pk")
    name = serializers.CharField(source="update.__str__")
    response = serializers.CharField(source="update.response")
    released_at = serializers.DateTimeField(allow_null=True, help_text="The vendor's first advisory on it.")
    notified_at = serializers.DateTimeField()
    start_by = serializers.DateTimeField(allow_null=True)
    begun_at = serializers.DateTimeField(allow_null=True)
    clock = serializers.ChoiceField([(state.value, state.value) for state in ClockState])
    missing = serializers.IntegerField(help_text="Hosts in sight that miss it now.")


class CycleNoticeSerializer(serializers.Serializer[Any]):
    released_at = serializers.DateTimeField(allow_null=True)
    notified_at = serializers.DateTimeField(allow_null=True)
    median_seconds = serializers.SerializerMethodField(help_text="From release to notification.")
    clocks = CountsField(source="counts")
    responses = CountsField()
    updates = NotifiedSerializer(many=True)

    def get_median_seconds(self, notice: Any) -> int | None:
        return None if notice.took is None else int(notice.took.total_seconds())


class PolledSerializer(serializers.Serializer[Any]):
    feed = serializers.IntegerField(source="feed.pk")
    name = serializers.CharField(source="feed.name")
    standing = serializers.CharField()
    last_good_at = serializers.DateTimeField(source="feed.last_good_at", allow_null=True)
    problem = serializers.CharField(source="feed.problem")
    runs = CountsField(help_text="Polls since the cycle was opened, by what they came to.")


class CoveredSerializer(serializers.Serializer[Any]):
    moment = serializers.DateTimeField()
    hosts = serializers.IntegerField(help_text="Hosts in sight that were there.")
    whole = serializers.IntegerField(help_text="With a current whole scan.")
    partly = serializers.IntegerField(help_text="With a current scan that read them in part.")


class ReachedSerializer(serializers.Serializer[Any]):
    moment = serializers.DateTimeField()
    pairs = serializers.IntegerField(help_text="Pairs of host and update that missed so far. Without kernels.")
    fixed = serializers.IntegerField(help_text="Of these, those that miss no longer.")


class DecisionSerializer(serializers.Serializer[Any]):
    round = serializers.IntegerField(source="round.pk")
    rfc = serializers.CharField(source="rfc.number")
    number = serializers.IntegerField(source="round.number")
    kind = serializers.CharField(source="round.kind")
    state = serializers.CharField(source="round.state")
    opened_at = serializers.DateTimeField(source="round.opened_at")
    closed_at = serializers.DateTimeField(source="round.closed_at", allow_null=True)


class SittingSerializer(serializers.Serializer[Any]):
    meeting = serializers.CharField(source="meeting.number")
    kind = serializers.CharField(source="meeting.kind")
    state = serializers.CharField(source="meeting.state")
    starts_at = serializers.DateTimeField(source="meeting.starts_at")
    items = serializers.IntegerField()


class DecisionsSerializer(serializers.Serializer[Any]):
    changes = CountsField()
    rounds = CountsField(source="counts")
    decisions = DecisionSerializer(source="rounds", many=True)
    meetings = SittingSerializer(many=True)
    glass_owed = serializers.SerializerMethodField(help_text="Changes whose broken glass nobody has reviewed.")

    def get_glass_owed(self, decisions: Any) -> list[str]:
        return [rfc.number for rfc in decisions.glass_owed]


class RingStandingSerializer(serializers.Serializer[Any]):
    """A ring with its hosts in sight; `state` is empty while it is only planned."""

    name = serializers.CharField()
    state = serializers.CharField()
    state_at = serializers.DateTimeField(allow_null=True)
    hosts = serializers.IntegerField()
    good = serializers.IntegerField()
    bad = serializers.IntegerField()
    aside = serializers.IntegerField()
    taken_back = serializers.IntegerField(help_text="Done, and since then back at what it was.")
    waiting = serializers.IntegerField()


class TurnSerializer(serializers.Serializer[Any]):
    release = serializers.CharField(source="release.number")
    state = serializers.CharField(source="release.state")
    outcome = serializers.CharField(source="release.outcome")
    rollout = serializers.CharField(source="rollout.number", default="")
    way_back = serializers.CharField(source="back.number", default="")
    rings = RingStandingSerializer(many=True)
    review = serializers.CharField(source="review.state", default="")
    review_owed = serializers.BooleanField(source="owes_review")


class CockpitSerializer(serializers.Serializer[Any]):
    """A cycle from `start` to `end` (its end, or now), of what the caller may see; null: not theirs to see."""

    cycle = serializers.IntegerField(source="cycle.pk")
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    notice = CycleNoticeSerializer(allow_null=True)
    feeds = PolledSerializer(many=True, allow_null=True)
    coverage = CoveredSerializer(many=True, allow_null=True)
    reached = ReachedSerializer(many=True, allow_null=True)
    decisions = DecisionsSerializer(allow_null=True)
    releases = TurnSerializer(source="turns", many=True, allow_null=True)


class CockpitViewSet(ViewSet):
    """One cycle on one page: notice, sources, curves, decisions, rings, reviews."""

    serializer_class = CockpitSerializer

    @extend_schema(
        operation_id="cycles_cockpit", responses=CockpitSerializer,
        parameters=[OpenApiParameter("id", int, OpenApiParameter.PATH, description="The cycle.")],
    )  # fmt: skip
    def list(self, request: Request, id: str) -> Response:
        """What stands in this cycle now, as far as the caller may see it."""
        actor: Any = request.user
        cycle = get_object_or_404(Cycle.objects.visible_to(actor), pk=id)
        return Response(CockpitSerializer(cockpit_of(cycle, actor, at=timezone.now())).data)
