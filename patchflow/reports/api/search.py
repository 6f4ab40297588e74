"""The one box over REST: numbers, names, CVEs and people; only what the caller may see is found."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.views import ViewSet
from patchflow.reports.queries.find import KINDS, LONGEST, find


class SoughtSerializer(serializers.Serializer[Any]):
    q = serializers.CharField(max_length=LONGEST)


class HitSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(source="noun", help_text=", ".join(KINDS))
    id = serializers.IntegerField(source="pk")
    title = serializers.CharField()
    exact = serializers.BooleanField(help_text="Whether its number or name was given whole.")
    url = serializers.CharField(help_text="Its page.")


class SearchViewSet(ViewSet):
    """What the box above every page finds."""

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "q",
                str,
                required=True,
                description="A number, also short (rfc 42); a part of a name; the beginning of a package, a person or a CVE id.",
            )
        ],
        responses=HitSerializer(many=True),
    )
    def list(self, request: Request) -> Response:
        """The nearest first, at most ten of each kind: the same as on the page, with the same rights."""
        asked = SoughtSerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        actor: Any = request.user
        return Response(HitSerializer(find(asked.validated_data["q"], actor), many=True).data)
