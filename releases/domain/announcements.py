"""Telling team, management and the users of services that a deployment has started, and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from patchflow.notices.delivery import tell
from releases.enums_rollout import BAD, GOOD
from releases.models import Rollout
from releases.queries.rollouts import ring_counts, signed
from releases.restart_words import restart_facts


def started(rollout: Rollout, *, at: datetime) -> None:
    """Tells by role that the rollout has started. A way back is told by who starts it."""
    if not rollout.is_way_back:
        facts = facts_of(rollout)
        tell(
            kind="rollout_started",
            people=[],
            key=f"rollout:{rollout.pk}:started",
            at=at,
            url=rollout.get_absolute_url(),
            **facts,
        )


def halted(rollout: Rollout, cause: str, *, at: datetime) -> None:
    """Tells who can do something about it that it stands still, and why, and who was told of the start how far it is; a way
    back too."""
    facts = facts_of(rollout) | _figures(rollout) | {"back": rollout.is_way_back}
    tell(
        kind="rollout_halted",
        people=[],
        key=f"rollout:{rollout.pk}:halted:{at:%Y%m%d%H%M%S%f}",
        at=at,
        url=rollout.get_absolute_url(),
        cause=cause,
        **facts,
    )


def ended(rollout: Rollout, *, at: datetime) -> None:
    """Tells the same people how it ended."""
    if rollout.is_way_back:
        return
    facts = facts_of(rollout) | _figures(rollout)
    tell(
        kind="rollout_ended",
        people=[],
        key=f"rollout:{rollout.pk}:ended",
        at=at,
        url=rollout.get_absolute_url(),
        **facts,
    )


def _figures(rollout: Rollout) -> dict[str, int]:
    """How many hosts are where they should be, how many are not, and how many are left."""
    counts: dict[str, int] = {}
    for of_ring in ring_counts(rollout.pk).values():
        for state, number in of_ring.items():
            counts[state] = counts.get(state, 0) + number
    good, bad = (sum(counts.get(state, 0) for state in which) for which in (GOOD, BAD))
    return {"good": good, "bad": bad, "left": sum(counts.values()) - good - bad}


def facts_of(rollout: Rollout) -> dict[str, Any]:
    """What is said about a rollout as a whole, from what was signed."""
    found = signed(rollout.manifest_id)
    return {
        "rollout": rollout,
        "release": rollout.release,
        "latest": found.moment("latest"),
        **facts_of_document(found.document),
    }


def facts_of_document(document: Any) -> dict[str, Any]:
    """What a manifest says about a rollout as a whole."""
    return {
        "hosts": len(document["hosts"]),
        "changes": [rfc["rfc"] for rfc in document["rfcs"]],
        "rings": [ring["name"] for ring in document["rings"]],
        "windows": [window["name"] for window in document["windows"]],
        "restart": restart_facts(document["profile"]),
    }
