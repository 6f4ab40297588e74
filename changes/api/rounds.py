"""Sign-off rounds over REST: see what is asked, and decide."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle

from changes.domain import approvals
from changes.queries.board import read_whole, rounds_visible_to, why_not
from patchflow.api.verbs import AvailableSerializer, ReasonSerializer, VerbViewSet, parsed, proven
from patchflow.kernel import workflow
from patchflow.kernel.enums import Verdict
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound


class SignOffSerializer(serializers.ModelSerializer[SignOff]):
    user = serializers.CharField(source="user.username", read_only=True)
    on_behalf_of = serializers.CharField(source="on_behalf_of.username", read_only=True, default=None)

    class Meta:
        model = SignOff
        fields = ("user", "on_behalf_of", "verdict", "comment", "digest", "decided_at")
        read_only_fields = fields


class LevelSerializer(serializers.ModelSerializer[SignOffLevel]):
    voters = serializers.SerializerMethodField()
    signoffs = SignOffSerializer(many=True, read_only=True)

    class Meta:
        model = SignOffLevel
        fields = (
            "position",
            "name",
            "quorum",
            "amount",
            "deadline_at",
            "escalate_to",
            "veto",
            "reason",
            "voters",
            "signoffs",
        )
        read_only_fields = fields

    def get_voters(self, level: SignOffLevel) -> list[dict[str, str]]:
        return [{"user": v.user.get_username(), "via": v.via, "basis": v.basis} for v in level.voters.all()]


class RoundSerializer(serializers.ModelSerializer[SignOffRound]):
    levels = LevelSerializer(many=True, read_only=True)
    document = serializers.SerializerMethodField()

    class Meta:
        model = SignOffRound
        fields = ("id", "subject_type", "subject_id", "subject_label", "number", "kind", "state", "position",
                  "digest", "document", "opened_at", "closed_at", "reason", "levels")  # fmt: skip
        read_only_fields = fields

    def get_document(self, round_: SignOffRound) -> dict[str, Any] | None:
        """What is signed; null for who is not asked and may not see every host that it names."""
        return round_.document if round_.whole else None  # type: ignore[attr-defined]


class DecideSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(Verdict.choices)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    digest_seen = serializers.CharField(max_length=64)
    password = serializers.CharField(required=False, max_length=500, trim_whitespace=False, write_only=True,
                                     help_text="Where decisions ask for it.")  # fmt: skip


class RoundViewSet(VerbViewSet):
    """Rounds about RFCs, manifests, baselines and change models. `decide` signs the digest that the caller names."""

    serializer_class = RoundSerializer
    filterset_fields = ("state", "subject_type", "subject_id")

    def get_throttles(self) -> list[Any]:
        """Guessing a password here is as slow as at the log-in."""
        if self.action == "decide" and "password" in self.request.data:
            self.throttle_scope = "login"
            return [ScopedRateThrottle()]
        return super().get_throttles()

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        now = timezone.now()
        whole = Exists(read_whole(actor, at=now).filter(pk=OuterRef("pk")))
        rounds = rounds_visible_to(actor, at=now).annotate(whole=whole)
        return rounds.prefetch_related(
            "levels__voters__user", "levels__signoffs__user", "levels__signoffs__on_behalf_of"
        )

    @extend_schema(request=DecideSerializer, responses=RoundSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(approvals.decide, request, round_id=found, **proven(request, parsed(DecideSerializer, request)))
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
        reasons = why_not(self.get_object(), request.user, at=timezone.now())  # type: ignore[arg-type]
        return Response(AvailableSerializer([workflow.Available("decide", "Decide", reasons)], many=True).data)
