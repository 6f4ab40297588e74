"""Who is told what: the people of a ring who know or do not, their requests for more time, and beforehand what each
audience of a release will read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.enums import TERMINAL
from changes.models import RFC
from changes.web.rfc_forms import Moment
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker, here
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.notices.wording import Voice
from patchflow.web import panels, parts, words
from patchflow.web.tables import Column, Table
from patchflow.web.verbs import Verb
from releases.domain import delays, owners
from releases.enums_rollout import RingState
from releases.enums_telling import DelayState
from releases.models import DelayRequest, Release, Representative, Ring, Rollout
from releases.queries import previews, telling
from releases.queries.rollouts import signed
from releases.web.release_forms import ReasonForm, refuse


def _actor(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  login_required has looked
    return request.user


def _ring(request: HttpRequest, pk: int) -> Ring:
    """The ring, for who may see its rollout and for who was told about it."""
    actor = _actor(request)
    ring = get_object_or_404(Ring.objects.select_related("rollout__release"), pk=pk)
    if ring.representatives.filter(user=actor).exists():
        return ring
    get_object_or_404(Rollout.objects.all().visible_to(actor), pk=ring.rollout_id)
    return ring


# --- the people of a ring -----------------------------------------------------------------------------------------------
@login_required
@require_safe
def ring_people(request: HttpRequest, pk: int) -> HttpResponse:
    """Who was told, who knows, who asks for more time; for a representative what to do about it."""
    ring, actor, now = _ring(request, pk), _actor(request), timezone.now()
    profile = signed(ring.rollout.manifest_id).document["profile"]
    rows = list(ring.representatives.select_related("user"))
    mine = next((row for row in rows if row.user_id == actor.pk), None)
    known = sum(1 for row in rows if row.acknowledged_at)
    start = telling.starts_of([ring], {ring.pk: profile}, now=now)[ring.pk]
    open_ = ring.state in (RingState.PENDING, RingState.NOTIFIED)
    sees = Rollout.objects.filter(pk=ring.rollout_id).visible_to(actor).exists()
    context = {
        "title": _("Who knows of ring “%(ring)s”") % {"ring": ring.name},
        "phase": 4,
        "ident": [ring.rollout.number, ring.rollout.release.number],
        "lede": ring.rollout.release.labelled,
        "ring": ring,
        "next": _next(ring, mine, len(rows), known, start, now, asked=sees and _is_asked(ring)),
        "verbs": _verbs(ring, mine),
        "known": known,
        "told": len(rows),
        "people": Table(PEOPLE, rows if sees else [mine] if mine else [], now, caption=_("Representatives")),
        "requests": [_shown(r, actor, now) for r in _requests(ring, actor, sees=sees)],
        "nobody": _nobody(ring) if open_ and sees else 0,
        "sees": sees,
        "crumbs": [parts.Crumb(_("Rollouts"), reverse("releases:rollout-list"))]
        + ([parts.Crumb(ring.rollout.number, ring.rollout.get_absolute_url())] if sees else [])
        + [parts.Crumb(ring.name)],
    }
    return render(request, "releases/ring_people.html", context)


def _silence(row: Representative) -> str:
    if row.acknowledged_at:
        return row.comment
    steps = (
        (row.reported_at, _("the change managers were told")),
        (row.passed_on_at, _("the lead of the support group was told")),
        (row.reminded_at, _("reminded")),
    )
    return next((text for moment, text in steps if moment), "")


PEOPLE = [
    Column(gettext_lazy("Representative"), "user.username"),
    Column(gettext_lazy("As"), lambda r: r.get_via_display()),
    Column(gettext_lazy("Hosts"), "hosts", numeric=True),
    Column(gettext_lazy("Knows"), lambda r: "known" if r.acknowledged_at else "silent", state="releases.knowing"),
    Column(gettext_lazy("Told"), "told_at", age=True, numeric=True),
    Column(gettext_lazy("Acknowledged"), "acknowledged_at", age=True, numeric=True),
    Column(gettext_lazy("What was said or done"), _silence, wide=True),
]


def _requests(ring: Ring, actor: User, *, sees: bool) -> list[DelayRequest]:
    rows = ring.delay_requests.all().counted().select_related("asked_by", "decided_by", "ring__rollout")
    return list(rows if sees else rows.filter(asked_by=actor))


def _nobody(ring: Ring) -> int:
    return telling.concerned(telling.waiting_hosts(ring))[1]


def _is_asked(ring: Ring) -> bool:
    """Whether somebody asks for more time, and it can still be given."""
    waits = ring.state in (RingState.PENDING, RingState.NOTIFIED)
    return waits and ring.delay_requests.filter(state=DelayState.ASKED).exists()


def decide_before(ring: Ring, start: telling.Start, now: datetime) -> str:
    """By when a request for more time is decided: from then on the ring may start. No time where somebody is still to
    acknowledge first."""
    before = telling.ring_before(ring) if ring.state == RingState.PENDING else None
    known = [start.at, before.soak_until if before is not None else None]
    latest = max(filter(None, known), default=None)
    undecided = _("A request that nobody has decided holds nothing back.")
    if start.silent:
        when = pgettext("help", "A ring does not start before everybody who was told has acknowledged.")
    elif latest is not None and latest > now:
        when = _("Decide before %(when)s: from then on the ring may start.") % {"when": words.at(latest, now=now)}
    elif before is not None:
        when = _("Decide before ring “%(ring)s” has passed: then this one may start.") % {"ring": before.name}
    else:
        when = _("Decide now: the ring may start at any moment.")
    return f"{when} {undecided}"


def cost_of_delay(request: DelayRequest, now: datetime) -> list[str]:
    """What granting it costs: how many hosts wait until when, and which start-by targets come before that."""
    waiting = len(telling.waiting_hosts(request.ring))
    until = words.at(request.until, now=now)
    said = [
        ngettext(
            "%(n)d host waits until %(until)s, and then for its next window.",
            "%(n)d hosts wait until %(until)s, and then for their next windows.",
            waiting,
        )
        % {"n": waiting, "until": until}
    ]
    said += [
        _("The start-by target of %(rfc)s, %(when)s, comes before that.")
        % {"rfc": rfc.number, "when": words.at(rfc.start_by, now=now)}
        for rfc in telling.clocks_before(request.ring, request.until)
        if rfc.start_by
    ]
    return said


def _next(
    ring: Ring,
    mine: Representative | None,
    told: int,
    known: int,
    start: telling.Start,
    now: datetime,
    *,
    asked: bool,
) -> parts.Next:
    if asked and mine is None:
        return parts.Next(
            _("A change manager grants or refuses the time that is asked for."), decide_before(ring, start, now)
        )
    detail = _("It does not start before %(when)s.") % {"when": words.at(start.at, now=now)} if start.at else ""
    if ring.state == RingState.PENDING:
        if told:
            return parts.Next(_("%(known)d of %(told)d acknowledged.") % {"known": known, "told": told}, detail)
        return parts.Next(_("Its people are told when it is the next to start."))
    if mine and mine.acknowledged_at is None and ring.state in (RingState.NOTIFIED, RingState.RUNNING):
        return parts.Next(_("Acknowledge that you know, and have passed it on."), detail)
    if ring.state == RingState.NOTIFIED and known < told:
        return parts.Next(_("%(n)d of %(told)d have not acknowledged.") % {"n": told - known, "told": told}, detail)
    return parts.Next(_("%(known)d of %(told)d acknowledged.") % {"known": known, "told": told}, detail)


def _verbs(ring: Ring, mine: Representative | None) -> list[Verb]:
    if mine is None:
        return []
    found = []
    if mine.acknowledged_at is None and ring.state in (RingState.NOTIFIED, RingState.RUNNING):
        url = reverse("releases:ring-acknowledge", args=[ring.pk])
        found.append(Verb("acknowledge", _("I know, and have passed it on"), url, icon="check", primary=True))
    if ring.state in (RingState.PENDING, RingState.NOTIFIED):
        url = reverse("releases:ring-ask-delay", args=[ring.pk])
        found.append(Verb("ask_delay", _("Ask for more time"), url, method="get", icon="clock"))
    return found


def granted_before(times: int) -> str:
    """How often the ring was granted more time before, in words; empty where it was not."""
    said = ngettext(
        "This ring was granted more time once before.", "This ring was granted more time %(n)d times before.", times
    )
    return said % {"n": times} if times else ""


def _shown(request: DelayRequest, actor: User, now: datetime) -> dict[str, Any]:
    verbs = []
    labels = {"grant": _("Grant"), "refuse": _("Refuse"), "withdraw": _("Withdraw")}
    for one in workflow.available(request, actor=actor, at=now):
        if one.name == "withdraw" and actor.pk != request.asked_by_id:
            continue
        verbs.append(
            Verb(
                one.name, labels[one.name], reverse(f"releases:delay-{one.name}", args=[request.pk]), not one.blockers, tuple(one.blockers),
                method="get",
            )
        )  # fmt: skip
    return {
        "request": request, "verbs": verbs, "prefix": f"d{request.pk}",
        "before": granted_before(getattr(request, "granted_before", 0)),
    }  # fmt: skip


@login_required
@require_POST
def ring_acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    ring = _ring(request, pk)
    owners.acknowledge(ring_id=ring.pk, actor=_actor(request), at=timezone.now())
    messages.success(request, _("Thank you: it is noted that you know."))
    return redirect(ring.get_people_url())


class DelayForm(ReasonForm):
    until = forms.DateTimeField(
        label=gettext_lazy("Not before"), widget=Moment(), help_text=gettext_lazy("In your time zone.")
    )
    field_order = ("until", "reason")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def ring_ask_delay(request: HttpRequest, pk: int) -> HttpResponse:
    """A representative's request for more time."""
    ring = _ring(request, pk)
    return _form(
        request, DelayForm(request.POST or None),
        title=_("Ask for more time for ring “%(ring)s” of %(rollout)s")
        % {"ring": ring.name, "rollout": ring.rollout.number},
        against=delays.why_not_ask(ring, _actor(request)), ring=ring,
        lede=_("A change manager grants or refuses it. Until then nothing waits for it."), submit=_("Ask"),
        back=ring.get_people_url(), act=lambda **given: delays.ask(ring_id=ring.pk, **given),
    )  # fmt: skip


