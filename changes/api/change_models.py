"""Change models over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import change_models
from changes.enums import Owners, RFCKind
from changes.enums_tasks import TaskStage
from changes.models import ChangeModel
from changes.queries.change_models import with_record
from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed
from patchflow.kernel.enums import Quorum


class ModelLevelSerializer(serializers.Serializer[Any]):
    """A level of approval: whom it asks (`roles`, `owners`, a support `group`; one at least), and a deadline in working days
    or in hours, not both. With `veto` the first refusal ends the round."""

    name = serializers.CharField(max_length=60)
    roles = serializers.ListField(child=serializers.CharField(max_length=40), required=False)
    owners = serializers.ChoiceField(Owners.choices, required=False, allow_blank=True)
    group = serializers.CharField(max_length=80, required=False, allow_blank=True)
    quorum = serializers.ChoiceField(Quorum.choices, required=False)
    amount = serializers.IntegerField(min_value=1, max_value=1000, required=False)
    working_days = serializers.IntegerField(min_value=1, max_value=2000, required=False)
    hours = serializers.IntegerField(min_value=1, max_value=2000, required=False)
    escalate_to = serializers.CharField(max_length=40, required=False, allow_blank=True)
    veto = serializers.BooleanField(required=False)


class ModelTaskSerializer(serializers.Serializer[Any]):
    """A task that each change of the model starts with."""

    title = serializers.CharField(max_length=200)
    stage = serializers.ChoiceField(TaskStage.choices)
    required = serializers.BooleanField(required=False)  # type: ignore[assignment]  # DRF keeps declared fields apart
    instructions = serializers.CharField(max_length=8000, required=False, allow_blank=True)


class ChangeModelSerializer(serializers.ModelSerializer[ChangeModel]):
    levels = ModelLevelSerializer(many=True, read_only=True)
    tasks = ModelTaskSerializer(many=True, read_only=True)
    packages = serializers.ListField(child=serializers.CharField(), read_only=True)
    written_by = serializers.CharField(source="written_by.username", read_only=True)
    used = serializers.IntegerField(read_only=True, help_text="Closed changes under it.")
    failed = serializers.IntegerField(read_only=True, help_text="Those that failed or were backed out.")
    model_digest = serializers.CharField(read_only=True)

    class Meta:
        model = ChangeModel
        fields = ("id", "name", "kind", "state", "description", "levels", "tasks", "packages", "max_score", "max_hosts",
                  "implementation_plan", "test_plan", "back_out_plan", "written_by", "written_at", "approved_at",
                  "used", "failed", "model_digest")  # fmt: skip
        read_only_fields = fields


class ReviseModelSerializer(serializers.Serializer[Any]):
    """What a model says; what is left out stays as it is."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    levels = ModelLevelSerializer(many=True, required=False)
    tasks = ModelTaskSerializer(many=True, required=False)
    packages = serializers.ListField(child=serializers.CharField(max_length=255), required=False)
    max_score = serializers.IntegerField(min_value=0, max_value=25, required=False)
    max_hosts = serializers.IntegerField(min_value=1, required=False)
    implementation_plan = serializers.CharField(required=False, allow_blank=True)
    test_plan = serializers.CharField(required=False, allow_blank=True)
    back_out_plan = serializers.CharField(required=False, allow_blank=True)


class DraftModelSerializer(ReviseModelSerializer):
    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(RFCKind.choices)


class ChangeModelViewSet(VerbViewSet):
    """Models of changes. `propose` opens a round (see `rounds`): the board's signature makes a standard model a licence."""

    serializer_class = ChangeModelSerializer
    filterset_fields = ("state", "kind")

    def visible(self) -> QuerySet[Any]:
        rows = ChangeModel.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return with_record(rows).select_related("written_by")

    @extend_schema(request=DraftModelSerializer, responses={201: ChangeModelSerializer})
    def create(self, request: Request) -> Response:
        """Writes a draft."""
        model = self.act(change_models.draft, request, **parsed(DraftModelSerializer, request))
        return self.answer(model.pk, status=201)

    @extend_schema(request=ReviseModelSerializer, responses=ChangeModelSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Changes a draft."""
        found = self.seen_pk()
        self.act(change_models.revise, request, model_id=found, **parsed(ReviseModelSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=ChangeModelSerializer)
    @action(detail=True, methods=["post"])
    def propose(self, request: Request, pk: str | None = None) -> Response:
        """Asks the board to sign it."""
        found = self.seen_pk()
        self.act(change_models.propose, request, model_id=found)
        return self.answer(found)

    @extend_schema(request=ReasonSerializer, responses=ChangeModelSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str | None = None) -> Response:
        """Takes its approval back: a draft again. (A proposal is taken back by `withdraw` of its round.)"""
        found = self.seen_pk()
        self.act(change_models.withdraw, request, model_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)

    @extend_schema(request=ReasonSerializer, responses=ChangeModelSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Takes it out of use."""
        found = self.seen_pk()
        self.act(change_models.retire, request, model_id=found, **parsed(ReasonSerializer, request))
        return self.answer(found)
