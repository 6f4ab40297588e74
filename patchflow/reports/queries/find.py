"""One box: numbers, names, CVEs; only what the actor may see is found."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from changes.models import RFC, SoftwareUpdate
from cmdb.models import Host
from patchflow.kernel.models import User
from releases.models import Release

MOST = 10


@dataclass(frozen=True, slots=True)
class Hit:
    kind: str
    title: str
    url: str
    exact: bool


def find(text: str, actor: User) -> list[Hit]:
    """Up to ten of each kind. An exact number or name is marked, so that the page can go there at once."""
    hits: list[Hit] = []
    for rfc in (
        RFC.objects.visible_to(actor).filter(Q(number__iexact=text) | Q(title__icontains=text)).order_by("-pk")[:MOST]
    ):
        hits.append(Hit(_("Change"), str(rfc), rfc.get_absolute_url(), rfc.number.lower() == text.lower()))
    for release in (
        Release.objects.visible_to(actor)
        .filter(Q(number__iexact=text) | Q(title__icontains=text))
        .order_by("-pk")[:MOST]
    ):
        hits.append(
            Hit(
                _("Release"),
                f"{release.number} · {release.title}",
                release.get_absolute_url(),
                release.number.lower() == text.lower(),
            )
        )
    for host in (
        Host.objects.visible_to(actor)
        .live()
        .filter(Q(name__istartswith=text) | Q(fqdn__istartswith=text))
        .order_by("name")[:MOST]
    ):
        hits.append(
            Hit(_("Host"), str(host), reverse("cmdb:host-detail", args=[host.pk]), host.name.lower() == text.lower())
        )
    named = Q(name__istartswith=text) | Q(announced_by__advisory__advisory_id__iexact=text)
    named |= Q(announced_by__advisory__names__vulnerability__cve__iexact=text)
    for update in SoftwareUpdate.objects.visible_to(actor).filter(named).distinct().order_by("-reach", "-pk")[:MOST]:
        hits.append(Hit(_("Update"), str(update), reverse("changes:update-detail", args=[update.pk]), False))
    return hits
