"""The one door. Every change of state passes here: row lock, state, permission, gates, body, save, audit entry; all or nothing.

Every other change passes `@verb`: one transaction, and a refused attempt leaves its entry after the rollback.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.db import models, transaction
from django.utils.translation import pgettext

from patchflow.kernel import audit, fsm
from patchflow.kernel import rows as many
from patchflow.kernel.blockers import Blocker, English, any_of, english
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed, Refusal
from patchflow.kernel.models.audit import Audited
from patchflow.kernel.registry import gates_of
from patchflow.kernel.rules import failing, somewhere

if TYPE_CHECKING:
    from patchflow.kernel.models import User

M = TypeVar("M", bound=models.Model)
P = ParamSpec("P")
R = TypeVar("R")

_depth: ContextVar[int] = ContextVar("patchflow_verb_depth", default=0)


@dataclass
class _Attempt:
    """What was tried, kept on the refusal so that the outermost verb can write it down after the rollback."""

    verb: str
    model: type[models.Model] | None
    pk: Any
    actor: User
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


def _run(attempt: _Attempt, act: Callable[[], R]) -> R:
    depth = _depth.get()
    token = _depth.set(depth + 1)
    try:
        with transaction.atomic():
            return act()
    except Refusal as refusal:
        if getattr(refusal, "attempt", None) is None:
            refusal.attempt = attempt  # type: ignore[attr-defined]
        if depth == 0:
            _record_refusal(refusal)
        raise
    finally:
        _depth.reset(token)


def _record_refusal(refusal: Refusal) -> None:
    tried: _Attempt = refusal.attempt  # type: ignore[attr-defined]
    with transaction.atomic():
        chain: Audited | None = None
        if tried.model is not None and issubclass(tried.model, Audited):
            chain = tried.model._base_manager.select_for_update(no_key=True).filter(pk=tried.pk).first()
        if chain is None:
            chain = audit.named("attempts")
        detail = {**tried.detail, "refusal": refusal.title, "blockers": [b.as_dict() for b in refusal.blockers]}
        audit.record(chain, tried.verb, actor=tried.actor, at=tried.at, detail=detail, outcome=Outcome.REFUSED)


def verb(
    name: str, model: type[models.Model] | None = None, key: str = ""
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a domain function one verb: a transaction of its own, and a refused attempt written down.

    `model` and `key` name the object concerned (`@verb("change.rfc.revised", RFC, "rfc_id")`) for the refused entry.
    The function takes keywords only, `actor` and `at` among them, and records its own entry when it succeeds.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            actor: Any = kwargs["actor"]
            at: Any = kwargs["at"]
            return _run(_Attempt(name, model, kwargs.get(key), actor, at), lambda: function(*args, **kwargs))

        return run

    return decorate


def lock(model: type[M], pk: Any) -> M:
    """The row, locked until the transaction ends; Conflict if it is gone.

    It alone: a table's usual order may go by another table's columns (a ring's by its rollout's), whose row would be locked
    with it, out of the order in which locks are taken. Not its key: rows that refer to it may be written meanwhile, as a
    crew writes what its hosts tell before it takes the ring.
    """
    row = model._base_manager.select_for_update(of=("self",), no_key=True).order_by().filter(pk=pk).first()
    if row is None:
        raise Conflict(
            english("This %(verbose_name)s no longer exists.", verbose_name=model._meta.verbose_name_raw),
            code="conflict.gone",
        )
    return row


def find_blockers(
    obj: models.Model, name: str, *, actor: User, at: datetime, facts: Mapping[str, Any] | None = None
) -> list[Blocker]:
    """The reasons of all gates against firing `name` now; an empty list opens. A gate that raises denies (law 4)."""
    found: list[Blocker] = []
    for gate in gates_of(obj._meta.label_lower, name):
        try:
            found += gate(obj, actor=actor, at=at, facts=dict(facts or {}))
        except Refusal as refusal:
            found += refusal.blockers
        except Exception as error:
            code = f"gate.{getattr(gate, '__name__', 'gate')}"
            found.append(
                Blocker(
                    code,
                    english(
                        "This gate could not be evaluated (%(name)s: %(error)s), so it stays shut.",
                        name=type(error).__name__,
                        error=error,
                    ),
                    tone="unknown",
                )
            )
    return found


def fire(model: type[M], pk: Any, name: str, *, actor: User, at: datetime, **facts: Any) -> M:
    """Fires transition `name` on the row `pk` and returns it.

    Raises NotAllowed (a rule; before anything is said of the state), Conflict (the state has no such transition), Blocked
    (a gate). `facts` go to the transition's body and into the audit entry.
    """
    declared = [t for t in fsm.machine_of(model) if t.name == name]
    if not declared:
        raise LookupError(f"{model.__name__} has no transition {name!r}")

    def act() -> M:
        chain = _lock_parent(model, pk)
        obj = lock(model, pk)
        _pass_gates(obj, name, actor=actor, at=at, facts=facts)
        _apply(chain, obj, name, actor=actor, at=at, facts=facts)
        return obj

    return _run(_Attempt(declared[0].verb, model, pk, actor, at, {"transition": name}), act)


def demand_somewhere(name: str, *, actor: User) -> None:
    """Raises NotAllowed for whom no role gives the capability anywhere: asked before the object is looked for."""
    if refused := failing([somewhere(name)], None, actor):
        raise NotAllowed(refused)


def _spoken(model: type[models.Model], name: str) -> English:
    """A transition inside a sentence: its plain name in English, its label in another language."""
    label = next((t.label for t in fsm.machine_of(model) if t.name == name), name)
    return English.of(label, context="verb", text=name.replace("_", " "))


def _sources(model: type[models.Model], name: str) -> list[str]:
    """The states that a transition leaves."""
    return sorted({s for t in fsm.machine_of(model) if t.name == name for s in t.sources})


def _state(value: str) -> English:
    """A state inside a sentence."""
    return English.of(value.replace("_", " "))


def _pass_gates(obj: models.Model, name: str, *, actor: User, at: datetime, facts: Mapping[str, Any]) -> fsm.Transition:
    """The transition that leaves the row's state, if its rules and gates let it; raises the Refusal otherwise."""
    model = type(obj)
    state = str(getattr(obj, fsm.state_attribute(model)))
    declared = fsm.find(model, name, state)
    if declared is None:
        demand_role(obj, name, actor=actor)
        raise Conflict(
            english(
                "It is %(state)s; %(verb)s needs %(states)s.",
                state=_state(state),
                verb=_spoken(model, name),
                states=any_of([_state(source) for source in _sources(model, name)]),
            ),
            code="conflict.state",
        )
    if refused := failing(declared.allowed, obj, actor):
        raise NotAllowed(refused)
    if blockers := find_blockers(obj, name, actor=actor, at=at, facts=facts):
        raise Blocked(blockers)
    return declared


