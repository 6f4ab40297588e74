"""Support groups over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cmdb.domain import support
from cmdb.models import ConfigurationItem, SupportGroup
from cmdb.queries.support import NOBODY, items_in_sight
from patchflow.api.verbs import VerbViewSet, parsed


class SupportGroupSerializer(serializers.ModelSerializer[SupportGroup]):
    lead = serializers.CharField(source="lead.username", default="")
    members = serializers.SlugRelatedField(slug_field="username", many=True, read_only=True)  # type: ignore[var-annotated]

    class Meta:
        model = SupportGroup
        fields = ("id", "name", "lead", "members")


class AnsweredItemSerializer(serializers.ModelSerializer[ConfigurationItem]):
    owner = serializers.CharField(source="owner.username", default="")

    class Meta:
        model = ConfigurationItem
        fields = ("id", "kind", "name", "criticality", "owner", "support_group")


class DefineSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    lead = serializers.CharField(max_length=150, allow_blank=True, default="", help_text="User name.")
    members = serializers.ListField(child=serializers.CharField(max_length=150), default=list, help_text="User names.")


class SupportGroupViewSet(VerbViewSet):
    """The people behind the names of support groups that configuration items carry."""

    serializer_class = SupportGroupSerializer

    def visible(self) -> QuerySet[SupportGroup]:
        actor: Any = self.request.user
        rows = SupportGroup.objects.select_related("lead").prefetch_related("members")
        return rows if actor.holds_somewhere("host.view") else rows.none()

    @extend_schema(responses=AnsweredItemSerializer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def items(self, request: Request, pk: str | None = None) -> Response:
        """The items that name the group, of those that the caller sees."""
        actor: Any = request.user
        return self._page(items_in_sight(actor).filter(support_group=self.get_object().name))

    @extend_schema(responses=AnsweredItemSerializer(many=True))
    @action(detail=False, methods=["get"], filter_backends=[], csv=True)
    def nobody(self, request: Request) -> Response:
        """The items in sight that have neither owner nor support group."""
        actor: Any = request.user
        return self._page(items_in_sight(actor).filter(NOBODY))

    def _page(self, rows: QuerySet[ConfigurationItem]) -> Response:
        return self.table(AnsweredItemSerializer, rows.select_related("owner"))

    @extend_schema(request=DefineSerializer, responses={201: SupportGroupSerializer})
    def create(self, request: Request) -> Response:
        """Says who is in a group, and who leads it; a group of this name is revised."""
        group = self.act(support.define, request, **parsed(DefineSerializer, request))
        return self.answer(group.pk, status=201)
