"""CSV runs nothing in a spreadsheet."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from patchflow.web.tables import csv_response, harmless


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "  @x", "＝1", "－1", "\u00a0=1"]
)
def test_text_that_would_start_a_formula_is_disarmed(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-5, "-5"),
        (Decimal("-2.5"), "-2.5"),
        (None, ""),
        (False, "no"),
        ("web-01", "web-01"),
        ("a=b", "a=b"),
        (date(2026, 11, 18), "2026-11-18"),
        (datetime(2026, 11, 18, 9, 42, tzinfo=UTC), "2026-11-18T09:42:00+00:00"),
        ("nul\x00", "nul"),
    ],
)
def test_other_values_stay_what_they_are(value: Any, cell: str) -> None:
    assert harmless(value) == cell


def test_a_download_quotes_and_streams() -> None:
    response = csv_response(
        "a/../b.csv",
        [("Name", lambda row: row), ("=Head", lambda row: 1)],
        iter(['with "quotes", and\nlines', "=cmd|'/c calc'!A1"]),
    )
    text = b"".join(response.streaming_content).decode()
    assert text == '\ufeffName,\'=Head\r\n"with ""quotes"", and\nlines",1\r\n\'=cmd|\'/c calc\'!A1,1\r\n'
    assert response["Content-Disposition"] == 'attachment; filename="a-..-b.csv"'
