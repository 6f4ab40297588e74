"""May this change be carried out now? The one question that releases ask of changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from changes.enums import RFCState
from changes.models import RFC, BreakGlass
from changes.queries.holds import hold_blocker
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.integrity import digest, plain
from patchflow.kernel.models import SignOffRound
from patchflow.kernel.signoffs import passed_round_of


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
    requested_by_id: int
    author_ids: frozenset[int]
    signer_ids: frozenset[int]
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
    sentence = "What was approved is not what stands there now: no passed round has this digest."
    return [Blocker("rfc.digest_unsigned", sentence, rfc.get_absolute_url())]


def authorization_for(*, rfc_id: int, at: datetime) -> Authorization:
    """Whether `rfc_id` may be carried out at `at`, and what exactly was authorized. Raises RFC.DoesNotExist."""
    rfc = RFC.objects.get(pk=rfc_id)
    document = plain(rfc.change_document())
    now_signed = digest(document)
    blockers: list[Blocker] = []
    if rfc.state not in (RFCState.AUTHORIZED, RFCState.IMPLEMENTING):
        sentence = f"{rfc.number} is {rfc.get_state_display()}, not authorized."
        blockers.append(Blocker("rfc.not_authorized", sentence, rfc.get_absolute_url()))
    blockers += unsigned(rfc, digest_now=now_signed)
    held = hold_blocker(rfc)
    blockers += held
    if rfc.not_after and at >= rfc.not_after:
        sentence = f"The last permitted date of {rfc.number}, {rfc.not_after:%d %b %Y %H:%M} UTC, has passed."
        blockers.append(Blocker("rfc.too_late", sentence, rfc.get_absolute_url()))
    hosts = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).values_list("host_id", flat=True)
    return Authorization(
        rfc_id=rfc.pk,
        number=rfc.number,
        kind=rfc.kind,
        state=rfc.state,
        digest=now_signed,
        document=document,
        host_ids=frozenset(hosts),
        requested_by_id=rfc.requested_by_id,
        author_ids=frozenset(rfc.author_ids()),
        signer_ids=frozenset(rfc.approver_ids()),
        on_hold=bool(held),
        blockers=blockers,
    )
