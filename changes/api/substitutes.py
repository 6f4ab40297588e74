"""Substitutions over REST: name, end, see one's own."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, VerbViewSet, parsed
from patchflow.kernel import substitutes
from patchflow.kernel.models import Substitution, User


class SubstitutionSerializer(serializers.ModelSerializer[Substitution]):
    user = serializers.CharField(source="user.username", read_only=True)
    substitute = serializers.CharField(source="substitute.username", read_only=True)

    class Meta:
        model = Substitution
        fields = ("id", "user", "substitute", "starts_at", "ends_at", "reason", "named_at", "ended_at")
        read_only_fields = fields


class NameSubstituteSerializer(serializers.Serializer[Any]):
    """`user`: who is away; the caller, if nothing is said."""

    user: Any = serializers.SlugRelatedField("username", queryset=User.objects.all(), required=False)
    substitute: Any = serializers.SlugRelatedField("username", queryset=User.objects.all())
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class SubstitutionViewSet(VerbViewSet):
    """Who signs for whom. People see what concerns them; administrators and auditors all."""

    serializer_class = SubstitutionSerializer

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        return Substitution.objects.all().visible_to(actor).select_related("user", "substitute")

    @extend_schema(request=NameSubstituteSerializer, responses={201: SubstitutionSerializer})
    def create(self, request: Request) -> Response:
        """Names a substitute, who is told."""
        given = parsed(NameSubstituteSerializer, request)
        user, substitute = given.pop("user", request.user), given.pop("substitute")
        named = self.act(substitutes.name_substitute, request, user_id=user.pk, substitute_id=substitute.pk, **given)
        return Response(self.get_serializer(named).data, status=201)

    @extend_schema(request=EmptySerializer, responses=SubstitutionSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str | None = None) -> Response:
        """Ends it at once."""
        found = self.seen_pk()
        self.act(substitutes.end, request, substitution_id=found)
        return self.answer(found)
