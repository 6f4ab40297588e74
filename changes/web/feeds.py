"""Pages of feeds: where notifications come from, what each poll brought, what was put aside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.domain import feeds, polls
from changes.enums_identify import FeedRunState
from changes.models import Advisory, Feed, FeedRun, QuarantinedDocument
from changes.queries.coverage import coverage
from changes.queries.feeds import losing, standing_of, visible_feeds, visible_runs, with_last_run
from changes.rules_identify import may_manage_feeds, may_poll_feeds
from changes.web.update_forms import FeedForm, FeedReviseForm, ReasonForm, refuse
from changes.web.update_parts import coverage_statements
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import AuditEntry, User
from patchflow.kernel.rules import failing
from patchflow.kernel.sentences import say
from patchflow.web import parts, words
from patchflow.web.tables import Column, Filter, Listing, Table, list_page
from patchflow.web.verbs import Reach, Verb

SHOWN_RUNS = 15
SHOWN_LOST = 5
"""Lost advisories that are named where the decision is asked; the list has them all."""
GRAVEST = ("-severity_rank", "advisory_id", "pk")


def visible_feed(request: HttpRequest, pk: int) -> Feed:
    """The feed, if the person may look at feeds; 404 otherwise."""
    return get_object_or_404(visible_feeds(request.user), pk=pk)  # type: ignore[arg-type]


def address_of(feed: Feed) -> str:
    return reverse("changes:feed-detail", args=[feed.pk])


@list_page(gettext_lazy("Feeds"))
@login_required
@require_safe
def feed_list(request: HttpRequest) -> HttpResponseBase:
    """Every source of advisories, how it stands, and which platforms nobody speaks of."""
    actor: Any = request.user
    now = timezone.now()

    columns = [
        Column(_("Feed"), lambda feed: str(feed), url=address_of, sort="name", name="feed"),
        Column(_("State"), lambda feed: standing_of(feed, at=now), state="changes.feed", name="state"),
        Column(_("Advisories"), "records", numeric=True, sort="records"),
        Column(_("Speaks of"), lambda feed: ", ".join(feed.covers) or "–", wide=True, name="speaks-of"),
        Column(_("Location"), "location", wide=True),
        Column(_("Last good poll"), "last_good_at", age=True, numeric=True, sort="good"),
    ]
    listing = Listing(
        request,
        with_last_run(visible_feeds(actor)),
        columns,
        sorts={"name": ("name",), "records": ("records", "pk"), "good": ("last_good_at", "pk")},
        default="name",
        now=now,
        caption=_("Feeds"),
    )
    if listing.wants_csv:
        return listing.csv("feeds.csv")
    context = {
        "title": _("Feeds"),
        "phase": 2,
        "listing": listing,
        "coverage": coverage_statements(coverage(at=now, actor=actor)),
        "may_manage": not failing([may_manage_feeds], None, actor),
        "add_url": reverse("changes:feed-add"),
    }
    return render(request, "changes/feed_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def feed_add(request: HttpRequest) -> HttpResponse:
    """Adds a source: a web address, a file, a folder or an archive."""
    actor: Any = request.user
    form = FeedForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            feed = feeds.add(actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("The feed is added. It is polled with the next sweep, or now at your word."))
            return redirect("changes:feed-detail", pk=feed.pk)
    context = {
        "title": _("Add a feed"),
        "lede": _("Where a vendor publishes its advisories. Every document is checked before it is believed."),
        "phase": 2,
        "form": form,
        "submit_label": _("Add the feed"),
        "cancel_url": reverse("changes:feed-list"),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def feed_revise(request: HttpRequest, pk: int) -> HttpResponse:
    """Changes where and how often it is read."""
    feed = visible_feed(request, pk)
    actor: Any = request.user
    form = FeedReviseForm(request.POST or None, initial={name: getattr(feed, name) for name in FeedForm.base_fields})
    if request.method == "POST" and form.is_valid():
        try:
            feeds.revise(feed_id=feed.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("changes:feed-detail", pk=feed.pk)
    context = {
        "title": _("Edit “%(feed)s”") % {"feed": feed},
        "phase": 2,
        "form": form,
        "cancel_url": address_of(feed),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def brought(run: FeedRun) -> str:
    """What a poll brought, in figures, and what was wrong."""
    counts = (
        (_("new"), run.new),
        (_("changed"), run.changed),
        (_("unchanged"), run.unchanged),
        (_("withdrawn by the vendor"), run.withdrawn),
        (_("no longer listed"), run.vanished),
        (_("put aside"), run.quarantined),
    )
    told = ", ".join(f"{words.number(count)} {word}" for word, count in counts if count)
    return " ".join(part for part in (f"{told}." if told else "", say(run.problem, mixed=True)) if part)


RUN_COLUMNS = (
    Column(gettext_lazy("Poll"), "requested_at"),
    Column(gettext_lazy("State"), "state", state="changes.feedrun"),
    Column(gettext_lazy("What it brought"), brought, wide=True),
)
QUARANTINE_COLUMNS = (
    Column(gettext_lazy("Document"), "document_name", wide=True, mono=True),
    Column(gettext_lazy("Advisory"), "advisory_id"),
    Column(gettext_lazy("What is wrong"), "error", wide=True),
    Column(gettext_lazy("Last seen"), "last_seen_at", age=True, numeric=True),
)


def updates_said(advisory: Advisory) -> str:
    """The updates that it announces: "nginx 1.22.1-9+deb12u3, …"; those that the reader may see."""
    return ", ".join(f"{update.name} {update.fixed_version}" for update in advisory.updates.all()) or "–"


LOST_COLUMNS = (
    Column(gettext_lazy("Advisory"), "advisory_id", mono=True, sort="advisory"),
    Column(gettext_lazy("Title"), "title", wide=True),
    Column(gettext_lazy("Its updates"), updates_said, wide=True, name="updates"),
    Column(
        gettext_lazy("Severity"), lambda one: one.severity_vendor or one.get_severity_rank_display(), sort="severity"
    ),
    Column(gettext_lazy("Modified"), "modified_at", age=True, numeric=True, sort="modified"),
)


@list_page(gettext_lazy("Lost advisories"))
@login_required
@require_safe
def loss_shown(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Every advisory that a held poll would lose, with its updates."""
    run = get_object_or_404(visible_runs(request.user), pk=pk)  # type: ignore[arg-type]
    listing = Listing(
        request,
        losing(run, request.user),  # type: ignore[arg-type]
        LOST_COLUMNS,
        sorts={
            "severity": ("severity_rank", "pk"), "advisory": ("advisory_id", "pk"), "modified": ("modified_at", "pk"),
        },
        default="-severity",
        now=timezone.now(),
        filters=(Filter("advisory", gettext_lazy("Advisory"), "advisory_id__icontains"),),
        caption=_("Lost advisories"),
    )  # fmt: skip
    if listing.wants_csv:
        return listing.csv(f"lost-{run.feed.name}-{run.pk}.csv")
    context = {
        "title": _("What “%(feed)s” no longer lists") % {"feed": run.feed},
        "lede": _("Advisories in force that its source has left out since. They stay in force until a person decides."),
        "phase": 2,
        "listing": listing,
        "empty_title": _("Nothing is waiting for a decision here"),
        "empty_advice": _("Only while a poll is held does it have advisories that would be lost."),
        "empty_url": address_of(run.feed),
        "empty_label": _("To the feed"),
        "crumbs": [
            parts.Crumb(_("Feeds"), reverse("changes:feed-list")),
            parts.Crumb(str(run.feed), address_of(run.feed)),
            parts.Crumb(_("Lost advisories")),
        ],
    }
    return render(request, "web/list.html", context)


