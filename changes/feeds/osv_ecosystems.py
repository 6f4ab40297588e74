"""What is particular to each distribution's OSV records: names, channels, modules, words of severity."""

from __future__ import annotations

import re
from dataclasses import dataclass

from changes.feeds.base import AdvisoryKind

_CHANNEL_BY_VARIANT = {
    "FIPS": ("fips", "fips"),
    "FIPS-updates": ("fips-updates", "fips"),
    "FIPS-preview": ("fips-preview", "fips"),
    "Realtime": ("realtime", "realtime"),
    "Nvidia-BlueField": ("bluefield", "bluefield"),
}
_RELEASES = {
    "Debian": re.compile(r"\d{1,3}"),
    "Ubuntu": re.compile(r"\d{1,2}\.\d\d"),
    "AlmaLinux": re.compile(r"\d{1,3}(\.\d{1,3})?"),
    "Rocky Linux": re.compile(r"\d{1,3}(\.\d{1,3})?"),
}
_ESM_POCKET = re.compile(r"[?&]distro=(?:(esm-[a-z-]+)/|[a-z]+/(esm))")
_STREAM = re.compile(r"(?<![\w:/.-])([a-z0-9][\w.+-]*:[\w.+-]+)")
_MODULE_BUILD = re.compile(r"\.module[_+]")
_LEADING_WORD = re.compile(r"(Critical|Important|Moderate|Low|None)\s*:", re.IGNORECASE)
_TRAILING_WORD = re.compile(r"\((Critical|Important|Moderate|Low)\)\s*$", re.IGNORECASE)
_CVE = re.compile(r"(?:(?:UBUNTU|DEBIAN)-)?(CVE-\d{4}-\d{4,})")

_VENDORS = (
    (("DSA-", "DLA-", "DTSA-", "DEBIAN-"), "Debian"),
    (("USN-", "UBUNTU-", "LSN-"), "Ubuntu"),
    (("ALSA-", "ALBA-", "ALEA-"), "AlmaLinux"),
    (("RLSA-", "RLBA-", "RLEA-", "RXSA-"), "Rocky Linux"),
)
_KINDS = {
    "BA-": AdvisoryKind.BUGFIX,
    "EA-": AdvisoryKind.ENHANCEMENT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a fix belongs: `ecosystem` is the order of versions (deb, rpm)."""

    vendor: str
    ecosystem: str
    distribution: str
    release: str
    name_kind: str
    channel: str = ""
    flavour: str = "plain"


_DISTRIBUTIONS = {
    "Debian": ("deb", "debian", "source"),
    "Ubuntu": ("deb", "ubuntu", "source"),
    "AlmaLinux": ("rpm", "almalinux", "binary"),
    # Rocky's exporter writes the names of source packages only (resf/distro-tools, apollo/server/routes/api_osv.py):
    # java-11-openjdk stands for java-11-openjdk-headless and all its other binaries.
    "Rocky Linux": ("rpm", "rocky", "source"),
}


def target_of(ecosystem: str, purl: str) -> Target | None:
    """Read `ecosystem` ("Ubuntu:Pro:16.04:LTS"), with the package URL for the pocket; None where it is not known."""
    name, _, rest = ecosystem.partition(":")
    known = _DISTRIBUTIONS.get(name)
    if known is None:
        return None
    release, channel, flavour = (rest, "", "plain") if name != "Ubuntu" else _ubuntu(rest, purl)
    if not _RELEASES[name].fullmatch(release):
        return None
    order, distribution, name_kind = known
    return Target(
        vendor=name,
        ecosystem=order,
        distribution=distribution,
        release=release,
        name_kind=name_kind,
        channel=channel,
        flavour=flavour,
    )


def _ubuntu(rest: str, purl: str) -> tuple[str, str, str]:
    """Release, channel and flavour of 22.04:LTS, Pro:16.04:LTS, Pro:FIPS-updates:20.04:LTS; an empty release if odd."""
    parts = rest.removesuffix(":LTS").split(":")
    release, variants = parts[-1], parts[:-1]
    if not variants:
        return release, "", "plain"
    if variants == ["Pro"]:
        pocket = _ESM_POCKET.search(purl)
        channel = (pocket.group(1) or "esm-infra") if pocket else "esm"
        return release, channel, "esm"
    channel, flavour = _CHANNEL_BY_VARIANT.get(variants[-1], ("", ""))
    if not channel or variants[:-1] not in ([], ["Pro"]):
        return "", "", ""
    return release, channel, flavour


def vendor_of(advisory_id: str) -> str:
    """The vendor that an id's prefix names; empty where none is known."""
    return next((vendor for prefixes, vendor in _VENDORS if advisory_id.startswith(prefixes)), "")


def kind_of(advisory_id: str, summary: str) -> AdvisoryKind:
    """Security, unless an AlmaLinux or Rocky id says bug fix or enhancement."""
    if vendor_of(advisory_id) not in ("AlmaLinux", "Rocky Linux"):
        return AdvisoryKind.SECURITY
    if summary.lower().startswith("new package"):
        return AdvisoryKind.NEWPACKAGE
    return _KINDS.get(advisory_id[2:5], AdvisoryKind.SECURITY)


def severity_in(summary: str) -> str:
    """The vendor's word in an AlmaLinux or Rocky summary: in front, or (seen once) in brackets at the end."""
    found = _LEADING_WORD.match(summary) or _TRAILING_WORD.search(summary)
    return found.group(1) if found else ""


def is_modular(version: str) -> bool:
    """Whether an RPM version comes from a module build: nothing else in the record says so."""
    return _MODULE_BUILD.search(version) is not None


def streams_in(summary: str) -> tuple[str, ...]:
    """The name:stream pairs that a summary names. Meaningful only for a modular fix (kernel:4.18.0 is none)."""
    body = _LEADING_WORD.sub("", summary, count=1)
    return tuple(dict.fromkeys(_STREAM.findall(body)))


def flavour_in(version: str, flavour: str) -> str:
    """The flavour that an RPM version itself shows, else the one given."""
    if ".ksplice" in version:
        return "ksplice"
    return "fips" if "_fips" in version else flavour


def cve_in(name: str) -> str:
    """The CVE that an id is or wraps (UBUNTU-CVE-2024-1, DEBIAN-CVE-2024-1); empty otherwise."""
    found = _CVE.fullmatch(name)
    return found.group(1) if found else ""
