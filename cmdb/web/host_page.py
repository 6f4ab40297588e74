"""What the page of a host says: what happens next, what can be done and why not, facts in reading order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cmdb.enums import ConnectionKind, ResultState
from cmdb.models import Connection, Host, ScanResult
from cmdb.queries.connections import endpoint
from cmdb.queries.hosts import FactRow, facts_of, is_stale
from cmdb.queries.windows import Opening
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts, words, wordtags
from patchflow.web.verbs import Verb

NAMES = {
    "pretty_name": gettext_lazy("Operating system"),
    "kernel_build": gettext_lazy("Kernel build"),
    "kernel_installed": gettext_lazy("Newest kernel installed"),
    "virtualization": gettext_lazy("Virtualization"),
    "machine_kind": gettext_lazy("Kind of machine"),
    "hostname": gettext_lazy("Calls itself"),
    "cpus": gettext_lazy("Processors"),
    "memory_mib": gettext_lazy("Memory"),
    "vendor": gettext_lazy("Vendor"),
    "product": gettext_lazy("Product"),
    "python": gettext_lazy("Python"),
    "sources": gettext_lazy("Package sources"),
    "restart_packages": gettext_lazy("Packages that want a restart"),
    "restart_processes": gettext_lazy("Programs that run replaced files"),
}


def opening_words(opening: Opening, now: datetime) -> str:
    """When a window opens; of one that is open, until when."""
    if opening.is_open(now):
        return _("open until %(when)s") % {"when": words.at(opening.ends_at, now=now)}
    return words.at(opening.starts_at, now=now)


def freshness(host: Host, at: datetime) -> str:
    """fresh, stale or never: whether the host's facts count."""
    if host.audited_at is None:
        return "never"
    return "stale" if is_stale(host, at) else "fresh"


def connection_of(host: Host) -> Connection | None:
    return getattr(host, "connection", None)


def open_scan_of(host: Host) -> ScanResult | None:
    return ScanResult.objects.filter(host=host, state=ResultState.PENDING).select_related("scan_run").first()


def last_scan_of(host: Host) -> ScanResult | None:
    return ScanResult.objects.filter(host=host).exclude(state=ResultState.PENDING).order_by("-pk").first()


def next_step(
    host: Host,
    *,
    at: datetime,
    scanning: ScanResult | None,
    last: ScanResult | None,
    opening: Opening | None,
    waiting: tuple[int, int],
) -> parts.Next:
    """One sentence: who must act, or what comes by itself."""
    connection = connection_of(host)
    if host.retired_at is not None:
        return parts.Next(_("It is retired: nothing is scanned or deployed here any more."))
    if scanning is not None:
        return parts.Next(
            _("A scan is under way."), _("It usually takes a minute or two; this page shows the result afterwards.")
        )
    if connection is None:
        return parts.Next(_("Somebody must say how this host is reached."))
    if connection.kind == ConnectionKind.SSH and (not connection.host_key or connection.key_waits):
        return _key_step(connection)
    if last is not None and last.state in (ResultState.FAILED, ResultState.LOST):
        return parts.Next(_("The last scan could not read this host."), last.reason)
    if host.audited_at is None:
        return parts.Next(
            _("It has never been scanned, so everything about it is unknown."),
            _("Scan it now; that also puts it in service."),
        )
    if is_stale(host, at):
        age = words.duration(at - host.audited_at)
        return parts.Next(
            _("Its facts are %(age)s old and no longer count.") % {"age": age},
            _("Until the next scan every finding here is unknown."),
        )
    return _window_step(opening, waiting, at)


def _key_step(connection: Connection) -> parts.Next:
    if connection.host_key:
        return parts.Next(
            _("The host shows another key than the one that was accepted. Nothing connects until a person decides."),
            _("Installed anew? Then compare the new key. If not, somebody else answers at this address."),
        )
    return parts.Next(
        _("A configuration manager must compare and accept the host key."),
        _("Until then nothing connects to this host: it is neither scanned nor updated."),
    )


def _window_step(opening: Opening | None, waiting: tuple[int, int], at: datetime) -> parts.Next:
    count, security = waiting
    offered = ngettext("Its package manager offers %(n)d update", "Its package manager offers %(n)d updates", count) % {
        "n": count
    }
    if security:
        offered += ", " + ngettext("%(n)d of them for security", "%(n)d of them for security", security) % {
            "n": security
        }
    if opening is None:
        return parts.Next(
            _("It has no service window, so nothing can be deployed here."),
            _("%(offered)s. Put it into a group that has a window.") % {"offered": offered},
        )
    detail = _("%(offered)s. Window: %(name)s.") % {"offered": offered, "name": opening.name}
    if opening.is_open(at):
        when = words.at(opening.ends_at, now=at)
        return parts.Next(_("Its window is open until %(when)s.") % {"when": when}, detail)
    when = words.at(opening.starts_at, now=at)
    return parts.Next(_("Its next window opens %(when)s.") % {"when": when}, detail)


