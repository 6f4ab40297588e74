"""Honest compliance: a percentage is the interval that the unknown leave open (law 3)."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from changes.enums_identify import AppliesVerdict
from changes.queries import findings
from changes.queries.coverage import coverage
from cmdb.models import Host
from patchflow.kernel.models import User
from patchflow.web.parts import Interval

MISSING = (AppliesVerdict.APPLICABLE, AppliesVerdict.APPLICABLE_AFTER_CHANNEL, AppliesVerdict.FIXED_PENDING_RESTART)


def interval(actor: User, *, at: datetime) -> Interval:
    """Hosts that miss no known fix, hosts that miss one, and hosts of which nobody can say.

    Good is only a host that was heard of lately, whose platform a fresh feed speaks of, and none of whose packages has
    an unknown verdict. Of a kernel that lies beside a newer one only what runs counts. What is neither good nor known to be bad is unknown.
    """
    live = Host.objects.visible_to(actor).live()
    heard = live.filter(audited_at__gte=at - settings.PATCHFLOW["FACTS_STALE_AFTER"])
    bad = heard.filter(pk__in=findings.hosts_with(MISSING))
    good = heard.exclude(pk__in=findings.hosts_with((*MISSING, AppliesVerdict.UNKNOWN))).filter(_covered(actor, at))
    total, missing, fine = live.count(), bad.count(), good.count()
    estate = reverse("cmdb:host-list")
    return Interval(
        good=fine, unknown=total - fine - missing, bad=missing, of=_("hosts have every known fix"),
        good_label=_("have every known fix"), unknown_label=_("unknown"), bad_label=_("miss a fix"),
        good_url=estate, unknown_url=estate, bad_url=reverse("changes:update-list"), goal=95,
    )  # fmt: skip


def _covered(actor: User, at: datetime) -> Q:
    """Hosts on a platform that a fresh feed speaks of; nothing where there is none."""
    places = [
        Q(platform__distribution=line.distribution)
        & (Q(platform__release=line.release) | Q(platform__release__startswith=f"{line.release}."))
        for line in coverage(at=at, actor=actor)
        if line.fresh and line.feeds
    ]
    return reduce(or_, places) if places else Q(pk__in=[])