def why_not(obj: models.Model, name: str, *, actor: User, at: datetime) -> list[Blocker]:
    """Every reason against firing `name` on the row as it was read; nothing is changed or written.

    For the page that asks before a verb: unlike `available` it also answers where the state has no such transition.
    """
    state = str(getattr(obj, fsm.state_attribute(type(obj))))
    try:
        if fsm.find(type(obj), name, state) is None:
            demand_role(obj, name, actor=actor)
            said = english(
                "It is %(state)s. This is possible only where it is %(states)s.",
                state=_state(state),
                states=any_of([_state(source) for source in _sources(type(obj), name)]),
            )
            return [Blocker("conflict.state", said)]
        _pass_gates(obj, name, actor=actor, at=at, facts={})
    except Refusal as refusal:
        return refusal.blockers
    return []


def demand_role(obj: models.Model, name: str, *, actor: User) -> None:
    """Raises NotAllowed if no role lets the actor fire `name` in whatever state: they are not told in which it is.

    For verbs that look at the row before they fire; `fire` asks by itself.
    """
    ways = [t for t in fsm.machine_of(type(obj)) if t.name == name]
    refused = [failing([rule for rule in way.allowed if rule.asks_role], obj, actor) for way in ways]
    if all(refused):
        raise NotAllowed(refused[0])


def _columns(obj: models.Model) -> dict[str, Any]:
    """What the row's loaded columns hold, frozen: JSON as its text, so that a change inside it shows."""
    plain, as_json = _fields_of(type(obj))
    held = obj.__dict__
    found = {name: held[name] for name in plain if name in held}
    for name, encoder in as_json:
        if name in held:
            found[name] = _frozen(held[name], encoder)
    return found


