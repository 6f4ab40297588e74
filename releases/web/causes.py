"""The causes for which a host stands where it stands, in words: the short codes of executors and of gates are for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from releases.executors.onhost.advice import TO_DO

CAUSES: Final[Mapping[str, Any]] = {
    "artifact_extra": gettext_lazy("its repositories offer other files than those signed"),
    "artifact_mismatch": gettext_lazy("a file is not the one that was signed"),
    "artifact_missing": gettext_lazy("a file is missing"),
    "back_half": gettext_lazy("a package is left half-installed on the way back"),
    "back_unhealthy": gettext_lazy("it was taken back, and a check still fails"),
    "busy": gettext_lazy("another job is there"),
    "cancelled": gettext_lazy("left out"),
    "different": gettext_lazy("the host knows another order by this key"),
    "disk_full": gettext_lazy("too little space"),
    "download": gettext_lazy("a file could not be fetched"),
    "downgrade": gettext_lazy("it has a newer version already"),
    "held": gettext_lazy("a package is held on the host"),
    "impossible": gettext_lazy("no repository of the host has this version"),
    "locked": gettext_lazy("another process holds the package manager"),
    "lost": gettext_lazy("nobody found out what became of it"),
    "no_way_back": gettext_lazy("a package does not go back"),
    "not_contained": gettext_lazy("it would change more than was signed"),
    "not_shown": gettext_lazy("the host does not show what was reported"),
    "observed": gettext_lazy("the host was looked at, and it had failed"),
    "order": gettext_lazy("it cannot be ordered"),
    "overdue": gettext_lazy("it has been at work for longer than was signed"),
    "package_kept": gettext_lazy("a package did not come to the signed version"),
    "package_state": gettext_lazy("a package is left half-installed"),
    "removal": gettext_lazy("another package would be removed"),
    "repository_unreachable": gettext_lazy("its repository does not answer"),
    "repository_untrusted": gettext_lazy("its repository is not trusted"),
    "restart": gettext_lazy("the restart did not come off"),
    "slow": gettext_lazy("it did not say in time what would be done"),
    "staged": gettext_lazy("its files are only laid ready"),
    "step_after": gettext_lazy("a step after the installation failed"),
    "step_before": gettext_lazy("a step before the installation failed"),
    "stopped": gettext_lazy("it was ended from outside"),
    "unasked": gettext_lazy("it cannot be asked"),
    "undone": gettext_lazy("nothing was done"),
    "unfinished": gettext_lazy("an earlier installation is unfinished"),
    "unhealthy": gettext_lazy("a check after the installation failed"),
    "unknown": gettext_lazy("nobody knows what became of it"),
    "unreachable": gettext_lazy("it does not answer"),
    "unsupported": gettext_lazy("the executor cannot do this"),
    "wrong_machine": gettext_lazy("another machine answers at its address"),
}
"""Code of an executor, or of the work on a job → what it says."""
ADVICE: Final[Mapping[str, Any]] = {
    "back_half": gettext_lazy(
        "Bring a repaired version, or restore it from a backup; if mended on the host (on Debian: dpkg --configure -a), retry it. "
        "The log tells more."
    ),
    "no_way_back": gettext_lazy(
        "It stays at the version that it has: bring a repaired one by a release of its own, or restore it from a backup. "
        "The log tells more."
    ),
    "package_kept": gettext_lazy(
        "The package is whole, at another version: roll back, or bring a repaired version. The log tells why it did not come to it."
    ),
    "package_state": gettext_lazy(
        "Roll back, or bring a repaired version; if mended on the host (on Debian: dpkg --configure -a), retry it. The log tells more."
    ),
    "unfinished": gettext_lazy(
        "Finish it on the host (on Debian: dpkg --configure -a), or let a person decide to; then it is tried again by itself."
    ),
}
"""Code → what a person does about it, in the reader's language; it stands in place of what the executor advises."""


def without_advice(code: str, said: str) -> str:
    """What a host says, without the executor's advice where there is one of ours: nobody is told twice, in other words."""
    return said.partition(TO_DO)[0] if code in ADVICE else said


def cause_words(code: str, gates: Mapping[str, Any]) -> str:
    """The cause in words; of a gate (`gates`: its name → its label) that it has not opened; an unknown code as it is."""
    if not code:
        return "–"
    if code in CAUSES:
        return str(CAUSES[code])
    if code in gates:
        return _("waits for: %(gate)s") % {"gate": gates[code]}
    return code.replace("_", " ")
