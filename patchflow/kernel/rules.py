"""Permission predicates as values: each says in a sentence what it asks, so that a refusal always has its reason.

Four-eyes rules never use `has_perm`, which superusers pass; they ask who did what to this object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from patchflow.kernel.blockers import Blocker, English, any_of, english
from patchflow.kernel.roles import PERSONAL, all_roles, roles_with

if TYPE_CHECKING:
    from patchflow.kernel.models import User

ROLE = "role."
"""How the codes of rules begin that ask for a capability."""

Predicate = Callable[[Any, "User"], bool]


@dataclass(frozen=True)
class Rule:
    """A predicate (object, actor) with the reason given when it does not hold; `of_program`: that given to a program."""

    code: str
    sentence: str
    test: Predicate
    of_program: str = ""

    def __call__(self, obj: Any, actor: User) -> bool:
        return self.test(obj, actor)

    @property
    def asks_role(self) -> bool:
        """Whether it asks what the person is, and nothing of the object but its hosts (`capability`)."""
        return self.code.startswith(ROLE)

    def refusal(self, actor: User | None = None) -> Blocker:
        of_program = self.of_program if actor is not None and actor.is_service else ""
        return Blocker(self.code, of_program or self.sentence)


def rule(code: str, sentence: str, *, of_program: str = "") -> Callable[[Predicate], Rule]:
    """Names a predicate: `@rule("rfc.own", "You requested this change.") def not_requester(rfc, actor): ...`."""
    return lambda test: Rule(code, sentence, test, of_program)


def capability(name: str) -> Rule:
    """The actor holds the capability, for all hosts that the object concerns (`scope_keys()`, where it has one)."""
    titles = [English.of(all_roles()[r].title, context="role") for r in sorted(roles_with(name)) if r != "system"]
    who = any_of(titles) if titles else english("Patchflow itself")

    def test(obj: Any, actor: User) -> bool:
        if actor.scopes_for(name) is None:
            return True
        keys = getattr(obj, "scope_keys", None)
        return actor.holds(name, over=keys() if keys else None)

    return Rule(f"{ROLE}{name}", english("This needs the role %(who)s for the hosts concerned.", who=who), test)


def somewhere(name: str) -> Rule:
    """The actor holds the capability for some hosts at least: asked where the object is not known, before that is said."""
    return replace(capability(name), test=lambda _obj, actor: actor.holds_somewhere(name))


a_person = Rule("person.only", "A person decides this: no program does.", lambda _obj, actor: actor.is_person)


def failing(rules: Iterable[Rule], obj: Any, actor: User) -> list[Blocker]:
    """The reasons of all rules that do not hold; a rule that raises denies (law 4)."""
    found = []
    for r in rules:
        try:
            if not r(obj, actor):
                personal = actor.is_service and r.code.removeprefix(ROLE) in PERSONAL
                found.append((a_person if personal else r).refusal(actor))
        except Exception as error:
            found.append(
                Blocker(
                    r.code,
                    english("This could not be checked (%(name)s), so it is denied.", name=type(error).__name__),
                    tone="unknown",
                )
            )
    return found
