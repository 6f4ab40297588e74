"""CSV that a spreadsheet opens without running anything: one for the lists of pages and of REST."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.translation import get_language
from django.utils.translation import gettext as _

STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the start of a formula (OWASP, "CSV Injection"), with its full-width forms."""


def harmless(value: Any) -> str:
    """`value` as the text of a cell. Text that would start a formula gets an apostrophe; figures stay figures."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | Decimal | float):
        return str(value)
    if isinstance(value, datetime):
        return (
            timezone.localtime(value, timezone.get_default_timezone()).isoformat(timespec="seconds")
            if timezone.is_aware(value)
            else value.isoformat()
        )
    if isinstance(value, date):
        return value.isoformat()
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.lstrip(" \u00a0").startswith(STARTS_FORMULA) or text.startswith(STARTS_FORMULA) else text


class _Echo:
    def write(self, line: str) -> str:
        return line


def csv_lines(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow([harmless(cell) for cell in head])
    for row in rows:
        yield writer.writerow([harmless(cell) for cell in row])


def cut(rows: Iterable[Any], most: int | None, word: Callable[[int], Any]) -> Iterator[Any]:
    """At most `most` rows; if there are more, `word(most)` as the last."""
    for number, row in enumerate(rows):
        if most is not None and number >= most:
            yield word(most)
            return
        yield row


def csv_response(
    filename: str,
    columns: Sequence[tuple[str, Callable[[Any], Any]]],
    rows: Iterable[Any],
    *,
    most: int | None = None,
) -> StreamingHttpResponse:
    """A download of `rows`, one line at a time: `columns` are (heading, what of the row). Times are UTC, ISO 8601.

    With more than `most` rows it ends in a line that says that it was cut.
    """
    language = get_language() or settings.LANGUAGE_CODE

    def too_long(count: int) -> list[str]:
        with translation.override(language):
            return [
                _("Cut here: the list has more than %(n)d lines. Filter it, or read all of it over REST.")
                % {"n": count}
            ]

    wanted = ([take(row) for _head, take in columns] for row in rows)
    lines = csv_lines([head for head, _take in columns], cut(wanted, most, too_long))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in filename)
    response["Content-Disposition"] = f'attachment; filename="{safe}"'
    return response
