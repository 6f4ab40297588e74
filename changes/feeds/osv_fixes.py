"""What an OSV record says of each package, as fixes. The meaning of ranges is that of the OSV schema, "Evaluation"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from changes.feeds import osv_ecosystems as ecosystems
from changes.feeds import osv_shape as shape
from changes.feeds.base import FixDraft, FixState
from changes.feeds.osv_shape import BadRecord
from cmdb import versions

MAX_AFFECTED = 20_000
MAX_RANGES = 200
MAX_EVENTS = 2_000
MAX_VERSIONS = 100_000
MAX_FIXES = 50_000

_BEGINNING = "0"
_EVENT_KINDS = frozenset({"introduced", "fixed", "last_affected", "limit"})
_RANGE_TYPES = frozenset({"ECOSYSTEM", "SEMVER", "GIT"})
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~^:/@%()-]{0,254}")
_NO_FIX_REASON = "The vendor names no fixed version for this release."


@dataclass(kw_only=True, slots=True)
class Affected:
    """What was read from `affected`: fixes, the vendors named, and what could not become a fix."""

    fixes: list[FixDraft] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    vendors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Interval:
    introduced: str
    fixed: str = ""
    last_affected: str = ""
    problem: str = ""


def read_affected(record: dict[str, Any], *, summary: str) -> Affected:
    """Read every entry of `affected`. Raises BadRecord where the shape is not OSV's."""
    found = Affected()
    streams = ecosystems.streams_in(summary)
    for position, value in enumerate(shape.items(record, "affected", "", limit=MAX_AFFECTED)):
        at = f"affected[{position}]"
        _read_entry(shape.record(value, at), f"{at}.", streams, found)
        if len(found.fixes) > MAX_FIXES:
            raise BadRecord(f"It holds more than {MAX_FIXES} statements about packages.")
    found.fixes = list(dict.fromkeys(found.fixes))
    found.notes = list(dict.fromkeys(found.notes))
    if not found.fixes and not found.notes:
        found.notes.append("It names no affected package.")
    return found


def _read_entry(entry: dict[str, Any], at: str, streams: tuple[str, ...], found: Affected) -> None:
    ranges = [
        _read_range(shape.record(value, f"{at}ranges[{n}]"), f"{at}ranges[{n}].")
        for n, value in enumerate(shape.items(entry, "ranges", at, limit=MAX_RANGES))
    ]
    listed = tuple(shape.texts(entry, "versions", at, limit=MAX_VERSIONS))
    specific = shape.section(entry, "ecosystem_specific", at)
    if entry.get("package") is None:
        found.notes.append("An entry without a package (source code only) makes no fix.")
        return
    package = shape.record(entry["package"], f"{at}package")
    ecosystem = shape.text(package, "ecosystem", f"{at}package.")
    name = shape.text(package, "name", f"{at}package.")
    purl = shape.text(package, "purl", f"{at}package.", default="")
    target = ecosystems.target_of(ecosystem, purl)
    if target is None:
        found.notes.append(f"Packages of {ecosystem[:100]!r} make no fix: that ecosystem or release is not matched.")
        return
    if not _PACKAGE_NAME.fullmatch(name):
        raise BadRecord(f"{at}package.name is {name[:100]!r}, which no package can be called.")
    base = FixDraft(
        ecosystem=target.ecosystem,
        distribution=target.distribution,
        release=target.release,
        channel=target.channel,
        flavour=target.flavour,
        package_name=name,
        name_kind=target.name_kind,
        state=FixState.NO_FIX,
        severity_vendor=_word(specific, "urgency") or _word(specific, "ubuntu_priority"),
        reason=_word(specific, "availability"),
    )
    found.vendors.append(target.vendor)
    found.fixes += [_settled(fix, streams) for fix in _fixes_of(base, ranges, listed, found)]


def _fixes_of(
    base: FixDraft, ranges: list[tuple[str, list[tuple[str, str]]]], listed: tuple[str, ...], found: Affected
) -> Iterator[FixDraft]:
    usable = [events for kind, events in ranges if kind == "ECOSYSTEM"]
    if len(usable) < len(ranges):
        found.notes.append(f"A range of {base.package_name} is not in versions of the distribution; it makes no fix.")
    intervals = [interval for events in usable for interval in _intervals(events, base.ecosystem)]
    yield from (_stated(base, interval) for interval in intervals)
    if usable:
        # Beside a range `versions` usually only spell it out; what lies outside of it is affected too.
        outside = tuple(text for text in listed if not _covered(text, intervals, base.ecosystem))
        if outside:
            yield replace(base, affected_versions=outside, reason=_reason(base))
        return
    if listed:
        broken = [text for text in listed if _key(base.ecosystem, text) is None]
        yield replace(
            base,
            state=FixState.UNPARSABLE if broken else FixState.NO_FIX,
            affected_versions=listed,
            reason=f"{broken[0][:100]!r} is no version that can be ordered." if broken else _reason(base),
        )
        return
    yield replace(
        base,
        state=FixState.UNDER_INVESTIGATION,
        reason="The record names the package, but neither a range nor versions.",
    )


