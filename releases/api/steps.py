"""Steps on hosts over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import VerbViewSet, parsed
from releases.domain import steps
from releases.enums_steps import Act, Effect, Moment, Runs
from releases.models import HostStep


class HostStepSerializer(serializers.ModelSerializer[HostStep]):
    written_by = serializers.CharField(source="written_by.username", read_only=True)
    decided_by = serializers.CharField(source="decided_by.username", read_only=True, default="")

    class Meta:
        model = HostStep
        fields = ("id", "name", "revision", "state", "description", "moment", "kind", "target", "body", "secret_file", "amount",
                  "expect", "limit_seconds", "on_failure", "runs", "way_back", "group", "digest", "written_by", "written_at",
                  "decided_by", "decided_at", "comment")  # fmt: skip
        read_only_fields = fields


class ProposeStepSerializer(serializers.Serializer[Any]):
    """What a step does. Its name makes its next revision."""

    name = serializers.CharField(max_length=60)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")
    moment = serializers.ChoiceField(Moment.choices)
    kind = serializers.ChoiceField(Act.choices)
    target = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")
    body = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    secret_file = serializers.CharField(max_length=255, required=False, allow_blank=True, default="")
    amount = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)
    expect = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")
    limit_seconds = serializers.IntegerField(min_value=1, max_value=steps.LONGEST, default=60)
    on_failure = serializers.ChoiceField(Effect.choices, default=Effect.STOP)
    runs = serializers.ChoiceField(Runs.choices, default=Runs.SUCCESS)
    way_back = serializers.BooleanField(default=False)
    group_id = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="Only on its hosts.")


class RemarkSerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class CommentSerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(max_length=2000)


class HostStepViewSet(VerbViewSet):
    """Steps before and after an installation: written by one person, approved by another; a change is a new revision."""

    serializer_class = HostStepSerializer
    filterset_fields = ("name", "state", "moment", "kind")

    def visible(self) -> QuerySet[Any]:
        rows = HostStep.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return rows.select_related("written_by", "decided_by")

    @extend_schema(request=ProposeStepSerializer, responses={201: HostStepSerializer})
    def create(self, request: Request) -> Response:
        """Proposes a step, or its next revision."""
        step = self.act(steps.propose, request, **parsed(ProposeStepSerializer, request))
        return self.answer(step.pk, status=201)

    @extend_schema(request=RemarkSerializer, responses=HostStepSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str | None = None) -> Response:
        """Approves it; not by its writer."""
        found = self.seen_pk()
        self.act(steps.approve, request, step_id=found, **parsed(RemarkSerializer, request))
        return self.answer(found)

    @extend_schema(request=CommentSerializer, responses=HostStepSerializer)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: str | None = None) -> Response:
        """Refuses it, with the reason."""
        found = self.seen_pk()
        self.act(steps.refuse, request, step_id=found, **parsed(CommentSerializer, request))
        return self.answer(found)

    @extend_schema(request=CommentSerializer, responses=HostStepSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Takes it out of use; rollouts whose manifest carries it halt."""
        found = self.seen_pk()
        self.act(steps.retire, request, step_id=found, **parsed(CommentSerializer, request))
        return self.answer(found)
