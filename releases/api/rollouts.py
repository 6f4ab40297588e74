"""Rollouts, rings, targets and the kill switch over REST: the same verbs and the same refusals as on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed, proven
from patchflow.kernel import signoffs, workflow
from patchflow.kernel.enums import Verdict
from patchflow.kernel.errors import Conflict, NotAllowed
from patchflow.kernel.models import SignOffRound
from releases.api.serializers import SimulatedField
from releases.domain import jobs, partial, rings, rollbacks, rollouts, switches
from releases.domain.waiting import Waiting
from releases.models import Job, JobEvent, KillSwitch, PermissionSlip, Ring, Rollout, Staging, WindowChange
from releases.queries.rollouts import ring_counts
from releases.queries.window_changes import hosts_in_sight


# --- shapes -----------------------------------------------------------------------------------------------------------
class RingSerializer(serializers.ModelSerializer[Ring]):
    class Meta:
        model = Ring
        fields = (
            "id",
            "position",
            "name",
            "state",
            "state_at",
            "concurrency",
            "failure_limit",
            "success_percent",
            "confidence_percent",
            "bound_percent",
            "class_hosts",
            "classes_asked",
            "soak_seconds",
            "soak_until",
            "accepted_partly",
            "reason",
        )


def _waiting(shape: serializers.BaseSerializer[Any]) -> Waiting:
    """The one that says what the rows of this answer wait for."""
    context: Any = shape.context
    found: Waiting = context.setdefault("waiting", Waiting(timezone.now()))
    return found


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    """`statement`: what the whole rollout waits for now; empty: nothing, or it does not run."""

    release = serializers.CharField(source="release.number")
    reverses = serializers.CharField(source="reverses.number", default=None)
    manifest = serializers.CharField(source="manifest.digest")
    started_by = serializers.CharField(source="started_by.username", default=None)
    simulated = SimulatedField(source="is_simulated")
    statement = serializers.SerializerMethodField()
    rings = RingSerializer(many=True)

    class Meta:
        model = Rollout
        fields = (
            "id",
            "number",
            "release",
            "manifest",
            "reverses",
            "state",
            "state_at",
            "executor",
            "simulated",
            "reason",
            "statement",
            "started_by",
            "started_at",
            "ended_at",
            "rings",
        )

    def get_statement(self, rollout: Rollout) -> str:
        return str(_waiting(self).of_rollout(rollout))


class StagingSerializer(serializers.ModelSerializer[Staging]):
    """The files of a host before its window: laid ready, or why not. `staged` is the host's own account."""

    class Meta:
        model = Staging
        fields = (
            "state",
            "state_at",
            "attempt",
            "statement",
            "reason",
            "code",
            "asked_at",
            "ordered_at",
            "window_at",
            "ended_at",
        )


class JobSerializer(serializers.ModelSerializer[Job]):
    """`statement`: what will happen to this host as things stand now, or what happened, and why.
    `staging`: its files before the window; null where none were asked for."""

    host_name = serializers.CharField(source="host.name")
    statement = serializers.SerializerMethodField()
    staging = serializers.SerializerMethodField()
    simulated = SimulatedField(source="rollout.is_simulated")

    class Meta:
        model = Job
        fields = (
            "id",
            "rollout",
            "simulated",
            "ring",
            "host",
            "host_name",
            "state",
            "state_at",
            "attempt",
            "job_key",
            "packages",
            "statement",
            "reason",
            "code",
            "not_before",
            "result",
            "claimed_at",
            "ended_at",
            "staging",
        )

    def get_statement(self, job: Job) -> str:
        return str(_waiting(self).of_job(job))

    @extend_schema_field(StagingSerializer(allow_null=True))
    def get_staging(self, job: Job) -> Any:
        row = getattr(job, "staging", None)
        return StagingSerializer(row).data if row is not None else None


class SlipSerializer(serializers.ModelSerializer[PermissionSlip]):
    class Meta:
        model = PermissionSlip
        fields = ("id", "attempt", "verdict", "statement", "gates", "not_before", "asked_at")


class EventSerializer(serializers.ModelSerializer[JobEvent]):
    class Meta:
        model = JobEvent
        fields = ("attempt", "seq", "at", "stage", "message", "data")


class CountsSerializer(serializers.Serializer[Any]):
    ring = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())


class RingVerbSerializer(serializers.Serializer[Any]):
    ring = serializers.IntegerField(help_text="Id of a ring of this rollout.")


class RingReasonSerializer(RingVerbSerializer):
    reason = serializers.CharField(max_length=2000)


class DecidePartialSerializer(RingVerbSerializer):
    """`digest_seen`: of the round that was read (`partial`); another one is refused."""

    verdict = serializers.ChoiceField(Verdict.choices)
    comment = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    digest_seen = serializers.CharField(min_length=64, max_length=64)
    password = serializers.CharField(required=False, max_length=500, trim_whitespace=False, write_only=True)


