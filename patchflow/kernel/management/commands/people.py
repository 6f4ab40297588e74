"""`manage.py people`: a small change board to try things with; passwords are printed once. Never in production, and so, unlike
everybody else whose password was told to somebody, they keep it: whoever tries things logs in as many of them."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from patchflow.kernel import audit
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.roles import all_roles

BOARD = {
    "ann": ("Ann", ["requester"]),
    "che": ("Che", ["change_manager"]),
    "cal": ("Cal", ["cab_chair", "cab_member"]),
    "mia": ("Mia", ["cab_member"]),
    "sam": ("Sam", ["security_officer"]),
    "rex": ("Rex", ["release_manager"]),
    "gus": ("Gus", ["readiness_approver"]),
    "tia": ("Tia", ["tester"]),
    "otto": ("Otto", ["operator"]),
    "cora": ("Cora", ["configuration_manager"]),
    "olga": ("Olga", ["service_owner"]),
    "dirk": ("Dirk", ["service_owner"]),
    "ida": ("Ida", ["auditor"]),
}


class Command(BaseCommand):
    help = "Adds the people of a small change board, each with a role and a password that is printed once."

    @transaction.atomic
    def handle(self, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("In production people are added by an administrator, one by one.")
        bot, at = User.bot(), timezone.now()
        for name, (first_name, roles) in BOARD.items():
            if User.objects.filter(username=name).exists():
                self.stdout.write(f"{name:6} is there already")
                continue
            password = secrets.token_urlsafe(9)
            user = User.objects.create_user(name, email="", password=password, first_name=first_name)
            RoleGrant.objects.bulk_create([RoleGrant(user=user, role=role) for role in roles])
            audit.record(
                user, "access.user.created", actor=bot, at=at, detail={"roles": roles, "by": "manage.py people"}
            )
            titles = ", ".join(all_roles()[role].title for role in roles)
            self.stdout.write(f"{name:6} {password:14} {titles}")
