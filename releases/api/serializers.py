"""What releases look like over REST, and the shapes of what their verbs take. Shapes only: nothing here writes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from changes.api.holds import HoldField
from changes.enums import WayBack
from cmdb.enums import Criticality, Environment, MachineKind
from patchflow.api.verbs import BlockerSerializer
from patchflow.kernel.enums import Verdict
from releases.amending import joined
from releases.confidence import LEAST_CONFIDENCE, MOST_CONFIDENCE, USUAL_CONFIDENCE
from releases.diversity import MOST_CLASS_HOSTS
from releases.domain.profiles import STAGED_AT_MOST
from releases.enums import OfflineRule, ReleaseOutcome, RestartMode
from releases.models import (
    AcceptancePlan,
    AcceptanceRun,
    AcceptanceStep,
    Amendment,
    Build,
    BuildClass,
    InstallProfile,
    Manifest,
    PlanRehearsal,
    PostImplementationReview,
    Release,
    ReviewAnswer,
)
from releases.queries.reviews import figures_seen


# --- objects ----------------------------------------------------------------------------------------------------------
class SimulatedField(serializers.BooleanField):
    """Whether the simulator acts, so that no host is touched."""

    def __init__(self, **given: Any) -> None:
        super().__init__(read_only=True, help_text="The simulator acts: no host is touched.", **given)


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    simulated = SimulatedField(source="is_simulated")
    rfcs = serializers.SerializerMethodField()
    hold = HoldField()
    composed_by = serializers.CharField(source="composed_by.username", read_only=True)
    started_by = serializers.CharField(source="started_by.username", read_only=True, allow_null=True, default=None)
    next_rfc = serializers.CharField(source="next_rfc.number", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Release
        fields = (
            "id", "number", "title", "kind", "state", "state_at", "outcome", "reason", "executor", "profile", "way_back", "earliest_at",
            "latest_at", "rfcs", "composed_by", "composed_at", "started_by", "started_at", "finished_at", "completed_at", "next_rfc",
            "trial", "simulated", "hold",
        )  # fmt: skip
        read_only_fields = fields

    def get_rfcs(self, release: Release) -> list[str]:
        return sorted(link.rfc.number for link in release.links.all())


class BuildClassSerializer(serializers.ModelSerializer[BuildClass]):
    representative = serializers.CharField(source="representative.name", read_only=True)

    class Meta:
        model = BuildClass
        fields = ("label", "distribution", "distribution_release", "representative", "requested", "packages")
        read_only_fields = fields


class BuildSerializer(serializers.ModelSerializer[Build]):
    classes = BuildClassSerializer(many=True, read_only=True)

    class Meta:
        model = Build
        fields = ("id", "number", "state", "reason", "requested_at", "finished_at", "classes")
        read_only_fields = fields


class AcceptanceStepSerializer(serializers.ModelSerializer[AcceptanceStep]):
    class Meta:
        model = AcceptanceStep
        fields = ("position", "kind", "outcome", "summary", "at")
        read_only_fields = fields


class AcceptanceRunSerializer(serializers.ModelSerializer[AcceptanceRun]):
    steps = AcceptanceStepSerializer(many=True, read_only=True)

    class Meta:
        model = AcceptanceRun
        fields = (
            "id",
            "plan",
            "build",
            "number",
            "state",
            "reason",
            "requested_at",
            "started_at",
            "finished_at",
            "steps",
        )
        read_only_fields = fields


class AcceptancePlanSerializer(serializers.ModelSerializer[AcceptancePlan]):
    update_label = serializers.CharField(source="update.__str__", read_only=True)
    host_name = serializers.CharField(source="host.name", read_only=True)
    runs = AcceptanceRunSerializer(many=True, read_only=True)

    class Meta:
        model = AcceptancePlan
        fields = (
            "id",
            "update_id",
            "update_label",
            "host_id",
            "host_name",
            "checks",
            "walk_back",
            "planned_at",
            "dropped_at",
            "runs",
        )
        read_only_fields = fields


class ManifestSerializer(serializers.ModelSerializer[Manifest]):
    sealed_by = serializers.CharField(source="sealed_by.username", read_only=True)
    document = serializers.JSONField(read_only=True)

    class Meta:
        model = Manifest
        fields = ("revision", "digest", "sealed_at", "sealed_by", "document")
        read_only_fields = fields


class AmendmentSerializer(serializers.ModelSerializer[Amendment]):
    """The next revision of a manifest, in which hosts join and nothing else changes."""

    amends = serializers.IntegerField(source="base.revision", read_only=True)
    revision = serializers.IntegerField(source="manifest.revision", read_only=True, allow_null=True, default=None)
    joiners = serializers.SerializerMethodField()
    proposed_by = serializers.CharField(source="proposed_by.username", read_only=True)

    class Meta:
        model = Amendment
        fields = (
            "id", "state", "amends", "revision", "digest", "joiners", "reason", "outcome", "proposed_by", "proposed_at",
            "closed_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_joiners(self, amendment: Amendment) -> list[dict[str, Any]]:
        return [dict(host) for host in joined(amendment.base.document, amendment.document)]


class LateComersSerializer(serializers.Serializer[Any]):
    """`entries` can join; `refused`: why others cannot; `outside`: no change of the release names them."""

    entries = serializers.ListField(child=serializers.DictField())
    refused = serializers.SerializerMethodField()
    outside = serializers.ListField(child=serializers.CharField())

    @extend_schema_field(BlockerSerializer(many=True))
    def get_refused(self, late: Any) -> Any:
        return BlockerSerializer(list(late.refused.values()), many=True).data


class PlanRehearsalSerializer(serializers.ModelSerializer[PlanRehearsal]):
    """A plan on a simulated clock: compare `digest` with that of the draft or of the sealed manifest."""

    made_by = serializers.CharField(source="made_by.username", read_only=True)
    inputs = serializers.JSONField(read_only=True)
    result = serializers.JSONField(read_only=True)

    class Meta:
        model = PlanRehearsal
        fields = (
            "id", "release", "rfc", "digest", "seed", "inputs", "starts_at", "end", "cause", "ends_at", "stopped_at", "result", "made_by",
            "made_at",
        )  # fmt: skip
        read_only_fields = fields


class ReadinessItemSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    holds = serializers.BooleanField()
    blockers = BlockerSerializer(many=True)


class InstallProfileSerializer(serializers.ModelSerializer[InstallProfile]):
    class Meta:
        model = InstallProfile
        fields = (
            "id", "name", "revision", "restart", "restart_kinds", "countdown_seconds", "max_minutes_each", "max_minutes_total", "notify",
            "notice_hours", "acknowledge",
            "postponements", "deadline_hours", "close_programs", "inventory_after", "checks", "steps", "min_alive",
            "min_alive_percent", "offline", "catch_up_minutes", "stage_hours", "defined_at",
        )  # fmt: skip
        read_only_fields = fields


class ReviewAnswerSerializer(serializers.ModelSerializer[ReviewAnswer]):
    answered_by = serializers.CharField(source="answered_by.username", read_only=True)

    class Meta:
        model = ReviewAnswer
        fields = ("question", "answer", "answered_by", "answered_at")
        read_only_fields = fields


class ReviewSerializer(serializers.ModelSerializer[PostImplementationReview]):
    release = serializers.CharField(source="release.number", read_only=True)
    simulated = SimulatedField(source="release.is_simulated")
    answers = ReviewAnswerSerializer(many=True, read_only=True)
    figures = serializers.SerializerMethodField()

    def get_figures(self, review: PostImplementationReview) -> dict[str, Any]:
        """What was counted; of missed hosts the names of those in sight."""
        return figures_seen(review, self.context["request"].user)

    class Meta:
        model = PostImplementationReview
        fields = (
            "id", "release", "simulated", "name", "state",
            "questions", "answers", "figures", "lessons", "actions", "opened_at", "completed_at",
        )  # fmt: skip
        read_only_fields = fields


# --- what verbs take --------------------------------------------------------------------------------------------------
class ComposeSerializer(serializers.Serializer[Any]):
    rfc_ids = serializers.ListField(child=serializers.IntegerField(), allow_empty=False)
    title = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    executor = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")


class ReviseReleaseSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000)
    rfc_ids = serializers.ListField(child=serializers.IntegerField(), required=False, allow_empty=False)


class RingSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    host_ids = serializers.ListField(child=serializers.IntegerField(), required=False, default=list)
    percent = serializers.IntegerField(min_value=1, max_value=100, required=False, allow_null=True, default=None)
    environments = serializers.ListField(
        child=serializers.ChoiceField(Environment.choices), required=False, default=list
    )
    group_ids = serializers.ListField(child=serializers.IntegerField(), required=False, default=list)
    criticalities = serializers.ListField(
        child=serializers.ChoiceField(Criticality.choices), required=False, default=list
    )
    diverse = serializers.BooleanField(default=False, help_text="A host of every class of machine first.")
    concurrency = serializers.IntegerField(min_value=1, default=1)
    concurrency_percent = serializers.IntegerField(min_value=1, max_value=100, allow_null=True, default=None)
    failure_limit = serializers.IntegerField(
        min_value=1, allow_null=True, default=None, help_text="Neither this nor the share: 5 %, at least one."
    )
    failure_percent = serializers.IntegerField(min_value=1, max_value=100, allow_null=True, default=None)
    success_percent = serializers.IntegerField(min_value=1, max_value=100, default=95)
    confidence_percent = serializers.IntegerField(
        min_value=LEAST_CONFIDENCE, max_value=MOST_CONFIDENCE, default=USUAL_CONFIDENCE
    )
    bound_percent = serializers.IntegerField(
        min_value=0, max_value=99, allow_null=True, default=None,
        help_text="What the lower bound of the share of success must reach; null: the usual of the environment; 0: not asked.",
    )  # fmt: skip
    class_hosts = serializers.IntegerField(
        min_value=0, max_value=MOST_CLASS_HOSTS, allow_null=True, default=None,
        help_text="Good hosts in the rings so far of each class of machine that later rings have in production; null: one of "
        "each class that these rings have; 0: not asked.",
    )  # fmt: skip
    soak_seconds = serializers.IntegerField(min_value=0, default=86400)


class WantedSerializer(serializers.Serializer[Any]):
    """Which hosts of the release: all that is given must hold."""

    host_ids = serializers.ListField(child=serializers.IntegerField(), required=False, default=list)
    name = serializers.CharField(
        max_length=80, required=False, allow_blank=True, default="", help_text="Is in the name."
    )
    group_id = serializers.IntegerField(allow_null=True, default=None)
    environment = serializers.ChoiceField(["", *Environment.values], required=False, default="")
    ring = serializers.IntegerField(allow_null=True, default=None, help_text="The ring they are in now.")


class MoveHostsSerializer(serializers.Serializer[Any]):
    ring = serializers.IntegerField(help_text="Number of the ring they go into.")
    wanted = WantedSerializer()
    count_seen = serializers.IntegerField(
        allow_null=True, default=None, help_text="How many hosts are meant; refused if others match by now."
    )


class RingsSerializer(serializers.Serializer[Any]):
    rings = RingSerializer(many=True)


class WindowsSerializer(serializers.Serializer[Any]):
    """Between which moments it may start is part of the plan, not the time of the act."""

    window_ids = serializers.ListField(child=serializers.IntegerField(), allow_empty=False)
    earliest_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    latest_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class ChooseProfileSerializer(serializers.Serializer[Any]):
    profile_id = serializers.IntegerField()


class WayBackSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(WayBack.choices)


class DropHostSerializer(serializers.Serializer[Any]):
    host_id = serializers.IntegerField()
    reason = serializers.CharField(max_length=2000)


class CheckSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    kind = serializers.ChoiceField(["http", "tcp", "service", "command"])
    target = serializers.CharField(max_length=500)
    expect = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")


class PlanTestSerializer(serializers.Serializer[Any]):
    update_id = serializers.IntegerField()
    host_id = serializers.IntegerField()
    checks = CheckSerializer(many=True, required=False, default=list)
    walk_back = serializers.BooleanField(default=True)


class DropTestSerializer(serializers.Serializer[Any]):
    plan_id = serializers.IntegerField()
    reason = serializers.CharField(max_length=2000)


class JudgeSerializer(serializers.Serializer[Any]):
    run_id = serializers.IntegerField()
    verdict = serializers.ChoiceField(["failed", "inconclusive"])
    reason = serializers.CharField(max_length=2000)


class ProposeAmendmentSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000)
    host_ids = serializers.ListField(
        child=serializers.IntegerField(), allow_null=True, default=None, help_text="Null: all that can join."
    )


class RehearseSerializer(serializers.Serializer[Any]):
    """What is supposed of the hosts. `starts_at` is when the rehearsed deployment begins, not the time of the act."""

    starts_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    fail_percent = serializers.IntegerField(min_value=0, max_value=100, default=0)
    lie_percent = serializers.IntegerField(
        min_value=0, max_value=100, default=0, help_text="Report success and show otherwise."
    )
    away_percent = serializers.IntegerField(min_value=0, max_value=100, default=0, help_text="Do not answer.")
    minutes_least = serializers.IntegerField(
        min_value=0, default=0, help_text="0: a quarter of what the profile allows."
    )
    minutes_most = serializers.IntegerField(min_value=0, default=0, help_text="0: three quarters of it.")
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=1)


class SignSerializer(serializers.Serializer[Any]):
    """`digest_seen`: the manifest that was read; another one is refused."""

    verdict = serializers.ChoiceField(Verdict.choices)
    comment = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    digest_seen = serializers.CharField(min_length=64, max_length=64)
    password = serializers.CharField(required=False, max_length=500, trim_whitespace=False, write_only=True)


class StopSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000)
    outcome = serializers.ChoiceField([ReleaseOutcome.PARTIAL, ReleaseOutcome.FAILED], default=ReleaseOutcome.PARTIAL)


class NamedStepSerializer(serializers.Serializer[Any]):
    """An approved step, at a revision."""

    name = serializers.CharField(max_length=60)
    revision = serializers.IntegerField(min_value=1)


class DefineProfileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    restart = serializers.ChoiceField(RestartMode.choices, default=RestartMode.IF_NEEDED)
    restart_kinds = serializers.ListField(child=serializers.ChoiceField(MachineKind.choices), required=False)
    countdown_seconds = serializers.IntegerField(min_value=0, default=0)
    notice_hours = serializers.IntegerField(min_value=0, max_value=720, default=0)
    acknowledge = serializers.BooleanField(default=False)
    max_minutes_each = serializers.IntegerField(min_value=1, default=30)
    max_minutes_total = serializers.IntegerField(min_value=1, default=120)
    notify = serializers.BooleanField(default=True)
    postponements = serializers.IntegerField(min_value=0, default=0)
    deadline_hours = serializers.IntegerField(min_value=0, default=0)
    close_programs = serializers.ListField(child=serializers.CharField(max_length=80), default=list)
    inventory_after = serializers.BooleanField(default=True)
    min_alive = serializers.IntegerField(min_value=1, default=1, help_text="Of the hosts of each service so many stay.")
    min_alive_percent = serializers.IntegerField(
        min_value=0, max_value=99, default=0, help_text="And this share of them."
    )
    offline = serializers.ChoiceField(
        OfflineRule.choices, default=OfflineRule.CATCH_UP, help_text="A host that does not answer when its turn comes."
    )
    catch_up_minutes = serializers.IntegerField(
        min_value=0, max_value=10080, default=0, help_text="So long it is tried again; 0: while its window is open."
    )
    stage_hours = serializers.IntegerField(
        min_value=0,
        max_value=STAGED_AT_MOST,
        default=0,
        help_text="So long before its window the files are laid ready on a host; 0: fetched in the window.",
    )
    checks = CheckSerializer(many=True, required=False, default=list)
    steps = NamedStepSerializer(many=True, required=False, default=list, help_text="In their order.")


class AnswersSerializer(serializers.Serializer[Any]):
    answers = serializers.DictField(child=serializers.CharField(max_length=4000, allow_blank=True))


class CompleteReviewSerializer(serializers.Serializer[Any]):
    lessons = serializers.CharField(max_length=8000, required=False, allow_blank=True, default="")
    actions = serializers.CharField(max_length=8000, required=False, allow_blank=True, default="")
