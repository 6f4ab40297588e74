"""The admin of cycles and the steps of their phases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from changes.domain import cycles
from changes.models import Cycle, CycleEvent, PhaseStep
from changes.queries.cycles import output_of
from changes.web.cycles import StepForm, step_barred
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin


class StepInline(ReadOnlyInline):
    model = PhaseStep
    fields = ("phase", "key", "state", "owner", "brought", "reason", "settled_at")

    @admin.display(description=_("Output"))
    def brought(self, step: PhaseStep) -> str:
        return say(output_of(step, self.actor))


class EventInline(ReadOnlyInline):
    model = CycleEvent
    fields = ("kind", "at", "by", "cause")


def _close_unneeded(cycle: Any, actor: Any, at: Any, said: str) -> None:
    cycles.close_unneeded(cycle_id=cycle.pk, reason=said, actor=actor, at=at)


@admin.register(Cycle)
class CycleAdmin(VerbAdmin):
    list_display = ("name", "kind", "state", "opened_at", "decision_on", "closed_at")
    list_filter = ("state", "kind")
    inlines = (StepInline, EventInline)
    verbs = (
        AdminVerb(
            "close_unneeded", _("Close as not needed"), _close_unneeded, transition="close_unneeded", needs_reason=True
        ),
    )


def _step_form(data: Any, step: PhaseStep, _actor: User) -> StepForm:
    return StepForm(data, initial={"act": "done", "owner_id": step.owner_id})


def _settle(step: PhaseStep, actor: User, at: datetime, form: StepForm) -> None:
    form.settle(step, actor=actor, at=at)


def _against_step(step: PhaseStep, actor: User, _at: datetime) -> list[Blocker]:
    return step_barred(step.cycle, step, actor)


@admin.register(PhaseStep)
class PhaseStepAdmin(VerbAdmin):
    """What rows can prove closes by itself; the rest is done, waived or handed over here."""

    sight = "cycle"
    list_display = ("__str__", "cycle", "phase", "state", "owner", "settled_at")
    list_filter = ("state", "phase")
    list_select_related = ("cycle", "owner")
    exclude = ("output",)
    verbs = (
        AdminVerb("settle", _("Settle it, or hand it over"), _settle, form=_step_form, on="one", why_not=_against_step),
    )
