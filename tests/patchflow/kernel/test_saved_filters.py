"""Saved filters: a question under a name, one's own or shared with a role; never more than its reader may see."""

from __future__ import annotations

from datetime import datetime

import pytest

from patchflow.kernel import saved_filters
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, DefaultFilter, RoleGrant, SavedFilter, User
from tests.factories.changes import make_group
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db
CHANGES = "/changes/?state=draft&sort=class&without=hosts"


def save(actor: User, at: datetime, **changes: str) -> SavedFilter:
    given = {"name": "Mine", "address": CHANGES, **changes}
    return saved_filters.save(actor=actor, at=at, **given)


def names(actor: User) -> list[str]:
    return [row.name for row in saved_filters.of_list("changes:rfc-list", User.objects.get(pk=actor.pk))]


def test_what_is_kept_is_the_question_in_its_plainest_form(cast: Cast, now: datetime) -> None:
    address = "/changes/?kind=&state=draft&sort=-number&without=hosts&after=abc&format=csv&saved=9"
    made = save(cast.ann, now, address=address, name="  Mine   too ")
    assert (made.name, made.list_name, made.query) == ("Mine too", "changes:rfc-list", "state=draft&without=hosts")
    assert AuditEntry.objects.get(verb="access.filter.saved").object_id == str(made.pk)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("/changes/?state=nonsense", "filter.address"),
        ("/changes/?colour=red&state=draft", "filter.address"),
        ("/changes/?sort=password", "filter.address"),
        ("/changes/?without=nothing", "filter.address"),
        ("/changes/", "filter.address"),
        ("/changes/board/?state=draft", "filter.address"),
        ("/notices/read/?state=draft", "filter.address"),
        ("https://example.org/changes/?state=draft", "filter.address"),
        ("//example.org/changes/?state=draft", "filter.address"),
        ("/no/such/page/?state=draft", "filter.address"),
        (f"/changes/?title={'x' * 2001}", "filter.address"),
    ],
)
def test_what_the_list_does_not_know_is_not_kept(address: str, code: str, cast: Cast, now: datetime) -> None:
    with pytest.raises(Invalid) as refused:
        save(cast.ann, now, address=address)
    assert {b.code for b in refused.value.blockers} == {code}
    assert not SavedFilter.objects.exists()


def test_a_list_that_one_may_not_open_keeps_nothing(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed, match="not for you"):
        save(cast.ann, now, address="/notices/undelivered/?who=mia")
    assert save(cast.otto, now, address="/notices/undelivered/?who=mia").list_name == "reports:undelivered-list"


def test_a_choice_that_one_may_not_see_is_not_kept(cast: Cast, now: datetime) -> None:
    """Whether the group exists is not told either: it is not one of the choices."""
    group = make_group("Secret", at=now)
    scoped = make_user("scoped")
    RoleGrant.objects.create(user=scoped, role="reader", scope="group:987654")
    with pytest.raises(Invalid) as refused:
        save(scoped, now, address=f"/estate/?group={group.pk}")
    assert "Secret" not in str(refused.value)
    assert save(cast.che, now, address=f"/estate/?group={group.pk}").query == f"group={group.pk}"


def test_a_filter_is_its_owners_until_it_is_shared_with_a_role(cast: Cast, now: datetime) -> None:
    made = save(cast.che, now)
    assert (names(cast.che), names(cast.mia)) == (["Mine"], [])
    saved_filters.rename(filter_id=made.pk, name="For the board", shared_with="cab_member", actor=cast.che, at=now)
    assert (names(cast.mia), names(cast.cal), names(cast.ann)) == (["For the board"], ["For the board"], [])
    RoleGrant.objects.filter(user=cast.mia).delete()
    assert names(cast.mia) == []


def test_sharing_is_for_who_runs_a_part_of_the_process(cast: Cast, now: datetime) -> None:
    for person in (cast.ann, cast.aud, cast.eve):
        with pytest.raises(NotAllowed, match="Sharing"):
            save(person, now, shared_with="auditor") if person != cast.eve else save(
                person, now, shared_with="auditor", address="/filters/?of=me"
            )
    with pytest.raises(Invalid, match="no role"):
        save(cast.che, now, shared_with="system")
    assert save(cast.che, now, shared_with="auditor").shared_with == "auditor"


def test_only_its_owner_renames_and_only_owner_or_keeper_of_people_removes(cast: Cast, now: datetime) -> None:
    made, own = save(cast.che, now, shared_with="cab_member"), save(cast.ann, now)
    for person in (cast.mia, cast.ada, cast.root):
        with pytest.raises(NotAllowed):
            saved_filters.rename(filter_id=made.pk, name="X", shared_with="", actor=person, at=now)
    with pytest.raises(NotAllowed):
        saved_filters.remove(filter_id=made.pk, actor=cast.mia, at=now)
    with pytest.raises(NotAllowed):
        saved_filters.remove(filter_id=own.pk, actor=cast.ada, at=now)
    saved_filters.remove(filter_id=made.pk, actor=cast.ada, at=now)
    assert (names(cast.mia), names(cast.che)) == ([], [])
    with pytest.raises(Conflict):
        saved_filters.remove(filter_id=made.pk, actor=cast.che, at=now)
    assert save(cast.che, now).name == "Mine"  # the name of a removed one is free


def test_a_name_is_taken_once_a_list(cast: Cast, now: datetime) -> None:
    save(cast.ann, now)
    with pytest.raises(Conflict, match="already"):
        save(cast.ann, now)
    assert save(cast.ann, now, address="/estate/?sort=age").name == "Mine"
    for name in ("", "   ", "x" * 81):
        with pytest.raises(Invalid):
            save(cast.ann, now, name=name)


def test_a_person_begins_a_list_with_one_filter_or_none(cast: Cast, now: datetime) -> None:
    first, second = save(cast.ann, now), save(cast.ann, now, name="Other")
    saved_filters.begin_with(filter_id=first.pk, actor=cast.ann, at=now)
    saved_filters.begin_with(filter_id=second.pk, actor=cast.ann, at=now)
    assert [row.name for row in saved_filters.of_list("changes:rfc-list", cast.ann) if row.is_default] == ["Other"]
    saved_filters.begin_with(filter_id=second.pk, begin=False, actor=cast.ann, at=now)
    assert not DefaultFilter.objects.exists()
    with pytest.raises(Conflict, match="no longer shared"):
        saved_filters.begin_with(filter_id=first.pk, actor=cast.mia, at=now)


def test_what_is_no_longer_shared_is_nobodys_beginning(cast: Cast, now: datetime) -> None:
    made = save(cast.che, now, shared_with="cab_member")
    saved_filters.begin_with(filter_id=made.pk, actor=cast.mia, at=now)
    saved_filters.rename(filter_id=made.pk, name="Mine", shared_with="", actor=cast.che, at=now)
    assert names(cast.mia) == []
    saved_filters.remove(filter_id=made.pk, actor=cast.che, at=now)
    assert not DefaultFilter.objects.exists()


def test_there_is_an_end_to_what_one_keeps(cast: Cast, now: datetime) -> None:
    rows = [
        SavedFilter(owner=cast.ann, list_name="changes:rfc-list", name=str(n), query="state=draft", made_at=now)
        for n in range(saved_filters.MOST)
    ]
    SavedFilter.objects.bulk_create(rows)
    with pytest.raises(Conflict, match="50"):
        save(cast.ann, now)
