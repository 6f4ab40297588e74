"""Distribution points: where they are, whom they serve, whether they answer. The network is never asked inside a
transaction: look first, then one short verb writes down what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from cmdb.domain.permission import demand, said
from cmdb.enums import ItemKind, ItemState, PointState, WhenSilent
from cmdb.models import ConfigurationItem, DistributionPoint, HostGroup
from cmdb.remote.proxies import proxy_address
from patchflow.kernel import audit, queue, registry, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Conflict, Invalid
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.notices import posting

SAID = ("name", "address", "site_id", "group_id", "throttle_kib", "when_silent")
"""What people say of a point."""
EVERY = timedelta(minutes=5)
LEASE = timedelta(seconds=60)
CHECK = "cmdb.tasks.check_point"
SLOWEST, FASTEST = 8, 10_000_000
"""KiB in a second."""

Knock = Callable[[str], tuple[bool | None, str]]
"""Address → (whether it answered; None: it could not be asked, what was found)."""


# --- what people say ------------------------------------------------------------------------------------------------------
@workflow.verb("cmdb.point.added")
def add(*, name: str, address: str, actor: User, at: datetime, **fields: Any) -> DistributionPoint:
    """A new point, in service at once; whether it answers is asked next, until then nobody knows. Fields as of `revise`.

    Needs point.edit everywhere: it decides whence root on hosts downloads. Raises NotAllowed, Invalid.
    """
    demand("point.edit", None, actor)
    point = DistributionPoint(added_at=at)
    _say(point, {"name": name, "address": address, **fields})
    point.save()
    audit.record(point, "cmdb.point.added", actor=actor, at=at, after=str(point.state), detail=_content(point))
    queue.enqueue(CHECK, point_id=point.pk)
    return point


@workflow.verb("cmdb.point.revised", DistributionPoint, "point_id")
def revise(*, point_id: int, actor: User, at: datetime, **fields: Any) -> DistributionPoint:
    """Changes name, address, throttle_kib, when_silent, or whom it serves: site_id or group_id, one of them.

    What was found at another address says nothing any more. Orders given from now on follow. Needs point.edit everywhere.
    """
    point = _in_service(point_id, "point.edit", actor)
    before = _content(point)
    _say(point, fields)
    changed = {
        name: {"before": before[name], "after": now} for name, now in _content(point).items() if before[name] != now
    }
    if not changed:
        return point
    if "address" in changed:
        point.answered, point.checked_at, point.check_reason, point.not_before = None, None, "", None
        queue.enqueue(CHECK, point_id=point.pk)
    point.save()
    audit.record(point, "cmdb.point.revised", actor=actor, at=at, detail=changed)
    return point


@workflow.verb("cmdb.point.retired", DistributionPoint, "point_id")
def retire(*, point_id: int, reason: str, actor: User, at: datetime) -> DistributionPoint:
    """Takes a point out of use for good: its hosts are served by what is next by the rule, or download directly, and the
    slip of each says so. Needs point.edit everywhere and a reason."""
    workflow.demand_role(DistributionPoint(), "retire", actor=actor)
    reason = said("reason", reason, what="A reason", limit=2000)
    return workflow.fire(DistributionPoint, point_id, "retire", actor=actor, at=at, reason=reason)


def why_not(point: DistributionPoint | None, name: str, actor: User) -> list[Blocker]:
    """Why this person does not do that (point.edit, point.check) with a point now."""
    if refused := failing([capability(name)], None, actor):
        return refused
    return [_gone()] if point is not None and point.state != PointState.IN_SERVICE else []


def serving(actor: User, **whom: int) -> list[Blocker]:
    """Why this site or group (`site_id`, `group_id`) is not retired: a point serves it, and its hosts, which wait for that,
    would download directly without a word. The point is named to who sees it."""
    point = DistributionPoint.objects.in_service().filter(**whom).first()
    if point is None:
        return []
    if not DistributionPoint.objects.all().visible_to(actor).filter(pk=point.pk).exists():
        return [Blocker("point.serves_it", "A distribution point serves it: retire that, or give it another place.")]
    said = english(
        "The distribution point %(point)s serves it: retire that, or give it another place.", point=point.name
    )
    return [Blocker("point.serves_it", said, point.get_absolute_url())]


@registry.gate("cmdb.configurationitem", "retire")
def find_retire_blockers(item: ConfigurationItem, *, actor: User, at: datetime, facts: Any) -> list[Blocker]:
    return serving(actor, site_id=item.pk) if item.kind == ItemKind.SITE else []


def _gone() -> Blocker:
    return Blocker("conflict.retired", "It is retired: nothing is said of it any more.")


def _in_service(point_id: int, name: str, actor: User) -> DistributionPoint:
    point = workflow.lock(DistributionPoint, point_id)
    demand(name, None, actor)
    if point.state != PointState.IN_SERVICE:
        raise Conflict([_gone()])
    return point


def _content(point: DistributionPoint) -> dict[str, Any]:
    return {name: getattr(point, name) for name in SAID}


def _say(point: DistributionPoint, fields: Mapping[str, Any]) -> None:
    """Puts the fields on the point after every one was looked at."""
    given = dict(fields)
    wrong = [
        Blocker(f"invalid.{name}", english("%(field)s cannot be changed here.", field=name))
        for name in sorted(set(given) - set(SAID))
    ]
    others = DistributionPoint.objects.in_service().exclude(pk=point.pk)
    if "name" in given:
        given["name"] = said("name", given["name"], what="A name", limit=80)
        if others.filter(name=given["name"]).exists():
            taken = english("There is a distribution point named %(name)s already.", name=given["name"])
            wrong.append(Blocker("invalid.name", taken))
    if "address" in given:
        try:
            given["address"] = proxy_address(given["address"])
        except ValueError as error:
            wrong.append(Blocker("invalid.address", english("This address cannot be used: %(error)s.", error=error)))
    if given.get("when_silent", WhenSilent.WAIT) not in WhenSilent.values:
        wrong.append(Blocker("invalid.when_silent", "Say what its hosts do while it does not answer."))
    throttle = given.get("throttle_kib")
    if throttle is not None and not SLOWEST <= throttle <= FASTEST:
        limits = english("From %(slowest)s to %(fastest)s KiB in a second.", slowest=SLOWEST, fastest=FASTEST)
        wrong.append(Blocker("invalid.throttle_kib", limits))
    wrong += _whom(point, given, others)
    if wrong:
        raise Invalid(wrong)
    for name, value in given.items():
        setattr(point, name, value)


def _whom(point: DistributionPoint, given: Mapping[str, Any], others: Any) -> list[Blocker]:
    """What is wrong with whom it is to serve."""
    site, group = given.get("site_id", point.site_id), given.get("group_id", point.group_id)
    if (site is None) == (group is None):
        return [Blocker("invalid.site_id", "It serves the hosts of one site or of one group: choose one of the two.")]
    if site is not None:
        sites = ConfigurationItem.objects.filter(kind=ItemKind.SITE).exclude(state=ItemState.RETIRED)
        if not sites.filter(pk=site).exists():
            return [Blocker("invalid.site_id", "This site does not exist, or is retired.")]
        rival, field = others.filter(site_id=site).first(), "site_id"
    else:
        if not HostGroup.objects.live().filter(pk=group).exists():
            return [Blocker("invalid.group_id", "This group does not exist, or is retired.")]
        rival, field = others.filter(group_id=group).first(), "group_id"
    if rival is not None:
        return [Blocker(f"invalid.{field}", english("%(point)s serves it already.", point=rival.name))]
    return []


# --- whether it answers ---------------------------------------------------------------------------------------------------
def knock(address: str) -> tuple[bool | None, str]:
    """Whether anybody answers there, asked by this server as ADR 0010 says."""
    allowed = urlsplit(address).hostname in settings.PATCHFLOW["OUTBOUND_ALLOW"]
    try:
        answer = posting.knock(address, allow_private=allowed)
    except posting.NotPosted as error:
        if error.final:
            return None, english("%(why)s Name it in PATCHFLOW_OUTBOUND_ALLOW to have it asked.", why=str(error))
        return False, str(error)
    return True, english("It answered within %(n)s ms.", n=answer.milliseconds)


@workflow.verb("cmdb.point.checked", DistributionPoint, "point_id")
def _place_to_ask(*, point_id: int, actor: User, at: datetime) -> str:
    return _in_service(point_id, "point.check", actor).address


def check(*, point_id: int, actor: User, at: datetime, ask: Knock = knock) -> DistributionPoint:
    """Asks whether the point answers, and keeps what was found. Needs point.check; raises NotAllowed, Conflict."""
    address = _place_to_ask(point_id=point_id, actor=actor, at=at)
    answered, found = ask(address)
    return _keep(point_id=point_id, address=address, answered=answered, found=found, actor=actor, at=at)


@workflow.verb("cmdb.point.checked", DistributionPoint, "point_id")
def _keep(
    *, point_id: int, address: str, answered: bool | None, found: str, actor: User, at: datetime
) -> DistributionPoint:
    point = _in_service(point_id, "point.check", actor)
    if point.address != address:
        raise Conflict("Its address was changed meanwhile. Check it again.")
    if point.checked_at is not None and point.checked_at > at:
        return point  # somebody began later and was faster: what was found then is nearer to now
    is_news = point.checked_at is None or point.answered != answered
    point.answered, point.checked_at, point.check_reason = answered, at, found[:300]
    point.not_before = at + EVERY
    if is_news or not actor.is_bot:
        detail = {"answered": answered, "found": found[:300]}
        audit.record(point, "cmdb.point.checked", actor=actor, at=at, detail=detail)
    point.save()
    return point


def check_due(*, point_id: int, now: datetime, ask: Knock = knock) -> bool:
    """The check by schedule, by one worker at a time; False where it is not due or another has it."""
    rows = DistributionPoint.objects.in_service().filter(pk=point_id)
    held = queue.claim(rows, owner="point", lease=LEASE)
    if not held:
        return False
    try:
        check(point_id=point_id, actor=User.bot(), at=now, ask=ask)
    except (Blocked, Conflict):  # retired, or given another address meanwhile
        return False
    finally:
        DistributionPoint.objects.filter(pk=point_id, fence=held[0].fence).update(lease_until=None)
    return True


@registry.sweep("points")
def find_due(*, now: datetime) -> int:
    """Rings for the points that were not asked lately."""
    ids = list(queue.due(DistributionPoint.objects.in_service(), now=now).values_list("pk", flat=True)[:200])
    for pk in ids:
        queue.enqueue(CHECK, point_id=pk)
    return len(ids)
