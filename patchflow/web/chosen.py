"""The rows on which a verb of the admin site is pressed: those that its page has shown, however many, and no others.

The page carries their keys in one sealed field. A list that is asked for again when the verb is confirmed ("all of them")
could have grown by then, and a field for each row would be refused beyond a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.db.models import QuerySet

AT_ONCE = 5000
"""Keys asked for in one statement."""


def sealed(rows: Sequence[Any], purpose: str) -> str:
    """The keys of these rows, in their order, for this purpose alone."""
    return signing.dumps([str(row.pk) for row in rows], salt=_salt(purpose), compress=True)


def opened(text: str, purpose: str) -> list[str] | None:
    """The keys that were sealed for it; None if they were not, or were altered."""
    try:
        found: list[str] = signing.loads(text, salt=_salt(purpose))
    except signing.BadSignature:
        return None
    return found


def among(rows: QuerySet[Any], keys: Sequence[str]) -> list[Any]:
    """Of `rows` those with these keys, in the order of the keys. What is not there any more, or out of sight, is left out."""
    found: dict[str, Any] = {}
    for start in range(0, len(keys), AT_ONCE):
        some = rows.filter(pk__in=keys[start : start + AT_ONCE])
        found |= {str(row.pk): row for row in some}
    return [found[key] for key in keys if key in found]


def _salt(purpose: str) -> str:
    return f"patchflow.web.chosen:{purpose}"
