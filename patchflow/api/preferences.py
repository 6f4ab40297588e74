"""The caller's own language and time zone over REST."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.exact import Exact
from patchflow.api.verbs import parsed
from patchflow.kernel.models import User
from patchflow.kernel.preferences import set_preferences


class PreferencesSerializer(serializers.ModelSerializer[User]):
    language = serializers.ChoiceField(settings.LANGUAGES)

    class Meta:
        model = User
        fields = ("username", "language", "time_zone")
        read_only_fields = ("username",)


class PreferencesView(Exact):
    """The caller's language and time zone: of pages, and of every notice to them."""

    @extend_schema(responses=PreferencesSerializer)
    def get(self, request: Request) -> Response:
        actor: Any = request.user
        return Response(PreferencesSerializer(actor).data)

    @extend_schema(request=PreferencesSerializer, responses=PreferencesSerializer)
    def put(self, request: Request) -> Response:
        actor: Any = request.user
        given = {"time_zone": actor.time_zone, **parsed(PreferencesSerializer, request)}
        return Response(PreferencesSerializer(set_preferences(actor=actor, at=timezone.now(), **given)).data)
