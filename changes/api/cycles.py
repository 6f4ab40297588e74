"""Cycles over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import cycles, phase_steps
from changes.enums import CycleKind, StepKey
from changes.models import Cycle, PhaseStep
from changes.queries.cycles import output_of
from patchflow.api.verbs import ReasonSerializer, VerbViewSet, parsed


class StepSerializer(serializers.ModelSerializer[PhaseStep]):
    owner = serializers.CharField(source="owner.username", default=None, read_only=True)
    output = serializers.SerializerMethodField(help_text="Empty where it counts hosts that the caller may not see.")

    class Meta:
        model = PhaseStep
        fields = ("phase", "position", "key", "state", "owner", "output", "reason", "settled_at")
        read_only_fields = fields

    def get_output(self, step: PhaseStep) -> str:
        return output_of(step, self.context["request"].user)


class CycleSerializer(serializers.ModelSerializer[Cycle]):
    steps = StepSerializer(many=True, read_only=True)

    class Meta:
        model = Cycle
        fields = ("id", "name", "kind", "state", "state_at", "opened_at", "closed_at", "close_reason", "decision_on",
                  "steps")  # fmt: skip
        read_only_fields = fields


class OpenSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(CycleKind.choices)
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)


class CompleteStepSerializer(serializers.Serializer[Any]):
    key = serializers.ChoiceField(StepKey.choices)
    output = serializers.CharField(max_length=2000)


class WaiveStepSerializer(ReasonSerializer):
    key = serializers.ChoiceField(StepKey.choices)


class AssignStepSerializer(serializers.Serializer[Any]):
    key = serializers.ChoiceField(StepKey.choices)
    owner_id = serializers.IntegerField()


class DecisionDaySerializer(serializers.Serializer[Any]):
    decision_on = serializers.DateField(allow_null=True)


class CycleViewSet(VerbViewSet):
    """Turns of the process. Their events are fired by the verbs that cause them, never here."""

    serializer_class = CycleSerializer
    filterset_fields = ("state", "kind")

    def visible(self) -> QuerySet[Any]:
        return Cycle.objects.visible_to(self.request.user).prefetch_related("steps__owner")  # type: ignore[arg-type]

    def _do(self, verb: Any, serializer: type[serializers.Serializer[Any]], request: Request) -> Response:
        found = self.seen_pk()
        self.act(verb, request, cycle_id=found, **parsed(serializer, request))
        return self.answer(found)

    @extend_schema(request=OpenSerializer, responses={201: CycleSerializer})
    def create(self, request: Request) -> Response:
        cycle = self.act(cycles.open_cycle, request, **parsed(OpenSerializer, request))
        return self.answer(cycle.pk, status=201)

    @extend_schema(request=ReasonSerializer, responses=CycleSerializer)
    @action(detail=True, methods=["post"])
    def close_unneeded(self, request: Request, pk: str | None = None) -> Response:
        return self._do(cycles.close_unneeded, ReasonSerializer, request)

    @extend_schema(request=DecisionDaySerializer, responses=CycleSerializer)
    @action(detail=True, methods=["post"])
    def set_decision_day(self, request: Request, pk: str | None = None) -> Response:
        return self._do(cycles.set_decision_day, DecisionDaySerializer, request)

    @extend_schema(request=CompleteStepSerializer, responses=CycleSerializer)
    @action(detail=True, methods=["post"])
    def complete_step(self, request: Request, pk: str | None = None) -> Response:
        return self._do(phase_steps.complete_step, CompleteStepSerializer, request)

    @extend_schema(request=WaiveStepSerializer, responses=CycleSerializer)
    @action(detail=True, methods=["post"])
    def waive_step(self, request: Request, pk: str | None = None) -> Response:
        return self._do(phase_steps.waive_step, WaiveStepSerializer, request)

    @extend_schema(request=AssignStepSerializer, responses=CycleSerializer)
    @action(detail=True, methods=["post"])
    def assign_step(self, request: Request, pk: str | None = None) -> Response:
        return self._do(phase_steps.assign_step, AssignStepSerializer, request)
