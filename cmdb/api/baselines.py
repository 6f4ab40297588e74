"""Baselines, exemptions and discrepancies over REST."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cmdb.api import baseline_shapes
from cmdb.domain import baselines, discrepancies, exemptions
from cmdb.models import Baseline, Discrepancy, Exemption
from cmdb.queries.baselines import compliance
from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed


class BaselineViewSet(VerbViewSet):
    """Baselines, newest first."""

    serializer_class = baseline_shapes.BaselineSerializer
    filterset_fields = ("state", "name", "platform", "group", "source_digest")

    def visible(self) -> QuerySet[Baseline]:
        rows = Baseline.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return rows.select_related("platform", "proposed_by")

    @extend_schema(
        request=baseline_shapes.ProposeBaselineSerializer, responses={201: baseline_shapes.BaselineSerializer}
    )
    def create(self, request: Request) -> Response:
        """Proposes the next version of a baseline and asks for its approval."""
        given = parsed(baseline_shapes.ProposeBaselineSerializer, request)
        given["items"] = [(item["name"], item["arch"], item["version"]) for item in given["items"]]
        baseline = self.act(baselines.propose, request, **given)
        return self.answer(baseline.pk, status=201)

    @extend_schema(request=EmptySerializer)
    @action(detail=True, methods=["post"], url_path="request-approval")
    def request_approval(self, request: Request, pk: str | None = None) -> Response:
        """Puts a proposed baseline to the vote."""
        baseline_id = self.seen_pk()
        self.act(baselines.request_approval, request, baseline_id=baseline_id)
        return self.answer(baseline_id)

    @extend_schema(request=EmptySerializer)
    @action(detail=True, methods=["post"])
    def adopt(self, request: Request, pk: str | None = None) -> Response:
        """Puts a baseline in force that a signed manifest contains."""
        baseline_id = self.seen_pk()
        self.act(baselines.adopt, request, baseline_id=baseline_id)
        return self.answer(baseline_id)

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str | None = None) -> Response:
        """Ends a baseline without a successor."""
        baseline_id = self.seen_pk()
        self.act(baselines.retire, request, baseline_id=baseline_id, **parsed(ReasonSerializer, request))
        return self.answer(baseline_id)

    @extend_schema(responses=baseline_shapes.BaselineItemSerializer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def items(self, request: Request, pk: str | None = None) -> Response:
        """The packages of the baseline."""
        return self.table(baseline_shapes.BaselineItemSerializer, self.get_object().items.all())

    @extend_schema(responses=baseline_shapes.ComplianceSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def compliance(self, request: Request, pk: str | None = None) -> Response:
        """How the hosts that the caller sees stand against it, and the honest interval."""
        found = compliance(self.get_object(), at=timezone.now(), actor=request.user)  # type: ignore[arg-type]
        return Response(baseline_shapes.ComplianceSerializer(found).data)


class ExemptionViewSet(VerbViewSet):
    """Exemptions from findings."""

    serializer_class = baseline_shapes.ExemptionSerializer
    filterset_fields = ("state", "kind", "host", "group")

    def visible(self) -> QuerySet[Exemption]:
        rows = Exemption.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        return rows.select_related("requested_by", "decided_by")

    @extend_schema(
        request=baseline_shapes.RequestExemptionSerializer, responses={201: baseline_shapes.ExemptionSerializer}
    )
    def create(self, request: Request) -> Response:
        """Asks for an exemption."""
        exemption = self.act(exemptions.request, request, **parsed(baseline_shapes.RequestExemptionSerializer, request))
        return self.answer(exemption.pk, status=201)

    @extend_schema(request=EmptySerializer)
    @action(detail=True, methods=["post"])
    def grant(self, request: Request, pk: str | None = None) -> Response:
        """Grants it; never by who asked."""
        exemption_id = self.seen_pk()
        self.act(exemptions.grant, request, exemption_id=exemption_id)
        return self.answer(exemption_id)

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: str | None = None) -> Response:
        """Refuses it."""
        exemption_id = self.seen_pk()
        self.act(exemptions.refuse, request, exemption_id=exemption_id, **parsed(ReasonSerializer, request))
        return self.answer(exemption_id)

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str | None = None) -> Response:
        """Ends a granted one early."""
        exemption_id = self.seen_pk()
        self.act(exemptions.revoke, request, exemption_id=exemption_id, **parsed(ReasonSerializer, request))
        return self.answer(exemption_id)


class DiscrepancyViewSet(VerbViewSet):
    """What does not agree with itself."""

    serializer_class = baseline_shapes.DiscrepancySerializer
    filterset_fields = ("state", "kind", "host")

    def visible(self) -> QuerySet[Discrepancy]:
        return Discrepancy.objects.all().visible_to(self.request.user).select_related("settled_by")  # type: ignore[arg-type]

    @extend_schema(request=baseline_shapes.SettleSerializer)
    @action(detail=True, methods=["post"])
    def settle(self, request: Request, pk: str | None = None) -> Response:
        """Explains it, says that it was corrected, or hands it to problem management."""
        found_id = self.seen_pk()
        self.act(
            discrepancies.settle, request, discrepancy_id=found_id, **parsed(baseline_shapes.SettleSerializer, request)
        )
        return self.answer(found_id)
