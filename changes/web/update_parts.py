"""What the page of an update says, as parts of the toolkit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.enums import CloseCode, RFCState
from changes.enums_identify import AppliesVerdict, Response
from changes.models import RFC, SoftwareUpdate
from changes.queries.applicability import MISSING, MissingHost
from changes.queries.coverage import Coverage
from changes.queries.updates import (
    BEHIND,
    FixedHost,
    Standing,
    advisories_of,
    carried,
    replaced_by,
    standing,
    vulnerabilities_of,
)
from changes.rules_identify import may_respond
from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.sentences import say
from patchflow.web import parts, states
from patchflow.web.tables import Column, Table
from patchflow.web.verbs import Verb

SHOWN_HOSTS = 25
SHOWN_CVES = 50
CARRIED_OUT = ("full", "partial")
"""What a release reports of a change that it has brought to hosts."""
V = AppliesVerdict


@dataclass(frozen=True, slots=True)
class HostLine:
    """A host and what the update is to it, as the table and the file show it."""

    host_id: int
    host_name: str
    verdict: str
    package: str
    installed_version: str
    fixed_version: str
    sign: str
    why: str
    audited_at: datetime | None
    installable: bool | None = None
    low_confidence: bool = False
    packages: int = 1


def host_lines(update: SoftwareUpdate, *, actor: User, now: datetime) -> Iterator[HostLine]:
    """Every host that has the update's packages; missing first."""
    yield from _lines(update, standing(update, actor=actor, at=now))


def _lines(update: SoftwareUpdate, stands: Standing) -> Iterator[HostLine]:
    for host in sorted(stands.concerned, key=_urgency):
        yield HostLine(
            host.host_id, host.host_name, "exempt" if host.exempt else host.verdict, host.package, host.installed_version,
            host.fixed_version, "<" if host.verdict in MISSING else "?", _why(host), host.audited_at, host.installable,
            host.low_confidence, host.packages,
        )  # fmt: skip
    for verdict, sign, why, hosts in (
        (V.UNKNOWN, "?", _("What is known of the host, or of the advisories, is too old to count."), stands.unheard),
        (V.FIXED, "≥", _("At the fixed version or later."), stands.fixed),
    ):
        for each in hosts:
            yield _line_of(update, each, str(verdict), sign, why)


def _line_of(update: SoftwareUpdate, host: FixedHost, verdict: str, sign: str, why: str) -> HostLine:
    return HostLine(
        host.host_id, host.host_name, verdict, host.package, host.installed_version, update.fixed_version, sign, why,
        host.audited_at,
    )  # fmt: skip


def _urgency(host: MissingHost) -> tuple[bool, int, str]:
    order = (V.APPLICABLE, V.APPLICABLE_AFTER_CHANNEL, V.UNKNOWN, V.FIXED_PENDING_RESTART, V.NO_FIX)
    return host.exempt, order.index(V(host.verdict)), host.host_name


def _why(host: MissingHost) -> str:
    said = [host.why]
    if host.verdict in MISSING:
        if host.installable:
            said.append(_("Its own package manager offers it."))
        elif host.installable is None:
            said.append(
                _(
                    "Whether it is offered cannot be said: the package numbers its versions otherwise, or comes under a new name."
                )
            )
        else:
            said.append(_("Its package manager does not offer it yet."))
    if host.low_confidence:
        said.append(_("Low confidence."))
    if host.held:
        said.append(_("The package is held back on the host."))
    if host.packages > 1:
        said.append(ngettext("%(n)d package.", "%(n)d packages.", host.packages) % {"n": host.packages})
    if host.reason:
        said.append(say(host.reason))
    return " ".join(said)


def _versions(line: HostLine) -> SafeString:
    css = {"<": "lt", "≥": "ge"}.get(line.sign, "dim")
    return format_html(
        '<span class="ver">{}</span> <span class="ver"><span class="{}">{}</span> {}</span><div class="tiny dim">{}: {}</div>',
        line.installed_version, css, line.sign, line.fixed_version, line.package, line.why,
    )  # fmt: skip


HOST_COLUMNS = (
    Column(gettext_lazy("Host"), "host_name", url=lambda line: reverse("cmdb:host-detail", args=[line.host_id])),
    Column(gettext_lazy("Result"), "verdict", state="changes.verdict"),
    Column(gettext_lazy("Versions, basis"), _versions, wide=True),
    Column(gettext_lazy("Age"), "audited_at", age=True, numeric=True),
)
HOST_FILE_COLUMNS: Sequence[tuple[str, Callable[[HostLine], Any]]] = (
    ("Host", lambda line: line.host_name),
    ("Result", lambda line: str(states.look("changes.verdict", line.verdict).label)),
    ("Package", lambda line: line.package),
    ("Installed", lambda line: line.installed_version),
    ("Fixed", lambda line: line.fixed_version),
    ("Why", lambda line: line.why),
    ("Last read", lambda line: line.audited_at),
)


