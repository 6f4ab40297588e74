"""Verbs as actions of the admin site: the page that shows their reach and asks for what they need, and the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
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
from patchflow.web.accounts import authenticated_at, confirmed
from patchflow.web.fields import refuse

if TYPE_CHECKING:
    from patchflow.web.admin import VerbAdmin

SHOWN = 200
"""Rows named one by one on the page that confirms an action; more are counted."""


@dataclass(frozen=True)
class AdminVerb:
    """An action: `call(obj, actor, at, said)` runs one verb on one row.

    `said` is the reason, or, of a verb with a `form`, that form: the one of its web page, filled and valid. `form(data, obj,
    actor)` makes it. `on` says what `obj` is: "each" chosen row after the other (the form, one for all, is made of their list),
    the "one" that is chosen, "all" of them as a list in one call, or None for what is made "new".

    What stands against it is asked beforehand: of the verb's own question `why_not(obj, actor, at)`, else of the rules and
    gates of `transition`; a verb that does more, or less, than one transition has the former. One that `signs` asks for the
    password as its page does, and is given `authenticated_at`.
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
        chosen = list(rows)
        if not chosen:
            window.message_user(request, _("None of these rows is there for you (any more)."), messages.WARNING)
            return None
        if verb.on == "one" and len(chosen) > 1:
            window.message_user(request, _("Choose one row alone: this is asked of one at a time."), messages.WARNING)
            return None
        return Pressed(window, request, verb, chosen).answer()

    run.__name__ = verb.name
    run.short_description = verb.label  # type: ignore[attr-defined]
    return run


class Pressed:
    """A verb that somebody pressed on these rows, with what was typed."""

    def __init__(self, window: VerbAdmin, request: HttpRequest, verb: AdminVerb, chosen: Sequence[Any] = ()) -> None:
        self.window, self.request, self.verb, self.chosen = window, request, verb, chosen
        actor: Any = request.user
        self.actor: User = actor
        self.is_sent = "confirmed" in request.POST
        self.reason = request.POST.get("reason", "").strip()
        self.about: Any = {"new": None, "one": chosen[0] if chosen else None}.get(verb.on, chosen)
        self.form = verb.form(request.POST if self.is_sent else None, self.about, self.actor) if verb.form else None
        self.refused: dict[Any, str] = {}
        self.is_refused = False

    def answer(self) -> HttpResponse | None:
        """The page that asks; or, when it was sent with all that the verb needs, back to the list. None leads there too."""
        if not self.is_sent or not self._is_complete():
            return self._ask()
        if self.verb.signs:
            answer: HttpResponse | None = confirmed(lambda _request: self._act())(self.request)
            return answer
        return self._act()

    def _is_complete(self) -> bool:
        if self.form is not None:
            return bool(self.form.is_valid())
        return bool(self.reason or not self.verb.needs_reason)

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
            self.refused[obj] = refusal.said

    def _tell(self, made: Sequence[Any]) -> None:
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
            return self.refused.get(obj, "") if isinstance(obj, Model) else ""
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
            "checkbox": ACTION_CHECKBOX_NAME,
            "reason_missing": self.is_sent and self.verb.needs_reason and not self.reason,
            "reason": self.reason,
            "form": self.form,
            "rows": self.chosen,
            "select_across": self.request.POST.get("select_across", "0"),
            # who confirms with the password goes on only at an address without a query
            "place": self.request.path if self.verb.signs else "",
        }
        return TemplateResponse(self.request, "web/admin_verb.html", context)