class CommentForm(forms.Form):
    comment = forms.CharField(
        label=gettext_lazy("Comment"), max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


class RefuseForm(forms.Form):
    """A refusal needs its reason."""

    comment = forms.CharField(label=gettext_lazy("Reason"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delay_decide(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Grants, refuses or withdraws one request for more time."""
    found = get_object_or_404(DelayRequest.objects.counted().select_related("ring__rollout", "asked_by"), pk=pk)
    ring = _ring(request, found.ring_id)
    act: Callable[..., Any] = getattr(delays, verb)
    title = {"grant": _("Grant more time"), "refuse": _("Refuse more time"), "withdraw": _("Withdraw the request")}[
        verb
    ]
    lede = _("%(who)s asks that ring “%(ring)s” of %(rollout)s does not start before %(when)s: %(why)s") % {
        "who": found.asked_by, "ring": ring.name, "rollout": ring.rollout.number,
        "when": words.at(found.until, now=timezone.now()), "why": found.reason,
    }  # fmt: skip
    lede = " ".join(filter(None, [lede, granted_before(getattr(found, "granted_before", 0))]))
    now, costs = timezone.now(), list[str]()
    if verb in ("grant", "refuse") and ring.state in (RingState.PENDING, RingState.NOTIFIED):
        profile = signed(ring.rollout.manifest_id).document["profile"]
        start = telling.starts_of([ring], {ring.pk: profile}, now=now)[ring.pk]
        costs = [*(cost_of_delay(found, now) if verb == "grant" else []), decide_before(ring, start, now)]
    shapes: dict[str, type[forms.Form]] = {"withdraw": forms.Form, "refuse": RefuseForm}
    form = shapes.get(verb, CommentForm)(request.POST if request.method == "POST" else None)
    return _form(
        request, form, title=title, lede=lede, submit=title, back=ring.get_people_url(), ring=ring,
        against=workflow.why_not(found, verb, actor=_actor(request), at=timezone.now()),
        act=lambda **given: act(request_id=found.pk, **given), consequences=costs,
    )  # fmt: skip


def _form(
    request: HttpRequest,
    form: forms.Form,
    *,
    title: str,
    lede: str,
    submit: str,
    back: str,
    act: Callable[..., Any],
    against: Sequence[Blocker],
    ring: Ring,
    consequences: Sequence[str] = (),
) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            act(actor=_actor(request), at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect(back)
    blockers = () if request.method == "POST" else tuple(against)
    context = {
        "verb": Verb("act", submit, allowed=not blockers, blockers=blockers),
        "title": title, "lede": lede, "form": form, "submit_label": submit, "cancel_url": back, "phase": 4,
        "consequences": consequences,
        "crumbs": [
            parts.Crumb(_("Rollouts"), reverse("releases:rollout-list")),
            parts.Crumb(_("Who knows of ring “%(ring)s”") % {"ring": ring.name}, back), parts.Crumb(title),
        ],
    }  # fmt: skip
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


# --- on the page of a rollout -------------------------------------------------------------------------------------------
def people_of_rollout(request: HttpRequest, rollout: Any) -> SafeString | None:
    """Ring after ring who knows."""
    knowing = telling.knowing_of(rollout)
    waits = telling.waits_of(rollout, signed(rollout.manifest_id).document["profile"], now=timezone.now())
    asked = set(
        DelayRequest.objects.filter(ring__rollout=rollout, state=DelayState.ASKED).values_list("ring_id", flat=True)
    )
    rows = [
        {
            "ring": ring,
            "knowing": knowing.get(ring.pk),
            "waits": here(waits.get(ring.pk, "")),
            "asked": ring.pk in asked,
        }
        for ring in rollout.rings.order_by("position")
    ]
    return mark_safe(render_to_string("releases/_people_of_rollout.html", {"rows": rows}, request))  # noqa: S308  a template escapes


panels.register("releases.rollout", people_of_rollout, order=10)


# --- beforehand ---------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def release_notices(request: HttpRequest, pk: int) -> HttpResponse:
    """What each audience of a release will read, and when."""
    actor = _actor(request)
    release = get_object_or_404(Release.objects.visible_to(actor).select_related("profile"), pk=pk)
    context = {
        "title": _("Who will be told what, when"),
        "phase": 3,
        "ident": [release.number],
        "lede": release.labelled,
        "previews": previews.of_release(release, voice=Voice.of(actor), at=timezone.now()),
        "screen": previews.screen_of(release),
        "profile": release.profile,
        "crumbs": [
            parts.Crumb(_("Releases"), reverse("releases:release-list")),
            parts.Crumb(release.number, release.get_absolute_url()),
            parts.Crumb(_("Notices")),
        ],
    }
    return render(request, "releases/notices.html", context)


@login_required
@require_safe
def rfc_notices(request: HttpRequest, pk: int) -> HttpResponse:
    """What people will read about a change: its decision, and its deployment as far as it is planned."""
    actor = _actor(request)
    rfc = get_object_or_404(RFC.objects.visible_to(actor), pk=pk)
    release = Release.objects.visible_to(actor).filter(links__rfc=rfc, links__left_at__isnull=True).first()
    now = timezone.now()
    voice = Voice.of(actor)
    context = {
        "title": _("Who will be told what, when"),
        "phase": 3,
        "ident": [rfc.number],
        "lede": rfc.title,
        "previews": [
            *previews.of_rfc(rfc, voice=voice, at=now),
            *(
                previews.of_release(release, voice=voice, at=now)
                if release
                else previews.of_targets(rfc, voice=voice, at=now)
            ),
        ],
        "screen": previews.screen_of(release) if release else "",
        "profile": release.profile if release else None,
        "planned": release is not None,
        "crumbs": [
            parts.Crumb(_("Changes"), reverse("changes:rfc-list")),
            parts.Crumb(rfc.number, rfc.get_absolute_url()),
            parts.Crumb(_("Notices")),
        ],
    }
    return render(request, "releases/notices.html", context)


def notices_of_rfc(request: HttpRequest, rfc: RFC) -> SafeString | None:
    """To what is told of it, until it has ended: then nobody will be told anything."""
    if rfc.state in TERMINAL:
        return None
    return _link(request, reverse("releases:rfc-notices", args=[rfc.pk]))


def notices_of_release(request: HttpRequest, release: Any) -> SafeString | None:
    return _link(request, reverse("releases:release-notices", args=[release.pk]))


def _link(request: HttpRequest, url: str) -> SafeString:
    return mark_safe(render_to_string("releases/_notices_link.html", {"url": url}, request))  # noqa: S308  a template escapes


panels.register("changes.rfc", notices_of_rfc, order=60)
panels.register("releases.release", notices_of_release, order=60)
