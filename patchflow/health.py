"""Is it alive, is it ready, what does it count. `healthz` and `readyz` need no log-in; metrics need a token or loopback."""

from __future__ import annotations

import hmac

import django_prometheus.exports
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse

from patchflow.kernel import queue


def alive(_request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok", content_type="text/plain")


def ready(_request: HttpRequest) -> JsonResponse:
    """Database migrated: else 503. Cache and broker are named where they are away: reads and decisions go on without them."""
    parts = {"database": _database(), "cache": _cache(), "broker": _broker()}
    good = parts["database"] == "ok"
    return JsonResponse({"ready": good, **parts}, status=200 if good else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics, for loopback or the bearer of PATCHFLOW_METRICS_TOKEN."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if (token and hmac.compare_digest(given, token)) or (
        not token and request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1")
    ):
        return django_prometheus.exports.ExportToDjangoView(request)
    return HttpResponseForbidden("Metrics need PATCHFLOW_METRICS_TOKEN.")


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        return "migrations pending" if executor.migration_plan(executor.loader.graph.leaf_nodes()) else "ok"
    except Exception as error:
        return type(error).__name__


def _cache() -> str:
    try:
        cache.set("patchflow-ready", "1", 10)
        if getattr(cache, "away", False):
            return "away: each process remembers for itself"
        return "ok" if cache.get("patchflow-ready") == "1" else "forgets"
    except Exception as error:
        return type(error).__name__


def _broker() -> str:
    try:
        queue.reach_broker(seconds=2)
        return "ok"
    except Exception as error:
        return type(error).__name__
