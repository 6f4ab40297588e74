"""Windows that were edited after they were signed: what of their signed openings still holds for a rollout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cmdb.enums import QueuedRule
from cmdb.models import ServiceWindow
from patchflow.kernel.models import User
from releases.models import Job, WindowChange


def revisions(window_ids: Iterable[int]) -> dict[int, int]:
    """Window → its revision now; those that were ended are missing."""
    return dict(ServiceWindow.objects.live().filter(pk__in=list(window_ids)).values_list("pk", "revision"))


def edited_since(document: Mapping[str, Any]) -> dict[int, int | None]:
    """Window → its revision now, of those that are not what was signed; None: it was ended. One query."""
    named = {w["window"]: w["revision"] for w in document["windows"]}
    now = revisions(named)
    return {pk: now.get(pk) for pk, revision in named.items() if now.get(pk) != revision}


def narrowed(rollout_id: int | None, document: Mapping[str, Any]) -> dict[int, ServiceWindow]:
    """Window → the window as it was signed, of those edited since whose newest edit said that the queued work goes on: it
    runs only while the window is open both ways. What is not known is missing, and nothing runs in it."""
    edited = edited_since(document)
    if not edited or rollout_id is None:
        return {}
    signed = {w["window"]: w["revision"] for w in document["windows"]}
    found: dict[int, ServiceWindow] = {}
    rows = list(WindowChange.objects.filter(rollout_id=rollout_id, window_id__in=edited).defer("hosts").order_by("-pk"))
    for pk, revision in edited.items():
        mine = [row for row in rows if row.window_id == pk]
        was = next((row.was for row in mine if row.before == signed[pk]), None)
        goes_on = bool(mine) and mine[0].revision == revision and mine[0].rule != QueuedRule.HALT
        if goes_on and was is not None:
            found[pk] = was
    return found


def hosts_in_sight(change: WindowChange, actor: User) -> list[dict[str, Any]]:
    """The queued hosts that an edit reached, those that the actor may see."""
    jobs = Job.objects.filter(rollout_id=change.rollout_id, pk__among=[row["job"] for row in change.hosts])
    seen = set(jobs.visible_to(actor).values_list("pk", flat=True))
    return [row for row in change.hosts if row["job"] in seen]


def going_on_in(window: ServiceWindow) -> set[int]:
    """Releases whose newest edit of this window said that their queued hosts go on in what was signed. One query."""
    newest: dict[int, WindowChange] = {}
    rows = WindowChange.objects.filter(window=window).defer("hosts", "terms").select_related("rollout").order_by("pk")
    for row in rows:
        newest[row.rollout.release_id] = row
    now = None if window.retired_at else window.revision
    return {pk for pk, row in newest.items() if row.rule != QueuedRule.HALT and row.revision == now}
