"""RFCs over REST: the same verbs and the same refusals as on the page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from changes.api.rfc_shapes import (
    AttachmentSerializer,
    AuthorizationSerializer,
    ClassifySerializer,
    CloseSerializer,
    CommentSerializer,
    ConflictsSerializer,
    DifferenceSerializer,
    DropReferenceSerializer,
    EvidenceSerializer,
    GlassReviewSerializer,
    LevelToComeSerializer,
    OwedSerializer,
    ParentSerializer,
    RaiseSerializer,
    RecordEvidenceSerializer,
    ReferenceSerializer,
    ReviseSerializer,
    RFCListSerializer,
    RFCSerializer,
    RFCTargetSerializer,
    WithdrawAttachmentSerializer,
    WriteAttachmentSerializer,
    WriteCommentSerializer,
    WriteReferenceSerializer,
)
from changes.domain import (
    approvals,
    clocks,
    dossiers,
    evidence,
    families,
    glass,
    holds,
    revisions,
    rfcs,
    risk,
    routing,
    supersedence,
)
from changes.models import RFC, Attachment, Comment, Reference
from changes.queries.authorization import authorization_for
from changes.queries.conflicts import find_conflicts, seen_by
from changes.queries.evidence import newest
from changes.queries.fitting import fit_of
from changes.queries.rfcs import changes_since_signed, demand_all, sees_all
from cmdb.models import Host
from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed
from patchflow.kernel import signoffs
from patchflow.kernel.levels import able


class RFCViewSet(VerbViewSet):
    """Requests for change. Reads show what the caller may see; each verb is one POST."""

    serializer_class = RFCSerializer
    filterset_fields = ("state", "kind", "cycle", "update_class")

    def visible(self) -> QuerySet[Any]:
        return RFC.objects.visible_to(self.request.user).select_related("requested_by")  # type: ignore[arg-type]

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return RFCListSerializer if self.action == "list" else RFCSerializer

    def _pk(self) -> int:
        """The id of an object that the caller may see; 404 otherwise."""
        return int(self.seen_pk())

    def _with_reason(self, verb: Any, request: Request) -> Response:
        pk = self._pk()
        self.act(verb, request, rfc_id=pk, **parsed(ReasonSerializer, request))
        return self.answer(pk)

    def _plain(self, verb: Any, request: Request) -> Response:
        pk = self._pk()
        self.act(verb, request, rfc_id=pk)
        return self.answer(pk)

    @extend_schema(request=RaiseSerializer, responses={201: RFCSerializer})
    def create(self, request: Request) -> Response:
        """Raises a draft for updates; targets fill themselves unless `host_ids` names them."""
        rfc = self.act(rfcs.raise_rfc, request, **parsed(RaiseSerializer, request))
        return self.answer(rfc.pk, status=201)

    @extend_schema(request=ReviseSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def revise(self, request: Request, pk: str | None = None) -> Response:
        found = self._pk()
        self.act(revisions.revise, request, rfc_id=found, **parsed(ReviseSerializer, request))
        return self.answer(found)

    @extend_schema(responses=ConflictsSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def conflicts(self, request: Request, pk: str | None = None) -> Response:
        """What it meets now: the same and related CIs, freezes, windows, people; and which targets will not fit."""
        rfc, now = self.get_object(), timezone.now()
        fit = fit_of(rfc, at=now)
        shown, hidden = seen_by(request.user, find_conflicts(rfc, at=now, fit=fit))  # type: ignore[arg-type]
        seen = Host.objects.visible_to(request.user).filter(pk__in=list(fit.unfit)).values_list("pk", flat=True)  # type: ignore[arg-type]
        unfit = [{"host": pk, "reason": fit.unfit[pk]} for pk in sorted(seen)]
        return Response(ConflictsSerializer({"conflicts": shown, "hidden": hidden, "unfit": unfit}).data)

    @extend_schema(responses=LevelToComeSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def levels(self, request: Request, pk: str | None = None) -> Response:
        """The levels that a round would ask if it opened now, one after the other, with who asks for them."""
        rfc, now = self.get_object(), timezone.now()
        out = signoffs.excluded_of(rfc)
        specs = routing.specs_for(rfc, at=now, out=out)
        rows = [{"position": n, "spec": spec, "people": able(spec, out)} for n, spec in enumerate(specs, start=1)]
        return self.table(LevelToComeSerializer, rows)

    @extend_schema(request=EmptySerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: str | None = None) -> Response:
        return self._plain(rfcs.submit, request)

    @extend_schema(request=EmptySerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def evaluate(self, request: Request, pk: str | None = None) -> Response:
        return self._plain(rfcs.evaluate, request)

    @extend_schema(request=EmptySerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def score(self, request: Request, pk: str | None = None) -> Response:
        return self._plain(risk.score, request)

    @extend_schema(request=EmptySerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def request_approval(self, request: Request, pk: str | None = None) -> Response:
        return self._plain(approvals.request_approval, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def send_back(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(rfcs.send_back, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(rfcs.reject, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(rfcs.cancel, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def lapse(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(rfcs.lapse, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(rfcs.stop, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(holds.place, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(holds.resume, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str | None = None) -> Response:
        """Exchanges updates that were replaced for the newer ones; what was signed is void."""
        return self._with_reason(supersedence.move, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def ask_break_glass(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(glass.ask, request)

    @extend_schema(request=ReasonSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def break_glass(self, request: Request, pk: str | None = None) -> Response:
        return self._with_reason(glass.break_glass, request)

    @extend_schema(request=GlassReviewSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def review_glass(self, request: Request, pk: str | None = None) -> Response:
        found = self._pk()
        self.act(glass.review, request, rfc_id=found, **parsed(GlassReviewSerializer, request))
        return self.answer(found)

    @extend_schema(request=ClassifySerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def classify(self, request: Request, pk: str | None = None) -> Response:
        found = self._pk()
        self.act(clocks.classify, request, rfc_id=found, **parsed(ClassifySerializer, request))
        return self.answer(found)

    @extend_schema(request=CloseSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str | None = None) -> Response:
        found = self._pk()
        self.act(rfcs.close, request, rfc_id=found, **parsed(CloseSerializer, request))
        return self.answer(found)

    @extend_schema(request=OwedSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def bring_owed(self, request: Request, pk: str | None = None) -> Response:
        found = self._pk()
        self.act(rfcs.bring_owed, request, rfc_id=found, **parsed(OwedSerializer, request))
        return self.answer(found)

    @extend_schema(methods=["get"], responses=EvidenceSerializer(many=True))
    @extend_schema(methods=["post"], request=RecordEvidenceSerializer, responses={201: EvidenceSerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None, filter_backends=[], csv=True)
    def evidence(self, request: Request, pk: str | None = None) -> Response:
        """What was stated about it; POST records a statement."""
        rfc = self.get_object()
        if request.method == "POST":
            given = parsed(RecordEvidenceSerializer, request)
            row = self.act(evidence.record, request, rfc_id=rfc.pk, **given)
            return Response(EvidenceSerializer(row).data, status=201)
        outdated = {stated.row.pk: stated.outdated for stated in newest(rfc, at=timezone.now())}
        rows = rfc.evidence.select_related("by")
        context = {"outdated": outdated, "whole": sees_all(rfc, request.user)}  # type: ignore[arg-type]
        return self.table(EvidenceSerializer, rows, context=context)

    @extend_schema(responses=RFCTargetSerializer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], csv=True)
    def targets(self, request: Request, pk: str | None = None) -> Response:
        """Its targets, those that the caller may see."""
        rows = self.get_object().targets.filter(
            removed_at__isnull=True,
            host__in=Host.objects.visible_to(request.user),  # type: ignore[arg-type]
        )
        return self.table(RFCTargetSerializer, rows.order_by("pk"))

    @extend_schema(request=EmptySerializer, responses={201: RFCSerializer})
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, pk: str | None = None) -> Response:
        """Raises a draft like this RFC; answers with the new one."""
        made = self.act(rfcs.copy, request, rfc_id=self._pk())
        return self.answer(made.pk, status=201)

    @extend_schema(request=ParentSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def set_parent(self, request: Request, pk: str | None = None) -> Response:
        """Makes it the child of another RFC, or of none. Children follow the hold and the cancellation of their parent."""
        found = self._pk()
        self.act(families.set_parent, request, rfc_id=found, **parsed(ParentSerializer, request))
        return self.answer(found)

    @extend_schema(methods=["get"], responses=CommentSerializer(many=True))
    @extend_schema(methods=["post"], request=WriteCommentSerializer, responses={201: CommentSerializer})
    @action(detail=True, methods=["get", "post"], filter_backends=[], csv=True)
    def comments(self, request: Request, pk: str | None = None) -> Response:
        """The discussion, newest first; POST adds to it."""
        found = self._pk()
        if request.method == "POST":
            row = self.act(dossiers.comment, request, rfc_id=found, **parsed(WriteCommentSerializer, request))
            return Response(CommentSerializer(row).data, status=201)
        return self.table(CommentSerializer, Comment.objects.filter(rfc=found).select_related("by").order_by("-pk"))

    @extend_schema(methods=["get"], responses=ReferenceSerializer(many=True))
    @extend_schema(methods=["post"], request=WriteReferenceSerializer, responses={201: ReferenceSerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None, filter_backends=[], csv=True)
    def references(self, request: Request, pk: str | None = None) -> Response:
        """Incidents, problems and requests of other systems; POST notes one."""
        found = self._pk()
        if request.method == "POST":
            row = self.act(dossiers.refer, request, rfc_id=found, **parsed(WriteReferenceSerializer, request))
            return Response(ReferenceSerializer(row).data, status=201)
        rows = Reference.objects.filter(rfc=found, removed_at__isnull=True).select_related("by")
        return self.table(ReferenceSerializer, rows)

    @extend_schema(request=DropReferenceSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def drop_reference(self, request: Request, pk: str | None = None) -> Response:
        """Takes a reference off."""
        found = self._pk()
        self.act(dossiers.drop_reference, request, rfc_id=found, **parsed(DropReferenceSerializer, request))
        return self.answer(found)

    @extend_schema(methods=["get"], responses=AttachmentSerializer(many=True))
    @extend_schema(
        methods=["post"],
        request={"multipart/form-data": WriteAttachmentSerializer},
        responses={201: AttachmentSerializer},
    )
    @action(
        detail=True,
        methods=["get", "post"],
        pagination_class=None,
        filter_backends=[],
        parser_classes=[MultiPartParser],
        csv=True,
    )
    def attachments(self, request: Request, pk: str | None = None) -> Response:
        """The files; POST attaches one (multipart, field `file`). Its type is read from its first bytes."""
        found = self._pk()
        if request.method == "POST":
            sent = parsed(WriteAttachmentSerializer, request)["file"]
            row = self.act(dossiers.attach, request, rfc_id=found, name=sent.name, content=sent.file)
            return Response(AttachmentSerializer(row).data, status=201)
        rows = Attachment.objects.filter(rfc=found).select_related("by")
        return self.table(AttachmentSerializer, rows)

    @extend_schema(
        parameters=[OpenApiParameter("attachment", int, OpenApiParameter.PATH)],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        methods=["get"],
        url_path="attachments/(?P<attachment>[0-9]+)",
        pagination_class=None,
        filter_backends=[],
    )
    def attachment(self, request: Request, attachment: str, pk: str | None = None) -> FileResponse:
        """The file itself, as a download."""
        row, content = dossiers.read_attachment(rfc=self.get_object(), attachment_id=int(attachment))
        response = FileResponse(content, as_attachment=True, filename=row.name, content_type=row.media_type)
        response["X-Content-Type-Options"] = "nosniff"
        return response

    @extend_schema(request=WithdrawAttachmentSerializer, responses=RFCSerializer)
    @action(detail=True, methods=["post"])
    def withdraw_attachment(self, request: Request, pk: str | None = None) -> Response:
        """Withdraws a file; its name and digest stay."""
        found = self._pk()
        given = parsed(WithdrawAttachmentSerializer, request)
        self.act(dossiers.withdraw_attachment, request, rfc_id=found, **given)
        return self.answer(found)

    @extend_schema(responses=AuthorizationSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def authorization(self, request: Request, pk: str | None = None) -> Response:
        """Whether it may be carried out now, and what exactly was authorized; for who may see every host of it."""
        rfc = self.get_object()
        demand_all(rfc, request.user)  # type: ignore[arg-type]
        found = authorization_for(rfc_id=rfc.pk, at=timezone.now())
        return Response(AuthorizationSerializer(found).data)

    @extend_schema(responses=DifferenceSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def difference(self, request: Request, pk: str | None = None) -> Response:
        """What differs from what the newest round asked about; for who may see every host of it."""
        rfc = self.get_object()
        demand_all(rfc, request.user)  # type: ignore[arg-type]
        return self.table(DifferenceSerializer, changes_since_signed(rfc))
