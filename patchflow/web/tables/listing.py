"""A list page in one object: filters and order from the address, one page by cursor, the whole as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext as _

from patchflow.kernel.csv_text import csv_response
from patchflow.web.tables.columns import Column, Head, Table
from patchflow.web.tables.cursors import CursorPage, keys_of
from patchflow.web.tables.saving import SavedMenu, menu_of

Apply = Callable[[QuerySet[Any], str], QuerySet[Any]]
Choices = Sequence[tuple[str, str | Promise]]
PIECE = 2000
"""Rows that a file reads at a time."""
WHOLE = "0"
"""`?saved=0`: the whole list, whatever this person begins it with."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a list. `apply` is a lookup ("state", "name__icontains") or a function (queryset, value).

    With `choices` only these values are taken; without, any text.
    """

    name: str
    label: str | Promise
    apply: str | Apply
    choices: Choices | Callable[[], Choices] | None = None
    hint: str | Promise = ""

    @property
    def options(self) -> list[tuple[str, str | Promise]]:
        found = self.choices() if callable(self.choices) else self.choices
        return [(str(value), label) for value, label in found or ()]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return self.apply(queryset, value) if callable(self.apply) else queryset.filter(**{self.apply: value})


@dataclass(frozen=True, slots=True)
class Control:
    """A filter as the bar shows it: what can be chosen, what is set, how to take it off."""

    filter: Filter
    options: list[tuple[str, str | Promise]]
    value: str
    shown: str | Promise
    without: str


class Listing:
    """The list of a page.

    `sorts` maps names in the address to fields (("name",) or ("-score", "name")); `default` is one of them, with "-" in
    front for the other way round. A value that a filter does not offer is not applied and named in `problems`. Columns
    are left out by name (`?without=kind`), the first never.
    """

    def __init__(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        columns: Sequence[Column],
        *,
        sorts: Mapping[str, Sequence[str]],
        default: str,
        now: datetime,
        filters: Sequence[Filter] = (),
        size: int = 50,
        caption: str = "",
        prefix: str = "",
        selected: Callable[[Any], Any] | None = None,
    ) -> None:
        self.request, self.every_column, self.sorts, self.filters = request, columns, sorts, filters
        self.caption, self.size, self.prefix, self.now, self.selected = caption, size, prefix, now, selected
        self.css = ""
        self.problems: list[str] = []
        self.default = default
        self.sort = request.GET.get(f"{prefix}sort") or default
        if self.sort.lstrip("-") not in sorts:
            self.problems.append(_("The list cannot be sorted by “%(name)s”.") % {"name": self.sort.lstrip("-")})
            self.sort = default
        self.columns = self._without()
        self.controls: list[Control] = []
        self.queryset = self._narrow(queryset)
        self.saved: SavedMenu | None = menu_of(self)
        if hasattr(request, "reads_list"):
            request.reads_list(self)

    @property
    def optional(self) -> list[Column]:
        """The columns that can be left out."""
        return [c for c in self.every_column if c.key and c.label][1:]

    @cached_property
    def left_out(self) -> list[str]:
        """The names of the columns that the address leaves out, as it has them."""
        return [name for name in self.request.GET.getlist(f"{self.prefix}without") if name]

    def _without(self) -> list[Column]:
        names = {c.key for c in self.optional}
        for name in self.left_out:
            if name not in names:
                self.problems.append(_("There is no column “%(name)s” to leave out.") % {"name": name})
        return [c for c in self.every_column if c.key not in set(self.left_out) & names]

    def _narrow(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for one in self.filters:
            value = self.request.GET.get(f"{self.prefix}{one.name}", "").strip()
            options = one.options
            shown: str | Promise = value
            if value and one.choices is not None:
                labels = dict(options)
                if value not in labels:
                    self.problems.append(
                        _("%(label)s: “%(value)s” is not one of the choices; it was left out.")
                        % {"label": one.label, "value": value}
                    )
                    value = ""
                shown = labels.get(value, "")
            if value:
                queryset = one.narrow(queryset, value)
            self.controls.append(Control(one, options, value, shown, self._address(**{one.name: ""})))
        return queryset

    @property
    def order(self) -> tuple[str, ...]:
        """The fields behind the current sort, in its direction."""
        fields = self.sorts[self.sort.lstrip("-")]
        if not self.sort.startswith("-"):
            return tuple(fields)
        return tuple(name[1:] if name.startswith("-") else f"-{name}" for name in fields)

    @cached_property
    def page(self) -> CursorPage[Any]:
        return CursorPage(self.queryset, self.order, self.request, self.size, prefix=self.prefix)

    @property
    def active(self) -> list[Control]:
        """The filters that are set."""
        return [control for control in self.controls if control.value]

    @property
    def rest_active(self) -> bool:
        """Whether one of the filters behind the first four is set: they are folded away otherwise."""
        return any(control.value for control in self.controls[4:])

    @property
    def heads(self) -> list[Head]:
        return [Head(c, *self._sorting(c.sort)) if c.sort in self.sorts else Head(c) for c in self.columns]

    def _sorting(self, name: str) -> tuple[str, str]:
        if self.sort == name:
            return self._address(sort=f"-{name}"), "ascending"
        return self._address(sort=name), "descending" if self.sort == f"-{name}" else ""

    @cached_property
    def table(self) -> Table:
        return Table(self.columns, self.page, self.now, self.caption, self.selected)

    @property
    def rows(self) -> list[Any]:
        return self.table.rows

    def __bool__(self) -> bool:
        return bool(self.page)

    @property
    def clear_url(self) -> str:
        """The list without a filter; where the person begins it with a saved one, the address says that it is whole."""
        whole = WHOLE if self.saved and self.saved.default else ""
        return self._address(**{one.name: "" for one in self.filters}, saved=whole)

    @property
    def csv_url(self) -> str:
        return self._address(format="csv")

    @property
    def wants_csv(self) -> bool:
        """Whether the address asks for the whole list as a file (`?format=csv`)."""
        return self.request.GET.get(f"{self.prefix}format") == "csv"

    def csv(self, filename: str, *, learn: Callable[[Sequence[Any]], object] | None = None) -> StreamingHttpResponse:
        """Every row that the filters let through, in the same order, as CSV; read from the database in pieces.

        `learn` is told each piece before it is written, where a column knows more than its row. A list longer than
        `PATCHFLOW_CSV_LINES` is cut, and its last line says so.
        """
        columns = [(c.head, c.plain) for c in self.columns if c.key or c.label]
        ordered = self.queryset.order_by(*(k.order(forward=True) for k in keys_of(self.queryset, self.order)))
        return csv_response(filename, columns, self._in_pieces(ordered, learn), most=settings.PATCHFLOW["CSV_LINES"])

    @staticmethod
    def _in_pieces(rows: QuerySet[Any], learn: Callable[[Sequence[Any]], object] | None) -> Iterator[Any]:
        found = rows.iterator(chunk_size=PIECE)
        while piece := list(islice(found, PIECE)):
            if learn:
                learn(piece)
            yield from piece

    def _address(self, **changes: str) -> str:
        """This address with `changes`, from the first page."""
        query = self.request.GET.copy()
        for name in ("after", "before", "format", "saved", *changes):
            query.pop(f"{self.prefix}{name}", None)
        for name, value in changes.items():
            if value:
                query[f"{self.prefix}{name}"] = value
        return f"?{query.urlencode()}" if query else "?"
