"""Problem details (RFC 9457): every refusal over REST has its reasons, the same as on the page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from patchflow.kernel.audit import correlation_id
from patchflow.kernel.away import AWAY, RETRY_AFTER, is_away
from patchflow.kernel.errors import Refusal

MEDIA_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, **members: Any) -> Response:
    """A response in RFC 9457 form with `correlation_id` and whatever `members` say (`blockers`, `errors`)."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "correlation_id": correlation_id(),
        **members,
    }
    return Response(body, status=status, content_type=MEDIA_TYPE)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: refusals, its own errors, 404, 403, a database that is away. Anything else is a bug: 500."""
    if isinstance(error, Refusal):
        set_rollback()
        return problem(error.status, error.title, str(error), blockers=[b.as_dict() for b in error.blockers])
    if is_away(error):
        set_rollback()
        response = problem(503, HTTPStatus.SERVICE_UNAVAILABLE.phrase, AWAY)
        response["Retry-After"] = str(RETRY_AFTER)
        return response
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    title = HTTPStatus(error.status_code).phrase
    if isinstance(error, exceptions.ValidationError):
        response = problem(error.status_code, title, "Some fields cannot be used; see errors.", errors=error.detail)
    else:
        response = problem(error.status_code, title, str(error.detail))
    for name, value in headers.items():
        response[name] = value
    return response
