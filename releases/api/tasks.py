"""Tasks by hand over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, VerbViewSet, parsed
from releases.domain import tasks_by_hand as tasks
from releases.models import HandTask


class HandTaskSerializer(serializers.ModelSerializer[HandTask]):
    """`order`: the instruction, as it was signed."""

    host_name = serializers.CharField(source="job.host.name", read_only=True)
    begun_by = serializers.CharField(source="begun_by.username", read_only=True, default="")
    ended_by = serializers.CharField(source="ended_by.username", read_only=True, default="")
    attested_by = serializers.CharField(source="attested_by.username", read_only=True, default="")

    class Meta:
        model = HandTask
        fields = ("id", "job", "job_key", "host_name", "state", "order", "minutes", "given_at", "begin_by", "begun_by", "begun_at",
                  "finish_by", "ended_by", "ended_at", "remark", "attested_by", "attested_at", "attestation", "packages")  # fmt: skip
        read_only_fields = fields


class FinishSerializer(serializers.Serializer[Any]):
    remark = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class CouldNotSerializer(serializers.Serializer[Any]):
    remark = serializers.CharField(max_length=2000)


class AttestSerializer(CouldNotSerializer):
    packages = serializers.DictField(
        child=serializers.CharField(max_length=200, allow_blank=True),
        help_text="Package → the version on the host; empty: not there.",
    )


class HandTaskViewSet(VerbViewSet):
    """Hosts that a person updates: begun, reported, verified by a scan or attested by a second person."""

    serializer_class = HandTaskSerializer
    filterset_fields = ("state", "job")

    def visible(self) -> QuerySet[Any]:
        rows = HandTask.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return rows.select_related("job__host", "begun_by", "ended_by", "attested_by")

    @extend_schema(request=EmptySerializer, responses=HandTaskSerializer)
    @action(detail=True, methods=["post"])
    def begin(self, request: Request, pk: str | None = None) -> Response:
        """Says that the work begins now; every gate is asked once more."""
        found = self.seen_pk()
        self.act(tasks.begin, request, task_id=found)
        return self.answer(found)

    @extend_schema(request=FinishSerializer, responses=HandTaskSerializer)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, pk: str | None = None) -> Response:
        """Reports it as done; a scan verifies."""
        found = self.seen_pk()
        self.act(tasks.finish, request, task_id=found, **parsed(FinishSerializer, request))
        return self.answer(found)

    @extend_schema(request=CouldNotSerializer, responses=HandTaskSerializer)
    @action(detail=True, methods=["post"])
    def give_up(self, request: Request, pk: str | None = None) -> Response:
        """Says that it could not be done, and why."""
        found = self.seen_pk()
        self.act(tasks.give_up, request, task_id=found, **parsed(CouldNotSerializer, request))
        return self.answer(found)

    @extend_schema(request=AttestSerializer, responses=HandTaskSerializer)
    @action(detail=True, methods=["post"])
    def attest(self, request: Request, pk: str | None = None) -> Response:
        """A second person writes down what the host has, where no scan can."""
        found = self.seen_pk()
        self.act(tasks.attest, request, task_id=found, **parsed(AttestSerializer, request))
        return self.answer(found)
