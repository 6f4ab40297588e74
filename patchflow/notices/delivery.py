"""Telling people. `tell` writes rows in the caller's transaction; a worker sends them; nothing is sent twice per key.

A mail is sent at least once: a worker that is killed after the mail server took it and before that is written down sends
it again, under the same Message-ID, by which a mailbox knows it (docs/adr/0012). Being asked for a decision and not hearing of
it would be worse than hearing twice.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import translation
from django.utils.translation import gettext as _

from patchflow.kernel import audit, queue, trial, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, NotAllowed
from patchflow.kernel.faults import fault
from patchflow.kernel.instance import instance_key
from patchflow.kernel.levels import voters_by_role
from patchflow.kernel.models import User
from patchflow.kernel.registry import sweep
from patchflow.kernel.rules import capability, failing
from patchflow.notices import facts as said
from patchflow.notices import webhooks
from patchflow.notices.kinds import Kind, find
from patchflow.notices.models import Audience, Channel, Delivery, DeliveryState, Notice, Reach, Subscription, Wanted
from patchflow.notices.wording import Text, Voice, word

LEASE = timedelta(seconds=60)
TRIES = 6
DELIVER = "patchflow.notices.tasks.deliver"


# --- writing ----------------------------------------------------------------------------------------------------------
def tell(
    *,
    kind: str,
    people: Iterable[User],
    key: str,
    at: datetime,
    url: str = "",
    audience: str = Audience.TEAM,
    **context: Any,
) -> Notice | None:
    """Tells `people`, and those whom the kind tells by role or who subscribed to it; None if `key` was told before or there
    is nobody to tell. What the wordings may say is taken from `context` now (`kinds`, `facts`).

    The link leads to the page where the person decides; it never decides by itself.
    """
    told = find(kind)
    wanted = audience_of(told, people, audience, context)
    if not wanted:
        return None
    facts = said.take(told.facts, context) if told.declared else said.everything(context)
    title = word(kind=kind, facts=facts, voice=Voice(settings.LANGUAGE_CODE, "UTC"), at=at, url=url).title
    notice, made = Notice.objects.get_or_create(
        key=key, defaults={"kind": kind, "title": title, "facts": facts, "url": url, "written_at": at}
    )
    if not made:
        return None
    for delivery in Delivery.objects.bulk_create(_deliveries(notice, told, wanted)):
        if delivery.state == DeliveryState.QUEUED:
            queue.enqueue(DELIVER, delivery_id=delivery.pk)
    webhooks.announce(notice, [person for person, _words in wanted.values()], at=at)
    return notice


def audience_of(
    kind: Kind, people: Iterable[User], audience: str, context: Mapping[str, Any]
) -> dict[int, tuple[User, str]]:
    """Everybody whom a notice of this kind about this reaches, by id, with the wording that is theirs; each person once:
    as named by the verb before by role, by role before by subscription."""
    found = {p.pk: (p, audience) for p in people}
    keys = _scope_of(kind, context)
    for words, roles in kind.by_role.items():
        for role in roles:
            for person, _via in voters_by_role(role, keys):
                found.setdefault(person.pk, (person, words))
    if kind.open_to_all:
        rows = Subscription.objects.filter(kind=kind.name, reach=Reach.SCOPE).exclude(user__in=list(found))
        for row in rows.select_related("user"):
            if row.user.holds(kind.view, over=keys):
                found.setdefault(row.user_id, (row.user, audience))
    return {pk: (person, words) for pk, (person, words) in found.items() if person.is_active and person.is_person}


def _scope_of(kind: Kind, context: Mapping[str, Any]) -> Sequence[frozenset[str]]:
    about = context.get(kind.about)
    return about.scope_keys() if about is not None and hasattr(about, "scope_keys") else []


def _deliveries(notice: Notice, kind: Kind, people: Mapping[int, tuple[User, str]]) -> list[Delivery]:
    chosen = dict(Subscription.objects.filter(kind=kind.name, user__in=list(people)).values_list("user_id", "wanted"))
    texts: dict[Voice, Text] = {}
    rows = []
    for person, audience in people.values():
        wanted = chosen.get(person.pk, Wanted.MAIL)
        if wanted == Wanted.OFF and not kind.duty:
            continue
        voice = Voice.of(person, audience)
        if voice not in texts:
            texts[voice] = word(kind=notice.kind, facts=notice.facts, voice=voice, at=notice.written_at, url=notice.url)
        by_mail = bool(person.email) and wanted != Wanted.INBOX
        rows.append(
            Delivery(
                notice=notice, user=person, audience=audience, language=voice.language, title=texts[voice].title, body=texts[voice].body,
                channel=Channel.MAIL if by_mail else Channel.INBOX,
                state=DeliveryState.QUEUED if by_mail else DeliveryState.SENT,
                sent_at=None if by_mail else notice.written_at,
            )
        )  # fmt: skip
    return rows


# --- sending ----------------------------------------------------------------------------------------------------------
def deliver(*, delivery_id: int, now: datetime) -> bool:
    """Sends one delivery if nobody else is at it. What may pass is tried again later, six times; what the mail server
    refuses for good is kept as failed at once, and shown to operators."""
    held = queue.claim(
        Delivery.objects.filter(pk=delivery_id, state=DeliveryState.QUEUED), owner="deliver", lease=LEASE
    )
    if not held:
        return False
    delivery = Delivery.objects.select_related("notice", "user").get(pk=delivery_id)
    mine = Delivery.objects.filter(pk=delivery_id, fence=held[0].fence)
    if delivery.attempts > TRIES:  # workers have died over it
        mine.update(
            state=DeliveryState.FAILED, error=english("Its worker ended each time it was tried."), lease_until=None
        )
        return False
    fault("before_send")
    try:
        send(delivery)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        late = now + timedelta(minutes=2**delivery.attempts)
        given_up = delivery.attempts >= TRIES or is_final(error)
        mine.update(
            state=DeliveryState.FAILED if given_up else DeliveryState.QUEUED,
            error=_told(error)[:300],
            not_before=late,
            lease_until=None,
        )
        return False
    fault("after_send")
    return bool(mine.update(state=DeliveryState.SENT, sent_at=now, lease_until=None, error=""))


def _told(error: Exception) -> str:
    """What went wrong, as the mail server said it, for who looks after the mail."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = [f"{code} {words.decode(errors='replace')}" for code, words in error.recipients.values()]
        return f"The mail server refused the address: {'; '.join(said)}"
    if isinstance(error, smtplib.SMTPResponseException):
        words = error.smtp_error
        return f"The mail server answered: {error.smtp_code} {words.decode(errors='replace') if isinstance(words, bytes) else words}"
    return f"{type(error).__name__}: {error}"