class PartialSerializer(serializers.Serializer[Any]):
    """The newest question about a ring: what is signed, and how it stands."""

    ring = serializers.IntegerField()
    state = serializers.CharField()
    digest = serializers.CharField()
    document = serializers.JSONField()


class WindowChangeSerializer(serializers.ModelSerializer[WindowChange]):
    """An edit of a window: the revision before and after it (none: it was ended), the chosen rule, what became of whom."""

    window_name = serializers.CharField(source="window.name")
    made_by = serializers.CharField(source="made_by.username")
    hosts: Any = serializers.SerializerMethodField()

    class Meta:
        model = WindowChange
        fields = ("id", "window", "window_name", "before", "revision", "rule", "counts", "hosts", "made_by", "made_at")

    def get_hosts(self, one: WindowChange) -> list[dict[str, Any]]:
        return hosts_in_sight(one, self.context["request"].user)


class RetrySerializer(RingVerbSerializer):
    hosts = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="Only these failed hosts."
    )


class SwitchSerializer(serializers.ModelSerializer[KillSwitch]):
    set_by = serializers.CharField(source="set_by.username", default=None)

    class Meta:
        model = KillSwitch
        fields = ("id", "name", "is_on", "reason", "set_by", "set_at")


class SetSwitchSerializer(serializers.Serializer[Any]):
    on = serializers.BooleanField()
    reason = serializers.CharField(max_length=2000)


# --- views ------------------------------------------------------------------------------------------------------------
def _verb(shape: type[serializers.Serializer[Any]], function: Callable[..., Any], name: str, says: str) -> Any:
    """An action that parses `shape`, calls one domain verb with `rollout_id`, and answers with the rollout."""

    def run(self: RolloutViewSet, request: Request, pk: str | None = None) -> Response:
        rollout = self.get_object()
        self.act(function, request, rollout_id=rollout.pk, **proven(request, parsed(shape, request)))
        return self.answer(rollout.pk)

    run.__name__, run.__doc__ = name, says
    return extend_schema(request=shape, responses=RolloutSerializer)(action(detail=True, methods=["post"])(run))


def _of(rollout_id: int, ring: int) -> int:
    if not Ring.objects.filter(pk=ring, rollout_id=rollout_id).exists():
        raise Conflict("This ring is not one of this rollout.", code="conflict.gone")
    return ring


def _halt(*, reason: str, **given: Any) -> Any:
    return rollouts.halt(cause=reason, **given)


def _retry(*, rollout_id: int, ring: int, hosts: list[int] | None = None, **given: Any) -> Any:
    return rings.retry_ring(ring_id=_of(rollout_id, ring), host_ids=hosts, **given)


def _propose(*, rollout_id: int, ring: int, **given: Any) -> Any:
    return partial.propose(ring_id=_of(rollout_id, ring), **given)


def _decide(*, rollout_id: int, ring: int, **given: Any) -> Any:
    workflow.demand_somewhere("rollout.accept_partial", actor=given["actor"])
    found = Ring.objects.get(pk=_of(rollout_id, ring))
    round_ = signoffs.open_round_of(found)
    if round_ is None:
        raise Conflict("Nobody is asked about this ring.", code="signoff.round_over")
    return partial.decide(round_id=round_.pk, **given)


def _skip(*, rollout_id: int, ring: int, **given: Any) -> Any:
    return rings.skip(ring_id=_of(rollout_id, ring), **given)


