"""Hosts over REST: the same verbs and refusals as on the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from cmdb.api import baseline_shapes, host_shapes, scan_shapes, window_shapes
from cmdb.domain import connections, discrepancies, hosts, scans
from cmdb.enums import Criticality, Environment, ItemState
from cmdb.models import Host, Installation, PendingUpdate, Platform
from cmdb.queries import baselines, software, standing, windows
from cmdb.queries.hosts import facts_of, stale_after
from cmdb.queries.scans import runs_in_sight
from patchflow.api.verbs import AvailableSerializer, EmptySerializer, ReasonSerializer, VerbViewSet, parsed
from patchflow.api.views import ReadViewSet
from patchflow.kernel import workflow

OPENINGS = 20


class HostFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="search", label="Part of the name")
    state = django_filters.ChoiceFilter(field_name="ci__state", choices=ItemState.choices)
    environment = django_filters.ChoiceFilter(field_name="ci__environment", choices=Environment.choices)
    criticality = django_filters.ChoiceFilter(field_name="ci__criticality", choices=Criticality.choices)
    group = django_filters.NumberFilter(field_name="memberships__group_id")
    platform = django_filters.NumberFilter(field_name="platform_id")
    restart_needed = django_filters.BooleanFilter()
    stale = django_filters.BooleanFilter(method="by_age", label="Facts too old to count")

    class Meta:
        model = Host
        fields: tuple[str, ...] = ()

    def search(self, rows: QuerySet[Host], _name: str, text: str) -> QuerySet[Host]:
        return rows.filter(Q(name__icontains=text) | Q(fqdn__icontains=text))

    def by_age(self, rows: QuerySet[Host], _name: str, wanted: bool) -> QuerySet[Host]:
        fresh = Q(audited_at__gte=timezone.now() - stale_after())
        return rows.exclude(fresh) if wanted else rows.filter(fresh)


class HostViewSet(VerbViewSet):
    """The hosts that the caller sees. A list leaves retired ones out unless `state=retired` asks for them."""

    serializer_class = host_shapes.HostSerializer
    filterset_class = HostFilter

    def visible(self) -> QuerySet[Host]:
        rows = Host.objects.visible_to(self.request.user)  # type: ignore[arg-type]
        if self.action == "list" and self.request.query_params.get("state") != ItemState.RETIRED:
            rows = rows.live()
        return rows.select_related("ci__owner", "platform").prefetch_related("memberships")

    @extend_schema(request=host_shapes.AddHostSerializer, responses={201: host_shapes.HostSerializer})
    def create(self, request: Request) -> Response:
        """Adds a host, planned. Next: show-key, accept-key, test-connection, scan."""
        host = self.act(hosts.add, request, **parsed(host_shapes.AddHostSerializer, request))
        return Response(self.get_serializer(host).data, status=201)

    @extend_schema(request=host_shapes.ReviseHostSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Changes what people say of a host; groups by rule follow."""
        given = parsed(host_shapes.ReviseHostSerializer, request)
        host = self.act(hosts.revise, request, host_id=self.seen_pk(), **given)
        return Response(self.get_serializer(host).data)

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Ends a host; its rows stay."""
        given = parsed(ReasonSerializer, request)
        return Response(self.get_serializer(self.act(hosts.retire, request, host_id=self.seen_pk(), **given)).data)

    @extend_schema(request=scan_shapes.ScanRequestSerializer, responses={202: scan_shapes.ScanRunSerializer})
    @action(detail=True, methods=["post"])
    def scan(self, request: Request, pk: str | None = None) -> Response:
        """Queues a scan of this host."""
        given = parsed(scan_shapes.ScanRequestSerializer, request)
        run = self.act(scans.request, request, host_ids=[self.seen_pk()], **given)
        seen = runs_in_sight(request.user).get(pk=run.pk)  # type: ignore[arg-type]
        return Response(scan_shapes.ScanRunSerializer(seen).data, status=202)

    @extend_schema(responses=host_shapes.ConnectionSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def connection(self, request: Request, pk: str | None = None) -> Response:
        """How the host is reached."""
        host = self.get_object()
        if not hasattr(host, "connection"):
            return Response(None)
        return Response(host_shapes.ConnectionSerializer(host.connection).data)

    @extend_schema(request=host_shapes.ReachSerializer, responses=host_shapes.ConnectionSerializer)
    @action(detail=True, methods=["post"], url_path="revise-connection")
    def revise_connection(self, request: Request, pk: str | None = None) -> Response:
        """Changes how the host is reached; a new place voids the accepted key."""
        given = parsed(host_shapes.ReachSerializer, request)
        changed = self.act(connections.revise, request, host_id=self.seen_pk(), **given)
        return Response(host_shapes.ConnectionSerializer(changed).data)

    @extend_schema(request=EmptySerializer, responses=host_shapes.ConnectionSerializer)
    @action(detail=True, methods=["post"], url_path="show-key")
    def show_key(self, request: Request, pk: str | None = None) -> Response:
        """Asks the host for its key and shows it; nothing is trusted by it."""
        shown = self.act(connections.show_key, request, host_id=self.seen_pk())
        return Response(host_shapes.ConnectionSerializer(shown).data)

    @extend_schema(request=host_shapes.AcceptKeySerializer, responses=host_shapes.ConnectionSerializer)
    @action(detail=True, methods=["post"], url_path="accept-key")
    def accept_key(self, request: Request, pk: str | None = None) -> Response:
        """A person's word that the shown key is the host's."""
        given = parsed(host_shapes.AcceptKeySerializer, request)
        accepted = self.act(connections.accept_key, request, host_id=self.seen_pk(), **given)
        return Response(host_shapes.ConnectionSerializer(accepted).data)

    @extend_schema(request=EmptySerializer, responses=host_shapes.ProbeSerializer)
    @action(detail=True, methods=["post"], url_path="test-connection")
    def test_connection(self, request: Request, pk: str | None = None) -> Response:
        """Tries the connection step by step; changes nothing on the host."""
        found = self.act(connections.test, request, host_id=self.seen_pk())
        return Response(host_shapes.ProbeSerializer({**asdict(found), "usable": found.usable}).data)

    @extend_schema(responses=host_shapes.FactSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def facts(self, request: Request, pk: str | None = None) -> Response:
        """Facts with source and age; disagreement beside them."""
        return self.table(host_shapes.FactSerializer, facts_of(self.get_object()))

    @extend_schema(request=host_shapes.SetFactSerializer, responses=host_shapes.FactSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="set-fact", pagination_class=None, filter_backends=[])
    def set_fact(self, request: Request, pk: str | None = None) -> Response:
        """A person's word on a fact; it outranks discovery until released."""
        host = self.get_object()
        self.act(hosts.set_fact, request, host_id=host.pk, **parsed(host_shapes.SetFactSerializer, request))
        return Response(host_shapes.FactSerializer(facts_of(host), many=True).data)

    @extend_schema(request=host_shapes.FactKeySerializer, responses=host_shapes.FactSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="release-fact", pagination_class=None, filter_backends=[])
    def release_fact(self, request: Request, pk: str | None = None) -> Response:
        """Takes a person's word back."""
        host = self.get_object()
        self.act(hosts.release_fact, request, host_id=host.pk, **parsed(host_shapes.FactKeySerializer, request))
        return Response(host_shapes.FactSerializer(facts_of(host), many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("as_of", OpenApiTypes.DATETIME, description="As it was then; default now.")],
        responses=host_shapes.InstallationSerializer(many=True),
    )
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def packages(self, request: Request, pk: str | None = None) -> Response:
        """Packages by first sight, newest first, now or as of a moment."""
        host, as_of = self.get_object(), None
        if "as_of" in request.query_params:
            from rest_framework.fields import DateTimeField

            as_of = DateTimeField().run_validation(request.query_params["as_of"])
            if as_of is None:
                raise ValidationError({"as_of": "Not a time."})
        return self._page(software.packages_of(host.pk, as_of=as_of).order_by(), host_shapes.InstallationSerializer)

    @extend_schema(responses=host_shapes.PendingUpdateSerializer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def pending(self, request: Request, pk: str | None = None) -> Response:
        """What the host's own package manager would bring in."""
        return self._page(software.pending_of(self.seen_pk()).order_by(), host_shapes.PendingUpdateSerializer)

    def _page(self, rows: QuerySet[Installation] | QuerySet[PendingUpdate], shape: Any) -> Response:
        return self.table(shape, rows)

    @extend_schema(responses=window_shapes.OpeningSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def windows(self, request: Request, pk: str | None = None) -> Response:
        """The next 20 openings of the host's windows; empty: no window, so nothing is deployed here."""
        found = windows.openings_of_host(self.seen_pk(), after=timezone.now(), count=OPENINGS)
        return self.table(window_shapes.OpeningSerializer, found)

    @extend_schema(responses=baseline_shapes.HostBaselineSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def baseline(self, request: Request, pk: str | None = None) -> Response:
        """The host against each baseline in force for it: which package, which version against which."""
        host = self.get_object()
        rows = [
            {
                **asdict(found),
                "baseline": baseline.pk,
                "baseline_name": str(baseline),
                "packages": standing.reasons(host, baseline),
            }
            for baseline, found in baselines.of_host(host, at=timezone.now())
        ]
        return self.table(baseline_shapes.HostBaselineSerializer, rows)

    @extend_schema(
        request=baseline_shapes.ExplainAboveSerializer, responses={201: baseline_shapes.DiscrepancySerializer}
    )
    @action(detail=True, methods=["post"], url_path="explain-above")
    def explain_above(self, request: Request, pk: str | None = None) -> Response:
        """Says who brought the host above its baseline."""
        given = parsed(baseline_shapes.ExplainAboveSerializer, request)
        found = self.act(discrepancies.explain_above, request, host_id=self.seen_pk(), **given)
        return Response(baseline_shapes.DiscrepancySerializer(found).data, status=201)

    @extend_schema(responses=AvailableSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def available(self, request: Request, pk: str | None = None) -> Response:  # type: ignore[override]
        """The verbs that leave the host's state, with every reason against each."""
        item = self.get_object().ci
        offered = workflow.available(item, actor=request.user, at=timezone.now())  # type: ignore[arg-type]
        return Response(AvailableSerializer(offered, many=True).data)


class PlatformViewSet(ReadViewSet):
    """Distributions' releases by architecture, as hosts report them."""

    serializer_class = host_shapes.PlatformSerializer
    queryset = Platform.objects.all()
    ordering = "-pk"

    def get_queryset(self) -> QuerySet[Platform]:
        """For whoever sees hosts anywhere."""
        actor: Any = self.request.user
        rows = super().get_queryset()
        return rows if getattr(self, "swagger_fake_view", False) or actor.holds_somewhere("host.view") else rows.none()
