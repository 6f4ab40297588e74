"""Evidence as it stands: the newest row of each kind, and whether what it rests on is still what stands there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from changes.models import RFC, Evidence
from patchflow.kernel.registry import Registry

Standing = Callable[[RFC, Evidence, datetime], str]
standings: Registry[Standing] = Registry("standing of evidence")
"""Kind → a function of (RFC, row, moment) that says why the row no longer counts; empty: it does. An app above that hands
such evidence down registers it, for only it knows the document that the row rests on."""


def standing(kind: str) -> Callable[[Standing], Standing]:
    return lambda function: standings.add(kind, function)


@dataclass(frozen=True, slots=True)
class Stated:
    """The newest statement of a kind. `outdated`: why it speaks of something else by now, in English; empty: it does not."""

    row: Evidence
    outdated: str = ""


def newest(rfc: RFC, *, at: datetime) -> list[Stated]:
    """The newest row of each kind, the last first."""
    rows: dict[str, Evidence] = {}
    for row in rfc.evidence.select_related("by").order_by("-pk"):
        rows.setdefault(row.kind, row)
    return [Stated(row, _outdated(rfc, row, at)) for row in rows.values()]


def _outdated(rfc: RFC, row: Evidence, at: datetime) -> str:
    asked = standings.get(row.kind)
    return asked(rfc, row, at) if asked else ""