class RolloutViewSet(VerbViewSet):
    """One carrying out of a manifest. It is started by deploying its release."""

    serializer_class = RolloutSerializer
    filterset_fields = ("state", "release")

    def visible(self) -> QuerySet[Any]:
        rows = Rollout.objects.all().visible_to(self.request.user)  # type: ignore[arg-type]
        ordered = Prefetch("rings", Ring.objects.order_by("position"))
        return rows.select_related("release", "manifest", "reverses", "started_by").prefetch_related(ordered)

    pause = _verb(ReasonSerializer, rollouts.pause, "pause", "Lets no further host through until resumed.")
    resume = _verb(EmptySerializer, rollouts.resume, "resume", "Goes on after a pause or a halt.")
    halt = _verb(ReasonSerializer, _halt, "halt", "Stands still until a person has looked.")
    stop = _verb(ReasonSerializer, rollouts.stop, "stop", "Ends it short of its goal.")
    cancel = _verb(ReasonSerializer, rollouts.cancel, "cancel", "Withdraws a planned rollout.")
    retry_ring = _verb(RetrySerializer, _retry, "retry_ring", "Tries the failed hosts of a ring again, and no others.")
    propose_partial = _verb(
        RingReasonSerializer, _propose, "propose_partial", "Asks others to accept a failed ring as it is."
    )
    decide_partial = _verb(
        DecidePartialSerializer, _decide, "decide_partial", "Signs that a failed ring is accepted as it is, or refuses."
    )
    skip_ring = _verb(RingReasonSerializer, _skip, "skip_ring", "Leaves a ring out that has not begun.")

    @extend_schema(request=ReasonSerializer, responses={201: RolloutSerializer})
    @action(detail=True, methods=["post"])
    def roll_back(self, request: Request, pk: str | None = None) -> Response:
        """Takes every changed host of the release back to what it had; answers with the rollout that does it."""
        rollout = self.get_object()
        back = self.act(
            rollbacks.roll_back,
            request,
            release_id=rollout.release_id,
            rollout_id=rollout.pk,
            **parsed(ReasonSerializer, request),
        )
        return self.answer(back.pk, status=201)

    @extend_schema(responses=CountsSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def counts(self, request: Request, pk: str | None = None) -> Response:
        """How many hosts stand in which state, for each ring."""
        found = ring_counts(self.seen_pk())
        return Response([{"ring": ring, "counts": counts} for ring, counts in sorted(found.items())])

    @extend_schema(responses=PartialSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def partial(self, request: Request, pk: str | None = None) -> Response:
        """The newest question of each ring about which somebody was asked to accept it as it is; for who sees every host."""
        if request.user.scopes_for("rollout.view") is not None:  # type: ignore[union-attr]
            raise NotAllowed("The documents name every host of a ring.", code="rollout.scope")
        rows = SignOffRound.objects.filter(
            subject_type="releases.ring", subject_id__in=Ring.objects.filter(rollout_id=self.seen_pk()).values("pk")
        )
        newest = {round_.subject_id: round_ for round_ in rows.order_by("number")}
        return Response(
            [
                {"ring": ring, "state": one.state, "digest": one.digest, "document": one.document}
                for ring, one in sorted(newest.items())
            ]
        )

    @extend_schema(responses=WindowChangeSerializer(many=True))
    @action(detail=True, methods=["get"], url_path="window-changes", pagination_class=None, filter_backends=[])
    def window_changes(self, request: Request, pk: str | None = None) -> Response:
        """What edits of its windows did to its queued hosts in sight, newest first."""
        rows = WindowChange.objects.filter(rollout_id=self.seen_pk()).select_related("made_by", "window")
        shape = WindowChangeSerializer(rows, many=True, context=self.get_serializer_context())
        return Response(shape.data)


class JobViewSet(VerbViewSet):
    """One host of a rollout."""

    serializer_class = JobSerializer
    filterset_fields = ("state", "rollout", "ring", "host", "staging__state")

    def visible(self) -> QuerySet[Any]:
        return Job.objects.all().visible_to(self.request.user).select_related("host", "rollout", "ring", "staging")  # type: ignore[arg-type]

    @extend_schema(request=ReasonSerializer, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Leaves this host out; what installs already runs on, and is looked at."""
        job = self.get_object()
        self.act(jobs.cancel, request, job_id=job.pk, **parsed(ReasonSerializer, request))
        return self.answer(job.pk)

    @extend_schema(request=EmptySerializer, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def look(self, request: Request, pk: str | None = None) -> Response:
        """Looks at the host again, where the job is out of sight or lost."""
        job = self.get_object()
        self.act(jobs.look_again, request, job_id=job.pk)
        return self.answer(job.pk)

    @extend_schema(responses=SlipSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def slips(self, request: Request, pk: str | None = None) -> Response:
        """Every verdict of the gates about this host, newest first; those about its files before the window are a list of their
        own."""
        return self.table(SlipSerializer, self.get_object().slips.about_jobs().order_by("-pk")[:100])

    @extend_schema(responses=SlipSerializer(many=True))
    @action(detail=True, methods=["get"], url_path="staging-slips", pagination_class=None, filter_backends=[], csv=True)
    def staging_slips(self, request: Request, pk: str | None = None) -> Response:
        """Every verdict of the gates about laying this host's files ready before its window, newest first; their attempt is 0."""
        return self.table(SlipSerializer, self.get_object().slips.about_files().order_by("-pk")[:100])

    @extend_schema(responses=EventSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def events(self, request: Request, pk: str | None = None) -> Response:
        """The journal that the host wrote, oldest first."""
        return self.table(EventSerializer, self.get_object().events.order_by("attempt", "seq")[:1000])


class KillSwitchViewSet(VerbViewSet):
    """The kill switch, once it was set for the first time."""

    serializer_class = SwitchSerializer

    def visible(self) -> QuerySet[Any]:
        rows = KillSwitch.objects.select_related("set_by").order_by("pk")
        user: Any = self.request.user
        return rows if user.holds_somewhere("rollout.view") else rows.none()

    @extend_schema(request=SetSwitchSerializer, responses=SwitchSerializer)
    @action(detail=False, methods=["post"])
    def set(self, request: Request) -> Response:
        """Turns it on (nothing new starts anywhere) or off, with a reason."""
        switch = self.act(switches.set_kill_switch, request, **parsed(SetSwitchSerializer, request))
        return self.answer(switch.pk)
