"""What RFCs and all that belongs to them look like over REST, and what is said about them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from changes.api.holds import HoldField
from changes.domain.rfc_gates import owed
from changes.enums import CloseCode, EvidenceKind, ReferenceKind, RFCKind, UpdateClass, WayBack
from changes.models import RFC, Attachment, BreakGlass, Comment, Evidence, Reference, RFCTarget, RFCUpdate
from changes.queries.conflicts import ConflictKind
from changes.queries.evidence import said_of
from changes.queries.rfcs import sees_all
from changes.queries.risk import factors_for
from patchflow.api.verbs import BlockerSerializer, ReasonSerializer
from patchflow.kernel.enums import Quorum


class RFCUpdateSerializer(serializers.ModelSerializer[RFCUpdate]):
    class Meta:
        model = RFCUpdate
        fields = ("update", "distribution", "release", "name", "fixed_version")
        read_only_fields = fields


class RFCTargetSerializer(serializers.ModelSerializer[RFCTarget]):
    class Meta:
        model = RFCTarget
        fields = ("host", "host_name", "criticality", "environment", "outcome", "left_at", "left_reason")
        read_only_fields = fields


class EvidenceSerializer(serializers.ModelSerializer[Evidence]):
    """A later row of the same kind supersedes."""

    summary = serializers.SerializerMethodField(help_text="What counts hosts outside your scope is left out.")
    by = serializers.CharField(source="by.username", read_only=True)
    outdated = serializers.SerializerMethodField(
        help_text="Of the newest of its kind: why it speaks of something else by now. Empty: it does not."
    )

    class Meta:
        model = Evidence
        fields = ("id", "kind", "name", "digest", "summary", "passed", "by", "at", "outdated")
        read_only_fields = fields

    def get_summary(self, row: Evidence) -> str:
        return str(said_of(row, whole=self.context.get("whole", True)))

    def get_outdated(self, row: Evidence) -> str:
        return self.context.get("outdated", {}).get(row.pk, "")


class LevelToComeSerializer(serializers.Serializer[Any]):
    """A level as it would be asked now. `reason`: which route asks it; empty where the kind or the model does."""

    position = serializers.IntegerField()
    name = serializers.CharField(source="spec.name")
    quorum = serializers.ChoiceField(Quorum.choices, source="spec.quorum")
    amount = serializers.IntegerField(source="spec.amount")
    veto = serializers.BooleanField(source="spec.veto")
    deadline_at = serializers.DateTimeField(source="spec.deadline_at")
    reason = serializers.CharField(source="spec.reason")
    voters = serializers.SerializerMethodField()

    def get_voters(self, row: Any) -> list[dict[str, str]]:
        return [{"user": one.user.get_username(), "via": one.via, "basis": one.basis} for one in row["people"]]


class GlassSerializer(serializers.ModelSerializer[BreakGlass]):
    asked_by = serializers.CharField(source="asked_by.username", read_only=True)
    broken_by = serializers.CharField(source="broken_by.username", default=None, read_only=True)
    reviewed_by = serializers.CharField(source="reviewed_by.username", default=None, read_only=True)

    class Meta:
        model = BreakGlass
        fields = ("reason", "asked_by", "asked_at", "broken_by", "broken_at", "withdrawn_at", "review_due_at",
                  "reviewed_by", "reviewed_at", "justified", "finding")  # fmt: skip
        read_only_fields = fields


class RFCListSerializer(serializers.ModelSerializer[RFC]):
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    hold = HoldField()

    class Meta:
        model = RFC
        fields: tuple[str, ...] = ("id", "number", "title", "kind", "state", "state_at", "cycle", "parent", "requested_by", "raised_at",
                  "update_class", "start_by", "clock_stopped_at", "close_code", "hold")  # fmt: skip
        read_only_fields = fields


class RFCSerializer(RFCListSerializer):
    updates = serializers.SerializerMethodField()
    risk = serializers.SerializerMethodField()
    change_digest = serializers.CharField(read_only=True)
    owed = serializers.SerializerMethodField()
    glass = serializers.SerializerMethodField()

    class Meta(RFCListSerializer.Meta):
        fields = (*RFCListSerializer.Meta.fields, "other_reason", "implementation_plan", "test_plan", "back_out_plan",
                  "communication_plan", "way_back", "not_before", "not_after", "change_model", "clock_started_at",
                  "submitted_at", "authorized_at", "begun_at", "closed_at", "outcome", "trial", "updates", "risk",
                  "change_digest", "owed", "glass")  # fmt: skip
        read_only_fields = fields

    @extend_schema(responses=RFCUpdateSerializer(many=True))
    def get_updates(self, rfc: RFC) -> Any:
        return RFCUpdateSerializer(rfc.updates.filter(removed_at__isnull=True), many=True).data

    @extend_schema(responses=BlockerSerializer(many=True))
    def get_owed(self, rfc: RFC) -> Any:
        return BlockerSerializer(owed(rfc), many=True).data

    @extend_schema(responses=GlassSerializer(many=True))
    def get_glass(self, rfc: RFC) -> Any:
        rows = rfc.glass.select_related("asked_by", "broken_by", "reviewed_by")
        return GlassSerializer(rows, many=True).data

    def get_risk(self, rfc: RFC) -> dict[str, Any] | None:
        """Factors that count hosts are left out for who may not see them all."""
        found = rfc.risk
        if found is None:
            return None
        factors = factors_for(found, whole=sees_all(rfc, self.context["request"].user))
        return {"level": found.level, "score": found.score, "of": found.maximum, "factors": factors}


class ContentSerializer(serializers.Serializer[Any]):
    """What an RFC says; what is left out stays as it is."""

    title = serializers.CharField(max_length=200, required=False)
    other_reason = serializers.CharField(required=False, allow_blank=True)
    implementation_plan = serializers.CharField(required=False, allow_blank=True)
    test_plan = serializers.CharField(required=False, allow_blank=True)
    back_out_plan = serializers.CharField(required=False, allow_blank=True)
    communication_plan = serializers.CharField(required=False, allow_blank=True)
    way_back = serializers.ChoiceField(WayBack.choices, required=False)
    not_before = serializers.DateTimeField(required=False, allow_null=True)
    not_after = serializers.DateTimeField(required=False, allow_null=True)
    change_model_id = serializers.IntegerField(required=False, allow_null=True)
    window_ids = serializers.ListField(child=serializers.IntegerField(), required=False)
    kind = serializers.ChoiceField(RFCKind.choices, required=False)
    host_ids = serializers.ListField(child=serializers.IntegerField(), required=False)


class RaiseSerializer(ContentSerializer):
    update_ids = serializers.ListField(child=serializers.IntegerField())


class ReviseSerializer(ContentSerializer):
    update_ids = serializers.ListField(child=serializers.IntegerField(), required=False)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    digest_seen = serializers.CharField(required=False, allow_blank=True, max_length=64)


class CloseSerializer(serializers.Serializer[Any]):
    code = serializers.ChoiceField(CloseCode.choices)
    summary = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class ClassifySerializer(ReasonSerializer):
    update_class = serializers.ChoiceField(UpdateClass.choices)


class RecordEvidenceSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(EvidenceKind.choices)
    digest = serializers.CharField(max_length=64, allow_blank=True, default="")
    summary = serializers.CharField(max_length=4000)
    passed = serializers.BooleanField(allow_null=True, default=None)


class OwedSerializer(serializers.Serializer[Any]):
    name = serializers.ChoiceField(["implementation_plan", "test_plan", "back_out_plan"])
    text = serializers.CharField()


class GlassReviewSerializer(serializers.Serializer[Any]):
    justified = serializers.BooleanField()
    finding = serializers.CharField(max_length=4000)


class CommentSerializer(serializers.ModelSerializer[Comment]):
    by = serializers.CharField(source="by.username", read_only=True)
    mentioned = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Comment
        fields = ("id", "text", "mentioned", "by", "at")
        read_only_fields = fields


class WriteCommentSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=8000)


class AttachmentSerializer(serializers.ModelSerializer[Attachment]):
    by = serializers.CharField(source="by.username", read_only=True)

    class Meta:
        model = Attachment
        fields = ("id", "name", "media_type", "size", "sha256", "by", "at", "withdrawn_at", "withdrawn_reason")
        read_only_fields = fields


class WriteAttachmentSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(max_length=500)


class WithdrawAttachmentSerializer(ReasonSerializer):
    attachment_id = serializers.IntegerField()


class ReferenceSerializer(serializers.ModelSerializer[Reference]):
    by = serializers.CharField(source="by.username", read_only=True)

    class Meta:
        model = Reference
        fields = ("id", "kind", "system", "name", "url", "by", "at")
        read_only_fields = fields


class WriteReferenceSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(ReferenceKind.choices)
    system = serializers.CharField(max_length=60)
    name = serializers.CharField(max_length=120)
    url = serializers.URLField(max_length=500, required=False, allow_blank=True)


class DropReferenceSerializer(serializers.Serializer[Any]):
    reference_id = serializers.IntegerField()


class ParentSerializer(serializers.Serializer[Any]):
    parent_id = serializers.IntegerField(allow_null=True)


class DifferenceSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    removed = serializers.ListField()
    added = serializers.ListField()


class AuthorizationSerializer(serializers.Serializer[Any]):
    number = serializers.CharField()
    valid = serializers.BooleanField()
    state = serializers.CharField()
    on_hold = serializers.BooleanField()
    digest = serializers.CharField()
    document = serializers.JSONField()
    blockers = BlockerSerializer(many=True)


class ConflictSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField([str(kind) for kind in ConflictKind])
    sentence = serializers.CharField()
    denies = serializers.BooleanField()
    where = serializers.CharField()
    other_id = serializers.IntegerField(allow_null=True)
    hosts = serializers.IntegerField()


class UnfitSerializer(serializers.Serializer[Any]):
    host = serializers.IntegerField()
    reason = serializers.CharField()


class ConflictsSerializer(serializers.Serializer[Any]):
    """`hidden`: with how many changes it meets that the caller may not see."""

    conflicts = ConflictSerializer(many=True)
    hidden = serializers.IntegerField()
    unfit = UnfitSerializer(many=True)
