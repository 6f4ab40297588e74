"""Scan runs over REST."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cmdb.api import scan_shapes
from cmdb.domain import scans
from cmdb.models import Host, ScanRun
from cmdb.queries.scans import runs_in_sight
from patchflow.api.verbs import EmptySerializer, VerbViewSet, parsed


class ScanRunViewSet(VerbViewSet):
    """Scans of hosts that the caller sees; the results of other hosts in the same run stay out."""

    serializer_class = scan_shapes.ScanRunSerializer
    filterset_fields = ("state", "scanner")

    def visible(self) -> QuerySet[ScanRun]:
        from django.db.models import Prefetch

        from cmdb.models import ScanResult

        seen = Host.objects.visible_to(self.request.user)  # type: ignore[arg-type]
        results = Prefetch("results", ScanResult.objects.filter(host__in=seen))
        return runs_in_sight(self.request.user).prefetch_related(results)  # type: ignore[arg-type]

    @extend_schema(request=scan_shapes.RequestScanSerializer, responses={202: scan_shapes.ScanRunSerializer})
    def create(self, request: Request) -> Response:
        """Queues a scan of these hosts."""
        run = self.act(scans.request, request, **parsed(scan_shapes.RequestScanSerializer, request))
        return self.answer(run.pk, status=202)

    @extend_schema(request=EmptySerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Stops a scan: hosts not asked yet are left out."""
        run_id = self.seen_pk()
        self.act(scans.cancel, request, scan_run_id=run_id)
        return self.answer(run_id)

    @extend_schema(responses=scan_shapes.ScanResultSerializer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def results(self, request: Request, pk: str | None = None) -> Response:
        """What became of each host, with reasons."""
        seen = Host.objects.visible_to(request.user)  # type: ignore[arg-type]
        rows = self.get_object().results.filter(host__in=seen).select_related("host")
        return self.table(scan_shapes.ScanResultSerializer, rows)
