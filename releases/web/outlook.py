"""What starting a deployment leads to: the ring that comes first with its hosts, the first time that it finds, and what stops it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from changes.models import RFC
from changes.queries.fitting import HORIZON, freezes_against
from cmdb.models import Host
from patchflow.kernel.models import User
from patchflow.web import words
from releases.domain import slots
from releases.models import Release
from releases.queries.telling import notice_hours

NAMED = 5
"""Hosts of the first ring that are named."""


def outlook(release: Release, actor: User, *, at: datetime) -> list[str]:
    """In sentences: first ring, first time, hosts without one, freezes before the latest start."""
    return [*_first_ring(release, actor), *_first_time(release, at), *_freezes(release, at)]


def ahead(release: Release, *, at: datetime) -> str:
    """The same of a release that waits for its start, as one text: the first time, hosts without one, freezes. It names no
    host, so that whoever sees the release may read it."""
    return " ".join([*_first_time(release, at), *_freezes(release, at)])


def _first_ring(release: Release, actor: User) -> list[str]:
    ring = release.planned_rings.order_by("number").first()
    if ring is None:
        return []
    count = ring.hosts.count()
    seen = Host.objects.visible_to(actor).filter(planned_in__ring=ring).order_by("name")
    names = list(seen.values_list("name", flat=True)[:NAMED])
    more = count - len(names)
    said = ", ".join(names) if not more else _("%(names)s and %(n)d more") % {"names": ", ".join(names), "n": more}
    if not names:
        said = ngettext("%(n)d host", "%(n)d hosts", count) % {"n": count}
    return [_("Its changes begin. Ring “%(ring)s” comes first: %(hosts)s.") % {"ring": ring.name, "hosts": said}]


def _first_time(release: Release, at: datetime) -> list[str]:
    """The first start after the notice of the first ring, which begins when the deployment does."""
    profile = vars(release.profile) if release.profile else {}
    fitting = slots.fit(release, at=at + timedelta(hours=notice_hours(profile)))
    lines = []
    if fitting.spans:
        first = fitting.spans[0]
        when = words.at(first.starts_at, now=at) if first.starts_at > at else _("now")
        lines.append(
            _("The first start that a window gives: %(when)s, in “%(window)s”.") % {"when": when, "window": first.name}
        )
    elif fitting.unfit:
        lines.append(_("No window gives it a start."))
    if profile.get("acknowledge"):
        lines.append(pgettext("help", "A ring does not start before everybody who was told has acknowledged."))
    if unfit := len(fitting.unfit):
        lines.append(
            ngettext(
                "%(n)d host fits no opening of its windows and will be refused.",
                "%(n)d hosts fit no opening of their windows and will be refused.",
                unfit,
            )
            % {"n": unfit}
        )
    return lines


def _freezes(release: Release, at: datetime) -> list[str]:
    """Those that keep one of its changes from starting within its dates."""
    end = release.latest_at or at + HORIZON
    kinds = RFC.objects.filter(pk__in=release.rfc_ids()).order_by().values_list("kind", flat=True).distinct()
    found = sorted({freeze for kind in kinds for freeze in freezes_against(kind, after=at) if freeze[0] < end})
    return [
        _("Freeze “%(name)s” lets nothing of it start from %(since)s until %(until)s.")
        % {"name": name, "since": words.at(since, now=at), "until": words.at(until, now=at)}
        for since, until, name in found
    ]
