"""Rollouts, rings, jobs, slips and the kill switch as rows, with their verbs as actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, in_sight
from releases.domain import delays, jobs, partial, rings, rollbacks, rollouts, switches, tasks_by_hand
from releases.models import (
    DelayRequest,
    HandTask,
    Job,
    JobEvent,
    KillSwitch,
    PermissionSlip,
    Representative,
    Ring,
    Rollout,
)
from releases.web.rollout_offers import back_verb
from releases.web.rollout_parts import summed, tallies


def _call(verb: Callable[..., Any], key: str, *, reason: str = "") -> Callable[[Any, User, Any, str], Any]:
    """A call of an admin verb: one domain verb on one row; `reason` names the argument that takes what was said."""

    def call(obj: Any, actor: User, at: Any, said: str) -> None:
        verb(**{key: obj.pk}, actor=actor, at=at, **({reason: said} if reason else {}))

    return call


class RingInline(ReadOnlyInline):
    model = Ring
    fields = (
        "position", "name", "state", "concurrency", "failure_limit", "success_percent", "bound_percent", "class_hosts",
        "soak_until", "reason",
    )  # fmt: skip


class SlipInline(ReadOnlyInline):
    model = PermissionSlip
    fields = ("asked_at", "verdict", "statement", "attempt")


class EventInline(ReadOnlyInline):
    model = JobEvent
    fields = ("attempt", "seq", "at", "stage", "message")


def _roll_back(rollout: Rollout, actor: User, at: Any, said: str) -> Rollout:
    return rollbacks.roll_back(release_id=rollout.release_id, reason=said, actor=actor, at=at)


def _against_roll_back(rollout: Rollout, actor: User, _at: Any) -> list[Blocker]:
    return list(back_verb(rollout, summed(tallies(rollout, actor)), actor).blockers)


@admin.register(Rollout)
class RolloutAdmin(VerbAdmin):
    list_display = ("number", "release", "state", "state_at", "reverses", "started_by", "statement")
    list_filter = ("state", "executor")
    search_fields = ("number", "release__number")
    list_select_related = ("release", "reverses", "started_by")
    inlines = (RingInline,)
    verbs = (
        AdminVerb("pause", "Pause", _call(rollouts.pause, "rollout_id", reason="reason"), "pause", needs_reason=True),
        AdminVerb("resume", "Resume", _call(rollouts.resume, "rollout_id"), "resume"),
        AdminVerb("halt", "Halt", _call(rollouts.halt, "rollout_id", reason="cause"), "halt", needs_reason=True),
        AdminVerb("stop", "Stop", _call(rollouts.stop, "rollout_id", reason="reason"), "stop", needs_reason=True),
        AdminVerb("roll_back", _("Roll back"), _roll_back, needs_reason=True, why_not=_against_roll_back),
        AdminVerb(
            "cancel", "Cancel", _call(rollouts.cancel, "rollout_id", reason="reason"), "cancel", needs_reason=True
        ),
    )


def _why_not_retry(ring: Ring, actor: User, at: Any) -> list[Blocker]:
    return rings.why_not_retry(ring, actor=actor, at=at)


@admin.register(Ring)
class RingAdmin(VerbAdmin):
    sight = "rollout"
    list_display = ("rollout", "position", "name", "state", "state_at", "concurrency", "failure_limit", "reason")
    list_filter = ("state",)
    search_fields = ("rollout__number", "name")
    list_select_related = ("rollout",)
    verbs = (
        AdminVerb("retry", "Retry failed hosts", _call(rings.retry_ring, "ring_id"), why_not=_why_not_retry),
        AdminVerb(
            "propose_partial",
            "Propose to accept it as it is",
            _call(partial.propose, "ring_id", reason="reason"),
            needs_reason=True,
            why_not=lambda ring, actor, _at: partial.why_not_propose(ring, actor),
        ),
        AdminVerb("skip", "Leave out", _call(rings.skip, "ring_id", reason="reason"), "skip", needs_reason=True),
    )


@admin.register(Job)
class JobAdmin(VerbAdmin):
    list_display = (
        "job_key",
        "host",
        "ring",
        "state",
        "state_at",
        "code",
        "statement",
        "not_before",
    )
    list_filter = ("state", "code")
    search_fields = ("job_key", "host__name")
    list_select_related = ("host", "ring__rollout")
    inlines = (SlipInline, EventInline)
    verbs = (
        AdminVerb(
            "cancel",
            "Leave this host out",
            _call(jobs.cancel, "job_id", reason="reason"),
            needs_reason=True,
            why_not=lambda job, actor, _at: jobs.why_not_cancel(job, actor),
        ),
        AdminVerb(
            "look",
            "Look again",
            _call(jobs.look_again, "job_id"),
            why_not=lambda job, actor, _at: jobs.why_not_look(job, actor),
        ),
    )


@admin.register(PermissionSlip)
class SlipAdmin(VerbAdmin):
    sight = "rollout"
    list_display = ("asked_at", "rollout", "job", "verdict", "statement")
    list_filter = ("verdict",)
    search_fields = ("job__job_key", "rollout__number")
    list_select_related = ("rollout", "job")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        jobs = in_sight(Job.objects.all(), request.user)
        return rows.filter(Q(job__isnull=True) | Q(job__in=jobs.values("pk")))


@admin.register(KillSwitch)
class KillSwitchAdmin(VerbAdmin):
    """The switch can be turned on before anybody has used it: whoever may set it finds its row."""

    list_display = ("name", "is_on", "reason", "set_by", "set_at")
    verbs = (
        AdminVerb(
            "turn_on",
            "Turn on: start nothing anywhere",
            lambda _o, actor, at, said: switches.set_kill_switch(on=True, reason=said, actor=actor, at=at),
            needs_reason=True,
            why_not=lambda switch, actor, _at: switches.why_not(switch, actor, on=True),
        ),
        AdminVerb(
            "turn_off",
            "Turn off",
            lambda _o, actor, at, said: switches.set_kill_switch(on=False, reason=said, actor=actor, at=at),
            needs_reason=True,
            why_not=lambda switch, actor, _at: switches.why_not(switch, actor, on=False),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        user: Any = request.user
        if user.holds_somewhere("kill_switch.set"):
            switches.at_hand()
        return super().get_queryset(request)


@admin.register(Representative)
class RepresentativeAdmin(VerbAdmin):
    sight = "ring__rollout"
    list_display = (
        "ring",
        "user",
        "via",
        "hosts",
        "told_at",
        "reminded_at",
        "passed_on_at",
        "reported_at",
        "acknowledged_at",
    )
    list_filter = ("via",)
    list_select_related = ("ring__rollout", "user")


@admin.register(DelayRequest)
class DelayRequestAdmin(VerbAdmin):
    sight = "ring__rollout"
    list_display = ("ring", "asked_by", "until", "state", "decided_by", "decided_at")
    list_filter = ("state",)
    list_select_related = ("ring__rollout", "asked_by", "decided_by")
    verbs = (
        AdminVerb(
            "grant",
            _("Grant more time"),
            _call(delays.grant, "request_id", reason="comment"),
            "grant",
            needs_reason=True,
        ),
        AdminVerb(
            "refuse",
            _("Refuse more time"),
            _call(delays.refuse, "request_id", reason="comment"),
            "refuse",
            needs_reason=True,
        ),
    )


def _could_not(obj: HandTask, actor: User, at: Any, said: str) -> None:
    tasks_by_hand.give_up(task_id=obj.pk, remark=said, actor=actor, at=at)


@admin.register(HandTask)
class HandTaskAdmin(VerbAdmin):
    list_display = ("job_key", "state", "begin_by", "begun_by", "finish_by", "ended_by", "attested_by", "remark")
    list_filter = ("state",)
    search_fields = ("job_key", "job__host__name")
    verbs = (AdminVerb("could_not", "Could not be done", _could_not, transition="give_up", needs_reason=True),)
