"""Cursor pages everywhere: the deepest page costs what the first does, and nothing is counted unasked."""

from __future__ import annotations

from rest_framework import pagination


class CursorPagination(pagination.CursorPagination):
    """Newest first unless the view's `ordering` says otherwise; `?page_size=` up to 500."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
    ordering = "-pk"
