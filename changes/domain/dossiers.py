"""The dossier of an RFC: discussion, references, files. Whoever may read the change and has the right may add; nobody edits."""

from __future__ import annotations

import re
from datetime import datetime
from typing import BinaryIO
from urllib.parse import urlsplit

from changes.domain import stored_files
from changes.enums import ReferenceKind
from changes.models import RFC, Attachment, Comment, Reference
from changes.queries.board import rounds_visible_to
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, English, any_of, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.roles import all_roles, roles_with
from patchflow.notices.delivery import tell

MENTION = re.compile(r"(?<![\w@.])@([\w.+-]+[\w])")
MOST_MENTIONS = 20
COMMENT, ATTACH = "rfc.comment", "rfc.attach"


def why_not_add(rfc: RFC, actor: User, right: str, *, at: datetime) -> list[Blocker]:
    """The reasons against adding; empty for who holds the right somewhere and may read the change, or is asked about it."""
    if not actor.holds_somewhere(right) or actor.is_bot:
        titles = any_of([English.of(all_roles()[r].title, context="role") for r in sorted(roles_with(right))])
        return [Blocker(f"role.{right}", english("This needs the role %(titles)s.", titles=titles))]
    asked = rounds_visible_to(actor, at=at).filter(subject_type=RFC._meta.label_lower, subject_id=rfc.pk).exists()
    if not asked and not RFC.objects.visible_to(actor).filter(pk=rfc.pk).exists():
        return [Blocker("rfc.not_visible", "You may not read this change.")]
    return []


def _open(rfc_id: int, actor: User, right: str, at: datetime) -> RFC:
    rfc = workflow.lock(RFC, rfc_id)
    if refused := why_not_add(rfc, actor, right, at=at):
        raise NotAllowed(refused)
    return rfc


# --- discussion ------------------------------------------------------------------------------------------------------------
@workflow.verb("change.rfc.commented", RFC, "rfc_id")
def comment(*, rfc_id: int, text: str, actor: User, at: datetime) -> Comment:
    """Adds to the discussion, in every state. `@name` tells that person, if they may read the change. Needs rfc.comment."""
    rfc = _open(rfc_id, actor, COMMENT, at)
    if not text.strip():
        raise Invalid("Write something.", code="comment.text")
    people = [u for u in _named_in(text) if u.pk != actor.pk and RFC.objects.visible_to(u).filter(pk=rfc.pk).exists()]
    row = Comment.objects.create(
        rfc=rfc, text=text.strip(), mentioned=[u.get_username() for u in people], by=actor, at=at
    )
    detail = {"comment": row.pk, "text": row.text[:500], "mentioned": row.mentioned}
    audit.record(rfc, "change.rfc.commented", actor=actor, at=at, detail=detail)
    key = f"rfc:{rfc.pk}:comment:{row.pk}"
    tell(kind="rfc_mentioned", people=people, key=key, at=at, url=rfc.get_absolute_url(), rfc=rfc, comment=row)
    return row


def _named_in(text: str) -> list[User]:
    names = list(dict.fromkeys(MENTION.findall(text)))[:MOST_MENTIONS]
    return list(User.objects.filter(username__in=names, is_active=True).order_by("username"))


# --- references ------------------------------------------------------------------------------------------------------------
@workflow.verb("change.rfc.reference_added", RFC, "rfc_id")
def refer(*, rfc_id: int, kind: str, system: str, name: str, actor: User, at: datetime, url: str = "") -> Reference:
    """Notes an incident, problem or request of another system. Needs rfc.attach. Nothing is fetched from there."""
    rfc = _open(rfc_id, actor, ATTACH, at)
    if kind not in ReferenceKind.values:
        raise Invalid("Choose incident, problem or request.", code="reference.kind")
    if not system.strip() or not name.strip():
        raise Invalid("Say which system, and its number there.", code="reference.name")
    if url.strip() and not _is_web_address(url.strip()):
        raise Invalid("Give a whole address that begins with http:// or https://.", code="reference.url")
    given = {"system": system.strip()[:60], "name": name.strip()[:120]}
    if rfc.references.filter(removed_at__isnull=True, **given).exists():
        raise Conflict("It is noted already.", code="reference.name")
    row = Reference.objects.create(rfc=rfc, kind=kind, url=url.strip(), by=actor, at=at, **given)
    detail = {"reference": row.pk, "kind": kind, **given, "url": row.url}
    audit.record(rfc, "change.rfc.reference_added", actor=actor, at=at, detail=detail)
    return row


