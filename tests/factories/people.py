"""The cast of the tests."""

from __future__ import annotations

from dataclasses import dataclass

from patchflow.kernel.models import RoleGrant, User

ROLES = {
    "ann": ["requester"],
    "che": ["change_manager"],
    "cal": ["cab_chair", "cab_member"],
    "mia": ["cab_member"],
    "sam": ["security_officer"],
    "rex": ["release_manager"],
    "gus": ["readiness_approver"],
    "tia": ["tester"],
    "otto": ["operator"],
    "cora": ["configuration_manager"],
    "aud": ["auditor"],
    "ada": ["administrator"],
    "eve": [],
}


@dataclass(frozen=True)
class Cast:
    """ann requester · che change manager · cal CAB chair · mia CAB member · sam security officer · rex release manager ·
    gus readiness approver · tia tester · otto operator · cora configuration manager · aud auditor · ada administrator ·
    eve no role · root superuser without a role · bot the system."""

    ann: User
    che: User
    cal: User
    mia: User
    sam: User
    rex: User
    gus: User
    tia: User
    otto: User
    cora: User
    aud: User
    ada: User
    eve: User
    root: User
    bot: User

    def __iter__(self):
        return iter(vars(self).values())


def make_user(name: str, *roles: str, scope: str = "", **fields: object) -> User:
    """A person with these roles; no password, so that nobody logs in by it."""
    user = User.objects.create(username=name, email=f"{name}@example.org", **fields)
    RoleGrant.objects.bulk_create([RoleGrant(user=user, role=role, scope=scope) for role in roles])
    return user


def make_cast() -> Cast:
    """Everybody by two statements: nearly every test asks for them."""
    people = {name: User(username=name, email=f"{name}@example.org") for name in ROLES}
    root = User(username="root", email="root@example.org", is_superuser=True, is_staff=True)
    User.objects.bulk_create([*people.values(), root])
    RoleGrant.objects.bulk_create(
        [RoleGrant(user=people[name], role=role) for name, roles in ROLES.items() for role in roles]
    )
    return Cast(**people, root=root, bot=User.bot())
