"""Patchflow's addresses, and the peer that a transition is measured against: no session, no rights, no gates, no audit."""

from __future__ import annotations

from django.db import transaction
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from changes.models import RFC
from patchflow.urls import urlpatterns as ours


class Bare(APIView):
    """A view with `select_for_update` and one UPDATE, on the same database and workers."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request, pk: int) -> Response:
        with transaction.atomic():
            rfc = RFC.objects.select_for_update().only("pk", "number", "outcome").get(pk=pk)
            RFC.objects.filter(pk=pk).update(outcome="" if rfc.outcome else "x")
        return Response({"number": rfc.number})


urlpatterns = [path("bare/<int:pk>/", Bare.as_view()), *ours]
