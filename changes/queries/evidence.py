"""Evidence as it stands: the newest row of each kind, and whether what it rests on is still what stands there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction

from changes.enums import EvidenceKind
from changes.models import RFC, Evidence
from patchflow.kernel.blockers import english
from patchflow.kernel.registry import Registry

logger = structlog.get_logger(__name__)
COUNTED = (EvidenceKind.PLAN_REHEARSAL, EvidenceKind.MANIFEST, EvidenceKind.DEPLOYMENT, EvidenceKind.REVIEW)
"""Kinds whose sentences count, or name, hosts."""
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
    """What cannot be checked is not called good (law 4), and keeps nobody from the page."""
    asked = standings.get(row.kind)
    if asked is None:
        return ""
    try:
        with transaction.atomic():
            return asked(rfc, row, at)
    except Exception as error:
        logger.warning("evidence_unchecked", rfc=rfc.number, kind=row.kind, error=str(error))
        return english("Whether it still holds could not be checked (%(name)s).", name=type(error).__name__)


def said_of(row: Evidence, *, whole: bool) -> str:
    """Its sentence, for who sees every host of the change; what counts hosts of others says so to everybody else."""
    return (
        row.summary
        if whole or row.kind not in COUNTED
        else english("What counts hosts outside your scope is left out.")
    )
