"""Columns: said once, shown as a table, as records on a narrow screen, and as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from patchflow.web import states, words, wordtags

Take = Callable[[Any], Any]
Label = str | Promise


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `value` is a path ("item.name") or a function of the row; its type decides how it is shown.

    `url` makes the value a link, `state` shows it as the badge of that machine, `age` shows a moment as "6 h".
    `sort` names it in the address (the listing says which fields stand behind it); `text` is the CSV's value if it
    differs; `numeric` aligns right; `wide` lets it wrap. `name` is what a saved filter calls it where `sort` and `value` do not
    say it; a column without label and name (a button) is no part of the file and cannot be left out. `kept`: "said" or "mixed" where
    the value is a sentence that was kept (`wordtags.kept`); the file has it as it was kept.
    """

    label: Label
    value: str | Take
    url: Take | None = None
    state: str = ""
    age: bool = False
    numeric: bool = False
    wide: bool = False
    mono: bool = False
    sort: str = ""
    text: Take | None = None
    name: str = ""
    kept: str = ""

    @property
    def key(self) -> str:
        """Its name in the address; the same in every language."""
        path = self.value.replace(".", "-").replace("_", "-") if isinstance(self.value, str) else ""
        return self.name or self.sort or path

    @property
    def head(self) -> str:
        """Its heading in a file."""
        return str(self.label) or self.key.capitalize()

    def take(self, row: Any) -> Any:
        """The value of `row` in this column."""
        if callable(self.value):
            return self.value(row)
        return reduce(lambda obj, name: None if obj is None else getattr(obj, name), self.value.split("."), row)

    def plain(self, row: Any) -> Any:
        """The value for CSV."""
        if self.text:
            return self.text(row)
        value = self.take(row)
        return str(states.look(self.state, value).label) if self.state else value

    def markup(self, row: Any, now: datetime) -> str:
        """The value as it stands in the cell, escaped."""
        value = self.take(row)
        shown: str
        if self.state:
            shown = wordtags.state(self.state, value)
        elif isinstance(value, SafeString):
            shown = value
        elif value is None or value == "":
            shown = "–"
        elif isinstance(value, datetime):
            shown = wordtags.time_tag(
                value, words.duration(now - value) if self.age else words.at(value, now=now), "age" if self.age else ""
            )
        elif isinstance(value, bool):
            shown = _("yes") if value else _("no")
        elif isinstance(value, int | Decimal):
            shown = words.number(value)
        else:
            shown = wordtags.unbroken(wordtags.kept(value, self.kept) if self.kept else value)
        if self.mono:
            shown = format_html('<span class="mono">{}</span>', shown)
        address = self.url(row) if self.url else ""
        return format_html('<a href="{}">{}</a>', address, shown) if address else shown


@dataclass(frozen=True, slots=True)
class Head:
    """A heading, with the address that sorts by it."""

    column: Column
    url: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    cells: tuple[tuple[Column, str], ...]
    selected: bool = False


@dataclass(slots=True)
class Table:
    """Rows under columns, without paging: for the cards of an object's page."""

    columns: Sequence[Column]
    source: Iterable[Any]
    now: datetime
    caption: str = ""
    selected: Take | None = None
    css: str = ""
    _rows: list[Row] | None = field(default=None, repr=False)

    @property
    def heads(self) -> list[Head]:
        return [Head(column) for column in self.columns]

    @property
    def rows(self) -> list[Row]:
        if self._rows is None:
            self._rows = [
                Row(
                    tuple((c, c.markup(row, self.now)) for c in self.columns),
                    bool(self.selected and self.selected(row)),
                )
                for row in self.source
            ]
        return self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)
