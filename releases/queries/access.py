"""Who may see the whole of a release: its manifest names every host, also those outside a reader's scope."""

from __future__ import annotations

from cmdb.models import Host
from patchflow.kernel.errors import NotAllowed
from patchflow.kernel.models import User
from releases.models import Release


def sees_all(release: Release, actor: User) -> bool:
    """Whether the actor may see every host of the release, and so its documents."""
    return actor.scopes_for("release.view") is None or actor.holds("release.view", over=release.scope_keys())


def demand_all(release: Release, actor: User) -> None:
    """Raises NotAllowed unless the actor may see every host of the release."""
    if not sees_all(release, actor):
        raise NotAllowed("This document names hosts outside your scope.", code="release.scope")


def hosts_seen(release: Release, actor: User) -> set[int]:
    """Ids of the release's hosts that the actor may see."""
    return set(
        Host.objects.within(actor, "release.view").filter(planned_in__release=release).values_list("pk", flat=True)
    )
