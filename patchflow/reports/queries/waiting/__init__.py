"""What waits for a person: decisions first, then what concerns them, then what their roles move on, each with its clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.queries.updates import undecided
from cmdb.enums import DiscrepancyState
from cmdb.models import Discrepancy
from patchflow.kernel.enums import Outcome
from patchflow.kernel.models import AuditEntry, User
from patchflow.notices.models import Delivery
from patchflow.reports.queries.waiting import changes, inventory, releases
from patchflow.reports.queries.waiting.rows import MANY, span
from patchflow.web.parts import Todo

__all__ = ["MANY", "Section", "sections", "waiting_for"]

SHOWN = 12
"""How many of all that wait stand on Home."""


def waiting_for(actor: User, *, at: datetime) -> list[Todo]:
    """What waits for `actor`: decisions first, then what concerns them in person, then what their roles move on; in each the
    longest waiting first, of changes the emergencies and those whose start-by date is over."""
    return [
        *changes.to_break(actor, at),
        *changes.votes(actor, at),
        *changes.meetings(actor, at),
        *releases.delays(actor, at),
        *inventory.exemptions(actor, at),
        *changes.glass(actor, at),
        *releases.halted(actor, at),
        *releases.failing(actor, at),
        *releases.my_hosts(actor, at),
        *releases.by_hand(actor, at),
        *changes.tasks(actor, at),
        *changes.refused(actor, at),
        *changes.owing(actor, at),
        *changes.rfcs(actor, at),
        *releases.releases(actor, at),
        *releases.reviews(actor, at),
        *releases.periodic(actor, at),
        *releases.actions(actor, at),
        *inventory.baselines(actor, at),
        *_duties(actor, at),
    ]


@dataclass(frozen=True, slots=True)
class Section:
    """What waits for a person in one of their roles: the first few, and the rest."""

    title: str
    todo: list[Todo]
    rest: list[Todo]

    @property
    def more(self) -> int:
        return len(self.rest)


def sections(todo: list[Todo]) -> list[Section]:
    """`waiting_for` by role, in its order."""
    found: dict[str, list[Todo]] = {}
    for one in todo:
        found.setdefault(one.section, []).append(one)
    shown = SHOWN if len(found) == 1 else SHOWN // 2
    return [Section(title, rows[:shown], rows[shown:]) for title, rows in found.items()]


def _duties(actor: User, at: datetime) -> list[Todo]:
    """What roles look after as a whole: a figure, and the list that it counts."""
    found = []
    if actor.holds_somewhere("discrepancy.settle"):
        rows = Discrepancy.objects.visible_to(actor).filter(state=DiscrepancyState.OPEN)
        seen = rows.aggregate(n=Count("pk"), first=Min("opened_at"))
        found.append((
            seen["n"], seen["first"], "st-warn", _("Settle"),
            ngettext("%(n)d discrepancy", "%(n)d discrepancies", seen["n"]), reverse("cmdb:discrepancy-list"), _("Inventory"),
        ))  # fmt: skip
    if actor.holds_somewhere("update.respond"):
        late = undecided(actor).aggregate(n=Count("pk"), first=Min("notified_at"))
        found.append((
            late["n"], late["first"], "st-wait", _("Say what to do about"),
            ngettext("%(n)d update that hosts miss", "%(n)d updates that hosts miss", late["n"]),
            reverse("changes:update-list") + "?missing=yes&response=undecided", _("Updates"),
        ))  # fmt: skip
    if actor.holds("notice.oversee"):
        mail = Delivery.objects.undelivered(actor).aggregate(n=Count("pk"), first=Min("notice__written_at"))
        found.append((
            mail["n"], mail["first"], "st-bad", _("Send again"),
            ngettext("%(n)d notice that did not arrive", "%(n)d notices that did not arrive", mail["n"]),
            reverse("reports:undelivered-list"), _("Mail"),
        ))  # fmt: skip
    if actor.scopes_for("audit.verify") is None:
        day = at - timedelta(days=1)
        refused = AuditEntry.objects.filter(outcome=Outcome.REFUSED, recorded_at__gte=day).aggregate(
            n=Count("pk"), first=Min("effective_at")
        )
        found.append((
            refused["n"], refused["first"], "st-warn", _("Read"),
            ngettext("%(n)d attempt refused since yesterday", "%(n)d attempts refused since yesterday", refused["n"]),
            reverse("reports:audit-list") + "?outcome=refused", _("Trail"),
        ))  # fmt: skip
    return [
        Todo(css, act, title % {"n": n}, url, due=span(since, at), button=_("Open"), section=section)
        for n, since, css, act, title, url, section in found
        if n
    ]
