"""Kinds of notices. Each app declares its own where it tells them:

kind("approval_requested", _("Your approval is asked"), facts={"rfc.number": str, …}, about="rfc", view="rfc.view", duty=True)

The words are templates: `notices/<kind>.txt` for the team, `notices/<kind>.<audience>.txt` for each other audience; the
first line is the title. All are written from the same facts, and know nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.functional import Promise

from patchflow.kernel.registry import Registry
from patchflow.notices.enums import Audience


@dataclass(frozen=True)
class Kind:
    """A kind of notice.

    `facts`: name → type, all that a wording may say. `by_role`: audience → roles that are told over the scope of the fact
    `about`, beside those whom the verb names. `view`: the capability that a subscriber needs there. `duty`: a question or
    a warning to this person; it cannot be switched off. `open_to_all`: one may subscribe to it without being concerned.
    `simulated`: the fact, if it has one, that says that no machine is touched; then the title says it first.
    `patch`: it is about updates of machines, and its mail says so before its title. `declared`: False where no app has
    declared it; then it keeps whatever it was told.
    """

    name: str
    label: str | Promise
    facts: Mapping[str, type] = field(default_factory=dict)
    audiences: Sequence[str] = (Audience.TEAM,)
    by_role: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: str = ""
    view: str = ""
    duty: bool = False
    open_to_all: bool = False
    urgent: bool = False
    patch: bool = False
    simulated: str = ""
    declared: bool = True

    def template(self, audience: str) -> str:
        """The template of the wording for `audience`; the team's where the kind has none of its own."""
        own = audience != Audience.TEAM and audience in self.audiences
        return f"notices/{self.name}.{audience}.txt" if own else f"notices/{self.name}.txt"


kinds: Registry[Kind] = Registry("kind of notice")


def kind(name: str, label: str | Promise, **options: object) -> Kind:
    """Declares a kind; a name is taken once."""
    return kinds.add(name, Kind(name, label, **options))  # type: ignore[arg-type]


def find(name: str) -> Kind:
    """The kind of this name; one that no app has declared is everybody's question."""
    return kinds.get(name) or Kind(name, name.replace("_", " ").capitalize(), duty=True, declared=False)
