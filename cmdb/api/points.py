"""Distribution points over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cmdb.domain import points
from cmdb.enums import PointAnswer, WhenSilent
from cmdb.models import DistributionPoint
from cmdb.queries.points import served_by
from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed


class PointSerializer(serializers.ModelSerializer[DistributionPoint]):
    """`answer`: whether it answers, as far as `checked_at` still says something about now."""

    answer = serializers.SerializerMethodField()

    class Meta:
        model = DistributionPoint
        fields = ("id", "name", "state", "address", "site_id", "group_id", "throttle_kib", "when_silent", "answer", "checked_at",
                  "check_reason", "added_at", "retired_at")  # fmt: skip
        read_only_fields = fields

    def get_answer(self, point: DistributionPoint) -> PointAnswer:
        return point.answer_at(timezone.now())


class PointDetailSerializer(PointSerializer):
    """`host_ids`: the hosts in use that download through it, of those that the caller sees."""

    host_ids = serializers.SerializerMethodField()

    class Meta(PointSerializer.Meta):
        fields = (*PointSerializer.Meta.fields, "host_ids")  # type: ignore[assignment]

    def get_host_ids(self, point: DistributionPoint) -> list[int]:
        return sorted(served_by(point, self.context["request"].user).values_list("pk", flat=True))


class RevisePointSerializer(serializers.Serializer[Any]):
    """What is left out stays as it is. It serves one of site and group; of the other say null."""

    name = serializers.CharField(max_length=80, required=False)
    address = serializers.CharField(
        max_length=200, required=False, help_text="http://name:port, as the hosts reach it."
    )
    site_id = serializers.IntegerField(required=False, allow_null=True)
    group_id = serializers.IntegerField(required=False, allow_null=True)
    throttle_kib = serializers.IntegerField(
        required=False, allow_null=True, min_value=points.SLOWEST, max_value=points.FASTEST
    )
    when_silent = serializers.ChoiceField(WhenSilent.choices, required=False)


class AddPointSerializer(RevisePointSerializer):
    name = serializers.CharField(max_length=80)
    address = serializers.CharField(max_length=200, help_text="http://name:port, as the hosts reach it.")


class PointViewSet(VerbViewSet):
    """Proxies near the hosts, through which these download what a deployment installs."""

    serializer_class = PointSerializer
    filterset_fields = ("state", "site", "group", "when_silent")

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return PointSerializer if self.action == "list" else PointDetailSerializer

    def visible(self) -> QuerySet[DistributionPoint]:
        return DistributionPoint.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]

    @extend_schema(request=AddPointSerializer, responses={201: PointDetailSerializer})
    def create(self, request: Request) -> Response:
        """Adds a point, in service at once."""
        point = self.act(points.add, request, **parsed(AddPointSerializer, request))
        return self.answer(point.pk, status=201)

    @extend_schema(request=RevisePointSerializer, responses=PointDetailSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Changes where it is, whom it serves, or what its hosts do while it does not answer."""
        found = self.seen_pk()
        self.act(points.revise, request, point_id=found, **parsed(RevisePointSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=PointDetailSerializer)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str | None = None) -> Response:
        """Asks it whether it answers."""
        found = self.seen_pk()
        self.act(points.check, request, point_id=found)
        return self.answer(found)

    @extend_schema(request=ReasonSerializer, responses=PointDetailSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Takes it out of use; `host_ids` before says which hosts lose it."""
        found = self.seen_pk()
        self.act(points.retire, request, point_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)
