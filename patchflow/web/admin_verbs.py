"""Verbs as actions of the admin site: the page that shows their reach and asks for what they need, and the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.web import chosen
from patchflow.web.accounts import authenticated_at, confirmed
from patchflow.web.fields import refuse

if TYPE_CHECKING:
    from patchflow.web.admin import VerbAdmin

SHOWN = 200
"""Rows named one by one on the page that confirms an action; more are counted."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a verb would do elsewhere, before it is done. `token`: of exactly this; whoever confirms has seen it.

    `lines`: what it reaches, as (name, address, what becomes of it); `more`: how many besides; `note`: what is not named.
    """

    token: str
    sentence: str = ""
    lines: Sequence[tuple[str, str, str]] = ()
    more: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Partly:
    """What a call may return that did a part: what it did, and each that it refused."""

    done: str
    refused: Sequence[str] = ()


@dataclass(frozen=True)
class AdminVerb:
    """An action: `call(obj, actor, at, said)` runs one verb on one row.

    `said` is the reason, or, of a verb with a `form`, that form: the one of its web page, filled and valid. `form(data, obj,
    actor)` makes it. `on` says what `obj` is: "each" chosen row after the other (the form, one for all, is made of their list),
    the "one" that is chosen, "all" of them as a list in one call, or None for what is made "new".

    What stands against it is asked beforehand: of the verb's own question `why_not(obj, actor, at)`, else of the rules and
    gates of `transition`; a verb that does more, or less, than one transition has the former. One that `signs` asks for the
    password as its page does, and is given `authenticated_at`. `ahead(obj, actor, at, form)` is shown before, and the verb is
    not done before exactly that was seen; for verbs on "one".
    """

    name: str
    label: str | Promise
    call: Callable[..., Any]
    transition: str = ""
    needs_reason: bool = False
    form: Callable[[Any, Any, User], Any] | None = None
    on: Literal["each", "one", "all", "new"] = "each"
    why_not: Callable[[Any, User, Any], list[Blocker]] | None = None
    signs: bool = False
    ahead: Callable[[Any, User, Any, Any], Ahead | None] | None = None


def fires(name: str, label: str | Promise, *, needs_reason: bool = False) -> AdminVerb:
    """The admin verb that fires transition `name` through the one door."""

    def call(obj: Model, actor: User, at: Any, reason: str) -> None:
        facts = {"reason": reason} if needs_reason else {}
        workflow.fire(type(obj), obj.pk, name, actor=actor, at=at, **facts)

    return AdminVerb(name, label, call, transition=name, needs_reason=needs_reason)


def plain(form: type[Any], **initial: Callable[[Any], Any]) -> Callable[[Any, Any, User], Any]:
    """The maker of a form that is the same for every row, but for `initial` values read from the one it is about."""
    return lambda data, obj, _actor: form(data, initial={name: read(obj) for name, read in initial.items()})


def action(verb: AdminVerb) -> Callable[[VerbAdmin, HttpRequest, QuerySet[Any]], Any]:
    """The verb as Django's list runs it."""

    def run(window: VerbAdmin, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        return pressed(window, request, verb, list(rows))

    run.__name__ = verb.name
    run.short_description = verb.label  # type: ignore[attr-defined]
    return run


def purpose_of(window: VerbAdmin, verb: AdminVerb) -> str:
    """What the rows on the page of a verb were chosen for."""
    return f"{window.opts.label_lower}.{verb.name}"


def confirmed_on(window: VerbAdmin, request: HttpRequest) -> HttpResponse | None:
    """Presses the verb on the rows that its page has shown. None leads back to the list."""
    verb = next((one for one in window.verbs if one.name == request.POST.get("action")), None)
    keys = chosen.opened(request.POST["chosen"], purpose_of(window, verb)) if verb else None
    if verb is None or keys is None:
        said = _("This page does not say which rows were meant: choose them again.")
        window.message_user(request, said, messages.WARNING)
        return None
    rows = chosen.among(window.get_queryset(request), keys)
    return pressed(window, request, verb, rows, missing=len(keys) - len(rows))


def pressed(
    window: VerbAdmin, request: HttpRequest, verb: AdminVerb, rows: Sequence[Any], *, missing: int = 0
) -> HttpResponse | None:
    """The answer to a verb pressed on these rows; `missing`: so many of those that were shown are not there any more."""
    if not rows:
        window.message_user(request, _("None of these rows is there for you (any more)."), messages.WARNING)
        return None
    if verb.on == "one" and len(rows) > 1:
        window.message_user(request, _("Choose one row alone: this is asked of one at a time."), messages.WARNING)
        return None
    return Pressed(window, request, verb, rows, missing=missing).answer()


def _row(obj: Any) -> Any:
    """What a refusal is kept by: the row that it is about, or None where it is about all of them, or of something new."""
    return obj if isinstance(obj, Model) else None


class Pressed:
    """A verb that somebody pressed on these rows, with what was typed."""

    def __init__(
        self,
        window: VerbAdmin,
        request: HttpRequest,
        verb: AdminVerb,
        chosen: Sequence[Any] = (),
        *,
        missing: int = 0,
    ) -> None:
        self.window, self.request, self.verb, self.chosen, self.missing = window, request, verb, chosen, missing
        actor: Any = request.user
        self.actor: User = actor
        # "all of them" may be others by now than those that were shown: then it is asked, whatever was sent
        self.is_sent = "confirmed" in request.POST and request.POST.get("select_across", "0") == "0"
        self.reason = request.POST.get("reason", "").strip()
        self.about: Any = {"new": None, "one": chosen[0] if chosen else None}.get(verb.on, chosen)
        self.form = verb.form(request.POST if self.is_sent else None, self.about, self.actor) if verb.form else None
        self.refused: dict[Any, str] = {}
        self.is_refused = False
        self.is_unseen = False

    def answer(self) -> HttpResponse | None:
        """The page that asks; or, when it was sent with all that the verb needs, back to the list. None leads there too."""
        if not self.is_sent or self.missing or not self._is_complete():
            return self._ask()
        ahead = self._ahead()
        if ahead and ahead.token != self.request.POST.get("seen", ""):
            self.is_unseen = True
            return self._ask()
        if self.verb.signs:
            answer: HttpResponse | None = confirmed(lambda _request: self._act())(self.request)
            return answer
        return self._act()

    def _is_complete(self) -> bool:
        if self.form is not None:
            return bool(self.form.is_valid())
        return bool(self.reason or not self.verb.needs_reason)

    def _ahead(self) -> Ahead | None:
        """What it would do elsewhere; nothing where it will be refused anyway."""
        if self.verb.ahead is None or (self.form is not None and self.form.is_bound and not self.form.is_valid()):
            return None
        try:
            return self.verb.ahead(self.about, self.actor, timezone.now(), self.form)
        except Refusal:
            return None

    def _act(self) -> HttpResponse | None:
        """Runs the verb; what was refused says why, and if that is all, it is asked again."""
        targets = self.chosen if self.verb.on == "each" else [self.about]
        made = []
        for obj in targets:
            try:
                made.append(self._call(obj))
            except Refusal as refusal:
                self._note(obj, refusal)
        if not made:
            self.is_refused = True
            return self._ask()
        for obj, why in self.refused.items():
            self.window.message_user(self.request, f"{obj}: {why}", messages.ERROR)
        self._tell(made)
        return None

    def _call(self, obj: Any) -> Any:
        given = {"authenticated_at": authenticated_at(self.request)} if self.verb.signs else {}
        said = self.reason if self.form is None else self.form
        return self.verb.call(obj, self.actor, timezone.now(), said, **given)

    def _note(self, obj: Any, refusal: Refusal) -> None:
        if self.form is not None and self.verb.on != "each":
            refuse(self.form, refusal)
        else:
            self.refused[_row(obj)] = refusal.said

    def _tell(self, made: Sequence[Any]) -> None:
        parts = [one for one in made if isinstance(one, Partly)]
        for why in (why for part in parts for why in part.refused):
            self.window.message_user(self.request, why, messages.ERROR)
        for part in parts:
            self.window.message_user(self.request, part.done, messages.SUCCESS)
        if not (made := [one for one in made if not isinstance(one, Partly)]):
            return
        told = {"label": self.verb.label, "n": len(made)}
        new = [one for one in made if isinstance(one, Model) and one not in self.chosen]
        if new and self.verb.on != "each":
            said = _("%(label)s: %(what)s.") % {**told, "what": new[0]}
        else:
            n = len(self.chosen) if self.verb.on == "all" else len(made)
            said = ngettext("%(label)s: done for %(n)d row.", "%(label)s: done for %(n)d rows.", n) % {**told, "n": n}
        self.window.message_user(self.request, said, messages.SUCCESS)

    def _against(self, obj: Any) -> str:
        """Why the verb was, or will be, refused for this row, or for all together."""
        if self.is_refused:
            return self.refused.get(_row(obj), "")
        return self.window.explain(self.verb, obj, self.actor, timezone.now())

    def _ask(self) -> TemplateResponse:
        """The page that says what the action will touch and asks for what it needs; again, with what was typed, where that was
        not enough or every row refused."""
        together = self.verb.on in ("all", "new")
        shown = [(obj, "" if together else self._against(obj)) for obj in self.chosen[:SHOWN]]
        context = {
            **self.window.admin_site.each_context(self.request),
            "title": self.verb.label,
            "verb": self.verb,
            "opts": self.window.model._meta,
            "shown": shown,
            "count": len(self.chosen),
            "whole": self._against(self.about) if together else "",
            "all_refused": self.is_refused,
            "refused": sum(bool(against) for _obj, against in shown),
            "more": max(len(self.chosen) - SHOWN, 0),
            "reason_missing": self.is_sent and self.verb.needs_reason and not self.reason,
            "reason": self.reason,
            "form": self.form,
            "sealed": chosen.sealed(self.chosen, purpose_of(self.window, self.verb)) if self.chosen else "",
            "missing": self.missing,
            "ahead": self._ahead(),
            "unseen": self.is_unseen,
            # who confirms with the password goes on only at an address without a query
            "place": self.request.path if self.verb.signs else "",
        }
        return TemplateResponse(self.request, "web/admin_verb.html", context)
