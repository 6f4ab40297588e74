"""Nothing that a caller says is left out in silence: a parameter or a field that an address does not know is refused, by name.

What an address knows is what its own description says: the parameters of its filters, its pages and its `extend_schema`, and
the fields of the shape that its body has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import Http404
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

FORMAT = str(api_settings.URL_FORMAT_OVERRIDE)


class Exact(APIView):
    """Base of every view: before it acts, its address and (where its verb takes nothing) its body are compared with what it knows."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if (operation := _operation(self, request)) is None:
            return
        known = _parameters(self, request, operation) if request.query_params else set()
        wrong: dict[str, Any] = _strange(request.query_params, known, "parameter")
        if request.method not in ("GET", "HEAD") and _takes_nothing(operation):
            wrong |= _strange(_body(request), (), "field")
        if wrong:
            raise serializers.ValidationError(wrong)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        try:
            return super().perform_content_negotiation(request, force)
        except Http404:
            known = sorted(renderer.format for renderer in self.get_renderers())
            said = f"There is no such format here. Known: {', '.join(known)}."
            raise serializers.ValidationError({FORMAT: [said]}) from None


def shape_errors(shape: Any, data: Any) -> Any:
    """What of `data` the shape does not know, nested as `errors` are; empty if it knows all."""
    if isinstance(shape, serializers.ListSerializer | serializers.ListField):
        rows = [shape_errors(shape.child, one) for one in data] if isinstance(data, list) else []
        return rows if any(rows) else []
    if not isinstance(shape, serializers.Serializer) or not isinstance(data, Mapping):
        return {}
    fields = {name: field for name, field in shape.fields.items() if not field.read_only}
    wrong = _strange(data, fields, "field")
    inner = {name: shape_errors(field, data[name]) for name, field in fields.items() if name in data}
    return wrong | {name: errors for name, errors in inner.items() if errors}


def _strange(given: Any, known: Iterable[str], what: str) -> dict[str, Any]:
    """An error for each name of `given` that is not known."""
    if not given:
        return {}
    if not isinstance(given, Mapping):
        return {api_settings.NON_FIELD_ERRORS_KEY: [f"No {what} is known here."]}
    told = f"Known: {', '.join(sorted(known))}." if known else "None is known."
    return {str(name): [f"There is no such {what} here. {told}"] for name in given if name not in known}


def _body(request: Request) -> Any:
    """What was sent; nothing if it was an empty form, which no parser need understand."""
    try:
        return request.data
    except UnsupportedMediaType:
        if request._request.POST or request._request.FILES:
            raise
        return {}


def _operation(view: Any, request: Request) -> Any:
    """How the operation that the request asks for describes itself; nothing where there is none."""
    name = getattr(view, "action", None) or str(request.method).lower()
    handler = getattr(view, name, None)
    if handler is None or request.method == "OPTIONS":
        return None
    declared = getattr(handler, "kwargs", {}).get("schema", api_settings.DEFAULT_SCHEMA_CLASS)
    operation = declared()
    operation.view, operation.method = view, "GET" if request.method == "HEAD" else request.method
    return operation


def _parameters(view: Any, request: Request, operation: Any) -> set[str]:
    said = {one.name for one in operation.get_override_parameters() if one.location == "query"}
    lists = request.method in ("GET", "HEAD") and getattr(view, "action", "") != "retrieve"
    if lists and getattr(view, "filter_backends", None):
        for backend in view.filter_backends:
            filters = backend().get_filterset_class(view, view.get_queryset())
            said |= set(filters.base_filters) if filters else set()
    if lists and (pages := getattr(view, "paginator", None)):
        said |= {pages.cursor_query_param, pages.page_size_query_param}
    return said | {FORMAT}


def _takes_nothing(operation: Any) -> bool:
    shape = operation.get_request_serializer()
    shape = shape() if isinstance(shape, type) else shape
    return shape is None or not getattr(shape, "fields", True)