def _lost(run: FeedRun, actor: User) -> list[Advisory]:
    """The gravest of what a held poll would lose."""
    return list(losing(run, actor).order_by(*GRAVEST)[:SHOWN_LOST])


def _lost_said(run: FeedRun, actor: User) -> list[Any]:
    """The first of them with their updates, in a line with the way to all, where a person decides."""
    named = [f"{one.advisory_id} ({updates_said(one)})" for one in _lost(run, actor)]
    if not named:
        return []
    more = run.vanished - len(named)
    said = "; ".join(named)
    if more > 0:
        said = ngettext("%(named)s; and %(n)d more", "%(named)s; and %(n)d more", more) % {"named": said, "n": more}
    place = reverse("changes:feedrun-lost", args=[run.pk])
    return [
        format_html('{} <a href="{}">{}</a>', _("No longer listed: %(named)s.") % {"named": said}, place, _("See all"))
    ]


@login_required
@require_safe
def feed_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """How a feed stands, what its polls brought, what was put aside."""
    feed = visible_feed(request, pk)
    actor: Any = request.user
    now = timezone.now()
    runs = list(feed.runs.order_by("-requested_at", "-pk")[:SHOWN_RUNS])
    aside = QuarantinedDocument.objects.filter(feed=feed, settled_at__isnull=True)
    held = feed.runs.filter(state=FeedRunState.HELD).first()
    standing = standing_of(feed, at=now)
    context = {
        "title": str(feed),
        "phase": 2,
        "ident": [feed.name, feed.kind.upper()],
        "feed": feed,
        "standing": standing,
        "next": _next(feed, standing, held),
        "verbs": _verbs(feed, held, actor),
        "lost": Table(LOST_COLUMNS, _lost(held, actor), now, caption=_("What it would lose")) if held else None,
        "lost_count": held.vanished if held else 0,
        "lost_url": reverse("changes:feedrun-lost", args=[held.pk]) if held else "",
        "runs": Table(RUN_COLUMNS, runs, now, caption=_("Polls")),
        "aside": Table(QUARANTINE_COLUMNS, list(aside[:50]), now, caption=_("Put aside")),
        "aside_count": aside.count(),
        "facts": [
            (_("Location"), feed.location),
            (_("Where it is"), feed.get_location_kind_display()),
            (_("Polled every"), words.duration(timedelta(minutes=feed.every_minutes))),
            (_("Stale after"), words.duration(timedelta(minutes=feed.stale_after_minutes))),
            (_("Advisories in force"), words.number(feed.records)),
            (_("Speaks of"), ", ".join(feed.covers) or _("nothing yet")),
        ],
        "timeline": AuditEntry.objects.filter(chain=feed.audit_chain).order_by("-seq")[:15],
        "now": now,
    }
    return render(request, "changes/feed_detail.html", context)


