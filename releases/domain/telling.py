"""The kinds of notices that releases tells, with their facts; the words are in `templates/notices`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from patchflow.notices.enums import Audience
from patchflow.notices.kinds import kind as declare

TEAM, MANAGEMENT, END_USER = Audience.TEAM, Audience.MANAGEMENT, Audience.END_USER
RELEASE = {"release.number": str, "release.title": str, "release.is_simulated": bool}
RING = RELEASE | {"ring.name": str, "rollout.number": str}
RESTART = {"restart.mode": str, "restart.kinds": list, "restart.seconds": int}
ROLLOUT = RELEASE | {"rollout.number": str, "hosts": int, "changes": list}
BY_ROLE = {
    TEAM: ("release_manager", "operator"),
    MANAGEMENT: ("change_manager", "security_officer"),
    END_USER: ("service_owner",),
}
EVERYBODY = (TEAM, MANAGEMENT, END_USER)


def kind(name: str, label: Any, **options: Any) -> None:
    """A kind that tells of a release, and says first that it is simulated, where it is."""
    declare(name, label, simulated="release.is_simulated", **options)


kind(
    "rollout_started", _("A deployment has started"),
    facts=ROLLOUT | {"rings": list, "windows": list, **RESTART, "latest": datetime},
    audiences=EVERYBODY, by_role=BY_ROLE, about="rollout", view="rollout.view", open_to_all=True, patch=True,
)  # fmt: skip
kind(
    "rollout_ended", _("A deployment has ended"),
    facts=ROLLOUT | {"good": int, "bad": int, "left": int},
    audiences=EVERYBODY, by_role=BY_ROLE, about="rollout", view="rollout.view", open_to_all=True, patch=True,
)  # fmt: skip
kind(
    "rollout_halted", _("A rollout has halted"),
    facts=ROLLOUT | {"cause": str, "back": bool, "good": int, "bad": int, "left": int},
    audiences=EVERYBODY, by_role=BY_ROLE, about="rollout", view="rollout.view", duty=True, urgent=True, patch=True,
)  # fmt: skip
kind(
    "ring_notified", _("Your hosts are next to be updated"),
    facts=RING | {
        "count": int, "names": list, "more": int, "back": bool, "windows": list, **RESTART, "starts_at": datetime, "waits": bool,
        "start_by": datetime, "exploited": bool,
    },
    audiences=(TEAM, END_USER), about="ring", view="rollout.view", duty=True, patch=True,
)  # fmt: skip
SILENT = RING | {"count": int, "representative": str, "starts_at": datetime}
kind(
    "ring_reminded",
    _("You have not acknowledged yet"),
    facts=SILENT,
    about="ring",
    view="rollout.view",
    duty=True,
    urgent=True,
)
kind(
    "ring_silent",
    _("A representative stays silent"),
    facts=SILENT,
    about="ring",
    view="rollout.view",
    duty=True,
    urgent=True,
)
kind(
    "window_edited", _("The window of a deployment was edited"),
    facts=RELEASE | {
        "rollout.number": str, "window.name": str, "editor": str, "ended": bool, "rule": str, "stays": int, "moved": int,
        "cancelled": int, "halted": int,
    },
    about="rollout", view="rollout.view", duty=True,
)  # fmt: skip
DELAY = RING | {
    "request.asked_by": str, "request.reason": str, "request.until": datetime, "request.comment": str, "request.decided_by": str,
    "granted": bool, "before": int,
}  # fmt: skip
kind(
    "delay_asked",
    _("A group asks for more time"),
    facts=DELAY,
    about="ring",
    view="rollout.view",
    duty=True,
    urgent=True,
)
kind(
    "delay_decided",
    _("Your request for more time is decided"),
    facts=DELAY,
    about="ring",
    view="rollout.view",
    duty=True,
)
