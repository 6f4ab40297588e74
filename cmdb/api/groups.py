"""Groups and windows over REST."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import Count, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cmdb.api import baseline_shapes, window_shapes
from cmdb.domain import groups, window_import, windows
from cmdb.models import Host, HostGroup, ServiceWindow
from cmdb.queries import standing
from cmdb.queries.groups import matching
from cmdb.queries.windows import openings
from patchflow.api.verbs import ReasonSerializer, VerbViewSet, parsed

SHOWN = 50
OPENINGS = 20


class GroupViewSet(VerbViewSet):
    """Host groups, which are also the scopes of grants."""

    serializer_class = window_shapes.GroupSerializer

    def visible(self) -> QuerySet[HostGroup]:
        rows = HostGroup.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        if self.action == "list":
            rows = rows.live()
        return rows.annotate(host_count=Count("memberships"))

    @extend_schema(request=window_shapes.AddGroupSerializer, responses={201: window_shapes.GroupSerializer})
    def create(self, request: Request) -> Response:
        """Makes a group of chosen hosts, or by rule."""
        group = self.act(groups.add, request, **parsed(window_shapes.AddGroupSerializer, request))
        return self.answer(group.pk, status=201)

    @extend_schema(request=window_shapes.ReviseGroupSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Renames a group, or changes its rule; members follow."""
        group_id = self.seen_pk()
        self.act(groups.revise, request, group_id=group_id, **parsed(window_shapes.ReviseGroupSerializer, request))
        return self.answer(group_id)

    @extend_schema(request=window_shapes.HostIdsSerializer)
    @action(detail=True, methods=["post"], url_path="set-members")
    def set_members(self, request: Request, pk: str | None = None) -> Response:
        """Makes the members of a static group exactly these hosts."""
        group_id = self.seen_pk()
        self.act(groups.set_members, request, group_id=group_id, **parsed(window_shapes.HostIdsSerializer, request))
        return self.answer(group_id)

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Ends a group; its members leave it."""
        group_id = self.seen_pk()
        self.act(groups.retire, request, group_id=group_id, **parsed(ReasonSerializer, request))
        return self.answer(group_id)

    @extend_schema(request=window_shapes.RuleSerializer, responses=window_shapes.PreviewSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def preview(self, request: Request) -> Response:
        """Which of the hosts that the caller sees a rule would name."""
        rule = parsed(window_shapes.RuleSerializer, request)
        rows = matching(rule).filter(pk__in=Host.objects.visible_to(request.user))  # type: ignore[arg-type]
        names = list(rows.order_by("name").values_list("name", flat=True)[:SHOWN])
        return Response({"count": rows.count(), "hosts": names})

    @extend_schema(responses=baseline_shapes.StandingSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def baseline(self, request: Request, pk: str | None = None) -> Response:
        """How the members that the caller sees stand against the baselines in force, worst first."""
        found = standing.of_group(self.get_object(), at=timezone.now(), actor=request.user)  # type: ignore[arg-type]
        rows = [
            {**asdict(row.found), "baseline": row.baseline and row.baseline.pk, "explained": row.explained}
            for row in found.hosts
        ]
        said = {
            "total": found.total,
            "counts": found.counts(),
            "interval": found.interval,
            "oldest_at": found.oldest_at,
        }
        return Response(baseline_shapes.StandingSerializer({**said, "hosts": rows}).data)

    available: Any = None  # a group has no machine


class WindowViewSet(VerbViewSet):
    """Service windows: when hosts of their groups may be worked on."""

    serializer_class = window_shapes.WindowSerializer

    def visible(self) -> QuerySet[ServiceWindow]:
        rows = ServiceWindow.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return (rows.live() if self.action == "list" else rows).prefetch_related("groups")

    @extend_schema(request=window_shapes.AddWindowSerializer, responses={201: window_shapes.WindowSerializer})
    def create(self, request: Request) -> Response:
        """Makes a window."""
        window = self.act(windows.add, request, **parsed(window_shapes.AddWindowSerializer, request))
        return Response(self.get_serializer(window).data, status=201)

    @extend_schema(request=window_shapes.ImportWindowsSerializer, responses=window_shapes.IcsLineSerializer(many=True))
    @action(detail=False, methods=["post"], url_path="import-ics", pagination_class=None, filter_backends=[])
    def import_ics(self, request: Request) -> Response:
        """Windows from an iCalendar file: what each event would become, or, without `preview`, made of the chosen ones."""
        given = parsed(window_shapes.ImportWindowsSerializer, request)
        common = {"content": given["ics"].encode(), "zone": given["zone"]}
        if given["preview"]:
            lines = self.act(window_import.preview, request, **common)
        else:
            more = {name: given[name] for name in ("numbers", "group_ids", "cutoff_minutes")}
            lines = self.act(window_import.take_over, request, **common, **more)
        return Response(window_shapes.IcsLineSerializer(lines, many=True).data)

    @extend_schema(request=window_shapes.EditWindowSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        """Changes a window; its revision rises. `queued` says what becomes of the hosts that wait for it."""
        given = parsed(window_shapes.EditWindowSerializer, request)
        window = self.act(windows.revise, request, window_id=self.seen_pk(), **given)
        return Response(self.get_serializer(window).data)

    @extend_schema(request=window_shapes.EndWindowSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Ends a window; it opens no more. `queued` says what becomes of the hosts that wait for it."""
        given = parsed(window_shapes.EndWindowSerializer, request)
        window = self.act(windows.retire, request, window_id=self.seen_pk(), **given)
        return Response(self.get_serializer(window).data)

    @extend_schema(request=window_shapes.LookAheadSerializer, responses=window_shapes.QueuedHostSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="look-ahead", pagination_class=None, filter_backends=[])
    def look_ahead(self, request: Request, pk: str | None = None) -> Response:
        """The queued hosts in sight that this edit would reach, and what would become of each. Nothing is saved."""
        given = parsed(window_shapes.LookAheadSerializer, request)
        found = self.act(windows.look_ahead, request, window_id=self.seen_pk(), **given)
        mine = Host.objects.visible_to(request.user).filter(pk__among=[row.host_id for row in found])  # type: ignore[arg-type]
        seen = set(mine.values_list("pk", flat=True))
        return Response(
            window_shapes.QueuedHostSerializer([row for row in found if row.host_id in seen], many=True).data
        )

    @extend_schema(responses=window_shapes.OpeningSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def openings(self, request: Request, pk: str | None = None) -> Response:
        """The next 20 openings."""
        found = openings(self.get_object(), after=timezone.now(), count=OPENINGS)
        return self.table(window_shapes.OpeningSerializer, found)

    @extend_schema(request=window_shapes.PreviewWindowSerializer, responses=window_shapes.OpeningSerializer(many=True))
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def preview(self, request: Request) -> Response:
        """The next 20 openings that a window would have, before it is made. Nothing is saved."""
        window = windows.proposed(actor=request.user, **parsed(window_shapes.PreviewWindowSerializer, request))  # type: ignore[arg-type]
        found = openings(window, after=timezone.now(), count=OPENINGS)
        return Response(window_shapes.OpeningSerializer(found, many=True).data)

    available: Any = None  # a window has no machine
