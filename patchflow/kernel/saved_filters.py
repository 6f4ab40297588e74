"""Saving what a list is asked, under a name: one's own, or shared with a role; one of them may be how one begins the list.

What is kept is a question, never an answer: it is asked again with the rights of whoever opens it. The list itself says
which parts of a question it knows (`ask`, given by the web toolkit, which knows the lists).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import DefaultFilter, SavedFilter, User
from patchflow.kernel.registry import verbs
from patchflow.kernel.roles import all_roles, grantable
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.workflow import lock, verb

MOST = 50
"""How many a person may keep for one list."""
LONGEST = 2000

verbs(
    access__filter={
        "saved": "Filter saved",
        "renamed": "Filter renamed or shared",
        "removed": "Filter removed",
        "default_set": "Beginning of a list chosen",
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The address of a list, read by the list: its name, its question in the plainest form, and what it does not know."""

    list_name: str
    query: str
    problems: Sequence[str] = ()


Ask = Callable[[str, User], Asked]
_ask: list[Ask] = []


def lists_are_read_by(ask: Ask) -> None:
    """Says how the address of a list is read as a person (the web toolkit does, at its start)."""
    _ask[:] = [ask]


def ask(address: str, actor: User) -> Asked:
    """The address of a list as `actor` may ask it. Raises Invalid (no list), NotAllowed (not for this person)."""
    return _ask[0](address, actor)


@verb("access.filter.saved")
def save(*, name: str, address: str, shared_with: str = "", actor: User, at: datetime) -> SavedFilter:
    """Keeps what the list at `address` ("/estate/?state=…&sort=age") is asked.

    Raises Invalid (name; a part that this list does not know; no such role), NotAllowed (the list, or sharing, is not for
    this person), Conflict (the name is taken, or there are too many).
    """
    asked = ask(address, actor)
    wrong = [Blocker("filter.address", sentence) for sentence in asked.problems]
    if not asked.query:
        wrong.append(Blocker("filter.address", "Nothing is filtered, ordered or left out: there is nothing to keep."))
    if len(asked.query) > LONGEST:
        wrong.append(Blocker("filter.address", english("Its address has more than %(most)s characters.", most=LONGEST)))
    if wrong:
        raise Invalid(wrong)
    lock(User, actor.pk)
    own = SavedFilter.objects.filter(owner=actor, list_name=asked.list_name, removed_at__isnull=True)
    if own.count() >= MOST:
        raise Conflict(
            english("You keep %(n)s filters for this list already: remove one first.", n=MOST), code="filter.many"
        )
    made = SavedFilter(owner=actor, list_name=asked.list_name, query=asked.query, made_at=at)
    _name(made, name, shared_with, actor)
    made.save()
    detail = {"list": made.list_name, "query": made.query, "shared_with": made.shared_with}
    audit.record(made, "access.filter.saved", actor=actor, at=at, detail=detail)
    return made


@verb("access.filter.renamed", SavedFilter, "filter_id")
def rename(*, filter_id: int, name: str, shared_with: str, actor: User, at: datetime) -> SavedFilter:
    """Gives a filter another name, or shares it with another role (empty: no longer). Raises as `save` does."""
    found = _own(filter_id, actor)
    before = {"name": found.name, "shared_with": found.shared_with}
    _name(found, name, shared_with, actor)
    after = {"name": found.name, "shared_with": found.shared_with}
    if after != before:
        found.save(update_fields=["name", "shared_with"])
        detail = {"before": before, "after": after}
        audit.record(found, "access.filter.renamed", actor=actor, at=at, detail=detail)
    return found


@verb("access.filter.removed", SavedFilter, "filter_id")
def remove(*, filter_id: int, actor: User, at: datetime) -> SavedFilter:
    """Takes a filter away, for all with whom it was shared; who began the list with it begins with the whole of it. Its
    owner may, and for a shared one whoever keeps people and grants. Raises NotAllowed, Conflict (gone already)."""
    found = _own(filter_id, actor, keeper=True)
    found.removed_at = at
    found.save(update_fields=["removed_at"])
    DefaultFilter.objects.filter(saved=found).delete()
    audit.record(found, "access.filter.removed", actor=actor, at=at)
    return found


@verb("access.filter.default_set", SavedFilter, "filter_id")
def begin_with(*, filter_id: int, begin: bool = True, actor: User, at: datetime) -> SavedFilter:
    """Lets `actor` begin the filter's list with it, or (`begin` False) with the whole list again; for oneself only.

    Raises Conflict where the filter is gone or no longer shared with a role of this person.
    """
    lock(User, actor.pk)
    found = SavedFilter.objects.visible_to(actor).filter(pk=filter_id).first()
    if found is None:
        raise Conflict("This filter is gone, or no longer shared with you.", code="conflict.gone")
    found = lock(SavedFilter, filter_id)
    mine = DefaultFilter.objects.filter(user=actor, list_name=found.list_name)
    if begin:
        mine.exclude(saved=found).delete()
        DefaultFilter.objects.get_or_create(user=actor, list_name=found.list_name, saved=found)
    else:
        mine.filter(saved=found).delete()
    audit.record(found, "access.filter.default_set", actor=actor, at=at, detail={"begin": begin})
    return found


def of_list(list_name: str, actor: User) -> list[SavedFilter]:
    """What `actor` may open on this list, by name: one's own and what is shared with a role of theirs. One query."""
    return list(
        SavedFilter.objects.visible_to(actor).with_default(actor).filter(list_name=list_name).select_related("owner")
    )


def may_share(actor: User) -> bool:
    return not failing([capability("filter.share")], None, actor)


def _own(filter_id: int, actor: User, *, keeper: bool = False) -> SavedFilter:
    found = lock(SavedFilter, filter_id)
    if found.removed_at is not None:
        raise Conflict("This filter was removed already.", code="conflict.gone")
    keeps = keeper and found.shared_with and not failing([capability("grant.edit")], None, actor)
    if found.owner_id != actor.pk and not keeps:
        raise NotAllowed(
            english("It is %(owner)s's filter: copy it under a name of your own.", owner=found.owner),
            code="filter.other",
        )
    return found


def _name(row: SavedFilter, name: str, shared_with: str, actor: User) -> None:
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise Invalid("Give it a name of at most 80 characters.", code="filter.name")
    if shared_with and shared_with not in {role.name for role in grantable()}:
        raise Invalid(english("There is no role %(role)s.", role=shared_with), code="filter.shared_with")
    if shared_with and shared_with != row.shared_with and not may_share(actor):
        raise NotAllowed(
            english(
                "Sharing a filter with every %(role)s is for who runs a part of the process.",
                role=all_roles()[shared_with].title,
            ),
            code="filter.share",
        )
    others = SavedFilter.objects.filter(owner=row.owner, list_name=row.list_name, name=name, removed_at__isnull=True)
    if others.exclude(pk=row.pk).exists():
        raise Conflict(english("You keep a filter “%(name)s” for this list already.", name=name), code="filter.taken")
    row.name, row.shared_with = name, shared_with
