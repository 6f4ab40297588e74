"""The restart rule of a profile as facts of a notice, and the words that a host shows before it restarts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from releases.enums import RestartMode
from releases.executors.onhost.work import RESTARTS_SOON


def restart_facts(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The rule as facts of a notice, to be said in each reader's language."""
    restarts = profile["restart"] != RestartMode.NEVER
    return {
        "mode": str(profile["restart"]),
        "kinds": [str(kind) for kind in profile.get("restart_kinds", [])] if restarts else [],
        "seconds": int(profile.get("countdown_seconds", 0)) if restarts else 0,
    }


def screen_words(profile: Mapping[str, Any]) -> str:
    """What a host shows to whoever is logged in before it restarts, to the letter; empty where it shows nothing."""
    seconds = restart_facts(profile)["seconds"]
    return RESTARTS_SOON.format(seconds=seconds) if seconds else ""
