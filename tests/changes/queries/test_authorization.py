"""What was authorized is compared with what stands there now, each time; read again only where a row has changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.models import RFC, RFCTarget, RFCUpdate, RFCWindow, RiskAssessment
from changes.queries.authorization import MADE_OF, authorization_for
from patchflow.kernel import append_only
from patchflow.kernel.integrity import digest, plain
from patchflow.kernel.models import SignOffRound
from tests.factories import changes as made
from tests.factories.changes import World

pytestmark = pytest.mark.django_db


def fresh(rfc: RFC) -> str:
    return digest(plain(RFC.objects.get(pk=rfc.pk).change_document()))


PAST_THE_VERBS: list[Callable[[RFC, World], object]] = [
    lambda rfc, _w: RFC.objects.filter(pk=rfc.pk).update(back_out_plan="none"),
    lambda rfc, _w: RFC.objects.filter(pk=rfc.pk).update(other_reason="because"),
    lambda rfc, w: RFC.objects.filter(pk=rfc.pk).update(not_after=w.at + timedelta(days=99)),
    lambda rfc, _w: RFCTarget.objects.filter(rfc=rfc).update(host_name="another"),
    lambda rfc, w: RFCTarget.objects.filter(pk=rfc.targets.latest("pk").pk).update(removed_at=w.at),
    lambda rfc, _w: RFCTarget.objects.filter(pk=rfc.targets.latest("pk").pk).delete(),
    lambda rfc, _w: RFCUpdate.objects.filter(rfc=rfc).update(fixed_version="9"),
    lambda rfc, _w: RiskAssessment.objects.filter(rfc=rfc).update(score=0),
    lambda rfc, _w: RiskAssessment.objects.filter(rfc=rfc).update(factors=[]),
]


@pytest.mark.parametrize("tamper", PAST_THE_VERBS)
def test_a_row_changed_past_the_verbs_voids_at_the_next_question(
    tamper: Callable[[RFC, World], object], world: World
) -> None:
    rfc = made.authorized(world)
    before = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert before.valid
    with append_only.lifted():
        tamper(rfc, world)
    after = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert after.digest == fresh(rfc) != before.digest
    assert [b.code for b in after.blockers] == ["rfc.digest_unsigned"]


def test_a_round_that_is_void_counts_no_more_at_the_next_question(world: World) -> None:
    rfc = made.authorized(world)
    assert authorization_for(rfc_id=rfc.pk, at=world.at).valid
    SignOffRound.objects.filter(subject_id=rfc.pk).update(state="void")
    assert [b.code for b in authorization_for(rfc_id=rfc.pk, at=world.at).blockers] == ["rfc.digest_unsigned"]


def test_a_target_that_leaves_by_itself_voids_nothing_and_is_no_target_any_more(world: World) -> None:
    rfc = made.authorized(world)
    assert len(authorization_for(rfc_id=rfc.pk, at=world.at).host_ids) == len(world.hosts)
    gone = rfc.targets.latest("pk")
    RFCTarget.objects.filter(pk=gone.pk).update(left_at=world.at)
    after = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert after.valid
    assert gone.host_id not in after.host_ids


def test_every_table_of_the_document_is_summed_up(world: World) -> None:
    """A part that the document gains one day, and that nobody sums up, would be read from memory for ever."""
    rfc = made.authorized(world)
    with CaptureQueriesContext(connection) as seen:
        RFC.objects.get(pk=rfc.pk).change_document()
    read = {query["sql"].partition(' FROM "')[2].partition('"')[0] for query in seen}
    assert read == {RFC._meta.db_table, *(model._meta.db_table for model in MADE_OF)}
    assert set(MADE_OF) == {RFCUpdate, RFCTarget, RFCWindow, RiskAssessment}
    assert not any(" JOIN " in query["sql"] for query in seen)


def test_rows_that_did_not_change_are_not_read_again(world: World) -> None:
    rfc = made.authorized(world)
    RFC.objects.filter(pk=rfc.pk).update(title="never asked before")
    counts = []
    for _time in range(2):
        with CaptureQueriesContext(connection) as seen:
            authorization_for(rfc_id=rfc.pk, at=world.at)
        counts.append(len(seen))
    assert counts[0] - counts[1] == 6  # updates, targets twice, windows, risk; and the sums once more
