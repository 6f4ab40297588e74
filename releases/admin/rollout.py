"""Rollouts, rings, jobs, slips and the kill switch as rows, with their verbs as actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, in_sight, plain
from releases.admin.parts import call_of
from releases.domain import delays, jobs, partial, rings, rollbacks, rollouts, switches
from releases.models import (
    Job,
    JobEvent,
    KillSwitch,
    PermissionSlip,
    Ring,
    Rollout,
    Staging,
)
from releases.web.rollout_offers import back_verb
from releases.web.rollout_parts import summed, tallies
from releases.web.telling import DelayForm


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
    return rollbacks.roll_back(
        release_id=rollout.release_id, rollout_id=rollout.pk, reason=said, actor=actor, at=at
    )  # fmt: skip


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
        AdminVerb(
            "pause", _("Pause"), call_of(rollouts.pause, "rollout_id", reason="reason"), "pause", needs_reason=True
        ),
        AdminVerb("resume", _("Resume"), call_of(rollouts.resume, "rollout_id"), "resume"),
        AdminVerb("halt", _("Halt"), call_of(rollouts.halt, "rollout_id", reason="cause"), "halt", needs_reason=True),
        AdminVerb("stop", _("Stop"), call_of(rollouts.stop, "rollout_id", reason="reason"), "stop", needs_reason=True),
        AdminVerb(
            "roll_back",
            _("Roll back: takes back what it did"),
            _roll_back,
            needs_reason=True,
            on="one",
            why_not=_against_roll_back,
        ),
        AdminVerb(
            "cancel", _("Cancel"), call_of(rollouts.cancel, "rollout_id", reason="reason"), "cancel", needs_reason=True
        ),
    )


def _ask_delay(ring: Ring, actor: User, at: Any, form: DelayForm) -> None:
    delays.ask(ring_id=ring.pk, actor=actor, at=at, **form.cleaned_data)


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
        AdminVerb("retry", _("Retry failed hosts"), call_of(rings.retry_ring, "ring_id"), why_not=_why_not_retry),
        AdminVerb(
            "propose_partial",
            _("Propose to accept it as it is"),
            call_of(partial.propose, "ring_id", reason="reason"),
            needs_reason=True,
            why_not=lambda ring, actor, _at: partial.why_not_propose(ring, actor),
        ),
        AdminVerb("skip", _("Leave out"), call_of(rings.skip, "ring_id", reason="reason"), "skip", needs_reason=True),
        AdminVerb(
            "ask_delay",
            _("Ask for more time"),
            _ask_delay,
            form=plain(DelayForm),
            on="one",
            why_not=lambda ring, actor, _at: delays.why_not_ask(ring, actor),
        ),
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
            _("Leave this host out"),
            call_of(jobs.cancel, "job_id", reason="reason"),
            needs_reason=True,
            why_not=lambda job, actor, _at: jobs.why_not_cancel(job, actor),
        ),
        AdminVerb(
            "look",
            _("Look again"),
            call_of(jobs.look_again, "job_id"),
            why_not=lambda job, actor, _at: jobs.why_not_look(job, actor),
        ),
    )


@admin.register(Staging)
class StagingAdmin(VerbAdmin):
    """Files laid ready before a window: what became of each host. Nobody does anything here, it goes by itself."""

    list_display = ("key", "rollout", "ring", "state", "state_at", "code", "statement", "window_at", "not_before")
    list_filter = ("state", "code")
    search_fields = ("key", "job__host__name", "rollout__number")
    list_select_related = ("rollout", "ring__rollout")


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
            _("Turn on: start nothing anywhere"),
            lambda _o, actor, at, said: switches.set_kill_switch(on=True, reason=said, actor=actor, at=at),
            needs_reason=True,
            why_not=lambda switch, actor, _at: switches.why_not(switch, actor, on=True),
        ),
        AdminVerb(
            "turn_off",
            _("Turn off"),
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
