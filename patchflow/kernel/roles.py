"""Roles from one literate file, `roles.yaml`, and the questions asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from django.utils.translation import pgettext

EVERYONE = "everyone"
SYSTEM = "system"
PERSONAL = frozenset({
    "rfc.approve", "rfc.break_glass", "release.sign", "rollout.accept_partial", "baseline.approve", "exemption.grant",
    "step.approve", "user.edit", "grant.edit", "job.attest", "review.complete", "acceptance.judge", "connection.accept_key",
})  # fmt: skip
"""What a person answers for: decisions on others' work, and who may enter. No program has it, whatever its roles."""


@dataclass(frozen=True)
class Role:
    name: str
    title: str
    capabilities: frozenset[str]

    @property
    def label(self) -> str:
        """Its title in the reader's language."""
        return pgettext("role", self.title)


@cache
def all_roles() -> dict[str, Role]:
    """Role name → role, in the file's order."""
    raw = yaml.safe_load((Path(__file__).parent / "roles.yaml").read_text())
    roles: dict[str, Role] = {}
    for name, body in raw.items():
        included = roles[body["includes"]].capabilities if "includes" in body else frozenset()
        roles[name] = Role(name, body["title"], frozenset(body["may"]) | included)
    return roles


def title_of(name: str) -> str:
    """What people call the role of this name, in the reader's language; what is none stays as it is."""
    return all_roles()[name].label if name in all_roles() else name


def capabilities() -> frozenset[str]:
    """Every capability that some role has."""
    return frozenset().union(*(role.capabilities for role in all_roles().values()))


@cache
def roles_with(capability: str) -> frozenset[str]:
    """The roles that have it; an unknown capability is a programming error."""
    found = frozenset(name for name, role in all_roles().items() if capability in role.capabilities)
    if not found:
        raise KeyError(f"no role has the capability {capability!r} (patchflow/kernel/roles.yaml)")
    return found


def grantable() -> list[Role]:
    """Roles that a person can be given."""
    return [r for r in all_roles().values() if r.name not in (EVERYONE, SYSTEM)]