def _is_web_address(url: str) -> bool:
    try:
        found = urlsplit(url)
        return found.scheme in ("http", "https") and bool(found.hostname)
    except ValueError:  # an IPv6 address that never closes
        return False


@workflow.verb("change.rfc.reference_removed", RFC, "rfc_id")
def drop_reference(*, rfc_id: int, reference_id: int, actor: User, at: datetime) -> None:
    """Takes a reference off; its row stays. Needs rfc.attach."""
    rfc = _open(rfc_id, actor, ATTACH, at)
    row = rfc.references.filter(pk=reference_id, removed_at__isnull=True).first()
    if row is None:
        raise Conflict("This reference is not there.", code="conflict.gone")
    row.removed_at = at
    row.save(update_fields=["removed_at"])
    detail = {"reference": row.pk, "system": row.system, "name": row.name}
    audit.record(rfc, "change.rfc.reference_removed", actor=actor, at=at, detail=detail)


# --- files ------------------------------------------------------------------------------------------------------------------
@workflow.verb("change.rfc.attached", RFC, "rfc_id")
def attach(*, rfc_id: int, name: str, content: BinaryIO, actor: User, at: datetime) -> Attachment:
    """Keeps a file with the change: within the size limit, of a kind that its first bytes show, under its SHA-256.

    Needs rfc.attach. What the sender says about its type is not believed, and nothing is ever opened or run. Raises Invalid.
    """
    rfc = _open(rfc_id, actor, ATTACH, at)
    label = stored_files.plain_name(name)
    kept = stored_files.keep(content)
    if rfc.attachments.filter(sha256=kept.sha256, withdrawn_at__isnull=True).exists():
        raise Conflict("This very file is attached already.", code="attachment.file")
    row = Attachment.objects.create(
        rfc=rfc, name=label, media_type=kept.media_type, size=kept.size, sha256=kept.sha256, by=actor, at=at
    )
    detail = {"attachment": row.pk, "name": row.name, "type": row.media_type, "size": row.size, "sha256": row.sha256}
    audit.record(rfc, "change.rfc.attached", actor=actor, at=at, detail=detail)
    return row


@workflow.verb("change.rfc.attachment_withdrawn", RFC, "rfc_id")
def withdraw_attachment(*, rfc_id: int, attachment_id: int, reason: str, actor: User, at: datetime) -> Attachment:
    """Withdraws a file: it is offered no more, its name and digest stay. Needs rfc.attach."""
    rfc = _open(rfc_id, actor, ATTACH, at)
    row = rfc.attachments.filter(pk=attachment_id, withdrawn_at__isnull=True).first()
    if row is None:
        raise Conflict("This file is not there.", code="conflict.gone")
    if not reason.strip():
        raise Invalid("Say why the file is withdrawn.", code="attachment.reason")
    row.withdrawn_by, row.withdrawn_at, row.withdrawn_reason = actor, at, reason.strip()
    row.save(update_fields=["withdrawn_by", "withdrawn_at", "withdrawn_reason"])
    detail = {"attachment": row.pk, "name": row.name, "sha256": row.sha256, "reason": row.withdrawn_reason}
    audit.record(rfc, "change.rfc.attachment_withdrawn", actor=actor, at=at, detail=detail)
    return row


def read_attachment(*, rfc: RFC, attachment_id: int) -> tuple[Attachment, BinaryIO]:
    """The file and its content, for who was found to see the RFC. Raises Conflict if it is withdrawn, gone or not itself."""
    row = rfc.attachments.filter(pk=attachment_id, withdrawn_at__isnull=True).first()
    if row is None:
        raise Conflict("This file is not there.", code="conflict.gone")
    return row, stored_files.read(row.sha256)
