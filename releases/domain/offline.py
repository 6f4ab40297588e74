"""A host that does not answer when its turn comes: tried again, put off to its next window, or left out, as the profile says."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchflow.kernel.blockers import english
from releases.domain.host_batches import Batch, Target
from releases.domain.host_gates import windows_signed
from releases.domain.visits import Visit
from releases.enums import OfflineRule
from releases.queries.rollouts import signed

TRY_AGAIN = timedelta(minutes=2)
CODE = "offline"


def put_off(visit: Visit, why: str) -> None:
    """What the signed rule makes of a claimed job whose host was not reached. Nothing was done there.

    A way back tries again until it is stopped: it undoes, and waits for no window.
    """
    job, now = visit.job, visit.now()
    profile = signed(job.rollout.manifest_id).document["profile"]
    rule = profile.get("offline", OfflineRule.CATCH_UP)
    if job.rollout.is_way_back:
        _try_again(visit, why, since=now)
    elif rule == OfflineRule.SKIP:
        _leave_out(
            visit, english("it did not answer at its turn, and the profile leaves such hosts out: %(why)s", why=why)
        )
    else:
        target = Target(Batch(job.rollout, job.ring, [job], now), job)
        since = _since(target, now)
        minutes = int(profile.get("catch_up_minutes", 0))
        if rule == OfflineRule.CATCH_UP and (not minutes or now - since < timedelta(minutes=minutes)):
            _try_again(visit, why, since=since)
        else:
            _to_next_window(visit, target, why, now=now)


def _since(target: Target, now: datetime) -> datetime:
    """Since when it has not answered in the opening that it is in."""
    found = [o.starts_at for w in windows_signed(target) for o in target.batch.openings_of(w) if o.is_open(now)]
    first = target.job.offline_since
    return first if first and first >= min(found, default=now) else now


def _try_again(visit: Visit, why: str, *, since: datetime) -> None:
    later = visit.now() + TRY_AGAIN
    statement = english(
        "Will be tried again at %(when)s, because it could not be reached: %(why)s.", when=_said(later), why=why
    )
    visit.move(
        "release", statement=statement, code="unreachable", not_before=later, offline_since=since, never_sent=True
    )


def _to_next_window(visit: Visit, target: Target, why: str, *, now: datetime) -> None:
    opens = next_start(target, now)
    if opens is None:
        _leave_out(
            visit, english("it did not answer at its turn, and no later window was signed for it: %(why)s", why=why)
        )
        return
    statement = english(
        "Will be tried again at %(when)s, in its next window, because it did not answer at its turn: %(why)s.",
        when=_said(opens),
        why=why,
    )
    visit.move("release", statement=statement, code=CODE, not_before=opens, never_sent=True)


def _leave_out(visit: Visit, reason: str) -> None:
    statement = english("Will not run, because %(why)s.", why=reason)
    visit.move("refuse", statement=statement, reason=reason, code=CODE)


def next_start(target: Target, after: datetime) -> datetime | None:
    """When the next of its signed windows opens after the one that it is in, with time enough and before the latest start."""
    batch = target.batch
    need, latest = timedelta(minutes=batch.minutes_of(target.job)), batch.signed.moment("latest")
    found = [
        o.starts_at
        for w in windows_signed(target)
        for o in batch.openings_of(w)
        if o.starts_at > after and o.ends_at - o.starts_at >= need and (latest is None or o.starts_at < latest)
    ]
    return min(found, default=None)


def _said(moment: datetime) -> str:
    return f"{moment:%d %b %Y %H:%M} UTC"
