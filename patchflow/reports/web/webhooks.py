"""Webhooks: which servers are told which notices, what each message was answered with, and sending one again."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from patchflow.kernel import audit
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.kernel.roles import all_roles, grantable
from patchflow.kernel.sentences import say
from patchflow.notices import webhooks
from patchflow.notices.kinds import find, kinds
from patchflow.notices.models import DeliveryState, Webhook, WebhookDelivery
from patchflow.web import parts, words
from patchflow.web.fields import refuse
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb


class WebhookForm(forms.Form):
    """Where, and which notices."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=500,
        help_text=gettext_lazy(
            "https, or http to a server of your own. Private addresses must be named in PATCHFLOW_OUTBOUND_ALLOW."
        ),
    )
    kind_names = forms.MultipleChoiceField(
        label=gettext_lazy("Which notices"),
        required=False,
        choices=lambda: sorted(((name, kinds[name].label) for name in kinds), key=lambda pair: str(pair[1])),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: all."),
    )
    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Only those told to"),
        required=False,
        choices=lambda: [(role.name, role.title) for role in grantable()],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: whoever is told."),
    )


def webhook_form(data: Any, hook: Webhook) -> WebhookForm:
    """A webhook as the form shows it."""
    given = {"name": hook.name, "url": hook.url, "kind_names": hook.kinds, "roles": hook.roles}
    return WebhookForm(data, initial=given)


def _keeper(request: HttpRequest) -> User:
    actor: Any = request.user
    if not actor.holds("webhook.manage"):
        raise PermissionDenied(_("Webhooks are kept by administrators: what they send passes by the scopes of people."))
    return actor


def _hook(request: HttpRequest, pk: int) -> Webhook:
    return get_object_or_404(Webhook.objects.visible_to(_keeper(request)), pk=pk)


def _crumbs(*more: parts.Crumb) -> list[parts.Crumb]:
    return [parts.Crumb(_("Webhooks"), reverse("reports:webhook-list")), *more]


def _place(hook: Webhook) -> str:
    return reverse("reports:webhook-detail", args=[hook.pk])


def _kinds(hook: Webhook) -> str:
    return ", ".join(str(find(name).label) for name in hook.kinds) or _("all")


def _roles(hook: Webhook) -> str:
    return ", ".join(all_roles()[name].title for name in hook.roles if name in all_roles()) or _("anybody")


@list_page(gettext_lazy("Webhooks"))
@login_required
@require_safe
def webhook_list(request: HttpRequest) -> HttpResponseBase:
    """All webhooks."""
    actor = _keeper(request)
    listing = Listing(
        request,
        Webhook.objects.visible_to(actor).select_related("made_by"),
        [
            Column(_("Webhook"), "name", url=_place, sort="name"),
            Column(_("State"), _state, state="notices.webhook", name="state"),
            Column(_("Server"), lambda hook: urlsplit(hook.url).hostname, name="server"),
            Column(_("Notices"), _kinds, wide=True, name="notices"),
            Column(_("Told to"), _roles, wide=True, name="told-to"),
            Column(_("Added by"), "made_by.username"),
            Column(_("Age"), "made_at", age=True, numeric=True, sort="age"),
        ],
        sorts={"name": ("name", "id"), "age": ("-made_at", "id")},
        default="name",
        now=timezone.now(),
        filters=[Filter("q", gettext_lazy("Name"), "name__icontains")],
        caption=_("Webhooks"),
    )
    if listing.wants_csv:
        return listing.csv("webhooks.csv")
    context = {
        "title": _("Webhooks"),
        "lede": _("Notices as signed messages to other systems. How a receiver proves them stands in the reference."),
        "listing": listing,
        "add_url": reverse("reports:webhook-add"),
        "empty_title": _("No other system is told anything"),
        "empty_advice": _("Add the address of one: a chat, a service desk, a collector of events."),
        "empty_url": reverse("reports:webhook-add"),
        "empty_label": _("Add a webhook"),
    }
    return render(request, "reports/webhook_list.html", context)


def _state(hook: Webhook) -> str:
    return "off" if hook.disabled_at else "on"


def _event(row: WebhookDelivery) -> str:
    return _("test") if row.event == "test" else str(find(row.event.partition(".")[2]).label)


def _answer(row: WebhookDelivery) -> str:
    """What its server said, or why it could not be asked; how often it was tried, where that was more than once."""
    said = say(row.error, mixed=True) or str(row.answer or "")
    tries = len(row.tries)
    if tries < 2:
        return said
    return ngettext("%(said)s (%(n)d try)", "%(said)s (%(n)d tries)", tries) % {"said": said, "n": tries}


