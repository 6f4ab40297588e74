"""Webhooks: notices as signed JSON to somebody else's server.

A message is sent at least once, always under the same `webhook-id`, by which a receiver takes it once; a try after the first
says so (`webhook-attempt`). What cannot be sent now is tried again for hours, then kept as failed until a person sends it
again (docs/reference/webhooks.md).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from django.conf import settings

from patchflow.kernel import audit, queue, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.registry import sweep
from patchflow.kernel.roles import grantable
from patchflow.kernel.rules import capability, failing
from patchflow.notices import posting, signing
from patchflow.notices.kinds import kinds
from patchflow.notices.models import DeliveryState, Notice, Webhook, WebhookDelivery

LEASE = timedelta(seconds=60)
TRIES = 8
OVERLAP = timedelta(hours=24)
"""How long after a change of the secret a message is signed with the old one too."""
DELIVER = "patchflow.notices.tasks.deliver_webhook"
GONE = 410


# --- who is told what -------------------------------------------------------------------------------------------------
def announce(notice: Notice, people: Iterable[User], *, at: datetime) -> list[WebhookDelivery]:
    """Puts the notice in the queue of each webhook that wants it; in the transaction that writes the notice."""
    hooks = [hook for hook in Webhook.objects.live() if not hook.kinds or notice.kind in hook.kinds]
    if not hooks:
        return []
    roles: set[str] = set()
    if any(hook.roles for hook in hooks):
        roles = set(RoleGrant.objects.filter(user__in=[p.pk for p in people]).values_list("role", flat=True))
    wanted = [hook for hook in hooks if not hook.roles or roles & set(hook.roles)]
    made = WebhookDelivery.objects.bulk_create([_message(hook, notice, at=at) for hook in wanted])
    for one in made:
        queue.enqueue(DELIVER, delivery_id=one.pk)
    return made


def _message(hook: Webhook, notice: Notice, *, at: datetime) -> WebhookDelivery:
    data = {
        "kind": notice.kind,
        "title": notice.title,
        "url": f"{settings.BASE_URL}{notice.url}" if notice.url else "",
        "facts": plain(notice.facts),
    }
    return _row(hook, f"notice.{notice.kind}", data, notice=notice, at=at)


def _row(
    hook: Webhook, event: str, data: dict[str, Any], *, at: datetime, notice: Notice | None = None
) -> WebhookDelivery:
    message_id = f"msg_{uuid4().hex}"
    body = {"id": message_id, "type": event, "timestamp": at.isoformat(), "data": data}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return WebhookDelivery(webhook=hook, notice=notice, message_id=message_id, event=event, body=text, made_at=at)


def plain(value: Any) -> Any:
    """The facts of a notice as others read them: a moment as ISO 8601, a thing with its name as `name`."""
    if isinstance(value, dict):
        if "@" in value:
            return value["@"]
        return {("name" if key == "_" else key): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


# --- sending ----------------------------------------------------------------------------------------------------------
def deliver(*, delivery_id: int, now: datetime) -> bool:
    """Sends one message if nobody else is at it. Whatever is not answered with 2xx is tried again, ever later, eight times;
    410 (gone) switches the webhook off."""
    rows = WebhookDelivery.objects.filter(pk=delivery_id, state=DeliveryState.QUEUED, webhook__disabled_at__isnull=True)
    held = queue.claim(rows, owner="webhook", lease=LEASE)
    if not held:
        return False
    row = WebhookDelivery.objects.select_related("webhook").get(pk=delivery_id)
    died = row.attempts > TRIES  # workers have died over it
    status, said, final = (
        (None, english("Its worker ended each time it was tried."), True) if died else _try(row, now=now)
    )
    done = 200 <= (status or 0) < 300
    given_up = final or row.attempts >= TRIES
    mine = WebhookDelivery.objects.filter(pk=delivery_id, fence=held[0].fence)
    written = mine.update(
        state=DeliveryState.SENT if done else DeliveryState.FAILED if given_up else DeliveryState.QUEUED,
        sent_at=now if done else None,
        answer=status,
        error=said[:300],
        tries=[*row.tries, {"at": now.isoformat(), "answer": status, "said": said[:300]}][-20:],
        not_before=None if done else now + timedelta(minutes=2 ** (row.attempts - 1)),
        lease_until=None,
    )
    if written and status == GONE and row.webhook.disabled_at is None:
        _switch(
            row.webhook_id, off=True, actor=User.bot(), at=now, why=english("Its server says that it is gone (410).")
        )
    return bool(written and done)


def _try(row: WebhookDelivery, *, now: datetime) -> tuple[int | None, str, bool]:
    """(status, what went wrong, whether for good) of one try."""
    hook, body = row.webhook, row.body.encode()
    known = [signing.secret_of(hook.salt)]
    if hook.salt_before and hook.rotated_at and now - hook.rotated_at < OVERLAP:
        known.append(signing.secret_of(hook.salt_before))
    sent = signing.headers(known, row.message_id, body, now=now) | {"webhook-attempt": str(len(row.tries) + 1)}
    private = urlsplit(hook.url).hostname in settings.PATCHFLOW["OUTBOUND_ALLOW"]
    try:
        answer = posting.post(hook.url, body, sent, allow_private=private)
    except posting.NotPosted as error:
        return None, str(error), error.final
    return answer.status, "" if answer.taken else f"It answered {answer.status}.", answer.status == GONE


@sweep("webhooks")
def due_messages(*, now: datetime) -> int:
    """Rings for messages whose time has come."""
    waiting = WebhookDelivery.objects.filter(state=DeliveryState.QUEUED, webhook__disabled_at__isnull=True)
    rows = list(queue.due(waiting, now=now).values_list("pk", flat=True)[:200])
    for pk in rows:
        queue.enqueue(DELIVER, delivery_id=pk)
    return len(rows)


# --- keeping them -----------------------------------------------------------------------------------------------------
@workflow.verb("notices.webhook_added")
def add(
    *, name: str, url: str, actor: User, at: datetime, kind_names: Sequence[str] = (), roles: Sequence[str] = ()
) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is told this once. `kind_names`, `roles`: which notices it gets (none: all), the
    latter those told to somebody in one of these roles. Needs webhook.manage; raises Invalid."""
    _demand(actor)
    hook = Webhook(made_by=actor, made_at=at, salt=secrets.token_hex(16))
    _fill(hook, name, url, kind_names, roles)
    hook.save()
    audit.record(hook, "notices.webhook_added", actor=actor, at=at, detail=_said(hook))
    return hook, signing.secret_of(hook.salt)


