"""Tasks of changes over REST: the same verbs and the same refusals as on the page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import change_tasks
from changes.enums_tasks import TaskStage
from changes.models import ChangeTask
from changes.queries.change_tasks import with_hold
from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed


class ChangeTaskSerializer(serializers.ModelSerializer[ChangeTask]):
    """`held`: its change is on hold, and it with it. `outcome`: what came of it, or why it was not done."""

    rfc_number = serializers.CharField(source="rfc.number", read_only=True)
    held = serializers.BooleanField(read_only=True)
    assignee = serializers.CharField(source="assignee.username", read_only=True, default=None)
    group = serializers.CharField(source="group.name", read_only=True, default=None)
    added_by = serializers.CharField(source="added_by.username", read_only=True)
    begun_by = serializers.CharField(source="begun_by.username", read_only=True, default=None)
    ended_by = serializers.CharField(source="ended_by.username", read_only=True, default=None)

    class Meta:
        model = ChangeTask
        fields = ("id", "number", "rfc", "rfc_number", "title", "instructions", "stage", "required", "state", "held", "assignee",
                  "group", "due_at", "added_by", "added_at", "begun_by", "begun_at", "ended_by", "ended_at", "outcome")  # fmt: skip
        read_only_fields = fields


class GiveTaskSerializer(serializers.Serializer[Any]):
    """To a person, to a support group, or (both left out) to nobody."""

    assignee_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False, allow_null=True)
    group_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False, allow_null=True)


class AddTaskSerializer(GiveTaskSerializer):
    rfc_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    title = serializers.CharField(max_length=200)
    stage = serializers.ChoiceField(TaskStage.choices)
    instructions = serializers.CharField(max_length=8000, required=False, allow_blank=True)
    required = serializers.BooleanField(required=False)  # type: ignore[assignment]  # DRF keeps declared fields apart
    due_at = serializers.DateTimeField(required=False, allow_null=True)


class ReviseTaskSerializer(serializers.Serializer[Any]):
    """What it says; what is left out stays as it is. `reason`: needed where it holds up less than before,
    or is moved away from the implementation."""

    title = serializers.CharField(max_length=200, required=False)
    stage = serializers.ChoiceField(TaskStage.choices, required=False)
    instructions = serializers.CharField(max_length=8000, required=False, allow_blank=True)
    required = serializers.BooleanField(required=False)  # type: ignore[assignment]  # DRF keeps declared fields apart
    due_at = serializers.DateTimeField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=2000, required=False, allow_blank=True)


class OutcomeSerializer(serializers.Serializer[Any]):
    outcome = serializers.CharField(max_length=4000, help_text="What came of it.")


class ChangeTaskViewSet(VerbViewSet):
    """Tasks of changes. A required one holds its change up until it is done, or declared not needed."""

    serializer_class = ChangeTaskSerializer
    filterset_fields = ("rfc", "state", "stage", "required", "assignee", "group")

    def visible(self) -> QuerySet[Any]:
        rows = ChangeTask.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return with_hold(rows).select_related("rfc", "assignee", "group", "added_by", "begun_by", "ended_by")

    def _verb(self, verb: Any, request: Request, shape: type[serializers.Serializer[Any]]) -> Response:
        found = self.seen_pk()
        self.act(verb, request, task_id=found, **parsed(shape, request))
        return self.answer(found)

    @extend_schema(request=AddTaskSerializer, responses={201: ChangeTaskSerializer})
    def create(self, request: Request) -> Response:
        """Adds a task to a change that goes on. Nothing that was signed is voided by it."""
        task = self.act(change_tasks.add, request, **parsed(AddTaskSerializer, request))
        return self.answer(task.pk, status=201)

    @extend_schema(request=ReviseTaskSerializer, responses=ChangeTaskSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Changes what an open task says."""
        return self._verb(change_tasks.revise, request, ReviseTaskSerializer)

    @extend_schema(request=GiveTaskSerializer, responses=ChangeTaskSerializer)
    @action(detail=True, methods=["post"])
    def give(self, request: Request, pk: str | None = None) -> Response:
        """Gives it to somebody, who is told."""
        return self._verb(change_tasks.give, request, GiveTaskSerializer)

    @extend_schema(request=EmptySerializer, responses=ChangeTaskSerializer)
    @action(detail=True, methods=["post"])
    def begin(self, request: Request, pk: str | None = None) -> Response:
        """Says that the work begins."""
        return self._verb(change_tasks.begin, request, EmptySerializer)

    @extend_schema(request=OutcomeSerializer, responses=ChangeTaskSerializer)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, pk: str | None = None) -> Response:
        """Says that it is done, and what came of it."""
        return self._verb(change_tasks.finish, request, OutcomeSerializer)

    @extend_schema(request=ReasonSerializer, responses=ChangeTaskSerializer)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: str | None = None) -> Response:
        """Declares it not needed; it stays visible with the reason."""
        return self._verb(change_tasks.dismiss, request, ReasonSerializer)

    @extend_schema(request=ReasonSerializer, responses=ChangeTaskSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str | None = None) -> Response:
        """Opens it again."""
        return self._verb(change_tasks.reopen, request, ReasonSerializer)
