"""Lists: pages by cursor (never a count), sorting and filters from the address, the same columns as CSV."""

from patchflow.kernel.csv_text import csv_response, harmless
from patchflow.web.tables.columns import Column, Head, Row, Table
from patchflow.web.tables.cursors import BadCursor, CursorPage
from patchflow.web.tables.listing import Filter, Listing
from patchflow.web.tables.saving import list_page

__all__ = [
    "BadCursor",
    "Column",
    "CursorPage",
    "Filter",
    "Head",
    "Listing",
    "Row",
    "Table",
    "csv_response",
    "harmless",
    "list_page",
]
