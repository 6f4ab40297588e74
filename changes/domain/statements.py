"""From what a vendor wrote to statements that can be compared, and to the updates that they belong to. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from changes.enums_identify import FixState, NameKind, UpdateClass, UpdateKind
from changes.feeds.base import AdvisoryDraft, AdvisoryKind, FixDraft, SeverityRank, rank_severity
from changes.queries.matching import RUNNABLE_KERNELS
from cmdb import versions
from patchflow.kernel.blockers import english

MAX_LISTED_VERSIONS = 500
"""Of a list of affected versions each becomes a statement; a longer list is not read (unknown), never shortened."""

_JUST_ABOVE = "!"
"""Appended to a key: above that version, below every later one (keys end in `#`, and none begins another)."""

_KERNEL_SOURCE = re.compile(r"linux(-\d[\d.]*)?|linux-(aws|azure|gcp|gke|gkeop|hwe|ibm|kvm|lowlatency|oem|oracle|raspi|"
                            r"realtime|bluefield|nvidia|riscv|xilinx|starfive|intel|fips|lts|ti-omap4|snapdragon)([\w.+-]*)")  # fmt: skip
_WORD = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """The columns of a `Fix` that say what is stated. `fixed_key` None: cannot be ordered, so the verdict is unknown."""

    ecosystem: str
    distribution: str
    release: str
    channel: str
    name: str
    name_kind: str
    arch: str
    modular: bool
    module: str
    module_sure: bool
    flavour: str
    is_kernel: bool
    state: str
    introduced: str
    introduced_key: str
    fixed_version: str
    fixed_key: str | None
    reason: str
    severity_vendor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateKey:
    """What an update is unique by; `module` also stands in the name of a modular one."""

    ecosystem: str
    distribution: str
    release: str
    name: str
    fixed_version: str
    flavour: str
    module: str = ""


def key_of(ecosystem: str, text: str) -> str | None:
    """The sortable key; "0" is the lowest there is; None where the text cannot be ordered."""
    if text == "0":
        return ""
    try:
        return versions.key(ecosystem, text)
    except versions.InvalidVersion:
        return None


def is_kernel(name: str, name_kind: str) -> bool:
    """Whether the package is a kernel: then the verdict is on the one that runs (and headers, tools are no exposure)."""
    if name_kind == NameKind.SOURCE:
        return _KERNEL_SOURCE.fullmatch(name) is not None
    return name in RUNNABLE_KERNELS or name.startswith(("linux-image-", "kernel-modules"))


def statements_of(draft: AdvisoryDraft) -> list[Statement]:
    """Every statement of an advisory, each once."""
    return list(dict.fromkeys(found for fix in draft.fixes for found in _statements(fix)))


def _statements(fix: FixDraft) -> Iterator[Statement]:
    if fix.state == FixState.FIXED:
        yield from _in_streams(fix, _keyed(fix, key_of(fix.ecosystem, fix.fixed_version)))
    elif fix.state == FixState.NOT_AFFECTED:
        yield from _in_streams(fix, _keyed(fix, versions.NOT_AFFECTED))
    elif fix.state == FixState.UNPARSABLE:
        yield from _in_streams(fix, _keyed(fix, None))
    elif fix.affected_versions:
        yield from _listed(fix)
    elif fix.last_affected:
        last = key_of(fix.ecosystem, fix.last_affected)
        yield from _in_streams(fix, _keyed(fix, None if last is None else last + _JUST_ABOVE))
    else:
        yield from _in_streams(fix, _keyed(fix, versions.NO_FIX))


def _listed(fix: FixDraft) -> Iterator[Statement]:
    if len(fix.affected_versions) > MAX_LISTED_VERSIONS:
        reason = english("It lists %(n)s versions, more than are read.", n=len(fix.affected_versions))
        yield from _in_streams(fix, replace(_keyed(fix, None), reason=reason))
        return
    for text in fix.affected_versions:
        key = key_of(fix.ecosystem, text)
        found = _keyed(fix, None if key is None else key + _JUST_ABOVE)
        yield from _in_streams(fix, replace(found, introduced=text[:300], introduced_key=key or ""))


def _keyed(fix: FixDraft, fixed_key: str | None) -> Statement:
    introduced = key_of(fix.ecosystem, fix.introduced)
    return Statement(
        ecosystem=fix.ecosystem,
        distribution=fix.distribution,
        release=fix.release,
        channel=fix.channel,
        name=fix.package_name,
        name_kind=fix.name_kind,
        arch=fix.arch or "any",
        modular=fix.modular,
        module=fix.module,
        module_sure=bool(fix.module) or not fix.modular,
        flavour=fix.flavour,
        is_kernel=is_kernel(fix.package_name, fix.name_kind),
        state=fix.state if fixed_key is not None else FixState.UNPARSABLE,
        introduced=fix.introduced[:300],
        introduced_key=introduced or "",
        fixed_version=fix.fixed_version[:300],
        fixed_key=fixed_key if introduced is not None else None,
        reason=fix.reason[:300],
        severity_vendor=fix.severity_vendor[:200],
    )


def _in_streams(fix: FixDraft, statement: Statement) -> Iterator[Statement]:
    """R8: where the feed leaves open which stream is meant, one statement for each that it may be, marked as unsure."""
    if fix.modular and not fix.module and fix.module_candidates:
        yield from (replace(statement, module=stream, module_sure=False) for stream in fix.module_candidates)
    else:
        yield statement


# --- updates ----------------------------------------------------------------------------------------------------------
def updates_of(draft: AdvisoryDraft, statements: Iterable[Statement]) -> dict[UpdateKey, list[Statement]]:
    """The updates that an advisory announces, with their statements.

    By source package where the vendor names sources. Where only binaries are named, those of one release that share a
    fixed version are one update, called by the name that the title says, or that begins the others; a module's
    packages are one update whatever their versions.
    """
    groups: dict[tuple[str, ...], list[Statement]] = {}
    for each in statements:
        if each.state != FixState.FIXED and not (each.state == FixState.UNPARSABLE and each.fixed_version):
            continue
        own = each.name if each.name_kind == NameKind.SOURCE else ""
        version = "" if each.modular else each.fixed_version
        place = (each.ecosystem, each.distribution, each.release, each.flavour)
        groups.setdefault((*place, own, each.module if each.module_sure else "", version), []).append(each)
    found: dict[UpdateKey, list[Statement]] = {}
    for (ecosystem, distribution, release, flavour, own, module, version), members in groups.items():
        head = own or _head([each.name for each in members], f"{module.partition(':')[0]} {draft.title}")
        key = UpdateKey(
            ecosystem=ecosystem,
            distribution=distribution,
            release=release,
            name=module or head,
            fixed_version=version or _version_of(head, members),
            flavour=flavour,
            module=module,
        )
        found.setdefault(key, []).extend(members)
    return found


def _head(names: list[str], title: str) -> str:
    known = set(names)
    named = next((word for word in _WORD.findall(title) if word in known), "")
    if named:
        return named
    follows = Counter({name: sum(other.startswith(f"{name}-") for other in known) for name in known})
    return min(known, key=lambda name: (-follows[name], len(name), name))


def _version_of(head: str, members: list[Statement]) -> str:
    """The version by which a module's update is known: that of its main package, else the highest."""
    main = [each for each in members if each.name == head] or members
    return max(main, key=lambda each: (each.fixed_key or "", each.name)).fixed_version


