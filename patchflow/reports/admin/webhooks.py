"""The admin of webhooks. Their secrets are shown on their own page, once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from patchflow.notices import webhooks
from patchflow.notices.models import Webhook
from patchflow.reports.web.webhooks import WebhookForm, webhook_form
from patchflow.web.admin import AdminVerb, VerbAdmin


def _switch_off(hook: Any, actor: Any, at: Any, _said: str) -> None:
    webhooks.switch(webhook_id=hook.pk, off=True, actor=actor, at=at)


def _switch_on(hook: Any, actor: Any, at: Any, _said: str) -> None:
    webhooks.switch(webhook_id=hook.pk, off=False, actor=actor, at=at)


def _revise(hook: Any, actor: Any, at: Any, form: WebhookForm) -> None:
    webhooks.revise(webhook_id=hook.pk, actor=actor, at=at, **form.cleaned_data)


def _test(hook: Any, actor: Any, at: Any, _said: str) -> None:
    webhooks.test(webhook_id=hook.pk, actor=actor, at=at)


@admin.register(Webhook)
class WebhookAdmin(VerbAdmin):
    list_display = ("name", "url", "made_by", "made_at", "disabled_at")
    list_select_related = ("made_by",)
    view_capability = "webhook.manage"
    verbs = (
        AdminVerb(
            "revise",
            _("Change"),
            _revise,
            form=lambda data, hook, _actor: webhook_form(data, hook),
            on="one",
        ),
        AdminVerb("test", _("Send a test"), _test, why_not=lambda hook, actor, _at: webhooks.why_not_test(hook, actor)),
        AdminVerb("switch_off", _("Switch it off"), _switch_off),
        AdminVerb("switch_on", _("Switch it on"), _switch_on),
    )