def verbs_of(host: Host, *, actor: User, at: datetime, scanning: ScanResult | None) -> list[Verb]:
    """What can be done with the host, each refused one with every reason."""

    def verb(name: str, label: str, capability_name: str, *more: Blocker, **looks: Any) -> Verb:
        blockers = [*failing([capability(capability_name)], host, actor), *more]
        if host.retired_at is not None:
            blockers.append(Blocker("host.retired", _("It is retired.")))
        url = reverse(f"cmdb:host-{name}", args=[host.pk])
        return Verb(name, label, url, allowed=not blockers, blockers=blockers, **looks)

    connection = connection_of(host)
    unreachable = _unreachable(host, connection)
    busy = [Blocker("scan.under_way", _("A scan of this host is under way already."), tone="wait")] if scanning else []
    waits = (
        connection is not None
        and connection.kind == ConnectionKind.SSH
        and (connection.key_waits or not connection.host_key)
    )
    shown = [verb("scan", _("Scan now"), "scan.request", *unreachable, *busy, icon="radar", primary=not waits)]
    if connection is not None and connection.kind == ConnectionKind.SSH:
        label = _("Accept the host key") if waits else _("Connection")
        shown.append(verb("connect", label, "connection.test", icon="key", method="get", primary=waits))
    shown.append(verb("revise", _("Edit"), "host.edit", icon="pen", method="get"))
    shown.append(verb("exempt", _("Ask for exemption"), "exemption.request", icon="shield", method="get"))
    if host.retired_at is None:
        gates = workflow.find_blockers(host.ci, "retire", actor=actor, at=at)
        shown.append(verb("retire", _("Retire"), "host.retire", *gates, icon="archive", dangerous=True))
    return shown


def _unreachable(host: Host, connection: Connection | None) -> list[Blocker]:
    where = reverse("cmdb:host-connect", args=[host.pk])
    if connection is None:
        return [Blocker("connection.none", _("Nobody has said how this host is reached."), where)]
    try:
        endpoint(connection)
    except Refusal as refusal:
        return [Blocker(b.code, b.sentence, where, b.tone) for b in refusal.blockers]
    return []


def shown_facts(host: Host, at: datetime) -> list[parts.Fact]:
    """The host's own columns first, then what its sources say."""
    seen, source = host.reported_at, host.report_source
    told = facts_of(host)
    rows = [
        parts.Fact(_("Platform"), host.platform.label, source, seen)
        if host.platform
        else parts.Fact(_("Platform"), _("unknown, never reported"), css="st-unk"),
        *_kernel(host, told),
        _restart(host),
        parts.Fact(_("Fingerprint"), wordtags.digest(host.fingerprint), source, seen)
        if host.fingerprint
        else parts.Fact(_("Fingerprint"), _("not known yet, so no manifest can name it"), css="st-unk"),
        parts.Fact(_("Owner"), str(host.ci.owner) if host.ci.owner else _("nobody"), _("person"), host.added_at),
    ]
    by_key = {row.key: row for row in told if row.key != "kernel_installed"}
    return rows + [_shown(by_key[key]) for key in NAMES if key in by_key]


def _kernel(host: Host, told: list[FactRow]) -> list[parts.Fact]:
    newest = next((str(row.value) for row in told if row.key == "kernel_installed" and row.value), "")
    conflict = _("%(kernel)s is installed") % {"kernel": newest} if newest and newest != host.kernel_running else ""
    if not host.kernel_running:
        return []
    return [
        parts.Fact(
            _("Running kernel"), host.kernel_running, host.report_source, host.reported_at, mono=True, conflict=conflict
        )
    ]


def _restart(host: Host) -> parts.Fact:
    source, seen = host.report_source, host.reported_at
    if host.reported_at is None:
        return parts.Fact(_("Restart"), _("unknown, never reported"), css="st-unk")
    if host.restart_needed is None:
        return parts.Fact(_("Restart"), _("unknown, nobody over there can tell"), source, seen, css="st-unk")
    if host.restart_needed:
        return parts.Fact(
            _("Restart"),
            _("needed: %(why)s") % {"why": " ".join(host.restart_reasons) or "–"},
            source,
            seen,
            css="st-warn",
        )
    return parts.Fact(_("Restart"), _("not needed"), source, seen, css="st-good")


def _shown(row: FactRow) -> parts.Fact:
    others = "; ".join(f"{source}: {plainly(row.key, value)}" for source, value in row.others)
    locked = _("set by %(name)s, outranks discovery") % {"name": row.locked_by} if row.locked_by else ""
    return parts.Fact(
        str(NAMES[row.key]), plainly(row.key, row.value), row.source, row.seen_at, conflict=others, locked=locked
    )


def plainly(key: str, value: Any) -> Any:
    """A fact's value for people."""
    match key, value:
        case "memory_mib", int():
            return _("%(size)s GiB") % {"size": words.number(round(value / 1024))} if value >= 1024 else f"{value} MiB"
        case "sources", list():
            enabled = [one for one in value if one.get("enabled", True)]
            return ngettext("%(n)d source", "%(n)d sources", len(enabled)) % {"n": len(enabled)}
        case _, list():
            return ", ".join(str(one) for one in value) or "–"
    return value


def connection_rows(host: Host) -> list[tuple[str, Any]]:
    """How the host is reached, for the card of that name."""
    connection = connection_of(host)
    if connection is None:
        return []
    if connection.is_local:
        return [(_("Reached"), _("this very computer, nothing lies in between"))]
    rows: list[tuple[str, Any]] = [(_("Reached"), format_html('<span class="mono">{}</span>', connection))]
    if connection.become:
        rows.append((_("Root"), _("by sudo")))
    if connection.jump:
        rows.append((_("Jump host"), str(connection.jump.host)))
    key = connection.accepted_fingerprint
    rows.append((_("Host key"), format_html('<span class="mono">{}</span>', key) if key else _("not accepted yet")))
    if connection.host_key_accepted_at:
        when = words.day(connection.host_key_accepted_at, now=timezone.now())
        rows.append((_("Accepted by"), f"{connection.host_key_accepted_by}, {when}"))
    return rows
