"""What the rules of a signed install profile mean for one machine, and which of them the release's executor cannot keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from cmdb.enums import MachineKind
from patchflow.kernel import registry
from patchflow.kernel.blockers import Blocker, English, english
from releases.enums import OfflineRule, RestartMode
from releases.executors.base import PROFILE_RULES, RestartPolicy
from releases.queries.steps import minutes_of

SAID = {
    "restart": gettext_noop("restart the host"),
    "countdown_seconds": gettext_noop("give notice before a restart"),
    "postponements": gettext_noop("let users postpone"),
    "deadline_hours": gettext_noop("keep a deadline of postponements"),
    "close_programs": gettext_noop("close programs"),
    "steps": gettext_noop("carry out steps before and after the installation"),
    "stage_hours": gettext_noop("lay files ready on the hosts before the window"),
}


STAGED_AT_MOST = 168
"""Hours. A host keeps for thirty days what was laid ready there."""
SEVERAL = {"server": english("servers"), "workstation": english("workstations")}
ALWAYS, ASKED_FOR = english("it is restarted always"), english("it is restarted if something asks for it")


@dataclass(frozen=True)
class Restart:
    """Whether a machine may be restarted, and the sentence that says why, or why not."""

    policy: RestartPolicy
    sentence: str


def restart_for(profile: Mapping[str, Any], kind: str) -> Restart:
    """The restart rule for a machine of this kind (empty: nobody knows). It only ever takes away from what was signed:
    a kind that the profile does not name, or that nobody knows, is not restarted."""
    mode, kinds = profile["restart"], profile.get("restart_kinds", [])
    if mode == RestartMode.NEVER:
        return Restart(RestartPolicy(), english("the profile restarts nothing"))
    if not kind:
        return Restart(
            RestartPolicy(), english("nobody knows whether it is a server or a workstation, so it is not restarted")
        )
    if kind not in kinds:
        named = " and ".join(SEVERAL.get(one, f"{one}s") for one in kinds) or english("no machine")
        return Restart(
            RestartPolicy(), english("it is a %(kind)s, and the profile restarts %(named)s", kind=kind, named=named)
        )
    countdown = int(profile.get("countdown_seconds", 0))
    said = ALWAYS if mode == RestartMode.ALWAYS else ASKED_FOR
    return Restart(
        RestartPolicy(mode=mode, countdown=countdown),
        said if not countdown else english("%(restart)s, %(n)s s after its users are told", restart=said, n=countdown),
    )


def restart_rule(profile: Mapping[str, Any]) -> str:
    """The rule in words: when which machines are restarted, and after what notice."""
    rule = str(RestartMode(profile["restart"]).label)
    if profile["restart"] == RestartMode.NEVER:
        return rule
    kinds = ", ".join(str(MachineKind(kind).label) for kind in profile.get("restart_kinds", []))
    seconds = profile.get("countdown_seconds", 0)
    notice = [str(_("%(seconds)s s after a notice") % {"seconds": seconds})] if seconds else []
    return " · ".join([rule, kinds or str(_("no kind of machine")), *notice])


def offline_rule(profile: Mapping[str, Any]) -> str:
    """What becomes of a host that does not answer at its turn, in words."""
    rule, minutes = OfflineRule(profile.get("offline", OfflineRule.CATCH_UP)), int(profile.get("catch_up_minutes", 0))
    if rule == OfflineRule.CATCH_UP and minutes:
        return str(_("tried again for %(minutes)s minutes, then put off to its next window") % {"minutes": minutes})
    return str(rule.label)


def stage_hours(profile: Mapping[str, Any]) -> int:
    """How many hours before its window opens the files of a host are laid ready there; 0: its job fetches them in the window."""
    return int(profile.get("stage_hours", 0))


def staging_rule(profile: Mapping[str, Any]) -> str:
    """When the files come to the hosts, in words."""
    hours = stage_hours(profile)
    if not hours:
        return str(_("fetched in the window"))
    said = ngettext(
        "laid ready up to %(n)d hour before the window", "laid ready up to %(n)d hours before the window", hours
    )
    return said % {"n": hours}


def countdown_minutes(profile: Mapping[str, Any]) -> int:
    """Minutes of a window that the notice before a restart takes."""
    if profile["restart"] == RestartMode.NEVER or not profile.get("restart_kinds"):
        return 0
    return -(-int(profile.get("countdown_seconds", 0)) // 60)


def run_minutes(document: Mapping[str, Any]) -> dict[str, int]:
    """Class → minutes that a job of a signed manifest may take: run time per update for each source, at most the run time in
    all; the notice before a restart; and all the time that the steps may take."""
    profile = document["profile"]
    each, total = int(profile["max_minutes_each"]), int(profile["max_minutes_total"])
    notice = countdown_minutes(profile) + minutes_of(document)
    return {
        one["class"]: notice
        + min(total, each * max(1, len({p["source"] for p in one["packages"] if not p["dependency"]})))
        for one in document["classes"]
    }


def wanted_rules(profile: Mapping[str, Any]) -> list[str]:
    """The rules of a profile that need somebody on the host to keep them."""
    wants = {rule: bool(profile.get(rule)) for rule in PROFILE_RULES}
    wants["restart"] = profile.get("restart") != RestartMode.NEVER
    wants["countdown_seconds"] = wants["restart"] and wants["countdown_seconds"]
    return [rule for rule in PROFILE_RULES if wants[rule]]


def find_unkept(profile: Mapping[str, Any], executor: str) -> list[Blocker]:
    """Rules that the profile wants and the executor cannot keep: refused before anything is signed, never passed over.
    An executor that is not registered keeps none; that it is missing is another gate's word."""
    if not profile or executor not in registry.executors:
        return []
    honours = registry.executors[executor].honours
    return [
        Blocker(
            "profile.unsupported",
            english(
                "Profile “%(name)s” asks to %(rule)s; the executor %(executor)s cannot. Choose another profile.",
                name=profile["name"],
                rule=English.of(SAID[rule]),
                executor=executor,
            ),
        )
        for rule in wanted_rules(profile)
        if rule not in honours
    ]


