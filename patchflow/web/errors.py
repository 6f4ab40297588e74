"""The pages of errors: what happened, what was kept, what to do. The roof names these as Django's handlers."""

from __future__ import annotations

import sys

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template import loader

from patchflow.kernel.away import AWAY, RETRY_AFTER, is_away


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400. The reason is shown only where it is ours to show (a cursor of another list, a size too large)."""
    reason = (
        str(exception)
        if isinstance(exception, SuspiciousOperation) and type(exception) is not SuspiciousOperation
        else ""
    )
    return render(request, "400.html", {"reason": reason}, status=400)


class ForNobody(PermissionDenied):
    """What no role allows: there is nobody to ask."""


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403, with the sentence of the `PermissionDenied` if it has one."""
    reason = str(exception) if isinstance(exception, PermissionDenied) else ""
    context = {"reason": reason, "for_nobody": isinstance(exception, ForNobody)}
    return render(request, "403.html", context, status=403)


def page_not_found(request: HttpRequest, exception: Http404 | None = None) -> HttpResponse:
    """404; whether a thing does not exist or may not be seen is not told apart."""
    return render(request, "404.html", status=404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form without a valid token: mostly one that lay open for too long."""
    return render(request, "403_csrf.html", status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, with the reference under which the log has the rest; 503 where the database is away. Without the frame, which
    may be what failed."""
    if is_away(sys.exc_info()[1]):
        return unavailable(request)
    return HttpResponse(loader.get_template("500.html").render({"reference": _reference(request)}), status=500)


def unavailable(request: HttpRequest) -> HttpResponse:
    """503 and when to try again: a page, or problem details where a program asked."""
    reference = _reference(request)
    if request.path.startswith("/api/"):
        body = {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": AWAY,
            "correlation_id": reference,
        }
        response: HttpResponse = JsonResponse(body, status=503, content_type="application/problem+json")
    else:
        again = request.get_full_path() if request.method in ("GET", "HEAD") else "/"
        page = loader.get_template("503.html").render({"reference": reference, "again": again})
        response = HttpResponse(page, status=503)
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def _reference(request: HttpRequest) -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id") or request.headers.get("X-Request-ID", ""))
