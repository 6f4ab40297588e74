"""What waits for a person at the inventory: exemptions to decide, baselines that nobody has put in force or to the vote."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from cmdb.enums import BaselineState, ExemptionState
from cmdb.models import Baseline, Exemption
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.signoffs import open_rounds
from patchflow.reports.queries.waiting.rows import MANY, WAITING, span
from patchflow.web.parts import Todo


def exemptions(actor: User, at: datetime) -> list[Todo]:
    """Exemptions that somebody else asked for, where `actor` decides, until they would end by themselves."""
    if not actor.holds_somewhere("exemption.grant"):
        return []
    rows = Exemption.objects.all().visible_to(actor).filter(state=ExemptionState.REQUESTED, expires_at__gt=at)
    rows = rows.exclude(requested_by=actor)
    rows = (
        rows.select_related("host__ci", "group", "requested_by")
        .prefetch_related("host__memberships")
        .order_by("requested_at", "pk")[:WAITING]
    )
    can = [e for e in rows if not failing([capability("exemption.grant")], e, actor)]
    return [
        Todo(
            "st-wait",
            _("Grant or refuse the exemption"),
            f"{e} · {e.host or e.group}",
            e.get_absolute_url(),
            why=_("%(who)s asks: “%(why)s”") % {"who": e.requested_by, "why": Truncator(e.reason).chars(110)},
            due=span(e.requested_at, at, e.expires_at),
            button=_("Decide"),
            section=_("To decide"),
        )
        for e in can[:MANY]
    ]


def baselines(actor: User, at: datetime) -> list[Todo]:
    """Baselines that were proposed and about which nobody is asked: they are adopted, or put to the vote."""
    if not (actor.holds_somewhere("baseline.propose") or actor.holds_somewhere("baseline.adopt")):
        return []
    rows = Baseline.objects.all().visible_to(actor).filter(state=BaselineState.PROPOSED)
    rows = rows.exclude(Exists(open_rounds(Baseline, OuterRef("pk")))).select_related("group")
    return [
        Todo(
            "st-wait",
            _("Adopt it, or put it to the vote"),
            str(b),
            b.get_absolute_url(),
            due=span(b.made_at, at),
            button=_("Open"),
            section=_("Inventory"),
        )
        for b in rows.order_by("made_at", "pk")[:WAITING]
        if not failing([capability("baseline.propose")], b, actor)
        or not failing([capability("baseline.adopt")], b, actor)
    ][:MANY]
