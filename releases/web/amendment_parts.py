"""What the page of a release says of late-comers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import ngettext

from patchflow.kernel.models import User
from patchflow.kernel.signoffs import open_round_of, why_not_sign
from releases.enums import ReleaseState
from releases.models import Release
from releases.queries.amendments import LateComers, late_comers, open_amendment
from releases.queries.manifests import current

OPEN = (ReleaseState.READY, ReleaseState.DEPLOYING)


def late_of(release: Release, *, actor: User, at: datetime) -> LateComers:
    """Who came late to the manifest that stands; nobody where none is sealed."""
    base = current(release.pk)
    return late_comers(release, base, actor=actor, at=at) if base else LateComers()


def lines_of(late: LateComers) -> list[str]:
    """The late-comers in sentences."""
    lines = []
    if count := len(late.entries):
        said = ngettext("%(n)d host could join", "%(n)d hosts could join", count) % {"n": count}
        lines.append(f"{said}: {', '.join(e['name'] for e in late.entries[:6])}{' …' if count > 6 else ''}")
    if count := len(late.refused):
        lines.append(ngettext("%(n)d host cannot join", "%(n)d hosts cannot join", count) % {"n": count})
    if count := len(late.outside):
        lines.append(
            ngettext(
                "%(n)d host misses the same and no change of this release names it",
                "%(n)d hosts miss the same and no change of this release names them",
                count,
            )
            % {"n": count}
        )
    return lines


def card_of(release: Release, *, actor: User, at: datetime) -> dict[str, Any] | None:
    """The card on the page of a release; none where nobody came late, or nobody can join any more."""
    if release.state not in OPEN:
        return None
    if open_ := open_amendment(release):
        said = ngettext(
            "%(who)s proposes that %(n)d host joins.", "%(who)s proposes that %(n)d hosts join.", open_.hosts
        ) % {"n": open_.hosts, "who": open_.proposed_by}
        round_ = open_round_of(open_)
        decides = bool(round_ and not why_not_sign(round_, open_, actor, at=at))
        return {"open": open_, "lines": [said], "decides": decides}
    lines = lines_of(late_of(release, actor=actor, at=at))
    return {"open": None, "lines": lines} if lines else None
