"""How the states of the kernel's machines look; the kernel lies below and knows no faces."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from patchflow.kernel.enums import RoundState
from patchflow.web import states

states.register(
    "kernel.signoffround",
    {
        RoundState.OPEN: ("st-wait", _("open")),
        RoundState.PASSED: ("st-good", _("passed")),
        RoundState.REFUSED: ("st-bad", _("refused")),
        RoundState.VOID: ("st-bad", _("void")),
        RoundState.EXPIRED: ("st-bad", _("expired")),
        RoundState.WITHDRAWN: ("st-open", _("withdrawn")),
    },
)
