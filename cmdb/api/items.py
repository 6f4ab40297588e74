"""Services, clusters and other items that are no hosts, over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cmdb.domain import items
from cmdb.enums import Criticality, Environment, Link
from cmdb.models import ConfigurationItem
from cmdb.queries.items import OTHERS, hosts_under, links_of
from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed

KINDS = [(kind.value, kind.label) for kind in OTHERS]


class LinkSerializer(serializers.Serializer[Any]):
    """A relation, said from the side of the item."""

    id = serializers.IntegerField(source="relation.pk")
    relation = serializers.ChoiceField(Link.choices, source="how")
    item_id = serializers.IntegerField(source="other.pk")
    name = serializers.CharField(source="other.name")
    kind = serializers.CharField(source="other.kind")
    since_at = serializers.DateTimeField(source="relation.since_at")


class ItemSerializer(serializers.ModelSerializer[ConfigurationItem]):
    owner = serializers.CharField(source="owner.username", default=None, read_only=True)

    class Meta:
        model = ConfigurationItem
        fields = ("id", "kind", "name", "state", "environment", "criticality", "owner", "support_group", "min_alive",
                  "min_alive_percent")  # fmt: skip
        read_only_fields = fields


class ItemDetailSerializer(ItemSerializer):
    """`host_ids`: the hosts in use on which it rests, directly or through others."""

    links = serializers.SerializerMethodField()
    host_ids = serializers.SerializerMethodField()

    class Meta(ItemSerializer.Meta):
        fields = (*ItemSerializer.Meta.fields, "links", "host_ids")  # type: ignore[assignment]

    @extend_schema_field(LinkSerializer(many=True))
    def get_links(self, item: ConfigurationItem) -> Any:
        return LinkSerializer(links_of(item, self.context["request"].user), many=True).data

    def get_host_ids(self, item: ConfigurationItem) -> list[int]:
        return sorted(hosts_under([item.pk])[item.pk])


class ReviseItemSerializer(serializers.Serializer[Any]):
    """What is left out stays as it is. `min_alive`, `min_alive_percent`: of its hosts so many stay up; null: no rule."""

    name = serializers.CharField(max_length=120, required=False)
    environment = serializers.ChoiceField(Environment.choices, required=False)
    criticality = serializers.ChoiceField(Criticality.choices, required=False)
    owner_id = serializers.IntegerField(required=False, allow_null=True)
    support_group = serializers.CharField(max_length=80, required=False, allow_blank=True)
    min_alive = serializers.IntegerField(min_value=0, max_value=100_000, required=False, allow_null=True)
    min_alive_percent = serializers.IntegerField(min_value=0, max_value=99, required=False, allow_null=True)


class AddItemSerializer(ReviseItemSerializer):
    kind = serializers.ChoiceField(KINDS)
    name = serializers.CharField(max_length=120)


class SayLinkSerializer(serializers.Serializer[Any]):
    """`names` of hosts or other items; `web-*` is every host whose name begins so."""

    relation = serializers.ChoiceField(Link.choices, source="how")
    names = serializers.ListField(child=serializers.CharField(max_length=120), allow_empty=False)


class UnlinkSerializer(serializers.Serializer[Any]):
    relation_id = serializers.IntegerField()


class ItemViewSet(VerbViewSet):
    """Items that are no hosts. Who sees all hosts sees them."""

    serializer_class = ItemSerializer
    filterset_fields = ("kind", "state", "environment", "criticality", "support_group")

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return ItemSerializer if self.action == "list" else ItemDetailSerializer

    def visible(self) -> QuerySet[Any]:
        rows = ConfigurationItem.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return rows.filter(kind__in=OTHERS).select_related("owner")

    @extend_schema(request=AddItemSerializer, responses={201: ItemDetailSerializer})
    def create(self, request: Request) -> Response:
        """Adds an item, planned."""
        item = self.act(items.add, request, **parsed(AddItemSerializer, request))
        return self.answer(item.pk, status=201)

    @extend_schema(request=ReviseItemSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Changes what people say of it."""
        found = self.seen_pk()
        self.act(items.revise, request, item_id=found, **parsed(ReviseItemSerializer, request))
        return self.answer(found)

    @extend_schema(request=SayLinkSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"])
    def link(self, request: Request, pk: str | None = None) -> Response:
        """Says how it hangs together with others."""
        found = self.seen_pk()
        self.act(items.link, request, item_id=found, **parsed(SayLinkSerializer, request))
        return self.answer(found)

    @extend_schema(request=UnlinkSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"])
    def unlink(self, request: Request, pk: str | None = None) -> Response:
        """Takes a relation back."""
        found = self.seen_pk()
        self.act(items.unlink, request, item_id=found, **parsed(UnlinkSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"], url_path="enter-service")
    def enter_service(self, request: Request, pk: str | None = None) -> Response:
        """Says that a planned item is in use."""
        found = self.seen_pk()
        self.act(items.enter_service, request, item_id=found)
        return self.answer(found)

    @extend_schema(request=ReasonSerializer, responses=ItemDetailSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Takes it out of use."""
        found = self.seen_pk()
        self.act(items.retire, request, item_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)
