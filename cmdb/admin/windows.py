"""The admin of service windows: nothing is done to one before the hosts that wait for it were seen."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from cmdb.domain import windows
from cmdb.enums import QueuedRule
from cmdb.models import ServiceWindow
from cmdb.web.forms import RetireWindowForm, WindowForm
from cmdb.web.host_verbs import retire_barred
from cmdb.web.windows import Waiting, form_of, given_of, waiting_for
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.rules import failing, somewhere
from patchflow.web.admin import AdminVerb, Ahead, VerbAdmin, plain


def _shown(waiting: Waiting) -> Ahead | None:
    """The queued hosts that an edit would reach, as its page shows them."""
    if not waiting.token:
        return None
    note = _("Hosts that you may not see wait for it, too.") if waiting.others else ""
    return Ahead(waiting.token, waiting.sentence, waiting.lines, waiting.hidden, str(note))


def _rule(form: RetireWindowForm) -> str:
    said = form.cleaned_data["queued"] if form.is_bound else ""
    return str(said or QueuedRule.HALT)


def _ahead_of_end(window: ServiceWindow, actor: User, at: datetime, form: RetireWindowForm) -> Ahead | None:
    return _shown(waiting_for(window_id=window.pk, actor=actor, at=at, ends=True, queued=_rule(form)))


def _ahead_of_revision(window: ServiceWindow, actor: User, at: datetime, form: WindowForm) -> Ahead | None:
    """Of what was typed: a form that is only shown changes nothing."""
    return _shown(waiting_for(window_id=window.pk, actor=actor, at=at, **given_of(form))) if form.is_bound else None


def _retire(window: ServiceWindow, actor: User, at: datetime, form: RetireWindowForm) -> None:
    reason = form.cleaned_data["reason"]
    windows.retire(window_id=window.pk, reason=reason, queued=_rule(form), actor=actor, at=at)


def _revise(window: ServiceWindow, actor: User, at: datetime, form: WindowForm) -> None:
    windows.revise(window_id=window.pk, actor=actor, at=at, **given_of(form))


def _against(window: ServiceWindow, actor: User, _at: datetime) -> list[Blocker]:
    return retire_barred(window, "window.edit", window, actor)


MAKE = AdminVerb(
    "make",
    _("Make a window"),
    lambda _none, actor, at, form: windows.add(actor=actor, at=at, **given_of(form)),
    form=form_of,
    on="new",
    why_not=lambda _none, actor, _at: failing([somewhere("window.edit")], None, actor),
)


@admin.register(ServiceWindow)
class WindowAdmin(VerbAdmin):
    list_display = (
        "name",
        "recurrence",
        "starts_local",
        "zone",
        "length_minutes",
        "cutoff_minutes",
        "revision",
        "retired_at",
    )
    list_filter = ("recurrence", "zone")
    search_fields = ("name",)
    maker = MAKE
    verbs = (
        AdminVerb(
            "revise",
            _("Revise: what was signed for the old times must be signed again"),
            _revise,
            form=form_of,
            on="one",
            why_not=_against,
            ahead=_ahead_of_revision,
        ),
        AdminVerb(
            "retire",
            _("Retire"),
            _retire,
            form=plain(RetireWindowForm),
            on="one",
            why_not=_against,
            ahead=_ahead_of_end,
        ),
    )
