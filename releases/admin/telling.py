"""Who was told of a ring, who asks for more time, and what people do by hand, as rows with their verbs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.errors import Blocked
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, VerbAdmin
from releases.admin.parts import call_of
from releases.domain import delays, owners
from releases.models import DelayRequest, HandTask, Representative
from releases.web import tasks


def _acknowledge(row: Representative, actor: User, at: Any, _said: str) -> None:
    if against := owners.why_not_acknowledge(row, actor):
        raise Blocked(against)
    owners.acknowledge(ring_id=row.ring_id, actor=actor, at=at)


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
    verbs = (
        AdminVerb(
            "acknowledge",
            _("I know, and have passed it on"),
            _acknowledge,
            why_not=lambda row, actor, _at: owners.why_not_acknowledge(row, actor),
        ),
    )


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
            call_of(delays.grant, "request_id", reason="comment"),
            "grant",
            needs_reason=True,
        ),
        AdminVerb(
            "refuse",
            _("Refuse more time"),
            call_of(delays.refuse, "request_id", reason="comment"),
            "refuse",
            needs_reason=True,
        ),
        AdminVerb("withdraw", _("Withdraw the request"), call_of(delays.withdraw, "request_id"), "withdraw"),
    )


def _by_hand(name: str, **given: Any) -> AdminVerb:
    """A verb of a task by hand with the form of its page."""
    label, verb, _shape, _consequence = tasks.VERBS[name]

    def call(task: HandTask, actor: User, at: Any, form: Any) -> None:
        verb(task_id=task.pk, actor=actor, at=at, **tasks.content_of(form))

    def form(data: Any, task: HandTask, _actor: User) -> Any:
        return tasks.form_of(name, data, task)

    return AdminVerb(name, label, call, transition=name, form=form, on="one", **given)


@admin.register(HandTask)
class HandTaskAdmin(VerbAdmin):
    list_display = ("job_key", "state", "begin_by", "begun_by", "finish_by", "ended_by", "attested_by", "remark")
    list_filter = ("state",)
    list_select_related = ("begun_by", "ended_by", "attested_by")
    search_fields = ("job_key", "job__host__name")
    verbs = tuple(_by_hand(name) for name in tasks.VERBS)
