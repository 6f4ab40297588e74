"""Rehearsals of plans over REST, and of changes that no release carries yet."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changes.models import RFC
from patchflow.api.verbs import VerbViewSet, parsed
from releases.api.serializers import PlanRehearsalSerializer, RehearseSerializer
from releases.domain import change_rehearsals
from releases.domain.plan_rehearsals import Wanted
from releases.models import PlanRehearsal


class RehearseChangeSerializer(RehearseSerializer):
    """The change, the profile that is supposed of it, and what is supposed of its hosts."""

    rfc_id = serializers.IntegerField()
    profile_id = serializers.IntegerField()
    executor = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")


def _rehearse(
    *, rfc_id: int, profile_id: int, executor: str, starts_at: Any, actor: Any, at: Any, **supposed: Any
) -> Any:
    return change_rehearsals.rehearse(
        rfc_id=rfc_id, profile_id=profile_id, executor=executor, starts_at=starts_at, wanted=Wanted(**supposed), actor=actor,
        at=at,
    )  # fmt: skip


class RehearsalViewSet(VerbViewSet):
    """Plans on a simulated clock, of releases and of changes that none carries; for who sees every host, since they name them."""

    serializer_class = PlanRehearsalSerializer
    filterset_fields = ("rfc", "release", "end")

    def visible(self) -> QuerySet[Any]:
        return PlanRehearsal.objects.visible_to(self.request.user).select_related("made_by")  # type: ignore[arg-type]

    @extend_schema(request=RehearseChangeSerializer, responses={201: PlanRehearsalSerializer})
    def create(self, request: Request) -> Response:
        """Rehearses a change before any release carries it. The plan of a release: POST /releases/{id}/rehearse/."""
        given = parsed(RehearseChangeSerializer, request)
        rows = RFC.objects.visible_to(request.user)  # type: ignore[arg-type]
        given["rfc_id"] = get_object_or_404(rows, pk=given["rfc_id"]).pk
        row = self.act(_rehearse, request, **given)
        return Response(PlanRehearsalSerializer(row).data, status=201)
