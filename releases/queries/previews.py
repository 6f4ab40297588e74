"""What each audience of a change or release will read, before anything is sent: the same wordings from the same facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.models import RFC
from cmdb.models import Host
from patchflow.kernel.levels import voters_by_role
from patchflow.kernel.models import User
from patchflow.kernel.signoffs import open_round_of
from patchflow.notices import facts as said
from patchflow.notices.enums import Audience
from patchflow.notices.kinds import find
from patchflow.notices.wording import Text, Voice, word
from releases.models import Release
from releases.queries.manifests import current
from releases.queries.telling import Concerned, concerned, named_of, urgency_of, windows_ahead
from releases.restart_words import restart_facts, screen_words

SHOWN = 12
"""People named; more are counted."""

EMPTY: dict[str, Any] = {
    "notice_hours": 0, "acknowledge": False, "notify": True, "restart": "never", "restart_kinds": [], "countdown_seconds": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Preview:
    """One notice as one audience will read it: when, to whom (names, and how many more), in which words."""

    when: str
    label: str | Promise
    audience: str
    people: Sequence[str]
    more: int
    text: Text
    note: str = ""


def _shown(people: Sequence[User]) -> tuple[list[str], int]:
    names = sorted({person.get_username() for person in people if person.is_active})
    return names[:SHOWN], max(len(names) - SHOWN, 0)


def _one(
    kind: str,
    when: str,
    people: Sequence[User],
    facts: Mapping[str, Any],
    *,
    voice: Voice,
    at: datetime,
    note: str = "",
) -> Preview:
    known = find(kind)
    names, more = _shown(people)
    text = word(kind=kind, facts=said.take(known.facts, facts), voice=voice, at=at)
    return Preview(when, known.label, str(Audience(voice.audience).label), names, more, text, note)


def of_release(release: Release, *, voice: Voice, at: datetime) -> list[Preview]:
    """The start of the deployment for each audience, each ring for its representatives and the users of their machines,
    a halt, and the end. From the manifest if there is one, else from the plan."""
    document = _document(release)
    rings = _rings(release, document)
    whole = _facts(release, document, rings)
    started = [
        _one(
            "rollout_started", _("when the deployment starts"), _by_role("rollout_started", words, release), whole,
            voice=replace(voice, audience=words), at=at,
        )
        for words in find("rollout_started").audiences
    ]  # fmt: skip
    ended = [
        _one(
            "rollout_ended", _("when the deployment has ended, with its figures"), _by_role("rollout_ended", words, release),
            whole | {"good": whole["hosts"], "bad": 0, "left": 0}, voice=replace(voice, audience=words), at=at,
        )
        for words in find("rollout_ended").audiences
    ]  # fmt: skip
    halted = [
        _one(
            "rollout_halted", _("if it halts, with the reason and its figures"), _by_role("rollout_halted", words, release),
            whole | {"cause": _("what stopped it."), "back": False, "good": 0, "bad": 0, "left": whole["hosts"]},
            voice=replace(voice, audience=words), at=at,
        )
        for words in find("rollout_halted").audiences
    ]  # fmt: skip
    profile = document["profile"]
    told = [p for ring in rings for p in _of_ring(release, ring, document, profile, voice=voice, at=at)]
    return [*started, *(told if profile.get("notify", True) else []), *halted, *ended]


def of_targets(rfc: RFC, *, voice: Voice, at: datetime) -> list[Preview]:
    """Of a change that no release carries yet: the representatives of its hosts, as they would be told."""
    rows = [SimpleNamespace(host=host) for host in _targets(rfc)]
    people, nobody = concerned(named_of(rows))
    release = SimpleNamespace(number=_("the release"), title=rfc.title, is_simulated=rfc.trial)
    ring = SimpleNamespace(name=_("as planned"))
    document = {"windows": [], "profile": EMPTY}
    return _of_people(people, nobody, release, ring, document, EMPTY, _("before its ring starts"), voice=voice, at=at)


def of_rfc(rfc: RFC, *, voice: Voice, at: datetime) -> list[Preview]:
    """The question to the voters, where a round asks them, and the answer to who asked."""
    found = []
    if round_ := open_round_of(rfc):
        level = round_.levels.get(position=round_.position)
        people = [v.user for v in level.voters.select_related("user")]
        question = {"subject": rfc, "what": rfc.number, "title": rfc.title, "level": level}
        found.append(_one("approval_requested", _("when the level was asked"), people, question, voice=voice, at=at))
    facts = {"rfc": rfc, "ended": "authorized", "round": SimpleNamespace(reason=""), "refusals": []}
    ended = _one(
        "approval_ended", _("when its approval ends, here if it passes"), [rfc.requested_by], facts, voice=voice, at=at
    )
    return [*found, ended]


def screen_of(release: Release | None) -> str:
    """The words on the screen before a restart, to the letter; empty where none are shown."""
    return screen_words(_document(release)["profile"]) if release else ""


# --- from the manifest or the plan --------------------------------------------------------------------------------------
def _document(release: Release) -> dict[str, Any]:
    manifest = current(release.pk)
    if manifest is not None:
        return dict(manifest.document)
    profile = release.profile
    return {
        "hosts": [],
        "rfcs": [{"rfc": number} for number in release.links.filter(left_at__isnull=True).values_list("rfc__number", flat=True)],
        "windows": [{"name": name} for name in release.planned_windows.values_list("name", flat=True)],
        "profile": {key: getattr(profile, key) for key in EMPTY} if profile else EMPTY,
        "start": {"latest": None},
    }  # fmt: skip


def _rings(release: Release, document: Mapping[str, Any]) -> list[SimpleNamespace]:
    """Ring after ring its name and its hosts."""
    hosts = {h["host"]: h["ring"] for h in document["hosts"]}
    if hosts:
        rows = Host.objects.filter(pk__in=list(hosts)).select_related("ci__owner").order_by("name")
        places: dict[int, list[Any]] = {}
        for host in rows:
            places.setdefault(hosts[host.pk], []).append(SimpleNamespace(host=host))
        return [SimpleNamespace(name=r["name"], rows=places.get(r["ring"], [])) for r in document["rings"]]
    planned = release.planned_hosts.select_related("host__ci__owner", "ring").order_by("host__name")
    by_ring: dict[int | None, list[Any]] = {}
    for row in planned:
        by_ring.setdefault(row.ring_id, []).append(row)
    found = [SimpleNamespace(name=r.name, rows=by_ring.get(r.pk, [])) for r in release.planned_rings.order_by("number")]
    return found or [SimpleNamespace(name=_("not planned yet"), rows=by_ring.get(None, []))]


def _facts(release: Release, document: Mapping[str, Any], rings: Sequence[Any]) -> dict[str, Any]:
    latest = document["start"]["latest"]
    return {
        "release": release,
        "rollout": SimpleNamespace(number=_("the rollout")),
        "hosts": sum(len(ring.rows) for ring in rings),
        "changes": [rfc["rfc"] for rfc in document["rfcs"]],
        "rings": [ring.name for ring in rings],
        "windows": [window["name"] for window in document["windows"]],
        "restart": restart_facts(document["profile"]),
        "latest": datetime.fromisoformat(latest) if latest else None,
    }


def _by_role(kind: str, words: str, release: Release) -> list[User]:
    return [
        user for role in find(kind).by_role.get(words, ()) for user, _via in voters_by_role(role, release.scope_keys())
    ]


def _of_ring(
    release: Any, ring: Any, document: Mapping[str, Any], profile: Mapping[str, Any], *, voice: Voice, at: datetime
) -> list[Preview]:
    people, nobody = concerned(named_of(ring.rows))
    hours = int(profile.get("notice_hours", 0))
    when = (
        _("ring “%(ring)s”: %(hours)d h before it starts") % {"ring": ring.name, "hours": hours}
        if hours
        else _("ring “%(ring)s”: when it is the next to start") % {"ring": ring.name}
    )
    return _of_people(people, nobody, release, ring, document, profile, when, voice=voice, at=at)


def _of_people(
    people: Sequence[Concerned], nobody: int, release: Any, ring: Any, document: Mapping[str, Any],
    profile: Mapping[str, Any], when: str, *, voice: Voice, at: datetime,
) -> list[Preview]:  # fmt: skip
    names = list(people[0].names) if people else [_("their hosts")]
    hours = int(profile.get("notice_hours", 0))
    starts_at = at + timedelta(hours=hours) if hours else None
    signed = [w.get("window") for w in document["windows"]]
    facts = {
        "release": release,
        "rollout": SimpleNamespace(number=_("the rollout")),
        "ring": ring,
        "count": len(names),
        "names": names[:20],
        "more": max(len(names) - 20, 0),
        "back": False,
        "windows": windows_ahead(names, signed, after=starts_at or at)
        if people
        else [{"name": w["name"], "opens": None} for w in document["windows"]],
        "restart": restart_facts(profile),
        "starts_at": starts_at,
        "waits": bool(profile.get("acknowledge")),
        **(urgency_of(release) if isinstance(release, Release) else {"start_by": None, "exploited": False}),
    }
    users = [one.user for one in people]
    passed_on = replace(voice, audience=Audience.END_USER)
    return [
        _one("ring_notified", when, users, facts, voice=voice, at=at, note=_unheard(users, nobody)),
        _one("ring_notified", _("passed on by these representatives"), users, facts, voice=passed_on, at=at),
    ]


def _unheard(users: Sequence[User], nobody: int) -> str:
    if not users:
        return _("No host of it has an owner or a support group with members: nobody is told.")
    if not nobody:
        return ""
    return ngettext(
        "%(n)d host has neither an owner nor a support group with members: nobody is told about it.",
        "%(n)d hosts have neither an owner nor a support group with members: nobody is told about them.",
        nobody,
    ) % {"n": nobody}


def _targets(rfc: RFC) -> Any:
    staying = rfc.targets.filter(left_at__isnull=True, removed_at__isnull=True)
    return Host.objects.filter(pk__in=staying.values("host_id")).select_related("ci__owner").order_by("name")
