"""The base classes of all views over REST."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase
from rest_framework import mixins, viewsets
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.exact import Exact
from patchflow.kernel.csv_text import csv_response

PIECE = 2000
"""Rows that a file reads at a time."""


class CSVRenderer(JSONRenderer):
    """Says that a list can be had as CSV. The list writes it itself, line by line; what is rendered here is a refusal."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"


class ViewSet(Exact, viewsets.ViewSet):
    """A view of what is no table."""


class ReadViewSet(Exact, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """Reads of what the caller may see: page by page, or the whole list as CSV. A list beneath an object is `table(…)`, by an
    action that says `csv=True`."""

    csv = False

    def get_renderers(self) -> list[BaseRenderer]:
        asks = getattr(self.request, "method", "GET") in ("GET", "HEAD")
        is_list = self.action == "list" or (self.csv and asks)
        return [*super().get_renderers(), *([CSVRenderer()] if is_list else [])]

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        if request.accepted_renderer.format != "csv":
            return super().list(request)
        return self._file(self.filter_queryset(self.get_queryset()), self.get_serializer)

    def table(self, shape: Any, rows: Any, *, context: Mapping[str, Any] | None = None) -> Any:
        """These rows, each in the shape of this serializer: as CSV if that is asked for, page by page where the action has pages,
        else all of them."""

        def shaped(*given: Any, **more: Any) -> Any:
            return shape(*given, context=dict(context or {}), **more)

        if self.request.accepted_renderer.format == "csv":
            return self._file(rows, shaped)
        if self.paginator is None:
            return Response(shaped(rows, many=True).data)
        return self.get_paginated_response(shaped(self.paginate_queryset(rows), many=True).data)

    def _file(self, rows: Any, shaped: Callable[..., Any]) -> HttpResponseBase:
        """Every row, in the order of the pages; cut where the lists of the pages are."""
        if self.paginator is not None:
            rows = rows.order_by(*self.paginator.get_ordering(self.request, rows, self))  # type: ignore[attr-defined]
        all_of_them = rows.iterator(chunk_size=PIECE) if self.paginator is not None else iter(rows)
        columns = [(name, lambda told, name=name: _cell(told[name])) for name in shaped().fields]
        named = self.basename if self.action == "list" else f"{self.basename}-{self.action}"
        return csv_response(
            f"{named}.csv", columns, self._in_pieces(all_of_them, shaped), most=settings.PATCHFLOW["CSV_LINES"]
        )

    def _in_pieces(self, rows: Iterator[Any], shaped: Callable[..., Any]) -> Iterator[Any]:
        """The rows as their shape tells them, piece by piece: what is asked for a page at once is asked for a piece at once."""
        while piece := tuple(islice(rows, PIECE)):
            yield from shaped(piece, many=True).data


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
