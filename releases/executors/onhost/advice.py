"""What a person can do about each end of a job, by its code. It follows the manager's own words, never replaces them."""

from __future__ import annotations

TO_DO = ". What to do: "
AGAIN = "it is tried again by itself"
FORWARD = "bring a repaired version by a release of its own, or restore the host from a backup"
ADVICE = {
    "locked": f"{AGAIN}; if it stays so, see on the host what that process waits for",
    "unfinished": f"finish it on the host, or let a person decide to; then {AGAIN}",
    "disk_full": f"free space on the host; {AGAIN}",
    "repository_unreachable": f"see whether the host reaches its repository; {AGAIN}",
    "repository_untrusted": "do not use this repository until its owner has explained it, then build the release anew",
    "artifact_mismatch": "ask the repository's owner why this file was changed, then build the release anew and have it signed",
    "artifact_extra": "build the release anew and have it signed: the host's repositories offer other files than then",
    "artifact_missing": f"see whether the repository still has the file; {AGAIN}",
    "not_contained": "build the release anew, so that the whole set is seen and signed",
    "held": "take the hold off on the host, or leave the host out of the rollout",
    "impossible": "see whether the host's repositories still have this version, and build the release anew",
    "downgrade": "leave the host out: it has a newer version than the release brings",
    "removal": "leave the host out, or settle on the host which of the packages is to stay",
    "wrong_machine": "scan the host: it was installed anew, or another machine answers at its address; then plan it anew",
    "package_state": "roll back, or bring a repaired version; what the package's own script said stands in the log",
    "package_kept": "roll back, or bring a repaired version; why the package did not come to it stands in the log",
    "back_half": f"{FORWARD}; the host cannot stay as it is, and what the package's own script said stands in the log",
    "no_way_back": f"{FORWARD}; until then the host stays at the version that it has",
    "unhealthy": "roll back, or mend the service on the host and look again",
    "back_unhealthy": "mend the service on the host and look again, or restore the host from a backup",
    "step_before": "mend what the step complains of and try again, or leave the host out",
    "step_after": "mend on the host what the step complains of and look again, or roll back",
    "slow": f"see what keeps the host busy; {AGAIN}",
    "restart": "restart the host by hand and look again",
}
FAILED = {"disk_full": "free space on the host, then retry it"}
"""The same of a job that had begun to install: nothing tries it again by itself."""
BACK = {"step_after": "mend on the host what the step complains of and look again"}
"""The same of a job that takes a host back: there is nowhere to roll back to."""


def advised(code: str, reason: str, outcome: str = "refused", *, back: bool = False) -> str:
    """The reason with what to do, where there is something."""
    known = {**ADVICE, **(FAILED if outcome == "failed" else {}), **(BACK if back else {})}
    return f"{reason.rstrip('. ')}{TO_DO}{known[code]}" if code in known else reason


def without_promise(reason: str) -> str:
    """An advised reason once nothing is tried again by itself any more."""
    for words in (f"; then {AGAIN}", f"; {AGAIN}", f"{AGAIN}; "):
        reason = reason.replace(words, "")
    return reason
