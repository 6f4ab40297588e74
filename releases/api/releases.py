"""Releases over REST: the same verbs and the same refusals as on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, ReasonSerializer, VerbViewSet, parsed, proven
from patchflow.kernel import signoffs, workflow
from patchflow.kernel.errors import Conflict
from releases.api import serializers as shapes
from releases.domain import (
    acceptance,
    amendments,
    builds,
    checklist,
    manifests,
    owed,
    plan_rehearsals,
    plans,
    readiness,
    releases,
    standing,
)
from releases.models import Amendment, InstallProfile, Manifest, PlanRehearsal, Release
from releases.queries.access import demand_all
from releases.queries.amendments import LateComers, late_comers, open_amendment
from releases.queries.manifests import current, draft_document, since_previous


def _verb(shape: type[serializers.Serializer[Any]], function: Callable[..., Any], name: str, says: str) -> Any:
    """An action that parses `shape`, calls one domain verb with `release_id`, and answers with the release."""

    def run(self: ReleaseViewSet, request: Request, pk: str | None = None) -> Response:
        release = self.get_object()
        self.act(function, request, release_id=release.pk, **proven(request, parsed(shape, request)))
        return self.answer(release.pk)

    run.__name__, run.__doc__ = name, says
    return extend_schema(request=shape, responses=shapes.ReleaseSerializer)(action(detail=True, methods=["post"])(run))


def _rings(*, rings: list[dict[str, Any]], **given: Any) -> Any:
    return plans.plan_rings(rings=[plans.RingPlan(**ring) for ring in rings], **given)


def _move(*, wanted: dict[str, Any], **given: Any) -> Any:
    return plans.move_hosts(wanted=plans.Wanted(**wanted), **given)


def _judge(*, release_id: int, run_id: int, **given: Any) -> Any:
    workflow.demand_somewhere("acceptance.judge", actor=given["actor"])
    if not Release.objects.filter(pk=release_id, acceptance_plans__runs=run_id).exists():
        raise Conflict("This run is not one of this release.", code="conflict.gone")
    return acceptance.judge(run_id=run_id, **given)


def _open_amendment(release_id: int) -> Amendment:
    found = open_amendment(Release.objects.get(pk=release_id))
    if found is None:
        raise Conflict("Nobody is proposed to join.", code="signoff.round_over")
    return found


def _sign_amendment(*, release_id: int, **given: Any) -> Any:
    workflow.demand_somewhere("release.sign", actor=given["actor"])
    round_ = signoffs.open_round_of(_open_amendment(release_id))
    if round_ is None:
        raise Conflict("Nobody is proposed to join.", code="signoff.round_over")
    return amendments.decide(round_id=round_.pk, **given)


def _withdraw_amendment(*, release_id: int, **given: Any) -> Any:
    workflow.demand_somewhere("release.seal", actor=given["actor"])
    return amendments.withdraw(amendment_id=_open_amendment(release_id).pk, **given)


def _rehearse(*, starts_at: Any, **given: Any) -> Any:
    act = {name: given.pop(name) for name in ("release_id", "actor", "at")}
    return plan_rehearsals.rehearse(wanted=plan_rehearsals.Wanted(**given), starts_at=starts_at, **act)


def _sign(*, release_id: int, **given: Any) -> Any:
    workflow.demand_somewhere("release.sign", actor=given["actor"])
    round_ = signoffs.open_round_of(Release.objects.get(pk=release_id))
    if round_ is None:
        raise Conflict("No readiness review is open.", code="signoff.round_over")
    return readiness.decide(round_id=round_.pk, **given)


class ReleaseViewSet(VerbViewSet):
    """What is deployed together. Reads show what the caller may see; each verb is one POST."""

    serializer_class = shapes.ReleaseSerializer
    filterset_fields = ("state", "kind", "outcome")

    def visible(self) -> QuerySet[Any]:
        rows = Release.objects.visible_to(self.request.user)  # type: ignore[arg-type]
        return rows.select_related("composed_by", "started_by", "next_rfc").prefetch_related("links__rfc")

    @extend_schema(request=shapes.ComposeSerializer, responses={201: shapes.ReleaseSerializer})
    def create(self, request: Request) -> Response:
        """Composes a release from authorized RFCs."""
        release = self.act(releases.compose, request, **parsed(shapes.ComposeSerializer, request))
        return self.answer(release.pk, status=201)

    # --- planning ---------------------------------------------------------------------------------------------------
    rings = _verb(shapes.RingsSerializer, _rings, "rings", "Plans the rings; every host ends up in one.")
    move_hosts = _verb(
        shapes.MoveHostsSerializer, _move, "move_hosts", "Moves all hosts that match into one of the planned rings."
    )
    windows = _verb(
        shapes.WindowsSerializer,
        plans.plan_windows,
        "windows",
        "Chooses service windows and between when it may start.",
    )
    profile = _verb(shapes.ChooseProfileSerializer, plans.choose_profile, "profile", "Chooses the install profile.")
    way_back = _verb(shapes.WayBackSerializer, plans.choose_way_back, "way_back", "Chooses the way back.")
    drop_host = _verb(
        shapes.DropHostSerializer, plans.drop_host, "drop_host", "Leaves a host out; it stays owed by its RFC."
    )
    revise = _verb(
        shapes.ReviseReleaseSerializer, releases.revise, "revise", "Back to planning; voids what was signed."
    )
    void = _verb(ReasonSerializer, releases.void, "void", "Takes readiness back; waits in scheduling.")
    cancel = _verb(ReasonSerializer, releases.cancel, "cancel", "Gives the release up.")
    hold = _verb(ReasonSerializer, standing.place, "hold", "Puts the release on hold: nothing of it starts.")
    resume = _verb(ReasonSerializer, standing.resume, "resume", "Ends the hold.")

    # --- building, testing ------------------------------------------------------------------------------------------
    build = _verb(EmptySerializer, builds.request, "build", "Requests a build.")
    plan_test = _verb(
        shapes.PlanTestSerializer, acceptance.plan, "plan_test", "Plans the test of an update on a test host."
    )
    drop_test = _verb(
        shapes.DropTestSerializer, acceptance.drop, "drop_test", "Takes a planned test out, with the reason."
    )
    test = _verb(
        EmptySerializer, acceptance.request_runs, "test", "Starts every test that has not passed on this build."
    )
    judge = _verb(shapes.JudgeSerializer, _judge, "judge", "Ends a running test as failed or inconclusive.")

    # --- readiness --------------------------------------------------------------------------------------------------
    seal = _verb(EmptySerializer, manifests.seal, "seal", "Writes the manifest down and opens its readiness review.")
    sign = _verb(
        shapes.SignSerializer, _sign, "sign", "Signs the manifest that was read, or refuses it with a comment."
    )

    @extend_schema(request=shapes.RehearseSerializer, responses={201: shapes.PlanRehearsalSerializer})
    @action(detail=True, methods=["post"])
    def rehearse(self, request: Request, pk: str | None = None) -> Response:
        """Runs the whole plan on a simulated clock; nothing real is touched, the result is kept."""
        release = self.get_object()
        row = self.act(_rehearse, request, release_id=release.pk, **parsed(shapes.RehearseSerializer, request))
        return Response(shapes.PlanRehearsalSerializer(row).data, status=201)

    # --- deploying --------------------------------------------------------------------------------------------------
    deploy = _verb(EmptySerializer, releases.deploy, "deploy", "Starts the deployment; everything is asked again.")
    stop = _verb(shapes.StopSerializer, releases.stop, "stop", "Ends a deployment that is at rest short of its goal.")
    propose_next = _verb(
        EmptySerializer, owed.propose_next, "propose_next", "Raises a draft RFC for the hosts that it missed."
    )
    accept = _verb(EmptySerializer, releases.accept, "accept", "Completes a reviewed release.")

    # --- late-comers ------------------------------------------------------------------------------------------------
    propose_amendment = _verb(
        shapes.ProposeAmendmentSerializer,
        amendments.propose,
        "propose_amendment",
        "Proposes that late-comers join, by a revision that differs by them alone.",
    )
    sign_amendment = _verb(
        shapes.SignSerializer,
        _sign_amendment,
        "sign_amendment",
        "Signs the revision in which hosts join, or refuses it.",
    )
    withdraw_amendment = _verb(
        ReasonSerializer, _withdraw_amendment, "withdraw_amendment", "Takes the proposal that hosts join back."
    )

    # --- reads ------------------------------------------------------------------------------------------------------
    @extend_schema(responses=shapes.ReadinessItemSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def checklist(self, request: Request, pk: str | None = None) -> Response:
        """Readiness as a list of reasons, line by line."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        return self.table(shapes.ReadinessItemSerializer, checklist.checklist(release, at=timezone.now()))

    @extend_schema(responses=shapes.BuildSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def builds(self, request: Request, pk: str | None = None) -> Response:
        """The builds, newest first, with what each host class would get."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        rows = release.builds.prefetch_related("classes__representative")
        return self.table(shapes.BuildSerializer, rows)

    @extend_schema(responses=shapes.AcceptancePlanSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def tests(self, request: Request, pk: str | None = None) -> Response:
        """The planned tests with their runs and steps."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        rows = release.acceptance_plans.select_related("update", "host").prefetch_related("runs__steps").order_by("pk")
        return self.table(shapes.AcceptancePlanSerializer, rows)

    @extend_schema(responses=shapes.ManifestSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def manifests(self, request: Request, pk: str | None = None) -> Response:
        """Every sealed manifest, newest first."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        rows = Manifest.objects.filter(release=release).select_related("sealed_by").order_by("-revision")
        return self.table(shapes.ManifestSerializer, rows)

    @extend_schema(responses=shapes.AmendmentSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def amendments(self, request: Request, pk: str | None = None) -> Response:
        """Every proposal that hosts join, newest first."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        rows = release.amendments.select_related("base", "manifest", "proposed_by")
        return self.table(shapes.AmendmentSerializer, rows)

    @extend_schema(responses=shapes.LateComersSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def late_comers(self, request: Request, pk: str | None = None) -> Response:
        """Hosts that came late to its manifest: who can join, who cannot and why."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        base = current(release.pk)
        actor: Any = request.user
        late = late_comers(release, base, actor=actor, at=timezone.now()) if base else LateComers()
        return Response(shapes.LateComersSerializer(late).data)

    @extend_schema(responses=shapes.PlanRehearsalSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[], csv=True)
    def rehearsals(self, request: Request, pk: str | None = None) -> Response:
        """The last ten rehearsals of its plan, newest first."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        rows = PlanRehearsal.objects.filter(release=release).select_related("made_by").order_by("-pk")[:10]
        return self.table(shapes.PlanRehearsalSerializer, rows)

    @extend_schema(responses={200: dict[str, Any]})
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def draft(self, request: Request, pk: str | None = None) -> Response:
        """What a manifest sealed now would say, and what the newest sealed one changed against the one before."""
        release = self.get_object()
        demand_all(release, request.user)  # type: ignore[arg-type]
        last = Manifest.objects.filter(release=release).order_by("-revision").first()
        document = draft_document(release, at=timezone.now())
        return Response({"document": document, "changed": since_previous(last) if last else []})


class ProfileViewSet(VerbViewSet):
    """Install profiles; a change is a new revision."""

    serializer_class = shapes.InstallProfileSerializer
    filterset_fields = ("name",)

    def visible(self) -> QuerySet[Any]:
        seen = self.request.user.scopes_for("release.view")  # type: ignore[union-attr]
        return InstallProfile.objects.none() if seen == frozenset() else InstallProfile.objects.all()

    @extend_schema(request=shapes.DefineProfileSerializer, responses={201: shapes.InstallProfileSerializer})
    def create(self, request: Request) -> Response:
        """Defines a profile, or its next revision."""
        profile = self.act(plans.define_profile, request, **parsed(shapes.DefineProfileSerializer, request))
        return self.answer(profile.pk, status=201)