@functools.cache
def _fields_of(model: type[models.Model]) -> tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]:
    """The names of a model's columns, and those that hold JSON with their encoders."""
    fields = model._meta.concrete_fields
    return (
        tuple(f.attname for f in fields if not isinstance(f, models.JSONField)),
        tuple((f.attname, f.encoder) for f in fields if isinstance(f, models.JSONField)),
    )


def _changed(obj: models.Model, before: Mapping[str, Any]) -> list[str]:
    """The columns that differ from `before`, and the state's: all that a door writes, so that it takes nothing back
    that another has written to the row since it was read."""
    state, held = fsm.state_attribute(type(obj)), obj.__dict__
    plain, as_json = _fields_of(type(obj))
    found = [name for name in plain if name in held and (name == state or before.get(name, _missing) != held[name])]
    return found + [
        name
        for name, encoder in as_json
        if name in held and (name not in before or before[name] != _frozen(held[name], encoder))
    ]


_missing = object()


def _frozen(value: Any, encoder: Any) -> str:
    return json.dumps(value, cls=encoder, sort_keys=True)


def _step(obj: models.Model, name: str, *, actor: User, at: datetime, facts: Mapping[str, Any]) -> tuple[str, str, str]:
    attribute = fsm.state_attribute(type(obj))
    before = str(getattr(obj, attribute))
    declared = fsm.find(type(obj), name, before)
    assert declared is not None  # noqa: S101  _pass_gates has looked
    with fsm.door(obj):
        getattr(obj, name)(actor=actor, at=at, **facts)
    return declared.verb, before, str(getattr(obj, attribute))


def _apply(
    chain: Audited | None, obj: models.Model, name: str, *, actor: User, at: datetime, facts: Mapping[str, Any]
) -> None:
    read = _columns(obj)
    verb_name, before, after = _step(obj, name, actor=actor, at=at, facts=facts)
    if isinstance(obj, Audited):
        entry = audit.entry_for(obj, verb_name, actor=actor, at=at, before=before, after=after, detail=facts)
        obj.save(update_fields=_changed(obj, read))
        entry.save(force_insert=True)
    else:
        assert chain is not None  # noqa: S101  _lock_parent found it
        obj.save(update_fields=_changed(obj, read))
        audit.record(chain, verb_name, obj, actor=actor, at=at, before=before, after=after, detail=facts)


def _lock_parent(model: type[models.Model], pk: Any) -> Audited | None:
    """The row whose chain takes the entries about this one, locked before it (a job's ring); None if it has its own."""
    if issubclass(model, Audited):
        return None
    peek = model._base_manager.order_by().filter(pk=pk).first()
    if peek is None:
        raise Conflict(
            english("This %(verbose_name)s no longer exists.", verbose_name=model._meta.verbose_name_raw),
            code="conflict.gone",
        )
    return _lock_parent_of(peek)


def _lock_parent_of(peek: models.Model) -> Audited:
    parent: Audited = peek.audit_parent  # type: ignore[attr-defined]
    return lock(type(parent), parent.pk)


@dataclass(frozen=True)
class FiredMany:
    """What a bulk firing did: rows that moved, and the reasons for those that did not."""

    done: list[Any]
    refused: dict[Any, list[Blocker]]


Step = tuple[str, Mapping[str, Any]]
"""The name of a transition, and its facts."""


def fire_many(
    rows: models.QuerySet[M],
    name: str,
    *,
    actor: User,
    at: datetime,
    fences: Mapping[Any, int] | None = None,
    facts_of: Callable[[M], Mapping[str, Any]] | None = None,
) -> FiredMany:
    """Fires a transition declared *bulk* on many rows: the same rules, gates and body, one UPDATE for each set of
    columns that the body changed, all entries at once.

    Rows are locked (those another holds are skipped on PostgreSQL); a row whose state has moved on, or whose fence is
    not the given one, is refused. All rows must share one audit parent. Equal to `fire` row by row, as a test proves.
    """

    def steps_of(obj: M) -> list[Step]:
        return [(name, facts_of(obj) if facts_of else {})]

    return fire_steps(rows, [name], actor=actor, at=at, fences=fences, steps_of=steps_of)


