"""The admin of feeds, their polls and what was put aside."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from changes.domain import feeds, polls
from changes.models import Feed, FeedRun, QuarantinedDocument
from changes.rules_identify import may_manage_feeds
from changes.web.update_forms import FeedForm, FeedReviseForm
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.rules import failing
from patchflow.web.admin import AdminVerb, VerbAdmin


def _poll(feed: Any, actor: Any, at: Any, said: str) -> None:
    feeds.poll(feed_id=feed.pk, actor=actor, at=at)


def _enable(feed: Any, actor: Any, at: Any, said: str) -> None:
    feeds.enable(feed_id=feed.pk, actor=actor, at=at)


def _disable(feed: Any, actor: Any, at: Any, said: str) -> None:
    feeds.disable(feed_id=feed.pk, actor=actor, at=at)


def _accept(run: Any, actor: Any, at: Any, said: str) -> None:
    polls.accept_loss(run_id=run.pk, reason=said, actor=actor, at=at)


def _refuse(run: Any, actor: Any, at: Any, said: str) -> None:
    polls.refuse_loss(run_id=run.pk, reason=said, actor=actor, at=at)


def _against_polling(feed: Feed, actor: User, _at: datetime) -> list[Blocker]:
    return feeds.why_not_poll(feed, actor)


def _against_changing(feed: Feed | None, actor: User, _at: datetime) -> list[Blocker]:
    return failing([may_manage_feeds], feed, actor)


def _revise_form(data: Any, feed: Feed, _actor: User) -> FeedReviseForm:
    return FeedReviseForm(data, initial={name: getattr(feed, name) for name in FeedForm.base_fields})


def _revise(feed: Feed, actor: User, at: datetime, form: FeedReviseForm) -> None:
    feeds.revise(feed_id=feed.pk, actor=actor, at=at, **form.cleaned_data)


ADD = AdminVerb(
    "add",
    _("Add a feed"),
    lambda _none, actor, at, form: feeds.add(actor=actor, at=at, **form.cleaned_data),
    form=lambda data, _none, _actor: FeedForm(data),
    on="new",
    why_not=_against_changing,
)


@admin.register(Feed)
class FeedAdmin(VerbAdmin):
    list_display = ("name", "kind", "location", "enabled", "records", "last_good_at", "problem")
    list_filter = ("kind", "enabled")
    maker = ADD
    verbs = (
        AdminVerb("poll", _("Poll now"), _poll, why_not=_against_polling),
        AdminVerb("revise", _("Revise"), _revise, form=_revise_form, on="one", why_not=_against_changing),
        AdminVerb("enable", _("Switch on"), _enable, why_not=_against_changing),
        AdminVerb("disable", _("Switch off"), _disable, why_not=_against_changing),
    )


@admin.register(FeedRun)
class FeedRunAdmin(VerbAdmin):
    list_display = ("feed", "state", "requested_at", "documents", "new", "changed", "vanished", "quarantined")
    list_filter = ("state", "feed")
    list_select_related = ("feed",)
    verbs = (
        AdminVerb("accept_loss", _("Accept the loss"), _accept, transition="accept_loss", needs_reason=True),
        AdminVerb("refuse_loss", _("Refuse the loss"), _refuse, transition="refuse_loss", needs_reason=True),
    )


@admin.register(QuarantinedDocument)
class QuarantinedAdmin(VerbAdmin):
    list_display = ("document_name", "feed", "error", "last_seen_at", "settled_at")
    list_filter = ("feed",)
    list_select_related = ("feed",)
