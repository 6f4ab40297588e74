"""The admin of meetings and their agenda: every row to be seen, and its verbs. A vote is given on its round."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from changes.domain import agendas, consent, meetings
from changes.enums_meeting import MeetingKind
from changes.models import AgendaItem, Attendee, Meeting, Minutes
from changes.queries.board import rounds_visible_to
from changes.queries.meetings import consents_asked
from changes.web import meeting_forms
from changes.web.meetings import ITEM_PAGES, VERB_PAGES, S, against_agenda, against_item
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.blockers import said as reasons_of
from patchflow.kernel.errors import Blocked, Invalid
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.admin import AdminVerb, Partly, ReadOnlyInline, VerbAdmin, plain


def in_sight(actor: User) -> Q:
    """Items about what the actor may see: those that name a round outside it are left out."""
    return Q(round__isnull=True) | Q(round__in=rounds_visible_to(actor, at=timezone.now()).order_by().values("pk"))


class ItemInline(ReadOnlyInline):
    model = AgendaItem
    fields = ("position", "title", "minutes", "consent", "pulled_by", "state", "outcome")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        actor: Any = request.user
        return super().get_queryset(request).filter(in_sight(actor)).select_related("pulled_by")


class AttendeeInline(ReadOnlyInline):
    model = Attendee
    fields = ("user", "presence")


def at_a_click(name: str, label: Any, verb: Callable[..., Any], **given: Any) -> AdminVerb:
    """A verb of a meeting that needs nothing typed."""

    def call(meeting: Meeting, actor: User, at: datetime, _said: str) -> Any:
        verb(meeting_id=meeting.pk, actor=actor, at=at)

    return AdminVerb(name, label, call, **given)


def by_form(name: str, **given: Any) -> AdminVerb:
    """A verb of a meeting with the form of its page."""
    page = VERB_PAGES[name]

    def call(meeting: Meeting, actor: User, at: datetime, form: Any) -> Any:
        return page.call(meeting_id=meeting.pk, actor=actor, at=at, **form.cleaned_data)

    return AdminVerb(name, page.title, call, form=plain(page.form), **({"transition": name} | given))


def _attend(meeting: Meeting, actor: User, at: datetime, form: meeting_forms.AttendanceForm) -> None:
    agendas.attend(meeting_id=meeting.pk, presence=form.presence(), actor=actor, at=at)


def _arrange(meeting: Meeting, actor: User, at: datetime, form: meeting_forms.ArrangeForm) -> None:
    agendas.arrange(meeting_id=meeting.pk, items=form.arranged(), actor=actor, at=at)


def _consent_form(data: Any, meeting: Meeting, actor: User) -> meeting_forms.ConsentForm:
    return meeting_forms.ConsentForm(consents_asked(meeting, actor, at=timezone.now()), data)


def _consent(
    meeting: Meeting, actor: User, at: datetime, form: meeting_forms.ConsentForm, authenticated_at: datetime | None
) -> Partly:
    """This member's own vote for each item that is ticked; what refuses keeps no other from being signed."""
    ticked = form.ticked()
    if against := consent.why_not(meeting, actor, at=at):
        raise Blocked(against)
    if not ticked:
        raise Invalid("No item was ticked: nothing is signed.", code="agenda.none_ticked")
    done = consent.consent(
        meeting_id=meeting.pk, seen=ticked, actor=actor, at=at, comment=form.cleaned_data["comment"],
        authenticated_at=authenticated_at,
    )  # fmt: skip
    if not done.signed:
        raise Blocked([blocker for blockers in done.refused.values() for blocker in blockers])
    titles = dict(meeting.items.values_list("pk", "title"))
    n = len(done.signed)
    return Partly(
        ngettext("You signed %(n)d item of the consent block.", "You signed %(n)d items of the consent block.", n) % {"n": n},
        [f"{titles.get(pk, pk)}: {reasons_of(blockers)}" for pk, blockers in done.refused.items()],
    )  # fmt: skip


def _against_agenda(meeting: Meeting, actor: User, _at: datetime) -> list[Blocker]:
    return against_agenda(meeting, actor)


PLAN = AdminVerb(
    "plan",
    _("Plan a meeting"),
    lambda _none, actor, at, form: meetings.plan(actor=actor, at=at, **form.cleaned_data),
    form=lambda data, _none, _actor: meeting_forms.PlanForm(data, initial={"kind": MeetingKind.CAB}),
    on="new",
    why_not=lambda _none, actor, _at: failing([capability("meeting.manage")], None, actor),
)