@workflow.verb("notices.webhook_revised", Webhook, "webhook_id")
def revise(
    *, webhook_id: int, name: str, url: str, actor: User, at: datetime, kind_names: Sequence[str] = (), roles: Sequence[str] = (),
) -> Webhook:  # fmt: skip
    """Says anew where it sends what. What stands in its queue goes to the new address. Needs webhook.manage; raises Invalid."""
    _demand(actor)
    hook = workflow.lock(Webhook, webhook_id)
    before = _said(hook)
    _fill(hook, name, url, kind_names, roles)
    hook.save(update_fields=["name", "url", "kinds", "roles"])
    detail = {"before": before, "after": _said(hook)}
    audit.record(hook, "notices.webhook_revised", actor=actor, at=at, detail=detail)
    return hook


@workflow.verb("notices.webhook_rotated", Webhook, "webhook_id")
def rotate(*, webhook_id: int, actor: User, at: datetime) -> tuple[Webhook, str]:
    """Gives it a new secret, which is told this once; for a day it signs with both. Needs webhook.manage."""
    _demand(actor)
    hook = workflow.lock(Webhook, webhook_id)
    hook.salt_before, hook.salt, hook.rotated_at = hook.salt, secrets.token_hex(16), at
    hook.save(update_fields=["salt", "salt_before", "rotated_at"])
    audit.record(hook, "notices.webhook_rotated", actor=actor, at=at)
    return hook, signing.secret_of(hook.salt)


@workflow.verb("notices.webhook_switched", Webhook, "webhook_id")
def switch(*, webhook_id: int, off: bool, actor: User, at: datetime) -> Webhook:
    """Switches it off, or on again; while it is off nothing is queued for it, and what is queued waits. Needs webhook.manage."""
    _demand(actor)
    return _switch(webhook_id, off=off, actor=actor, at=at)


