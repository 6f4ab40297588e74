"""How a distribution point, and what a host downloads through, are said on pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cmdb.enums import PointAnswer, WhenSilent
from cmdb.models import DistributionPoint, Host
from cmdb.queries.points import choice_for
from patchflow.kernel.models import User
from patchflow.web import words, wordtags

RULES = {
    WhenSilent.WAIT: gettext_lazy("its hosts wait until it answers"),
    WhenSilent.DIRECT: gettext_lazy("its hosts download directly from their own repositories"),
    WhenSilent.TRY: gettext_lazy("its hosts try it all the same: for a point that this server cannot reach itself"),
}


def limit_of(point: DistributionPoint) -> str:
    """What each host takes at most, in words; empty where it has no limit."""
    return _("%(n)s KiB/s") % {"n": words.number(point.throttle_kib)} if point.throttle_kib else ""


def download_rows(host: Host, user: User, now: datetime) -> list[tuple[Any, Any]]:
    """How a host downloads, for the card of that name."""
    choice = choice_for(host.pk)
    if choice.rivals:
        names = ", ".join(choice.rivals)
        said = _("%(names)s serve it with the same right: nothing is deployed here until one is left.")
        return [(_("Refused"), said % {"names": names})]
    if choice.point is None:
        return [(_("Through"), _("nothing: directly from its own repositories"))]
    point, found = choice.point, choice.point.answer_at(now)
    seen = DistributionPoint.objects.all().visible_to(user).filter(pk=point.pk).exists()
    name = format_html('<a href="{}">{}</a>', point.get_absolute_url(), point.name) if seen else point.name
    rows: list[tuple[Any, Any]] = [(_("Through"), name), (_("Answers"), wordtags.word("cmdb.pointanswer", found))]
    if point.throttle_kib:
        rows.append((_("At most"), limit_of(point)))
    if found != PointAnswer.ANSWERING:
        rows.append((_("Meanwhile"), RULES[WhenSilent(point.when_silent)]))
    return rows
