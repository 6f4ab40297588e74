"""Discussion, files and references beside what is signed; parents, children and copies."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from changes.domain import dossiers, families, holds, rfcs, stored_files
from changes.models import RFC, Attachment, Comment
from changes.queries.holds import open_hold_of
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, User
from patchflow.notices.models import Delivery
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7\nplan"


def attach(rfc: RFC, actor: User, world: World, content: bytes = PDF, name: str = "plan.pdf") -> Attachment:
    return dossiers.attach(rfc_id=rfc.pk, name=name, content=BytesIO(content), actor=actor, at=world.at)


def say(rfc: RFC, actor: User, world: World, text: str) -> Comment:
    return dossiers.comment(rfc_id=rfc.pk, text=text, actor=actor, at=world.at)


# --- discussion ------------------------------------------------------------------------------------------------------------
def test_a_comment_tells_whom_it_names_and_nobody_who_may_not_read(world: World) -> None:
    rfc = made.awaiting(world)
    digest = rfc.change_digest
    row = say(rfc, world.cast.che, world, "@sam and @eve and @nobody: which build? mail to me@mia.org, @che")
    assert row.mentioned == ["sam"]
    told = Delivery.objects.filter(notice__kind="rfc_mentioned")
    assert [d.user.username for d in told] == ["sam"]
    assert RFC.objects.get(pk=rfc.pk).change_digest == digest
    assert RFC.objects.get(pk=rfc.pk).state == "awaiting_approval", "what is asked about stays asked"


@pytest.mark.parametrize("who", ["aud", "eve", "root", "bot"])
def test_who_has_no_right_adds_nothing(world: World, who: str) -> None:
    rfc, person = made.draft(world), getattr(world.cast, who)
    with pytest.raises(NotAllowed):
        say(rfc, person, world, "x")
    with pytest.raises(NotAllowed):
        attach(rfc, person, world)
    assert AuditEntry.objects.filter(outcome="refused", verb="change.rfc.attached").count() == 1


def test_who_may_not_read_it_adds_nothing(world: World) -> None:
    far = make_user("far", "change_manager", scope=made.make_group("others", at=world.at).scope_key)
    with pytest.raises(NotAllowed):
        say(made.draft(world), far, world, "x")


def test_a_comment_is_never_edited(world: World) -> None:
    row = say(made.draft(world), world.cast.ann, world, "first")
    with pytest.raises(DatabaseError), transaction.atomic():
        Comment.objects.filter(pk=row.pk).update(text="other")
    with pytest.raises(Invalid):
        say(made.draft(world), world.cast.ann, world, "  ")


# --- files ------------------------------------------------------------------------------------------------------------------
def test_a_file_is_kept_under_its_digest_and_read_back(world: World, settings: Any) -> None:
    rfc = made.draft(world)
    row = attach(rfc, world.cast.ann, world, name="../../etc/plan.pdf")
    assert (row.name, row.media_type, row.size) == ("plan.pdf", "application/pdf", len(PDF))
    folder: Path = settings.PATCHFLOW["ATTACHMENTS"]
    assert [p.name for p in folder.iterdir()] == [row.sha256]
    assert (folder / row.sha256).stat().st_mode & 0o077 == 0
    assert dossiers.read_attachment(rfc=rfc, attachment_id=row.pk)[1].read() == PDF
    with pytest.raises(Conflict):
        attach(rfc, world.cast.ann, world)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x7fELF\x02", "Programs"),
        (b"MZ\x90\x00", "Programs"),
        (b"#!/bin/sh\nrm -rf /", "Programs"),
        (b"", "empty"),
        (b"\x00\x01\x02\x03", "Attach text"),
        (b"x" * 2049, "at most"),
    ],
)
def test_what_is_not_taken_leaves_nothing_behind(world: World, settings: Any, content: bytes, says: str) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "ATTACHMENT_BYTES": 2048}
    with pytest.raises(Invalid, match=says):
        attach(made.draft(world), world.cast.ann, world, content)
    assert list(stored_files.folder().iterdir()) == []


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"PK\x03\x04...", "application/zip"),
        (b"<html><script>", "text/plain"),
        ("Umstellung für die Lager".encode(), "text/plain"),
        (("a" * 1023 + "ü").encode()[:1024], "text/plain"),
    ],
)
def test_the_type_is_what_the_first_bytes_show(head: bytes, media_type: str) -> None:
    assert stored_files.sniff(head) == media_type


def test_a_file_that_was_changed_on_the_disk_is_not_given_out(world: World) -> None:
    rfc = made.draft(world)
    row = attach(rfc, world.cast.ann, world)
    (stored_files.folder() / row.sha256).write_bytes(b"other")
    with pytest.raises(Conflict, match="not the one"):
        dossiers.read_attachment(rfc=rfc, attachment_id=row.pk)
    (stored_files.folder() / row.sha256).unlink()
    with pytest.raises(Conflict, match="gone"):
        dossiers.read_attachment(rfc=rfc, attachment_id=row.pk)


def test_a_withdrawn_file_is_offered_no_more(world: World) -> None:
    rfc = made.draft(world)
    row = attach(rfc, world.cast.ann, world)
    given = {"rfc_id": rfc.pk, "attachment_id": row.pk, "actor": world.cast.ann, "at": world.at}
    with pytest.raises(Invalid):
        dossiers.withdraw_attachment(reason=" ", **given)
    dossiers.withdraw_attachment(reason="names a customer", **given)
    with pytest.raises(Conflict):
        dossiers.read_attachment(rfc=rfc, attachment_id=row.pk)
    assert Attachment.objects.get().sha256 == row.sha256


# --- references ------------------------------------------------------------------------------------------------------------
def test_a_reference_is_noted_once_and_taken_off_by_a_date(world: World) -> None:
    rfc, given = made.draft(world), {"actor": world.cast.ann, "at": world.at}
    noted = {"rfc_id": rfc.pk, "kind": "incident", "system": "desk", "name": "INC-1", **given}
    row = dossiers.refer(url="https://desk.example.org/1", **noted)
    with pytest.raises(Conflict):
        dossiers.refer(**noted)
    for wrong in ("javascript:alert(1)", "http://[", "https://", "desk.example.org/1"):
        with pytest.raises(Invalid):
            dossiers.refer(**{**noted, "name": "INC-2"}, url=wrong)
    dossiers.drop_reference(rfc_id=rfc.pk, reference_id=row.pk, **given)
    assert rfc.references.get().removed_at == world.at
    assert dossiers.refer(**noted).pk != row.pk


# --- parents and children ---------------------------------------------------------------------------------------------------
def family(world: World) -> tuple[RFC, RFC]:
    parent, child = made.evaluating(world), made.evaluating(world)
    families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=world.cast.che, at=world.at)
    return RFC.objects.get(pk=parent.pk), RFC.objects.get(pk=child.pk)


def test_children_follow_hold_and_resuming(world: World) -> None:
    parent, child = family(world)
    other = made.evaluating(world)
    families.set_parent(rfc_id=other.pk, parent_id=parent.pk, actor=world.cast.che, at=world.at)
    holds.place(rfc_id=other.pk, reason="on its own", actor=world.cast.che, at=world.at)
    holds.place(rfc_id=parent.pk, reason="wait for the vendor", actor=world.cast.che, at=world.at)
    held = open_hold_of(child)
    assert held is not None
    assert (held.cause, parent.number in held.reason) == ("parent", True)
    holds.resume(rfc_id=parent.pk, reason="go on", actor=world.cast.che, at=world.at)
    assert open_hold_of(child) is None
    assert open_hold_of(other) is not None, "its own hold is its own"


def test_children_are_cancelled_with_their_parent_or_nothing_is(world: World) -> None:
    parent, _child = family(world)
    rfcs.cancel(rfc_id=parent.pk, reason="no longer wanted", actor=world.cast.che, at=world.at)
    assert set(RFC.objects.values_list("state", flat=True)) == {"cancelled"}
    parent, running = made.evaluating(world), made.implementing(world)
    families.set_parent(rfc_id=running.pk, parent_id=parent.pk, actor=world.cast.che, at=world.at)
    with pytest.raises(Conflict, match="Stop it"):
        rfcs.cancel(rfc_id=parent.pk, reason="no longer wanted", actor=world.cast.che, at=world.at)
    assert RFC.objects.get(pk=parent.pk).state == "evaluating"


def test_a_rejected_parent_lets_its_children_go(world: World) -> None:
    """A rejection decides about one change: its children go on as their own, without the hold that they had with it."""
    parent, child = family(world)
    other, gone = made.evaluating(world), made.evaluating(world)
    for rfc in (other, gone):
        families.set_parent(rfc_id=rfc.pk, parent_id=parent.pk, actor=world.cast.che, at=world.at)
    rfcs.cancel(rfc_id=gone.pk, reason="not needed", actor=world.cast.che, at=world.at)
    holds.place(rfc_id=other.pk, reason="on its own", actor=world.cast.che, at=world.at)
    holds.place(rfc_id=parent.pk, reason="wait for the vendor", actor=world.cast.che, at=world.at)
    rfcs.reject(rfc_id=parent.pk, reason="not wanted", actor=world.cast.che, at=world.at)
    child.refresh_from_db()
    assert (child.parent, child.state, open_hold_of(child)) == (None, "evaluating", None)
    said = AuditEntry.objects.filter(object_type="changes.rfc", object_id=str(child.pk)).order_by("-id")[:2]
    assert [e.verb for e in said] == ["change.rfc.parent_set", "change.rfc.hold_ended"]
    assert all(f"Its parent {parent.number} was rejected." in e.detail["reason"] for e in said)
    assert open_hold_of(other) is not None, "its own hold is its own"
    assert RFC.objects.get(pk=other.pk).parent is None
    assert RFC.objects.get(pk=gone.pk).parent == parent, "what has ended keeps its history"


def test_who_may_not_resume_a_child_ends_no_hold_of_it_with_its_parent(world: World) -> None:
    parent, child = family(world)
    holds.place(rfc_id=parent.pk, reason="wait for the vendor", actor=world.cast.che, at=world.at)
    rfcs.reject(rfc_id=parent.pk, reason="not wanted", actor=world.cast.cal, at=world.at)
    child.refresh_from_db()
    assert (child.parent, open_hold_of(child) is not None) == (None, True)
    holds.resume(rfc_id=child.pk, actor=world.cast.che, at=world.at)
    assert open_hold_of(child) is None


def test_who_comes_under_a_held_parent_is_held_with_it(world: World) -> None:
    """Also where whoever makes it a child may hold nothing; it is resumed with its parent."""
    parent, child = made.evaluating(world), made.draft(world)
    holds.place(rfc_id=parent.pk, reason="wait for the vendor", actor=world.cast.che, at=world.at)
    families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=world.cast.ann, at=world.at)
    held = open_hold_of(child)
    assert held is not None
    assert (held.cause, held.placed_by) == ("parent", world.cast.ann)
    with pytest.raises(Blocked):
        rfcs.submit(rfc_id=child.pk, actor=world.cast.ann, at=world.at)
    families.set_parent(rfc_id=child.pk, parent_id=None, actor=world.cast.ann, at=world.at)
    assert open_hold_of(child) is not None, "leaving a parent resumes nothing"
    families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=world.cast.ann, at=world.at)
    holds.resume(rfc_id=parent.pk, reason="go on", actor=world.cast.che, at=world.at)
    assert open_hold_of(child) is None


def test_a_parent_is_closed_after_its_children(world: World) -> None:
    parent, child = made.in_review(world), made.evaluating(world)
    families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=world.cast.che, at=world.at)
    made.reviewed(parent, world)
    with pytest.raises(Blocked) as refused:
        rfcs.close(rfc_id=parent.pk, code="successful", actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.children_open"]
    rfcs.reject(rfc_id=child.pk, reason="not needed", actor=world.cast.che, at=world.at)
    assert rfcs.close(rfc_id=parent.pk, code="successful", actor=world.cast.che, at=world.at).state == "closed"


def test_a_family_is_one_level_deep_and_of_what_one_may_see(world: World) -> None:
    parent, child = family(world)
    che = {"actor": world.cast.che, "at": world.at}
    for rfc_id, parent_id in ((parent.pk, parent.pk), (parent.pk, child.pk), (parent.pk, 10**6)):
        with pytest.raises(Invalid):
            families.set_parent(rfc_id=rfc_id, parent_id=parent_id, **che)
    third = made.draft(world)
    with pytest.raises(Invalid):
        families.set_parent(rfc_id=third.pk, parent_id=child.pk, **che)
    with pytest.raises(NotAllowed):
        families.set_parent(rfc_id=third.pk, parent_id=parent.pk, actor=world.cast.mia, at=world.at)
    families.set_parent(rfc_id=child.pk, parent_id=None, **che)
    assert RFC.objects.get(pk=child.pk).parent is None


# --- copies ------------------------------------------------------------------------------------------------------------------
def test_a_copy_is_a_draft_of_its_own(world: World) -> None:
    like = made.authorized(world, title="OpenSSL, like every month", communication_plan="Tell the help desk.")
    copied = rfcs.copy(rfc_id=like.pk, actor=world.cast.che, at=world.at)
    assert (copied.state, copied.requested_by, copied.number != like.number) == ("draft", world.cast.che, True)
    for name in (
        "title",
        "kind",
        "implementation_plan",
        "test_plan",
        "back_out_plan",
        "communication_plan",
        "way_back",
    ):
        assert getattr(copied, name) == getattr(like, name)
    assert set(copied.targets.values_list("host", flat=True)) == {h.pk for h in world.hosts}
    assert copied.risk is None
    with pytest.raises(NotAllowed):
        rfcs.copy(rfc_id=like.pk, actor=world.cast.mia, at=world.at)