@workflow.verb("notices.webhook_tested", Webhook, "webhook_id")
def test(*, webhook_id: int, actor: User, at: datetime) -> WebhookDelivery:
    """Sends it a message that says nothing but that it is a test. Needs webhook.manage; raises Conflict (it is off)."""
    _demand(actor)
    hook = workflow.lock(Webhook, webhook_id)
    _is_on(hook)
    row = _row(hook, "test", {"asked_by": actor.get_username()}, at=at)
    row.save()
    audit.record(hook, "notices.webhook_tested", actor=actor, at=at, detail={"message": row.message_id})
    queue.enqueue(DELIVER, delivery_id=row.pk)
    return row


@workflow.verb("notices.webhook_sent_again", Webhook, "webhook_id")
def send_again(*, webhook_id: int, delivery_id: int, actor: User, at: datetime) -> WebhookDelivery:
    """Sends a message again, delivered or failed, under the id that it has. Needs webhook.manage; raises Conflict (it is on
    its way, or the webhook is off)."""
    _demand(actor)
    hook = workflow.lock(Webhook, webhook_id)
    _is_on(hook)
    row = WebhookDelivery.objects.select_for_update().filter(pk=delivery_id, webhook=hook).first()
    if row is None or row.state == DeliveryState.QUEUED:
        raise Conflict("It is on its way already.", code="conflict.state")
    row.state, row.attempts, row.not_before, row.error = DeliveryState.QUEUED, 0, None, ""
    row.save(update_fields=["state", "attempts", "not_before", "error"])
    detail = {"message": row.message_id, "tries": len(row.tries)}
    audit.record(hook, "notices.webhook_sent_again", actor=actor, at=at, detail=detail)
    queue.enqueue(DELIVER, delivery_id=row.pk)
    return row


def _demand(actor: User) -> None:
    if refused := failing([capability("webhook.manage")], None, actor):
        raise NotAllowed(refused)


_OFF = Blocker("webhook.off", "This webhook is switched off: switch it on first.")


def _is_on(hook: Webhook) -> None:
    if hook.disabled_at is not None:
        raise Conflict(_OFF)


def why_not_test(hook: Webhook, actor: User) -> list[Blocker]:
    """Why this person sends it no test now, the same as the verb raises."""
    return failing([capability("webhook.manage")], None, actor) or ([_OFF] if hook.disabled_at is not None else [])


@workflow.verb("notices.webhook_switched", Webhook, "webhook_id")
def _turn(*, webhook_id: int, off: bool, actor: User, at: datetime, why: str) -> Webhook:
    hook = workflow.lock(Webhook, webhook_id)
    if off != (hook.disabled_at is not None):
        hook.disabled_at, hook.disabled_why = (at, why) if off else (None, "")
        hook.save(update_fields=["disabled_at", "disabled_why"])
        audit.record(hook, "notices.webhook_switched", actor=actor, at=at, detail={"off": off, "reason": why})
    return hook


def _switch(webhook_id: int, *, off: bool, actor: User, at: datetime, why: str = "") -> Webhook:
    return _turn(webhook_id=webhook_id, off=off, actor=actor, at=at, why=why)


def _fill(hook: Webhook, name: str, url: str, kind_names: Sequence[str], roles: Sequence[str]) -> None:
    wrong = []
    if not name.strip() or len(name) > 80:
        wrong.append(Blocker("webhook.name", "Give it a name of at most 80 characters."))
    try:
        posting.checked(url)
        if len(url) > 500:
            wrong.append(Blocker("webhook.url", "The address has more than 500 characters."))
    except posting.NotPosted as error:
        wrong.append(Blocker("webhook.url", str(error)))
    if unknown := sorted(set(kind_names) - set(kinds)):
        wrong.append(Blocker("webhook.kind_names", english("There is no kind of notice %(kind)s.", kind=unknown[0])))
    if unknown := sorted(set(roles) - {role.name for role in grantable()}):
        wrong.append(Blocker("webhook.roles", english("There is no role %(role)s.", role=unknown[0])))
    if wrong:
        raise Invalid(wrong)
    hook.name, hook.url, hook.kinds, hook.roles = name.strip(), url, sorted(set(kind_names)), sorted(set(roles))


def _said(hook: Webhook) -> dict[str, Any]:
    return {"name": hook.name, "url": hook.url, "kinds": hook.kinds, "roles": hook.roles}
