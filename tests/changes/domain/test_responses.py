"""What is decided about an update, and the clock that outlives a change of class."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from changes.domain import responses
from changes.models import SoftwareUpdate, UpdateResponse
from patchflow.kernel.audit import history
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from tests.factories import identify as make
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def update(cast: Cast, now: datetime) -> SoftwareUpdate:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=now)
    make.poll(make.make_feed(cast.sam, at=now), [make.record("DSA-1-1", [("foo", "1.0-2")])], actor=cast.sam, at=now)
    return SoftwareUpdate.objects.get()


def test_respond_is_a_new_row_each_time_and_is_in_the_trail(update: SoftwareUpdate, cast: Cast, now: datetime) -> None:
    responses.respond(update_id=update.pk, response="deploy", reason="Exposed.", actor=cast.che, at=now)
    responses.respond(
        update_id=update.pk,
        response="decline",
        reason="Isolated.",
        revisit_on=date(2026, 12, 24),
        actor=cast.sam,
        at=now,
    )

    assert [row.response for row in UpdateResponse.objects.all()] == ["decline", "deploy"]
    newest, before, *_ = history(update)
    assert (newest.verb, newest.before_state, newest.after_state, newest.actor_name) == (
        "change.update.responded",
        "deploy",
        "decline",
        "sam",
    )
    assert before.detail["reason"] == "Exposed."


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"response": "deploy", "reason": "  "}, "update.reason"),
        ({"response": "later", "reason": "x"}, "update.response"),
        ({"response": "decline", "reason": "x"}, "update.revisit_on"),
        ({"response": "workaround", "reason": "x"}, "update.revisit_on"),
        ({"response": "deploy", "reason": "x", "revisit_on": date(2026, 11, 18)}, "update.revisit_on"),
    ],
)
def test_respond_refuses_what_is_incomplete(
    given: dict[str, object], code: str, update: SoftwareUpdate, cast: Cast, now: datetime
) -> None:
    with pytest.raises(Invalid) as refused:
        responses.respond(update_id=update.pk, actor=cast.che, at=now, **given)  # type: ignore[arg-type]

    assert [blocker.code for blocker in refused.value.blockers] == [code]
    assert UpdateResponse.objects.count() == 0


def test_respond_without_the_role_is_refused_and_written_down(
    update: SoftwareUpdate, cast: Cast, now: datetime
) -> None:
    for person in (cast.ann, cast.otto, cast.root):
        with pytest.raises(NotAllowed):
            responses.respond(update_id=update.pk, response="deploy", reason="x", actor=person, at=now)

    refused = AuditEntry.objects.filter(verb="change.update.responded", outcome="refused")
    assert sorted(refused.values_list("actor_name", flat=True)) == ["ann", "otto", "root"]


@pytest.mark.parametrize(
    ("update_class", "length"),
    [("critical", timedelta(hours=24)), ("high", timedelta(days=7)), ("low", None)],
)
def test_classify_moves_the_end_of_the_clock_never_its_start(
    update_class: str, length: timedelta | None, update: SoftwareUpdate, cast: Cast, now: datetime
) -> None:
    later = now + timedelta(days=2)

    found = responses.classify(update_id=update.pk, update_class=update_class, reason="Seen.", actor=cast.sam, at=later)

    assert (found.notified_at, found.start_by) == (now, now + length if length else None)
    with pytest.raises(Conflict):
        responses.classify(update_id=update.pk, update_class=update_class, reason="Seen.", actor=cast.sam, at=later)


def test_classify_by_a_person_is_left_alone_by_the_rule(update: SoftwareUpdate, cast: Cast, now: datetime) -> None:
    responses.classify(update_id=update.pk, update_class="low", reason="Isolated.", actor=cast.sam, at=now)
    feed = update.advisories.get().feed
    graver = make.record("DSA-1-1", [("foo", "1.0-2")], summary="Critical: foo", modified="2026-11-12T00:00:00Z")

    make.poll(feed, [graver], actor=cast.sam, at=now)

    found = SoftwareUpdate.objects.get()
    assert (found.severity_rank, found.update_class) == (5, "low")