@admin.register(Meeting)
class MeetingAdmin(VerbAdmin):
    list_display = ("number", "kind", "state", "starts_at", "minutes", "place", "chair")
    list_filter = ("state", "kind")
    list_select_related = ("chair",)
    search_fields = ("number",)
    inlines = (ItemInline, AttendeeInline)
    maker = PLAN
    verbs = (
        at_a_click(
            "fill",
            _("Fill the agenda"),
            agendas.fill,
            why_not=lambda meeting, actor, _at: agendas.why_not_fill(meeting, actor),
        ),
        by_form("topic", transition="", why_not=_against_agenda),
        AdminVerb(
            "arrange",
            _("Arrange the agenda"),
            _arrange,
            form=lambda data, meeting, _actor: meeting_forms.ArrangeForm(
                list(meeting.items.select_related("round")), data
            ),
            on="one",
            why_not=_against_agenda,
        ),
        at_a_click("publish", _("Publish the agenda"), meetings.publish, transition="publish"),
        at_a_click("open", _("Open the session"), meetings.open_session, transition="open"),
        at_a_click(
            "begin_next",
            _("Put the next item before the board"),
            agendas.begin_next,
            why_not=lambda meeting, actor, _at: agendas.why_not_begin_next(meeting, actor),
        ),
        AdminVerb(
            "consent",
            _("Sign the consent block"),
            _consent,
            form=_consent_form,
            on="one",
            why_not=lambda meeting, actor, at: consent.why_not(meeting, actor, at=at),
            signs=True,
        ),
        AdminVerb(
            "attendance",
            _("Record who is there"),
            _attend,
            form=lambda data, meeting, _actor: meeting_forms.AttendanceForm(meeting, data),
            on="one",
            why_not=_against_agenda,
        ),
        by_form("minute"),
        by_form("postpone", on="one"),
        by_form("cancel"),
    )


def on_item(name: str, **given: Any) -> AdminVerb:
    """A verb of an item with the form of its page."""
    page = ITEM_PAGES[name]

    def call(item: AgendaItem, actor: User, at: datetime, form: Any) -> None:
        page.call(meeting_id=item.meeting_id, item_id=item.pk, actor=actor, at=at, **form.cleaned_data)

    def why_not(item: AgendaItem, actor: User, _at: datetime) -> list[Blocker]:
        return against_item(item.meeting, item, name, page, actor)

    return AdminVerb(name, page.title, call, form=plain(page.form), why_not=why_not, **given)


def _begin(item: AgendaItem, actor: User, at: datetime, _said: str) -> None:
    agendas.begin(meeting_id=item.meeting_id, item_id=item.pk, actor=actor, at=at)


def _pull(item: AgendaItem, actor: User, at: datetime, form: meeting_forms.PullForm) -> None:
    agendas.pull(meeting_id=item.meeting_id, item_id=item.pk, actor=actor, at=at, **form.cleaned_data)


@admin.register(AgendaItem)
class AgendaItemAdmin(VerbAdmin):
    """The board's members vote on the round that an item is about; here is what the chair does."""

    list_display = ("title", "meeting", "position", "minutes", "consent", "state", "outcome")
    list_filter = ("state", "consent")
    list_select_related = ("meeting", "round")
    search_fields = ("title", "meeting__number")
    fields = ("state", "title", "text", "meeting", "round", "position", "minutes", "consent", "pulled_by", "outcome")
    verbs = (
        AdminVerb(
            "begin",
            _("Put it before the board"),
            _begin,
            on="one",
            why_not=lambda item, actor, _at: against_agenda(item.meeting, actor, (S.IN_SESSION,)),
        ),
        AdminVerb(
            "pull",
            _("Pull it out of the consent block"),
            _pull,
            form=plain(meeting_forms.PullForm),
            why_not=lambda item, actor, _at: agendas.why_not_pull(item, actor),
        ),
        on_item("conclude", on="one"),
        on_item("carry_over"),
        on_item("withdraw"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        actor: Any = request.user
        rows = super().get_queryset(request).filter(meeting__in=Meeting.objects.all().visible_to(actor))
        return rows.filter(in_sight(actor))


@admin.register(Minutes)
class MinutesAdmin(VerbAdmin):
    list_display = ("meeting", "digest", "sealed_by", "sealed_at")
    list_select_related = ("meeting", "sealed_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        actor: Any = request.user
        return super().get_queryset(request).filter(meeting__in=Meeting.objects.all().visible_to(actor))
