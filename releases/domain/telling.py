"""The kinds of notices that releases tells, with their facts; the words are in `templates/notices`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from patchflow.notices.kinds import kind

RELEASE = {"release.number": str, "release.title": str}

kind(
    "ring_notified", _("Your hosts are next to be updated"),
    facts=RELEASE | {
        "ring.name": str, "rollout.number": str, "count": int, "names": list, "more": int, "back": bool, "windows": list, "restart": str,
    },
    about="ring", view="rollout.view", duty=True, patch=True,
)  # fmt: skip