def interval_of(update: SoftwareUpdate, stands: Standing) -> parts.Interval:
    """How many have it, as an interval; each count opens its rows."""
    here = reverse("changes:update-detail", args=[update.pk])
    waiting = stands.counts.get(V.FIXED_PENDING_RESTART, 0)
    return parts.Interval(
        good=stands.counts.get(V.FIXED, 0),
        unknown=stands.unknown,
        bad=stands.missing + waiting,
        of=_("hosts that have its packages are at the fixed version"),
        good_label=_("fixed"),
        unknown_label=_("unknown"),
        bad_label=_("missing or restart pending"),
        good_url=f"{here}?verdict=fixed#h-hosts",
        unknown_url=f"{here}?verdict=unknown#h-hosts",
        bad_url=f"{here}?verdict=open#h-hosts",
        exempt=stands.exempt,
        exempt_url=f"{here}?verdict=exempt#h-hosts",
    )


def _chosen(line: HostLine, verdict: str) -> bool:
    if verdict == "open":
        return line.verdict in (*MISSING, V.FIXED_PENDING_RESTART)
    return not verdict or line.verdict == verdict


def response_of(update: SoftwareUpdate) -> str:
    """What is done about it as it is shown: one that a change carries (annotated) is not undecided."""
    carried = update.response == Response.UNDECIDED and update.carried  # type: ignore[attr-defined]
    return "carried" if carried else str(update.response)


def page_of(update: SoftwareUpdate, *, actor: User, now: datetime, verdict: str = "") -> dict[str, Any]:
    """Everything on the page of an update."""
    stands = standing(update, actor=actor, at=now)
    lines = [line for line in _lines(update, stands) if _chosen(line, verdict)]
    carrying = RFC.objects.visible_to(actor).filter(updates__update=update, updates__removed_at__isnull=True)
    rfcs = list(carrying.distinct().order_by("-pk")[:8])
    advisories = list(advisories_of(update)[:5])
    update.carried = SoftwareUpdate.objects.filter(carried(), pk=update.pk).exists()  # type: ignore[attr-defined]
    return {
        "title": update.title or str(update),
        "phase": 2,
        "ident": [f"{update.name} {update.fixed_version}", update.platform_label, update.get_kind_display()],
        "update": update,
        "response": response_of(update),
        "response_word": states.look("changes.response", response_of(update)).label,
        "next": _next(update, stands, rfcs, now),
        "verbs": _verbs(update, stands, rfcs, actor),
        "stands": stands,
        "interval": interval_of(update, stands),
        "hosts": Table(HOST_COLUMNS, lines[:SHOWN_HOSTS], now, caption=_("Hosts, and why")),
        "host_count": len(lines),
        "shown_hosts": min(len(lines), SHOWN_HOSTS),
        "verdict": verdict,
        "no_hosts": not stands.concerned and not stands.fixed and not stands.unheard,
        "vulnerabilities": list(vulnerabilities_of(update)[:SHOWN_CVES]),
        "vulnerability_count": vulnerabilities_of(update).count(),
        "advisories": advisories,
        "further_advisories": advisories[1:],
        "further_count": advisories_of(update).count() - 1,
        "responses": list(update.responses.select_related("decided_by")[:5]),
        "may_respond": not failing([may_respond], update, actor),
        "clock": _clock(update),
        "replaces": list(replaced_by(update)[:8]),
        "coverage": coverage_statements([stands.coverage]),
        "links": [(str(rfc.number), _rfc_link(rfc)) for rfc in rfcs],
        "timeline": audit.history(update)[:20],
    }


def _rfc_link(rfc: RFC) -> SafeString:
    return format_html(
        '<a href="{}">{}</a> <span class="dim">{}</span>', rfc.get_absolute_url(), rfc.title, rfc.get_state_display()
    )


def _clock(update: SoftwareUpdate) -> parts.Clock | None:
    if update.notified_at is None or update.start_by is None:
        return None
    return parts.Clock(update.notified_at, update.start_by, update.get_update_class_display())


