"""Permission predicates as values: each says in a sentence what it asks, so that a refusal always has its reason.

Four-eyes rules never use `has_perm`, which superusers pass; they ask who did what to this object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.roles import all_roles, roles_with

if TYPE_CHECKING:
    from patchflow.kernel.models import User

Predicate = Callable[[Any, "User"], bool]


@dataclass(frozen=True)
class Rule:
    """A predicate (object, actor) with the reason given when it does not hold."""

    code: str
    sentence: str
    test: Predicate

    def __call__(self, obj: Any, actor: User) -> bool:
        return self.test(obj, actor)

    def refusal(self) -> Blocker:
        return Blocker(self.code, self.sentence)


def rule(code: str, sentence: str) -> Callable[[Predicate], Rule]:
    """Names a predicate: `@rule("rfc.own", "You requested this change.") def not_requester(rfc, actor): ...`."""
    return lambda test: Rule(code, sentence, test)


def capability(name: str) -> Rule:
    """The actor holds the capability, for all hosts that the object concerns (`scope_keys()`, where it has one)."""
    titles = [all_roles()[r].title for r in sorted(roles_with(name)) if r != "system"]
    who = " or ".join(titles) or "Patchflow itself"

    def test(obj: Any, actor: User) -> bool:
        if actor.scopes_for(name) is None:
            return True
        keys = getattr(obj, "scope_keys", None)
        return actor.holds(name, over=keys() if keys else None)

    return Rule(f"role.{name}", f"This needs the role {who} for the hosts concerned.", test)


def failing(rules: Iterable[Rule], obj: Any, actor: User) -> list[Blocker]:
    """The reasons of all rules that do not hold; a rule that raises denies (law 4)."""
    found = []
    for r in rules:
        try:
            if not r(obj, actor):
                found.append(r.refusal())
        except Exception as error:
            found.append(
                Blocker(r.code, f"This could not be checked ({type(error).__name__}), so it is denied.", tone="unknown")
            )
    return found
