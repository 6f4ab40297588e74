"""Approval routes over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.api.change_models import ModelLevelSerializer
from changes.domain import routing
from changes.enums import RiskLevel, UpdateClass
from changes.models import ApprovalRoute
from changes.queries.idle_routes import deciders, why_idle
from changes.queries.routing import named_for
from cmdb.enums import Criticality, Environment
from patchflow.api.verbs import ReasonSerializer, VerbViewSet, parsed

KINDS = [(kind.value, kind.label) for kind in routing.ASKED]


class RouteSerializer(serializers.ModelSerializer[ApprovalRoute]):
    """`group_ids` and `service_ids`: those that the caller may see."""

    kinds = serializers.ListField(child=serializers.ChoiceField(KINDS), read_only=True)
    classes = serializers.ListField(child=serializers.ChoiceField(UpdateClass.choices), read_only=True)
    environments = serializers.ListField(child=serializers.ChoiceField(Environment.choices), read_only=True)
    group_ids = serializers.SerializerMethodField()
    service_ids = serializers.SerializerMethodField()
    level = ModelLevelSerializer(read_only=True)
    written_by = serializers.CharField(source="written_by.username", read_only=True)
    idle = serializers.SerializerMethodField(help_text="Why it asks nobody, if it does.")

    class Meta:
        model = ApprovalRoute
        fields = ("id", "name", "reason", "kinds", "min_risk", "classes", "max_criticality", "environments", "group_ids",
                  "service_ids", "level", "asked_last", "written_by", "written_at", "retired_at", "idle")  # fmt: skip
        read_only_fields = fields

    def get_idle(self, route: ApprovalRoute) -> list[str]:
        return [str(why) for why in why_idle(route, self.context["deciders"])]

    def get_group_ids(self, route: ApprovalRoute) -> list[int]:
        return [g.pk for g in route.groups.all() if g.pk in self.context["seen"][0]]

    def get_service_ids(self, route: ApprovalRoute) -> list[int]:
        return [s.pk for s in route.services.all() if s.pk in self.context["seen"][1]]


class ReviseRouteSerializer(serializers.Serializer[Any]):
    """What a route says, and why it says it now; what is left out stays as it is."""

    name = serializers.CharField(max_length=80, required=False)
    reason = serializers.CharField(max_length=2000)
    kinds = serializers.ListField(child=serializers.ChoiceField(KINDS), required=False)
    min_risk = serializers.ChoiceField(RiskLevel.choices, required=False, allow_blank=True)
    classes = serializers.ListField(child=serializers.ChoiceField(UpdateClass.choices), required=False)
    max_criticality = serializers.ChoiceField(Criticality.choices, required=False, allow_null=True)
    environments = serializers.ListField(child=serializers.ChoiceField(Environment.choices), required=False)
    group_ids = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False)
    service_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False
    )
    level = ModelLevelSerializer(required=False)
    asked_last = serializers.BooleanField(required=False)


class WriteRouteSerializer(ReviseRouteSerializer):
    name = serializers.CharField(max_length=80)
    kinds = serializers.ListField(child=serializers.ChoiceField(KINDS))
    level = ModelLevelSerializer()


class RouteViewSet(VerbViewSet):
    """Who is asked besides the usual levels, of which changes. Everybody who may see changes anywhere sees them."""

    serializer_class = RouteSerializer

    def visible(self) -> QuerySet[Any]:
        rows = ApprovalRoute.objects.select_related("written_by").prefetch_related("groups", "services")
        return rows.visible_to(self.request.user)  # type: ignore[arg-type]

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "seen": named_for(self.request.user), "deciders": deciders()}  # type: ignore[arg-type]

    @extend_schema(request=WriteRouteSerializer, responses={201: RouteSerializer})
    def create(self, request: Request) -> Response:
        """Writes a route, in force from the next round on."""
        route = self.act(routing.write, request, **parsed(WriteRouteSerializer, request))
        return self.answer(route.pk, status=201)

    @extend_schema(request=ReviseRouteSerializer, responses=RouteSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Changes what it says. Rounds that are open stay as they were asked."""
        found = self.seen_pk()
        self.act(routing.revise, request, route_id=found, **parsed(ReviseRouteSerializer, request))
        return self.answer(found)

    @extend_schema(request=ReasonSerializer, responses=RouteSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Asks it of no further round."""
        found = self.seen_pk()
        self.act(routing.retire, request, route_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)