def _next(feed: Feed, standing: str, held: FeedRun | None) -> parts.Next:
    if held is not None:
        return parts.Next(_("A person must decide whether the loss of records is right."), held.problem)
    if standing == "polling":
        return parts.Next(_("A poll is under way."), _("This page shows what it brought afterwards."))
    if standing == "off":
        return parts.Next(_("It is switched off: what it said goes stale, and verdicts become unknown."))
    if feed.problem:
        return parts.Next(_("The last poll failed; what was known stays in force."), feed.problem)
    if feed.next_due_at is None:
        return parts.Next(_("It is polled with the next sweep."))
    return parts.Next(_("It is polled again by itself."))


def _verbs(feed: Feed, held: FeedRun | None, actor: User) -> list[Verb]:
    manage = failing([may_manage_feeds], feed, actor)
    polling = manage if manage and failing([may_poll_feeds], feed, actor) else []
    if held is not None:
        polling = [*polling, Blocker("feed.held", _("A person decides about the held poll first."), tone="wait")]
    elif feed.runs.filter(state__in=[FeedRunState.QUEUED, FeedRunState.RUNNING]).exists():
        polling = [*polling, Blocker("feed.polled", _("A poll is under way already."), tone="wait")]
    found = [
        Verb("poll", _("Poll now"), reverse("changes:feed-poll", args=[feed.pk]), not polling, tuple(polling), icon="retry",
             primary=held is None),
        Verb("revise", _("Edit"), reverse("changes:feed-revise", args=[feed.pk]), not manage, tuple(manage), method="get"),
    ]  # fmt: skip
    name, label = ("disable", _("Switch off")) if feed.enabled else ("enable", _("Switch on"))
    address = reverse(f"changes:feed-{name}", args=[feed.pk])
    found.append(Verb(name, label, address, not manage, tuple(manage)))
    if held is not None:
        for verb, word in (("accept", _("Accept the loss")), ("refuse", _("Refuse the loss"))):
            place = reverse(f"changes:feedrun-{verb}-loss", args=[held.pk])
            dangerous = verb == "accept"
            found.insert(
                0 if dangerous else 1,
                Verb(
                    f"{verb}_loss",
                    word,
                    place,
                    not manage,
                    tuple(manage),
                    dangerous,
                    ngettext("of %(n)d advisory", "of %(n)d advisories", held.vanished) % {"n": held.vanished},
                    "get",
                    primary=not dangerous,
                ),
            )
    return found