def _next(update: SoftwareUpdate, stands: Standing, rfcs: list[RFC], now: datetime) -> parts.Next:
    hosts = ngettext("%(n)d host misses it", "%(n)d hosts miss it", stands.missing) % {"n": stands.missing}
    more = ngettext("%(n)d more is unknown.", "%(n)d more are unknown.", stands.unknown) % {"n": stands.unknown}
    detail = more if stands.unknown else ""
    if update.withdrawn_at:
        return parts.Next(_("The vendor has withdrawn it: nothing new is planned for it."))
    if update.superseded_by:
        newer = _("%(v)s contains it: decide about that one.") % {"v": update.superseded_by.fixed_version}
        return parts.Next(newer, hosts + ".")
    if live := _live(rfcs):
        return parts.Next(f"{live[0].number}: {live[0].get_state_display()}.", hosts + ".")
    wanted = update.response in (Response.UNDECIDED, Response.DEPLOY)
    if wanted and stands.missing and (carried_out := _carried_out(rfcs)):
        missed = ngettext("still missing on %(n)d host", "still missing on %(n)d hosts", stands.missing)
        sentence = _("%(rfc)s has carried it out, and it is %(missed)s.")
        given = {"rfc": carried_out.number, "missed": missed % {"n": stands.missing}}
        return parts.Next(
            sentence % given, _("Look at these hosts, and raise another RFC for them.") + f" {detail}".rstrip()
        )
    if not stands.missing:
        return parts.Next(_("No host is known to miss it."), detail)
    if update.response == Response.UNDECIDED:
        return parts.Next(_("%(hosts)s, and nobody has decided yet.") % {"hosts": hosts}, detail)
    if update.response == Response.DEPLOY:
        return parts.Next(_("%(hosts)s: somebody must raise an RFC.") % {"hosts": hosts}, detail)
    word = states.look("changes.response", update.response).label
    return parts.Next(_("Decided: %(word)s. %(hosts)s.") % {"word": word, "hosts": hosts}, detail)


def _live(rfcs: list[RFC]) -> list[RFC]:
    """Those that are still to bring it to a host."""
    return [rfc for rfc in rfcs if rfc.state not in BEHIND]


def _carried_out(rfcs: list[RFC]) -> RFC | None:
    """The newest that has been carried out: what misses it now, it has not reached. One that was stopped, failed or was rolled
    back has not been."""
    return next((rfc for rfc in rfcs if _has_carried_out(rfc)), None)


def _has_carried_out(rfc: RFC) -> bool:
    if rfc.state == RFCState.IN_REVIEW:
        return rfc.outcome in CARRIED_OUT
    return rfc.close_code in (CloseCode.SUCCESSFUL, CloseCode.WITH_ISSUES)


def _verbs(update: SoftwareUpdate, stands: Standing, rfcs: list[RFC], actor: User) -> list[Verb]:
    raising = [] if _may_raise(actor) else failing([capability("rfc.raise")], None, actor)
    live, carried_out = _live(rfcs), _carried_out(rfcs)
    if live:
        sentence = _("%(rfc)s already carries this update.") % {"rfc": live[0].number}
        raising.append(Blocker("update.rfc", sentence, where=live[0].get_absolute_url(), tone="wait"))
    if update.withdrawn_at:
        raising.append(Blocker("update.withdrawn", _("The vendor has withdrawn it.")))
    here = reverse("changes:rfc-raise")
    classify = failing([may_respond], update, actor)
    found = [
        Verb(
            "raise", _("Raise an RFC"), f"{here}?update={update.pk}", not raising, tuple(raising), method="get", icon="rfc",
            primary=True, reach=_for_hosts(stands.missing),
        ),
        Verb(
            "classify", _("Change the class"), reverse("changes:update-classify", args=[update.pk]), not classify,
            tuple(classify), method="get",
        ),
    ]  # fmt: skip
    if opened := (live[0] if live else carried_out):
        found.insert(
            0, Verb("open", _("Open %(rfc)s") % {"rfc": opened.number}, opened.get_absolute_url(), method="get")
        )
    return found


def _for_hosts(n: int) -> str:
    return ngettext("for %(n)d host", "for %(n)d hosts", n) % {"n": n} if n else ""


def _may_raise(actor: User) -> bool:
    return actor.holds_somewhere("rfc.raise")


def coverage_statements(lines: Sequence[Coverage]) -> list[parts.Statement]:
    """What is known of each platform, and how old it is."""
    return [
        parts.Statement(
            "st-unk" if not line.fresh else "st-warn" if line.held else "st-good",
            line.said,
            line.label,
            reverse("changes:feed-list"),
        )
        for line in lines
    ]
