"""One box: numbers, names, CVEs, people; only what the actor may see is found, the nearest first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from changes.models import (
    RFC,
    ApprovalRoute,
    ChangeModel,
    ChangeTask,
    Cycle,
    FreezeWindow,
    Meeting,
    SoftwareUpdate,
    Vulnerability,
)
from cmdb.models import Baseline, ConfigurationItem, Host, HostGroup, ServiceWindow
from cmdb.queries.items import OTHERS
from patchflow.kernel.models import User
from patchflow.kernel.models.user import BOT
from releases.models import Release, Rollout

MOST = 10
LONGEST = 100
"""Characters of what is sought."""
KINDS = {
    "rfc": _("Change"), "change_task": _("Change task"), "release": _("Release"), "rollout": _("Rollout"), "meeting": _("Meeting"),
    "host": _("Host"), "vulnerability": _("Vulnerability"), "update": _("Update"), "baseline": _("Baseline"),
    "window": _("Window"), "group": _("Group"), "freeze": _("Freeze"), "change_model": _("Change model"),
    "approval_route": _("Approval route"), "service": _("Service"), "cycle": _("Cycle"), "person": _("Person"),
}  # fmt: skip
EXACT, BEGINS, WITHIN = range(3)
SHORT = re.compile(r"(?:(?P<series>[a-z]{2,5})[- ]?)?#?(?P<number>\d{1,6})", re.IGNORECASE)
"""A number as people say it: "42", "rfc 42", "REL-17"; what is meant is this year's or the last year's."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What was found: its noun, the same in every language, and its id; how near it is (`rank`), and where its page is."""

    noun: str
    pk: int
    title: str
    url: str
    rank: int

    @property
    def kind(self) -> str:
        """The noun in the reader's language."""
        return str(KINDS[self.noun])

    @property
    def exact(self) -> bool:
        return self.rank == EXACT


def find(text: str, actor: User) -> list[Hit]:
    """Up to ten of each kind: what is exactly this first, then what begins with it, then what has it within.

    A fixed number of queries, whatever is found.
    """
    hits = [hit for search in SEARCHES for hit in search(text, actor)]
    return sorted(hits, key=lambda hit: hit.rank)


def straight(hits: list[Hit]) -> Hit | None:
    """The one page that is meant, where a number or name was given whole; None if there is none or more than one."""
    exact = {hit.url: hit for hit in hits if hit.exact}
    return next(iter(exact.values())) if len(exact) == 1 else None


# --- how near ---------------------------------------------------------------------------------------------------------
def rank(text: str, *names: str) -> int:
    asked = text.lower()
    known = [name.lower() for name in names if name]
    if asked in known:
        return EXACT
    return BEGINS if any(name.startswith(asked) for name in known) else WITHIN


def _numbered(text: str, series: str) -> Q:
    """Rows whose number is this, begins with it, or ends in the number that was said short."""
    found = Q(number__istartswith=text)
    short = SHORT.fullmatch(text)
    if short and (short["series"] or series).upper() == series:
        found |= Q(number__startswith=f"{series}-", number__endswith=f"-{int(short['number']):05d}")
    return found


def _take(
    rows: QuerySet[Any],
    noun: str,
    text: str,
    names: Callable[[Any], Iterable[str]],
    url: Callable[[Any], str] | None = None,
) -> Iterator[Hit]:
    for row in rows[:MOST]:
        said = list(names(row))
        title = " · ".join(dict.fromkeys(name for name in said if name)) or str(row)
        yield Hit(noun, row.pk, title, url(row) if url else row.get_absolute_url(), rank(text, *said[:2]))


# --- each kind --------------------------------------------------------------------------------------------------------
def _changes(text: str, actor: User) -> Iterator[Hit]:
    rows = RFC.objects.visible_to(actor).filter(_numbered(text, "RFC") | Q(title__icontains=text)).order_by("-pk")
    return _take(rows, "rfc", text, lambda r: (r.number, r.title))


def _tasks(text: str, actor: User) -> Iterator[Hit]:
    """By title, and by number as soon as it is more than that of its change."""
    asked = Q(title__icontains=text)
    if "-T" in text.upper():
        asked |= Q(number__istartswith=text)
    rows = ChangeTask.objects.all().visible_to(actor).filter(asked).order_by("-pk")
    return _take(rows, "change_task", text, lambda t: (t.number, t.title))


def _releases(text: str, actor: User) -> Iterator[Hit]:
    rows = Release.objects.visible_to(actor).filter(_numbered(text, "REL") | Q(title__icontains=text)).order_by("-pk")
    return _take(rows, "release", text, lambda r: (r.number, r.title, r.simulated_word))


def _rollouts(text: str, actor: User) -> Iterator[Hit]:
    rows = Rollout.objects.visible_to(actor).filter(_numbered(text, "RO")).select_related("release").order_by("-pk")
    return _take(rows, "rollout", text, lambda r: (r.number, "", r.release.labelled))


