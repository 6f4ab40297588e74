"""The viewer's zone and language, their first log-in, and refusals of the domain as pages that say why."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone, translation

from patchflow.kernel.errors import Refusal
from patchflow.web.parts import Problem

GetResponse = Callable[[HttpRequest], HttpResponse]


class PersonalMiddleware:
    """Shows times in the viewer's zone and words in the viewer's language, and clears both afterwards."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = getattr(request, "user", None)
        if user is None or not user.is_authenticated:
            with timezone.override(None):
                return self.get_response(request)
        with (
            timezone.override(zone_of(user)),
            translation.override(getattr(user, "language", "") or translation.get_language()),
        ):
            request.LANGUAGE_CODE = translation.get_language()
            return self.get_response(request)


class FirstLogInMiddleware:
    """Whoever logged in with a password that somebody else told them chooses their own before anything else works.

    Over REST such a password gives no token (`api.access`).
    """

    OPEN = frozenset({
        "account_change_password", "account_login", "account_logout", "account_reset_password", "account_reset_password_done",
        "account_reset_password_from_key", "account_reset_password_from_key_done",
    })  # fmt: skip
    """What leads to a password of one's own, or out."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        user: Any = request.user
        name = request.resolver_match.view_name if request.resolver_match else ""
        if not user.is_authenticated or not user.must_change_password or name in self.OPEN:
            return None
        where = reverse("account_change_password")
        if getattr(request, "htmx", False):
            return HttpResponse(status=204, headers={"HX-Redirect": where})
        return redirect(where)


def zone_of(user: object) -> zoneinfo.ZoneInfo | None:
    """The zone the person chose; none (the server's, which the page names) if it is empty or no zone."""
    try:
        return zoneinfo.ZoneInfo(getattr(user, "time_zone", "") or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None


class RefusalMiddleware:
    """A verb's refusal that a view let through becomes a page with every reason, or a fragment for htmx.

    The views' transaction is already rolled back here: nothing was changed. REST maps refusals itself.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, Refusal) or not request.accepts("text/html"):
            return None
        return refuse(request, exception)


def refuse(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """The page of a refusal, with its status; to htmx only the note, for the page's `#problem`."""
    partial = bool(getattr(request, "htmx", False)) and not getattr(request.htmx, "boosted", False)  # type: ignore[attr-defined]
    problem = Problem(title=translation.gettext(refusal.title), blockers=refusal.blockers, back=back(request))
    template = "web/_problem.html" if partial else "web/problem.html"
    response = render(request, template, {"problem": problem, "status": refusal.status}, status=refusal.status)
    if partial:
        response["HX-Retarget"], response["HX-Reswap"] = "#problem", "innerHTML show:top"
    return response


def back(request: HttpRequest) -> str:
    """Where the person came from, if that was a page of ours: of what was sent, the page of its form too; else nothing."""
    referer = urlsplit(request.headers.get("Referer", ""))
    here = referer.netloc == request.get_host() and not referer.path.startswith("//")
    if here and (referer.path != request.path or request.method == "POST"):
        return referer.path + (f"?{referer.query}" if referer.query else "")
    return ""