def fire_steps(
    rows: models.QuerySet[M],
    names: Sequence[str],
    *,
    actor: User,
    at: datetime,
    steps_of: Callable[[M], Sequence[Step]],
    fences: Mapping[Any, int] | None = None,
    also: Callable[[M], Mapping[str, Any]] | None = None,
) -> FiredMany:
    """As `fire_many`, where each row takes steps of its own, one after the other: transitions of `names`, each through its
    rules and gates, each with its entry. A row that one of them refuses takes none.

    `also`: columns that are no state, written with the steps of a row, also where it takes none. Columns that neither a body
    nor `steps_of` reads may be left out of `rows` (`only`): reading them for thousands of rows costs more than the steps.
    """
    model = rows.model
    bulk = {t.name for t in fsm.machine_of(model) if t.bulk}
    if issubclass(model, Audited) or not bulk.issuperset(names):
        raise LookupError(
            f"{model.__name__}: not all of {names} are declared bulk, or its rows have chains of their own"
        )

    def act() -> FiredMany:
        first = rows.order_by("pk").first()
        if first is None:
            return FiredMany([], {})
        chain = _lock_parent_of(first)
        refused: dict[Any, list[Blocker]] = {}
        done: list[Any] = []
        moves: list[audit.Move] = []
        written: dict[tuple[str, ...], list[M]] = {}
        for obj in rows.select_for_update(of=("self",), skip_locked=True, no_key=True).order_by("pk"):
            read = _columns(obj)
            try:
                if fences is not None and obj.fence != fences.get(obj.pk):  # type: ignore[attr-defined]
                    raise Conflict(
                        "Another holder has taken this over; a late write is shut out.", code="conflict.fence"
                    )
                taken = _take_steps(obj, steps_of(obj), actor=actor, at=at)
            except Refusal as refusal:
                refused[obj.pk] = refusal.blockers
                continue
            if taken or also:
                for name, value in (also(obj) if also else {}).items():
                    setattr(obj, name, value)
                written.setdefault(tuple(_changed(obj, read)), []).append(obj)
                moves += taken
            done.append(obj.pk)
        for columns, changed in written.items():
            _write_many(model, changed, columns)
        audit.record_many(chain, moves, actor=actor, at=at)
        return FiredMany(done, refused)

    verb_name = next(t.verb for t in fsm.machine_of(model) if t.name == names[0])
    return _run(_Attempt(verb_name, None, None, actor, at, {"transition": names[0]}), act)


def _take_steps(obj: models.Model, steps: Sequence[Step], *, actor: User, at: datetime) -> list[audit.Move]:
    """Takes the steps of one row, each through its rules and gates; raises the Refusal of the first that may not be."""
    model, taken = type(obj), []
    attribute = fsm.state_attribute(model)
    for name, facts in steps:
        declared = _pass_gates(obj, name, actor=actor, at=at, facts=facts)
        before = str(obj.__dict__[attribute])
        fsm.take(obj, declared, attribute, actor=actor, at=at, **facts)
        taken.append(audit.Move(declared.verb, obj, before, declared.target, facts))
    return taken


def _write_many(model: type[M], rows: list[M], columns: Sequence[str]) -> None:
    """The columns of all rows: by one UPDATE those that have the same value in each, the others beside it."""
    json_columns = {f.attname for f in model._meta.concrete_fields if isinstance(f, models.JSONField)}
    same: dict[str, Any] = {}
    for name in columns:
        value = rows[0].__dict__[name]
        if all((each := row.__dict__[name]) is value or (name not in json_columns and each == value) for row in rows):
            same[name] = value
    many.update(model, rows, same, [name for name in columns if name not in same])


@dataclass(frozen=True)
class Available:
    """A verb as a page offers it: allowed, or greyed with every reason."""

    name: str
    label: str
    blockers: list[Blocker]
    dangerous: bool = False

    @property
    def allowed(self) -> bool:
        return not self.blockers


def available(obj: models.Model, *, actor: User, at: datetime, also: Iterable[str] = ()) -> list[Available]:
    """The verbs that leave the object's state now, for this person; system transitions only if named in `also`."""
    model = type(obj)
    state = str(getattr(obj, fsm.state_attribute(model)))
    offered: list[Available] = []
    for declared in fsm.machine_of(model):
        if not declared.leaves(state) or (declared.by_system and declared.name not in also):
            continue
        blockers = failing(declared.allowed, obj, actor) + find_blockers(obj, declared.name, actor=actor, at=at)
        offered.append(Available(declared.name, pgettext("verb", declared.label), blockers, declared.dangerous))
    return offered