# --- how grave --------------------------------------------------------------------------------------------------------
_KINDS = {
    AdvisoryKind.SECURITY: UpdateKind.SECURITY_PATCH,
    AdvisoryKind.BUGFIX: UpdateKind.UPDATE,
    AdvisoryKind.ENHANCEMENT: UpdateKind.UPDATE,
    AdvisoryKind.NEWPACKAGE: UpdateKind.FEATURE_PACK,
}


def kind_of(advisory_kind: str) -> UpdateKind:
    """The kind of update that an advisory of this kind announces."""
    return _KINDS[AdvisoryKind(advisory_kind)]


def severity_of(draft: AdvisoryDraft, statements: Iterable[Statement]) -> tuple[str, SeverityRank]:
    """The vendor's word and its rank: the gravest said for these packages or for the whole."""
    words = [draft.severity_vendor, *(each.severity_vendor for each in statements)]
    word = max(words, key=rank_severity)
    return (word or draft.severity_vendor)[:40], max(rank_severity(word), draft.severity_rank)


def class_of(*, rank: int, exploited: bool, kind: str) -> tuple[UpdateClass, str]:
    """The class proposed for an update, and why. A severity that nobody stated is no low one."""
    if exploited:
        return UpdateClass.CRITICAL, english("It is known to be exploited.")
    if rank == SeverityRank.CRITICAL:
        return UpdateClass.CRITICAL, english("The vendor calls it critical.")
    if rank == SeverityRank.IMPORTANT:
        return UpdateClass.HIGH, english("The vendor calls it important or high.")
    if rank == SeverityRank.MODERATE:
        return UpdateClass.MEDIUM, english("The vendor calls it moderate or medium.")
    if rank == SeverityRank.UNKNOWN and kind == UpdateKind.SECURITY_PATCH:
        return UpdateClass.MEDIUM, english("A security patch whose severity the vendor has not stated.")
    return UpdateClass.LOW, english("The vendor calls it low, or it mends no security.")
