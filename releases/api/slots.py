"""The slots of release-based reviews over REST."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from changes.enums import RFCKind
from patchflow.api.verbs import parsed
from patchflow.api.views import ViewSet
from patchflow.kernel.enums import Quorum
from patchflow.kernel.roles import all_roles
from releases.domain import readiness
from releases.enums import ReviewSlot


class ReviewLevelSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    role = serializers.CharField(max_length=40)
    quorum = serializers.ChoiceField(Quorum.choices)
    amount = serializers.IntegerField(min_value=1, default=1)
    hours = serializers.IntegerField(min_value=1, required=False, allow_null=True)

    def validate_role(self, role: str) -> str:
        if role not in all_roles():
            raise serializers.ValidationError("There is no such role.")
        return role


class SlotOfReviewsSerializer(serializers.Serializer[Any]):
    slot = serializers.ChoiceField(ReviewSlot.choices)
    kind = serializers.ChoiceField(RFCKind.choices, required=False, allow_blank=True, default="")
    name = serializers.CharField(max_length=80)
    levels = ReviewLevelSerializer(many=True, default=list)
    questions = serializers.ListField(child=serializers.CharField(max_length=200), default=list)


class SlotViewSet(ViewSet):
    """Which review stands before deployment, after it, and about an incomplete ring, for each kind of change."""

    serializer_class = SlotOfReviewsSerializer

    @extend_schema(responses=SlotOfReviewsSerializer(many=True))
    def list(self, request: Request) -> Response:
        """What is in force: configured, or the default."""
        actor: Any = request.user
        if not actor.holds_somewhere("release.view") and not actor.holds_somewhere("settings.edit"):
            raise NotFound
        rows = []
        for slot in ReviewSlot.values:
            for kind in RFCKind.values:
                found = readiness.definition(slot, kind)
                said = {"name": found.name, "levels": list(found.levels), "questions": list(found.questions)}
                rows.append({"slot": slot, "kind": kind, **said})
        return Response(rows)

    @extend_schema(request=SlotOfReviewsSerializer, responses={201: SlotOfReviewsSerializer})
    def create(self, request: Request) -> Response:
        """Puts a review into a slot, from now on. Needs settings.edit."""
        given = parsed(SlotOfReviewsSerializer, request)
        given["levels"] = [dict(level) for level in given["levels"]]
        row = readiness.configure_slot(actor=request.user, at=timezone.now(), **given)  # type: ignore[arg-type]
        said = {"slot": row.slot, "kind": row.kind, "name": row.name, "levels": row.levels, "questions": row.questions}
        return Response(said, status=201)