def is_final(error: Exception) -> bool:
    """Whether the mail server, or the message itself, says that trying again is of no use (RFC 5321: 5yz). A wrong
    password is not final: whoever mends it wants the mail to go out."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return False
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _words in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return int(error.smtp_code) >= 500
    return isinstance(error, ValueError)


def message_id(delivery: Delivery) -> str:
    """The same for every try of this delivery, and nobody else's."""
    return f"<notice-{delivery.notice_id}-{delivery.pk}.{instance_key()}@{urlsplit(settings.BASE_URL).hostname or 'patchflow'}>"


def send(delivery: Delivery) -> None:
    """Hands the mail to the mail server. Raises its client's own errors."""
    notice, kind = delivery.notice, find(delivery.notice.kind)
    link = f"\n\n{settings.BASE_URL}{notice.url}" if notice.url else ""
    with translation.override(delivery.language):
        word = _("Software update")
        tag = f"[{word}] " if kind.patch else ""
        if trial.active():
            trial_word = _("Trial")
            tag = f"[{trial_word}] {tag}"
    headers = {
        "Message-ID": message_id(delivery),
        "Auto-Submitted": "auto-generated",
        "Content-Language": delivery.language,
        "X-Patchflow-Kind": kind.name,
        **({"Importance": "high", "X-Priority": "2"} if kind.urgent else {}),
    }
    EmailMessage(
        tag + delivery.title,
        delivery.body + link,
        settings.DEFAULT_FROM_EMAIL,
        [delivery.user.email],
        headers=headers,
    ).send()


@workflow.verb("notices.sent_again")
def send_again(*, delivery_id: int, actor: User, at: datetime) -> Delivery:
    """Puts a failed delivery back into the queue, with all its tries. Needs notice.oversee."""
    if refused := failing([capability("notice.oversee")], None, actor):
        raise NotAllowed(refused)
    delivery = workflow.lock(Delivery, delivery_id)
    if delivery.state != DeliveryState.FAILED:
        raise Conflict(_NOT_FAILED)
    delivery.state, delivery.attempts, delivery.not_before, delivery.error = DeliveryState.QUEUED, 0, None, ""
    delivery.save(update_fields=["state", "attempts", "not_before", "error"])
    detail = {"delivery": delivery.pk, "to": delivery.user.get_username(), "title": delivery.title}
    audit.record(audit.named("notices"), "notices.sent_again", actor=actor, at=at, detail=detail)
    queue.enqueue(DELIVER, delivery_id=delivery.pk)
    return delivery


_NOT_FAILED = Blocker("conflict.state", "This notice has not failed: nothing is to be sent again.")


def why_not_send_again(delivery: Delivery, actor: User) -> list[Blocker]:
    """Why this person does not send it again now, the same as the verb raises."""
    refused = failing([capability("notice.oversee")], None, actor)
    return refused or ([] if delivery.state == DeliveryState.FAILED else [_NOT_FAILED])


@sweep("notices")
def due_deliveries(*, now: datetime) -> int:
    """Rings for deliveries that a lost message left behind."""
    rows = list(
        queue.due(Delivery.objects.filter(state=DeliveryState.QUEUED), now=now).values_list("pk", flat=True)[:200]
    )
    for pk in rows:
        queue.enqueue(DELIVER, delivery_id=pk)
    return len(rows)