def _message_columns(hook: Webhook) -> list[Column]:
    def again(row: WebhookDelivery) -> str:
        return "" if row.state == DeliveryState.QUEUED or hook.disabled_at else _("Send again")

    return [
        Column(
            _("Message"),
            lambda row: format_html('<span title="{}">{}…</span>', row.message_id, row.message_id[:12]),
            mono=True,
            url=lambda row: f"{_place(hook)}?message={row.pk}#message",
            text=lambda row: row.message_id,
            name="message-id",
        ),
        Column(_("What"), _event, wide=True, name="what"),
        Column(_("State"), "state", state="notices.delivery"),
        Column(_("Answer"), _answer, wide=True, name="answer"),
        Column(_("Age"), "made_at", age=True, numeric=True, sort="age"),
        Column(
            "", again, url=lambda row: reverse("reports:webhook-again", args=[hook.pk, row.pk]) if again(row) else ""
        ),
    ]


@login_required
@require_safe
def webhook_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A webhook: what it is told, its messages and how each was answered; with `?message=` the one in full."""
    hook, now = _hook(request, pk), timezone.now()
    listing = _messages(request, hook, now)
    if listing.wants_csv:
        return listing.csv(f"{hook.name}.csv")
    return render(request, "reports/webhook_detail.html", _page(request, hook, listing, now))


def _messages(request: HttpRequest, hook: Webhook, now: datetime) -> Listing:
    return Listing(
        request,
        hook.deliveries.defer("body"),
        _message_columns(hook),
        sorts={"age": ("-id",)},
        default="age",
        now=now,
        size=25,
        caption=_("Messages"),
        filters=[Filter("state", gettext_lazy("State"), "state", DeliveryState.choices)],
    )


def _page(request: HttpRequest, hook: Webhook, listing: Listing, now: datetime) -> dict[str, Any]:
    asked = request.GET.get("message", "")
    shown = hook.deliveries.filter(pk=int(asked)).first() if asked.isdigit() else None
    return {
        "title": hook.name,
        "ident": [_("webhook")],
        "hook": hook,
        "hook_state": _state(hook),
        "next": _next(hook, now),
        "verbs": _verbs(hook),
        "links": [
            (_("Address"), hook.url),
            (_("Notices"), _kinds(hook)),
            (_("Told to"), _roles(hook)),
            (_("Added by"), hook.made_by),
            (
                _("Secret"),
                _("changed %(when)s") % {"when": words.ago(hook.rotated_at, now=now)}
                if hook.rotated_at
                else _("the first"),
            ),
        ],
        "listing": listing,
        "shown": shown,
        "tries": [
            parts.Statement(
                "st-good" if str(one["answer"]).startswith("2") else "st-bad",
                words.at(datetime.fromisoformat(one["at"]), now=now),
                str(one["answer"] or one["said"]),
            )
            for one in (shown.tries if shown else [])
        ],
        "timeline": audit.history(hook)[:8],
        "crumbs": _crumbs(parts.Crumb(hook.name)),
    }


def _next(hook: Webhook, now: datetime) -> parts.Next:
    waiting = hook.deliveries.filter(state=DeliveryState.QUEUED).count()
    queued = ngettext("%(n)d message waits.", "%(n)d messages wait.", waiting) % {"n": waiting} if waiting else ""
    if hook.disabled_at:
        when = words.ago(hook.disabled_at, now=now)
        return parts.Next(
            _("It was switched off %(when)s; nothing new is queued.") % {"when": when},
            " ".join([hook.disabled_why, queued]).strip(),
        )
    failed = hook.deliveries.filter(state=DeliveryState.FAILED)
    if last := failed.order_by("-pk").first():
        lost = failed.count()
        sentence = ngettext(
            "%(n)d message did not arrive, the last one %(when)s: %(why)s",
            "%(n)d messages did not arrive, the last one %(when)s: %(why)s",
            lost,
        ) % {"n": lost, "when": words.ago(last.made_at, now=now), "why": say(last.error, mixed=True)}
        return parts.Next(sentence, " ".join([_("Send them again below, once its server answers."), queued]).strip())
    return parts.Next(_("It is told what happens, as it happens."), queued or _("No message waits."))


def _verbs(hook: Webhook) -> list[Verb]:
    def place(name: str) -> str:
        return reverse(f"reports:webhook-{name}", args=[hook.pk])

    off = hook.disabled_at is not None
    found = [] if off else [Verb("test", _("Send a test"), place("test"), icon="send", primary=True)]
    return [
        *found,
        Verb("revise", _("Change"), place("revise"), method="get", icon="pen"),
        Verb("rotate", _("New secret"), place("rotate"), method="get", icon="key"),
        Verb("switch", _("Switch on"), place("switch-on"), icon="stop")
        if off
        else Verb("switch", _("Switch off"), place("switch-off"), method="get", icon="stop", dangerous=True),
    ]


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_add(request: HttpRequest) -> HttpResponseBase:
    """A new webhook; its secret is shown on the answer and never again."""
    actor, now = _keeper(request), timezone.now()
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            hook, secret = webhooks.add(actor=actor, at=now, **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            return _with_secret(request, hook, secret, now)
    context = {
        "title": _("Add a webhook"),
        "lede": _("It is told of everything, also what single persons may not see: choose the kinds that it needs."),
        "form": form,
        "submit_label": _("Add"),
        "cancel_url": reverse("reports:webhook-list"),
        "crumbs": _crumbs(parts.Crumb(_("Add a webhook"))),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def _with_secret(request: HttpRequest, hook: Webhook, secret: str, now: datetime) -> HttpResponse:
    context = {
        "title": hook.name,
        "hook": hook,
        "secret": secret,
        "place": _place(hook),
        "crumbs": _crumbs(parts.Crumb(hook.name, _place(hook)), parts.Crumb(_("Secret"))),
    }
    return render(request, "reports/webhook_secret.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_revise(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Another address, other notices."""
    hook, actor = _hook(request, pk), _keeper(request)
    form = webhook_form(request.POST or None, hook)
    if request.method == "POST" and form.is_valid():
        try:
            webhooks.revise(webhook_id=hook.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Saved. What waits goes to the new address."))
            return redirect(_place(hook))
    context = {
        "title": _("Change %(name)s") % {"name": hook.name},
        "form": form,
        "cancel_url": _place(hook),
        "crumbs": _crumbs(parts.Crumb(hook.name, _place(hook)), parts.Crumb(_("Change"))),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_rotate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A new secret, shown once."""
    hook, actor, now = _hook(request, pk), _keeper(request), timezone.now()
    if request.method == "POST":
        changed, secret = webhooks.rotate(webhook_id=hook.pk, actor=actor, at=now)
        return _with_secret(request, changed, secret, now)
    return _confirm(
        request,
        hook,
        Verb("rotate", _("Make a new secret"), icon="key", dangerous=True),
        _("A new secret for %(name)s") % {"name": hook.name},
        [_("For 24 hours messages are signed with both; then the old one proves nothing any more.")],
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_switch_off(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Off, after asking."""
    hook, actor = _hook(request, pk), _keeper(request)
    if request.method == "POST":
        webhooks.switch(webhook_id=hook.pk, off=True, actor=actor, at=timezone.now())
        messages.success(request, _("It is switched off."))
        return redirect(_place(hook))
    return _confirm(
        request,
        hook,
        Verb("switch", _("Switch off"), icon="stop", dangerous=True),
        _("Switch %(name)s off") % {"name": hook.name},
        [_("While it is off nothing is queued for it: what happens then is not told later. What waits now stays.")],
    )


@login_required
@require_POST
def webhook_switch_on(request: HttpRequest, pk: int) -> HttpResponseBase:
    """On again, at a click."""
    hook, actor = _hook(request, pk), _keeper(request)
    webhooks.switch(webhook_id=hook.pk, off=False, actor=actor, at=timezone.now())
    messages.success(request, _("It is switched on; what waits is sent."))
    return redirect(_place(hook))


def _confirm(
    request: HttpRequest, hook: Webhook, verb: Verb, title: str, consequences: list[str], **more: Any
) -> HttpResponse:
    context = {
        "title": title,
        "verb": verb,
        "consequences": consequences,
        "cancel_url": _place(hook),
        "crumbs": _crumbs(parts.Crumb(hook.name, _place(hook)), parts.Crumb(str(verb.label))),
        **more,
    }
    return render(request, "web/confirm.html", context)


@login_required
@require_POST
def webhook_test(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A message that says nothing but that it is a test."""
    hook, actor = _hook(request, pk), _keeper(request)
    row = webhooks.test(webhook_id=hook.pk, actor=actor, at=timezone.now())
    messages.success(request, _("The test is on its way; its answer stands below in a moment."))
    return redirect(f"{_place(hook)}?message={row.pk}#message")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_again(request: HttpRequest, pk: int, message: int) -> HttpResponseBase:
    """Sends a message again, under the id that it has."""
    hook, actor = _hook(request, pk), _keeper(request)
    row = get_object_or_404(hook.deliveries, pk=message)
    if request.method == "POST":
        webhooks.send_again(webhook_id=hook.pk, delivery_id=row.pk, actor=actor, at=timezone.now())
        messages.success(request, _("It is on its way again."))
        return redirect(f"{_place(hook)}?message={row.pk}#message")
    taken = _("It was taken before: a receiver that keeps to the ids takes it once.")
    return _confirm(
        request,
        hook,
        Verb("again", _("Send again"), icon="retry"),
        _("Send the message again"),
        [
            _("It keeps its id and its content; its header “webhook-attempt” counts the tries."),
            *([taken] if row.state == DeliveryState.SENT else []),
        ],
        ident=[_event(row), row.message_id],
        harmless=True,
    )