@login_required
@require_POST
def feed_poll(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for a poll now."""
    feed = visible_feed(request, pk)
    feeds.poll(feed_id=feed.pk, actor=request.user, at=timezone.now())  # type: ignore[arg-type]
    messages.success(request, _("A poll is asked for."))
    return redirect("changes:feed-detail", pk=pk)


@login_required
@require_POST
def feed_switch(request: HttpRequest, pk: int, on: bool) -> HttpResponse:
    """Switches it on or off, as the address says and not as it happens to stand."""
    feed = visible_feed(request, pk)
    verb = feeds.enable if on else feeds.disable
    verb(feed_id=feed.pk, actor=request.user, at=timezone.now())  # type: ignore[arg-type]
    return redirect("changes:feed-detail", pk=pk)


def _loss_barred(run: FeedRun, accept: bool, actor: User) -> list[Blocker]:
    """Why nobody decides about the loss of this poll now."""
    name = "accept_loss" if accept else "refuse_loss"
    return workflow.why_not(run, name, actor=actor, at=timezone.now())


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def loss(request: HttpRequest, pk: int, accept: bool) -> HttpResponse:
    """Accepts or refuses that a poll would lose records."""
    run = get_object_or_404(visible_runs(request.user), pk=pk)  # type: ignore[arg-type]
    actor: Any = request.user
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        verb = polls.accept_loss if accept else polls.refuse_loss
        try:
            verb(run_id=run.pk, actor=actor, at=timezone.now(), reason=form.cleaned_data["reason"])
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Accepted.") if accept else _("Refused: everything stays in force."))
            return redirect("changes:feed-detail", pk=run.feed_id)
    label = _("Accept the loss") if accept else _("Refuse the loss")
    context = {
        "title": f"{label}: {run.feed}",
        "lede": say(run.problem, mixed=True),
        "phase": 2,
        "form": form,
        "verb": Verb("loss", label),
        "submit_label": label,
        "reach": [
            Reach(
                run.vanished,
                ngettext(
                    "advisory that the source no longer lists",
                    "advisories that the source no longer lists",
                    run.vanished,
                ),
                reverse("changes:feedrun-lost", args=[run.pk]),
            ),
            Reach(run.known_before, ngettext("advisory known before", "advisories known before", run.known_before)),
        ],
        "consequences": [
            *_lost_said(run, actor),
            _("What they stated becomes unknown on every host. It never counts as fixed."),
            _("If the source lists them again, they are in force again."),
        ]
        if accept
        else [
            *_lost_said(run, actor),
            _(
                "Every advisory that was known stays in force; what was new or changed in this poll is taken in already."
            ),
            _("The feed is polled again. If the source still leaves them out, you are asked again."),
        ],
        "barred": [] if request.method == "POST" else _loss_barred(run, accept, actor),
        "cancel_url": reverse("changes:feed-detail", args=[run.feed_id]),
    }
    template = "web/confirm.html" if accept else "web/form.html"
    return render(request, template, context, status=400 if form.errors else 200)
