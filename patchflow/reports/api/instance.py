"""This installation over REST: whether it is in trial mode, and the two decisions about that."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import ReasonSerializer, parsed
from patchflow.api.views import ViewSet
from patchflow.kernel import trial


class InstanceSerializer(serializers.Serializer[Any]):
    trial = serializers.BooleanField(help_text="Trial mode: nothing is executed on hosts; only the simulator acts.")
    trial_since = serializers.DateTimeField(allow_null=True)
    trial_reason = serializers.CharField()


class InstanceViewSet(ViewSet):
    """What this installation is."""

    serializer_class = InstanceSerializer

    @extend_schema(responses=InstanceSerializer, operation_id="instance_show")
    def list(self, request: Request) -> Response:
        """Whether this is trial mode."""
        return self._answer()

    @extend_schema(request=ReasonSerializer, responses=InstanceSerializer)
    @action(detail=False, methods=["post"], url_path="enter-trial")
    def enter_trial(self, request: Request) -> Response:
        """From now on no executor but the simulator acts."""
        trial.enter(actor=request.user, at=timezone.now(), **parsed(ReasonSerializer, request))  # type: ignore[arg-type]
        return self._answer()

    @extend_schema(request=ReasonSerializer, responses=InstanceSerializer)
    @action(detail=False, methods=["post"], url_path="leave-trial")
    def leave_trial(self, request: Request) -> Response:
        """From now on what is deployed is executed; what was made in the trial goes on no more."""
        trial.leave(actor=request.user, at=timezone.now(), **parsed(ReasonSerializer, request))  # type: ignore[arg-type]
        return self._answer()

    def _answer(self) -> Response:
        period = trial.current()
        given = {
            "trial": trial.active(),
            "trial_since": period.started_at if period else None,
            "trial_reason": period.reason if period else "",
        }
        return Response(InstanceSerializer(given).data)