def _meetings(text: str, actor: User) -> Iterator[Hit]:
    asked = Q(number__istartswith=text) | Q(items__title__icontains=text)
    if (short := SHORT.fullmatch(text)) and short["series"]:
        asked |= Q(number__istartswith=short["series"], number__endswith=f"-{int(short['number']):05d}")
    rows = Meeting.objects.filter(asked, pk__in=Meeting.objects.all().visible_to(actor).values("pk")).distinct()
    return _take(rows.order_by("-pk"), "meeting", text, lambda m: (m.number, "", m.get_kind_display()))


def _hosts(text: str, actor: User) -> Iterator[Hit]:
    asked = Q(name__icontains=text) | Q(fqdn__istartswith=text)
    rows = Host.objects.visible_to(actor).live().filter(asked).order_by("name")
    return _take(rows, "host", text, lambda h: (h.name, h.fqdn), lambda h: reverse("cmdb:host-detail", args=[h.pk]))


def _updates(text: str, actor: User) -> Iterator[Hit]:
    named = Q(name__istartswith=text) | Q(announced_by__advisory__advisory_id__iexact=text)
    named |= Q(announced_by__advisory__names__vulnerability__cve__iexact=text)
    rows = SoftwareUpdate.objects.visible_to(actor).filter(named).distinct().order_by("-reach", "-pk")
    for update in rows[:MOST]:
        near = BEGINS if update.name.lower().startswith(text.lower()) else WITHIN
        yield Hit("update", update.pk, str(update), reverse("changes:update-detail", args=[update.pk]), near)


def _vulnerabilities(text: str, actor: User) -> Iterator[Hit]:
    """A CVE has no page of its own: it leads to the updates that mend it, for who may see updates."""
    if not text.lower().startswith("cve-") or not actor.holds_somewhere("update.view"):
        return
    rows = Vulnerability.objects.filter(cve__istartswith=text).order_by("-cve")
    where = reverse("changes:update-list")
    yield from _take(
        rows,
        "vulnerability",
        text,
        lambda v: (v.cve,),
        lambda v: f"{where}?{urlencode({'cve': v.cve, 'shown': 'all'})}",
    )


def _people(text: str, actor: User) -> Iterator[Hit]:
    """A person has no page of their own: it leads to the changes that they asked for, for who may see changes."""
    if not actor.holds_somewhere("rfc.view"):
        return
    asked = Q(username__istartswith=text) | Q(last_name__istartswith=text) | Q(first_name__istartswith=text)
    rows = User.objects.filter(asked, is_active=True).exclude(username=BOT).order_by("username")
    where = reverse("changes:rfc-list")
    yield from _take(
        rows,
        "person",
        text,
        lambda u: (u.username, u.get_full_name()),
        lambda u: f"{where}?{urlencode({'by': u.username})}",
    )


def _items(text: str, actor: User) -> Iterator[Hit]:
    rows = ConfigurationItem.objects.all().visible_to(actor).filter(kind__in=OTHERS, name__icontains=text)
    return _take(
        rows.select_related("host").order_by("name"), "service", text, lambda i: (i.name, "", i.get_kind_display())
    )


def _baselines(text: str, actor: User) -> Iterator[Hit]:
    rows = Baseline.objects.all().visible_to(actor).filter(name__icontains=text).order_by("name", "-version")
    return _take(
        rows, "baseline", text, lambda b: (str(b), b.name), lambda b: reverse("cmdb:baseline-detail", args=[b.pk])
    )


def _windows(text: str, actor: User) -> Iterator[Hit]:
    rows = ServiceWindow.objects.live().visible_to(actor).filter(name__icontains=text).order_by("name")
    return _take(rows, "window", text, lambda w: (w.name,), lambda w: reverse("cmdb:window-detail", args=[w.pk]))


def _groups(text: str, actor: User) -> Iterator[Hit]:
    rows = HostGroup.objects.live().visible_to(actor).filter(name__icontains=text).order_by("name")
    return _take(rows, "group", text, lambda g: (g.name,), lambda g: reverse("cmdb:group-detail", args=[g.pk]))


def _freezes(text: str, actor: User) -> Iterator[Hit]:
    rows = FreezeWindow.objects.all().visible_to(actor).filter(name__icontains=text).order_by("-starts_at")
    return _take(rows, "freeze", text, lambda f: (f.name,))


def _models(text: str, actor: User) -> Iterator[Hit]:
    rows = ChangeModel.objects.all().visible_to(actor).filter(name__icontains=text).order_by("name")
    return _take(rows, "change_model", text, lambda m: (m.name,))


def _routes(text: str, actor: User) -> Iterator[Hit]:
    rows = ApprovalRoute.objects.all().visible_to(actor).filter(name__icontains=text).order_by("name")
    return _take(rows, "approval_route", text, lambda r: (r.name,))


def _cycles(text: str, actor: User) -> Iterator[Hit]:
    rows = Cycle.objects.visible_to(actor).filter(name__icontains=text).order_by("-pk")
    return _take(rows, "cycle", text, lambda c: (c.name,))


SEARCHES: tuple[Callable[[str, User], Iterator[Hit]], ...] = (
    _changes, _tasks, _releases, _rollouts, _meetings, _hosts, _items, _vulnerabilities, _updates, _baselines, _windows, _groups, _freezes,
    _models, _routes, _cycles, _people,
)  # fmt: skip
"""In the order in which equally near ones are shown."""
