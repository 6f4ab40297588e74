"""May this change be carried out now? The one question that releases ask of changes."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models

from changes.enums import RFCState
from changes.models import RFC, BreakGlass, RFCTarget, RFCUpdate, RFCWindow, RiskAssessment
from changes.queries.holds import hold_blocker
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.integrity import digest_as_read, plain
from patchflow.kernel.models import SignOffRound
from patchflow.kernel.signoffs import passed_round_of
from patchflow.kernel.sums import rows_sum


@dataclass(frozen=True)
class Authorization:
    """The answer, with all that a manifest must lie within. `valid` is False as soon as one blocker stands."""

    rfc_id: int
    number: str
    kind: str
    state: str
    digest: str
    document: dict[str, Any]
    host_ids: frozenset[int]
    on_hold: bool
    blockers: list[Blocker] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not self.blockers


def basis_of(rfc: RFC, *, digest_now: str) -> SignOffRound | BreakGlass | None:
    """What authorizes exactly this content: the newest round, passed on it, or a glass broken for it."""
    if passed := passed_round_of(rfc, digest_now=digest_now):
        return passed
    return rfc.glass.filter(broken_at__isnull=False, digest=digest_now).order_by("-pk").first()


def unsigned(rfc: RFC, *, digest_now: str) -> list[Blocker]:
    """The reason that nobody signed what stands there now; empty if somebody did."""
    if basis_of(rfc, digest_now=digest_now):
        return []
    sentence = english("What was approved is not what stands there now: no passed round has this digest.")
    return [Blocker("rfc.digest_unsigned", sentence, rfc.get_absolute_url())]


MADE_OF: tuple[type[models.Model], ...] = (RFCUpdate, RFCTarget, RFCWindow, RiskAssessment)
"""Beside the RFC's own row, all rows that its change document is made of, each with its column `rfc`."""
_SUMS = {f"sum_{model._meta.model_name}": model for model in MADE_OF}
KEPT = 16
_OWN = [f.attname for f in RFC._meta.concrete_fields if f.attname not in ("audit_length", "audit_head")]
"""The RFC's own columns; the end of its chain moves with each entry about it and is part of no document."""


@dataclass(frozen=True)
class _Content:
    """What an RFC's rows said when they had this sum."""

    document: dict[str, Any]
    digest: str
    host_ids: frozenset[int]


_read: dict[tuple[Any, ...], _Content] = {}


def _with_content(rfc_id: int) -> tuple[RFC, _Content]:
    """The RFC as it stands now, and its change document.

    Canonicalizing thousands of targets for each host that is let through would be the whole act: the database sums up
    every row that the document is made of, each time, and only rows that this process has not yet read under that
    sum are read. Whatever was changed since, past the verbs too, has another sum. Two queries at most where nothing was.
    """
    rfc, key = _summed(rfc_id)
    content = _read.get(key)
    while content is None:
        document = plain(rfc.change_document())
        hosts = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).values_list("host_id", flat=True)
        read = _Content(document, digest_as_read(document), frozenset(hosts))
        before = key
        rfc, key = _summed(rfc_id)
        if key == before:  # nobody wrote while it was read, so that it is what these sums stand for
            content = _read[key] = read
            while len(_read) > KEPT:
                _read.pop(next(iter(_read)), None)
    return rfc, content


def _summed(rfc_id: int) -> tuple[RFC, tuple[Any, ...]]:
    """The RFC, and the sum of everything that its change document is made of, by one statement."""
    rfc = _with_sums().get(pk=rfc_id)
    own = repr([getattr(rfc, name) for name in _OWN])
    return rfc, (own, *(getattr(rfc, name) for name in _SUMS))


def content_sum(rfc_id: int) -> tuple[Any, ...]:
    """What differs as soon as anything was written that the RFC's document is made of. One query."""
    return _summed(rfc_id)[1]


@functools.cache
def _with_sums() -> models.QuerySet[Any]:
    """RFCs with their sums: the question is put together once, and asked each time."""
    return RFC.objects.annotate(**{name: rows_sum(model, "rfc") for name, model in _SUMS.items()})


def authorization_for(*, rfc_id: int, at: datetime) -> Authorization:
    """Whether `rfc_id` may be carried out at `at`, and what exactly was authorized. Raises RFC.DoesNotExist."""
    rfc, content = _with_content(rfc_id)
    now_signed = content.digest
    blockers: list[Blocker] = []
    if rfc.state not in (RFCState.AUTHORIZED, RFCState.IMPLEMENTING):
        sentence = english("%(number)s is %(state)s, not authorized.", number=rfc.number, state=label_of(rfc))
        blockers.append(Blocker("rfc.not_authorized", sentence, rfc.get_absolute_url()))
    blockers += unsigned(rfc, digest_now=now_signed)
    held = hold_blocker(rfc)
    blockers += held
    if rfc.not_after and at >= rfc.not_after:
        sentence = english(
            "The last permitted date of %(number)s, %(not_after)s UTC, has passed.",
            number=rfc.number,
            not_after=f"{rfc.not_after:%d %b %Y %H:%M}",
        )
        blockers.append(Blocker("rfc.too_late", sentence, rfc.get_absolute_url()))
    return Authorization(
        rfc_id=rfc.pk,
        number=rfc.number,
        kind=rfc.kind,
        state=rfc.state,
        digest=now_signed,
        document=content.document,
        host_ids=content.host_ids,
        on_hold=bool(held),
        blockers=blockers,
    )
