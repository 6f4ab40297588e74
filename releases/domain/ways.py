"""The gate of a host's downloads: through the distribution point that serves it, directly where none does, and never
directly in silence. What it let through is the way of the order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cmdb.enums import PointAnswer, WhenSilent
from cmdb.models import DistributionPoint
from cmdb.queries.points import NOBODY, Choice, choice_for
from patchflow.kernel.blockers import kept
from releases.domain.slips import Answer, passed, wait
from releases.executors.base import Timeouts, Way

if TYPE_CHECKING:
    from releases.domain.host_batches import Target

AGAIN = timedelta(minutes=2)
PATIENCE = Timeouts().download * 2 // 3
"""Seconds that the files may take at the point's own limit; the host gives up a third later."""


def downloads(target: Target) -> Answer:
    """How the host gets its files now; remembered in the batch for its order."""
    batch = target.batch
    choice = batch.choices.get(target.host_id, NOBODY)
    if not batch.fetches:
        return batch.once("downloads", answer=lambda: passed(kept("a person sees to its files"), point=None))
    size = batch.size_of(target) if choice.point is not None and choice.point.throttle_kib else 0
    point = choice.point.pk if choice.point is not None else None
    answer = batch.once("downloads", point, choice.rivals, size, answer=lambda: judged(choice, size=size, at=batch.at))
    if answer.word == "pass" and choice.point is not None and answer.input["way"] == "point":
        batch.ways[target.host_id] = way_through(choice.point)
    return answer


def way_of(host_id: int, *, size: int = 0, at: datetime) -> tuple[Answer, Way | None]:
    """How a host that is asked for itself (a build, an acceptance test) gets its lists and files now, and the point's way where
    it is through one. It is asked only where the answer lets it pass: never directly in silence."""
    choice = choice_for(host_id)
    answer = judged(choice, size=size, at=at)
    through = answer.word == "pass" and choice.point is not None and answer.input["way"] == "point"
    return answer, way_through(choice.point) if through and choice.point is not None else None


def way_through(point: DistributionPoint) -> Way:
    return Way(point=point.name, address=point.address, throttle_kib=point.throttle_kib or 0)


def judged(choice: Choice, *, size: int, at: datetime) -> Answer:
    """How a host that this serves gets its files now; `size` in bytes, asked for only where the point has a limit."""
    point = choice.point
    if choice.rivals:
        said = kept(
            "%(one)s and %(others)s serve it with the same right: take it out of a group or a site, or retire one of them",
            one=choice.rivals[0],
            others=" and ".join(choice.rivals[1:]),
        )
        return wait(said, at + AGAIN, key=",".join(choice.rivals), points=list(choice.rivals))
    if point is None:
        return passed(kept("no distribution point serves it: it downloads directly"), way="direct", point=None)
    found = point.answer_at(at)
    given = {"point": point.name, "address": point.address, "answer": str(found), "checked_at": point.checked_at}
    doubt = "" if found == PointAnswer.ANSWERING else _doubt(point, found)
    if doubt and point.when_silent == WhenSilent.WAIT:
        more = kept("%(doubt)s: mend it, or say at the point that its hosts then download directly", doubt=doubt)
        return wait(more, at + AGAIN, key=f"{point.pk}:{found}", **given)
    if doubt and point.when_silent == WhenSilent.DIRECT:
        said = kept("%(doubt)s, and by its rule the host then downloads directly", doubt=doubt)
        return passed(said, way="direct", **given)
    seconds = size // (1024 * point.throttle_kib) if point.throttle_kib else 0
    if seconds > PATIENCE:
        slow = kept(
            "%(point)s gives it %(limit)s KiB/s, at which its files take %(minutes)s minutes: %(given)s are given, so raise that limit",
            point=point.name,
            limit=point.throttle_kib,
            minutes=seconds // 60,
            given=PATIENCE // 60,
        )
        return wait(slow, at + AGAIN, key=f"{point.pk}:slow", bytes=size, **given)
    way = _way(point)
    if doubt:
        way = kept("%(way)s; %(doubt)s, and by its rule it is tried all the same", way=way, doubt=doubt)
    return passed(way, way="point", **given)


def _way(point: DistributionPoint) -> str:
    if not point.throttle_kib:
        return kept("it downloads through %(point)s", point=point.name)
    return kept("it downloads through %(point)s at %(limit)s KiB/s at most", point=point.name, limit=point.throttle_kib)


def _doubt(point: DistributionPoint, found: PointAnswer) -> str:
    """What stands against the point, with its age."""
    said = (
        kept("%(point)s does not answer", point=point.name)
        if found == PointAnswer.SILENT
        else kept("nobody knows whether %(point)s answers", point=point.name)
    )
    if point.checked_at is None:
        return kept("%(doubt)s (it was never checked)", doubt=said)
    when = f"{point.checked_at:%d %b %Y %H:%M}"
    if point.check_reason and (found == PointAnswer.SILENT or point.answered is None):
        why = point.check_reason.rstrip(".")
        return kept("%(doubt)s (last checked %(when)s UTC: %(why)s)", doubt=said, when=when, why=why)
    return kept("%(doubt)s (last checked %(when)s UTC)", doubt=said, when=when)