def _stated(base: FixDraft, interval: _Interval) -> FixDraft:
    """One interval of affected versions as a fix: rule R5 (fixed at 0: not affected) and R6 (no fix)."""
    if interval.problem:
        return replace(
            base,
            state=FixState.UNPARSABLE,
            introduced=interval.introduced,
            fixed_version=interval.fixed,
            last_affected=interval.last_affected,
            reason=interval.problem,
        )
    if interval.fixed == _BEGINNING:
        return replace(base, state=FixState.NOT_AFFECTED, introduced=_BEGINNING)
    if interval.fixed:
        return replace(base, state=FixState.FIXED, introduced=interval.introduced, fixed_version=interval.fixed)
    return replace(
        base,
        state=FixState.NO_FIX,
        introduced=interval.introduced,
        last_affected=interval.last_affected,
        reason=_reason(base),
    )


def _settled(fix: FixDraft, streams: tuple[str, ...]) -> FixDraft:
    """Add what only the version or the urgency shows: module, flavour, end of support."""
    if fix.state is FixState.NO_FIX and fix.severity_vendor == "end-of-life":
        return replace(fix, state=FixState.OUT_OF_SUPPORT, reason="The vendor no longer supports this release.")
    if fix.ecosystem != "rpm":
        return fix
    version = fix.fixed_version or fix.last_affected or next(iter(fix.affected_versions), "")
    if ecosystems.is_modular(version):
        module = streams[0] if len(streams) == 1 else ""
        fix = replace(fix, modular=True, module=module, module_candidates=streams)
    flavour = ecosystems.flavour_in(version, fix.flavour)
    return fix if flavour == fix.flavour else replace(fix, flavour=flavour)


def _reason(base: FixDraft) -> str:
    return base.reason or _NO_FIX_REASON


def _word(specific: dict[str, Any], key: str) -> str:
    value = specific.get(key)
    return value[:200] if isinstance(value, str) else ""


def _read_range(value: dict[str, Any], at: str) -> tuple[str, list[tuple[str, str]]]:
    kind = shape.text(value, "type", at)
    if kind not in _RANGE_TYPES:
        raise BadRecord(f"{at}type is {kind[:40]!r}; ECOSYSTEM, SEMVER or GIT is needed.")
    events = []
    for position, event in enumerate(shape.items(value, "events", at, limit=MAX_EVENTS)):
        where = f"{at}events[{position}]"
        names = [key for key in shape.record(event, where) if key in _EVENT_KINDS]
        if len(names) != 1:
            raise BadRecord(f"{where} needs exactly one of introduced, fixed, last_affected, limit.")
        events.append((names[0], shape.text(event, names[0], f"{where}.")))
    found = {name for name, _ in events}
    if "introduced" not in found:
        raise BadRecord(f"{at}events has no introduced.")
    if {"fixed", "last_affected"} <= found:
        raise BadRecord(f"{at}events has both fixed and last_affected.")
    return kind, events


def _intervals(events: list[tuple[str, str]], ecosystem: str) -> list[_Interval]:
    """The affected stretches of one range. What contradicts itself becomes one stretch with its problem."""
    events = [(kind, text) for kind, text in events if kind != "limit"]  # limit speaks of commits
    keyed = [(_key(ecosystem, text), kind, text) for kind, text in events]
    for key, _, text in keyed:
        if key is None:
            return [_problem(events, f"{text[:100]!r} is no version that can be ordered.")]
    found: list[_Interval] = []
    opened: str | None = None
    opened_key = ""
    for key, kind, text in sorted(keyed, key=lambda event: event[0] or ""):
        if kind == "introduced":
            if opened is None:
                opened, opened_key = text, key or ""
            continue
        if opened is None or (key == opened_key and kind == "fixed" and text != _BEGINNING):
            return [_problem(events, f"{text[:100]!r} ends a range that no earlier version begins.")]
        found.append(_Interval(opened, **{kind: text}))
        opened = None
    if opened is not None:
        found.append(_Interval(opened))
    return found


def _covered(text: str, intervals: list[_Interval], ecosystem: str) -> bool:
    """Whether some interval says what becomes of this version (or nothing can be said of it)."""
    key = _key(ecosystem, text)
    if key is None:
        return True
    for each in intervals:
        if each.problem:
            return True
        begins, ends = _key(ecosystem, each.introduced) or "", _key(ecosystem, each.fixed or each.last_affected)
        if begins <= key and (not (each.fixed or each.last_affected) or key < (ends or "")):
            return True
        if each.last_affected and key == ends:
            return True
    return False


def _problem(events: list[tuple[str, str]], sentence: str) -> _Interval:
    first = dict(reversed(events))
    return _Interval(
        first.get("introduced", _BEGINNING), first.get("fixed", ""), first.get("last_affected", ""), sentence
    )


@lru_cache(maxsize=100_000)
def _key(ecosystem: str, text: str) -> str | None:
    """The sortable key; of "0" the lowest there is; None where the text is no version."""
    if text == _BEGINNING:
        return ""
    try:
        return versions.key(ecosystem, text)
    except versions.InvalidVersion:
        return None