def must_stay(profile: Mapping[str, Any], hosts: int) -> int:
    """How many of the hosts of a service stay while others are away; a profile signed before there was a rule keeps one."""
    share = -(-hosts * int(profile.get("min_alive_percent", 0)) // 100)
    return max(1, int(profile.get("min_alive", 1)), share)


def profile_problems(values: Mapping[str, Any]) -> list[Blocker]:
    """What contradicts itself in a profile to be defined."""
    found, kinds = [], values.get("restart_kinds", [])
    if unknown := sorted(set(kinds) - set(MachineKind.values)):
        found.append(
            Blocker(
                "profile.restart_kinds",
                english("This kind of machine is not known: %(unknown)s.", unknown=", ".join(unknown)),
            )
        )
    if values.get("min_alive", 1) < 1 or not 0 <= values.get("min_alive_percent", 0) <= 99:
        found.append(Blocker("profile.min_alive", "At least one host of a service stays, and less than all of them."))
    offline = values.get("offline", OfflineRule.CATCH_UP)
    if offline not in OfflineRule.values:
        found.append(Blocker("profile.offline", "This rule for hosts that do not answer is not known."))
    if values.get("catch_up_minutes", 0) and offline != OfflineRule.CATCH_UP:
        found.append(
            Blocker("profile.catch_up_minutes", "Minutes of trying again belong to hosts that are tried again.")
        )
    if not 0 <= values.get("stage_hours", 0) <= STAGED_AT_MOST:
        found.append(
            Blocker(
                "profile.stage_hours",
                english("Files are laid ready at most %(hours)s hours before a window.", hours=STAGED_AT_MOST),
            )
        )
    restarts = values.get("restart", RestartMode.IF_NEEDED) != RestartMode.NEVER
    if restarts and not kinds:
        found.append(
            Blocker("profile.restart_kinds", "Say which kinds of machine may be restarted, or choose to never restart.")
        )
    if values.get("countdown_seconds", 0) and not restarts:
        found.append(Blocker("profile.countdown_seconds", "A notice before a restart needs a restart."))
    if values.get("acknowledge") and not (values.get("notify", True) and values.get("notice_hours", 0)):
        found.append(
            Blocker("profile.acknowledge", "Waiting for acknowledgement needs people to be told, hours before.")
        )
    if values.get("notice_hours", 0) and not values.get("notify", True):
        found.append(Blocker("profile.notice_hours", "Hours of notice need people to be told."))
    if values.get("countdown_seconds", 0) > 60 * values.get("max_minutes_total", 120):
        found.append(Blocker("profile.countdown_seconds", "The notice is longer than the run time in all."))
    return found
