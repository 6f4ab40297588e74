"""Declaring state machines. The only importer of django_fsm.

    class RFC(Audited):
        state = state_field(RFCState)

        @transition(field=state, source=RFCState.DRAFT, target=RFCState.SUBMITTED,
                    verb="change.rfc.submitted", allowed=[capability("rfc.submit")], gated=True)
        def submit(self, *, actor, at): self.submitted_at = at      # own row only

A transition without a registered verb or without rules is an error at import; one called past `workflow.fire` raises.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import django_fsm
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models.signals import class_prepared

from patchflow.kernel.registry import VERBS
from patchflow.kernel.rows import QuicklyRead
from patchflow.kernel.rules import Rule

_open_door: ContextVar[object | None] = ContextVar("patchflow_door", default=None)


class PastTheDoor(RuntimeError):
    """A transition was called directly. Call `workflow.fire(Model, pk, "name", actor=…, at=…)`."""


@dataclass(frozen=True)
class Transition:
    """One declared transition of one machine (a method may carry several, one per target)."""

    name: str
    field: str
    sources: tuple[str, ...]
    target: str
    verb: str
    allowed: tuple[Rule, ...]
    gated: bool
    bulk: bool
    by_system: bool
    dangerous: bool
    label: str

    def leaves(self, state: str) -> bool:
        return state in self.sources


MACHINES: dict[str, list[Transition]] = {}
"""Model label (lower) → its transitions in the order of the file."""


class StateField(django_fsm.FSMField):
    """A protected state column. Migrations know it as the text that it is: history needs no machine."""

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, _path, args, kwargs = super().deconstruct()
        kwargs.pop("protected", None)
        return name, "django.db.models.CharField", list(args), kwargs


def state_field(states: type[models.TextChoices], **options: Any) -> Any:
    """A protected state column; the first member is where a row starts unless `default` says otherwise. `db_index=False` for
    a table that finds its rows by states with an index of its own: each index is written at every change of state."""
    options.setdefault("default", next(iter(states)))
    options.setdefault("max_length", 24)
    options.setdefault("db_index", True)
    return StateField(choices=states.choices, protected=True, editable=False, **options)


class Stateful(QuicklyRead):
    """Base of models that may have a state column: lets `refresh_from_db` read it.

    (The library's own mixin lifts the protection of the field for all threads while one reads.)
    """

    class Meta:
        abstract = True

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        wanted = None if fields is None else list(fields)
        for field in self._meta.concrete_fields:
            if isinstance(field, django_fsm.FSMField) and (wanted is None or field.name in wanted):
                self.__dict__.pop(field.attname, None)
        super().refresh_from_db(using=using, fields=wanted, from_queryset=from_queryset)


def _door_is_open(instance: models.Model) -> bool:
    if _open_door.get() is not instance:
        raise PastTheDoor(f"{type(instance).__name__}: transitions are fired by patchflow.kernel.workflow only")
    return True


@contextmanager
def door(instance: models.Model) -> Iterator[None]:
    """Opens the door for one instance; used by `workflow` alone."""
    token = _open_door.set(instance)
    try:
        yield
    finally:
        _open_door.reset(token)


def transition(
    *,
    field: Any,
    source: str | Iterable[str],
    target: str,
    verb: str,
    allowed: Sequence[Rule],
    gated: bool = False,
    bulk: bool = False,
    by_system: bool = False,
    dangerous: bool = False,
    label: str = "",
) -> Callable[[Any], Any]:
    """Declares source → target.

    `verb`: audited verb; `allowed`: rules that must all hold for the actor; `gated`: at least one gate must be
    registered; `bulk`: `fire_many` may fire it (no side effect but the row's own columns); `by_system`: fired by the
    verb that causes it, never offered as a button; `dangerous`: asks for confirmation with its reach.
    """
    if verb not in VERBS:
        raise ImproperlyConfigured(f"transition to {target!r}: audit verb {verb!r} is not registered")
    if not allowed:
        raise ImproperlyConfigured(f"transition {verb}: says nobody's permission; name at least one rule")
    sources = [source] if isinstance(source, str) else list(source)

    def decorate(method: Any) -> Any:
        declared = Transition(
            name=method.__name__,
            field="",
            sources=tuple(str(s) for s in sources),
            target=str(target),
            verb=verb,
            allowed=tuple(allowed),
            gated=gated,
            bulk=bulk,
            by_system=by_system,
            dangerous=dangerous,
            label=label or method.__name__.replace("_", " ").capitalize(),
        )
        known = [declared, *getattr(method, "_patchflow_transitions", [])]
        wrapped = django_fsm.transition(
            field=field, source=[str(s) for s in sources], target=str(target), conditions=[_door_is_open]
        )(method)
        wrapped._patchflow_transitions = known
        return wrapped

    return decorate


def _collect(sender: type[models.Model], **_: Any) -> None:
    if sender._meta.abstract or sender.__module__ == "__fake__":  # a model of a migration's past
        return
    found: list[Transition] = []
    for cls in reversed(sender.__mro__):
        for value in vars(cls).values():
            found += getattr(value, "_patchflow_transitions", [])
    if found:
        MACHINES[sender._meta.label_lower] = found
        find.cache_clear()


class_prepared.connect(_collect, dispatch_uid="patchflow.kernel.fsm")


def machine_of(model: type[models.Model]) -> list[Transition]:
    return MACHINES.get(model._meta.label_lower, [])


_columns: dict[type[models.Model], str] = {}


def state_attribute(model: type[models.Model]) -> str:
    """The name of the model's state column."""
    if model not in _columns:
        found = next(f.name for f in model._meta.get_fields() if isinstance(f, django_fsm.FSMField))
        _columns[model] = str(found)
    return _columns[model]


@functools.lru_cache(maxsize=1000)
def find(model: type[models.Model], name: str, state: str) -> Transition | None:
    """The transition `name` that leaves `state`; None if there is none."""
    return next((t for t in machine_of(model) if t.name == name and t.leaves(state)), None)


def take(instance: models.Model, declared: Transition, attribute: str, **given: Any) -> None:
    """Takes a transition that `find` has found for this row's state: its body, then its target; used by `workflow` alone, for
    many rows. What the library adds to a single one (a signal before and after, conditions) nobody here listens to."""
    getattr(type(instance), declared.name).__wrapped__(instance, **given)
    instance.__dict__[attribute] = declared.target


def diagram(label: str) -> set[tuple[str, str, str]]:
    """(source, transition, target) of a machine: what the documentation and its test compare."""
    return {(s, t.name, t.target) for t in MACHINES[label] for s in t.sources}
