"""The base classes of all views over REST."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase
from rest_framework import mixins, viewsets
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

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
    """Reads of what the caller may see: page by page, or the whole list as CSV."""

    def get_renderers(self) -> list[BaseRenderer]:
        return [*super().get_renderers(), *([CSVRenderer()] if self.action == "list" else [])]

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return self._csv(request) if request.accepted_renderer.format == "csv" else super().list(request)

    def _csv(self, request: Request) -> HttpResponseBase:
        """Every row that the filters let through, in the order of the pages; cut where the lists of the pages are."""
        rows = self.filter_queryset(self.get_queryset())
        rows = rows.order_by(*self.paginator.get_ordering(request, rows, self))  # type: ignore[union-attr]
        shape: Any = self.get_serializer()
        columns = [(name, lambda told, name=name: _cell(told[name])) for name in shape.fields]
        return csv_response(
            f"{self.basename}.csv",
            columns,
            self._in_pieces(rows.iterator(chunk_size=PIECE)),
            most=settings.PATCHFLOW["CSV_LINES"],
        )

    def _in_pieces(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The rows as their shape tells them, piece by piece: what is asked for a page at once is asked for a piece at once."""
        while piece := list(islice(rows, PIECE)):
            yield from self.get_serializer(piece, many=True).data


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
