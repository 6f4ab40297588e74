"""Sign-off rounds over REST: see what is asked, and decide."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import approvals
from changes.queries.board import rounds_visible_to, why_not
from patchflow.api.verbs import AvailableSerializer, ReasonSerializer, VerbViewSet, parsed
from patchflow.kernel import workflow
from patchflow.kernel.enums import Verdict
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound


class SignOffSerializer(serializers.ModelSerializer[SignOff]):
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = SignOff
        fields = ("user", "verdict", "comment", "digest", "decided_at")
        read_only_fields = fields


class LevelSerializer(serializers.ModelSerializer[SignOffLevel]):
    voters = serializers.SerializerMethodField()
    signoffs = SignOffSerializer(many=True, read_only=True)

    class Meta:
        model = SignOffLevel
        fields = ("position", "name", "quorum", "amount", "deadline_at", "escalate_to", "voters", "signoffs")
        read_only_fields = fields

    def get_voters(self, level: SignOffLevel) -> list[dict[str, str]]:
        return [{"user": v.user.get_username(), "via": v.via} for v in level.voters.select_related("user")]


class RoundSerializer(serializers.ModelSerializer[SignOffRound]):
    levels = LevelSerializer(many=True, read_only=True)

    class Meta:
        model = SignOffRound
        fields = ("id", "subject_type", "subject_id", "subject_label", "number", "kind", "state", "position",
                  "digest", "document", "opened_at", "closed_at", "reason", "levels")  # fmt: skip
        read_only_fields = fields


class DecideSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(Verdict.choices)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    digest_seen = serializers.CharField(max_length=64)


class RoundViewSet(VerbViewSet):
    """Rounds about RFCs and change models. `decide` signs the digest that the caller names."""

    serializer_class = RoundSerializer
    filterset_fields = ("state", "subject_type", "subject_id")

    def visible(self) -> QuerySet[Any]:
        return rounds_visible_to(self.request.user).prefetch_related("levels__signoffs__user")  # type: ignore[arg-type]

    @extend_schema(request=DecideSerializer, responses=RoundSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(approvals.decide, request, round_id=found, **parsed(DecideSerializer, request))
        return self.answer(found)

    @extend_schema(request=ReasonSerializer, responses=RoundSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(approvals.withdraw, request, round_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)

    @extend_schema(responses=AvailableSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def available(self, request: Request, pk: str | None = None) -> Response:  # type: ignore[override]
        """Whether the caller may decide now, with every reason against it."""
        reasons = why_not(self.get_object(), request.user)  # type: ignore[arg-type]
        return Response(AvailableSerializer([workflow.Available("decide", "Decide", reasons)], many=True).data)
