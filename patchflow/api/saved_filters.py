"""Saved filters over REST: the same verbs as on the lists' pages."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, VerbViewSet, parsed
from patchflow.kernel import saved_filters
from patchflow.kernel.models import SavedFilter


class SavedFilterSerializer(serializers.ModelSerializer[SavedFilter]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    is_default = serializers.BooleanField(read_only=True, help_text="Whether your list begins with it.")

    class Meta:
        model = SavedFilter
        fields = ("id", "name", "list_name", "query", "owner", "shared_with", "is_default", "made_at")
        read_only_fields = fields


class SaveSerializer(serializers.Serializer[Any]):
    """`address`: the list as your browser has it: "/estate/?environment=production&sort=age"."""

    name = serializers.CharField(max_length=80)
    address = serializers.CharField(max_length=2500)
    shared_with = serializers.CharField(max_length=40, required=False, allow_blank=True)


class RenameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    shared_with = serializers.CharField(max_length=40, allow_blank=True)


class BeginSerializer(serializers.Serializer[Any]):
    begin = serializers.BooleanField(default=True, help_text="False: the list begins with all of it again.")


class SavedFilterViewSet(VerbViewSet):
    """The caller's own saved filters, and those shared with a role of theirs. Each is a question, asked with one's own rights."""

    serializer_class = SavedFilterSerializer
    filterset_fields = ("list_name", "shared_with")

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        return SavedFilter.objects.visible_to(actor).with_default(actor).select_related("owner")

    @extend_schema(request=SaveSerializer, responses={201: SavedFilterSerializer})
    def create(self, request: Request) -> Response:
        """Keeps what a list is asked, under a name."""
        made = self.act(saved_filters.save, request, **parsed(SaveSerializer, request))
        return self.answer(made.pk, status=201)

    @extend_schema(request=RenameSerializer, responses=SavedFilterSerializer)
    @action(detail=True, methods=["post"])
    def rename(self, request: Request, pk: str | None = None) -> Response:
        """Another name, or another role with which it is shared (empty: none)."""
        found = self.seen_pk()
        self.act(saved_filters.rename, request, filter_id=found, **parsed(RenameSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses={204: None})
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, pk: str | None = None) -> Response:
        """Takes it away, for everybody with whom it was shared."""
        self.act(saved_filters.remove, request, filter_id=self.seen_pk())
        return Response(status=204)

    @extend_schema(request=BeginSerializer, responses=SavedFilterSerializer)
    @action(detail=True, methods=["post"])
    def begin(self, request: Request, pk: str | None = None) -> Response:
        """Begins the caller's list with it, or with all of it again."""
        found = self.seen_pk()
        self.act(saved_filters.begin_with, request, filter_id=found, **parsed(BeginSerializer, request))
        return self.answer(found)
