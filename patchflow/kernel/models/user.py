"""People, the bot, and what each may do where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models.audit import Audited
from patchflow.kernel.roles import EVERYONE, PERSONAL, SYSTEM, all_roles, roles_with

BOT = "bot"


class User(Audited, AbstractUser):
    """A person, a program with an account of its own, or the bot as whom the system acts. Rights come from role grants alone;
    `is_superuser` passes no gate."""

    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    language = models.CharField(_("language"), max_length=8, default="en")
    is_service = models.BooleanField(
        _("service account"), default=False, help_text=_("A program: it enters by token alone and decides nothing.")
    )
    must_change_password = models.BooleanField(
        _("must change the password"), default=False, help_text=_("Somebody else knows it: told for the first log-in.")
    )

    class Meta(AbstractUser.Meta):
        pass

    @classmethod
    def bot(cls) -> User:
        """The user as whom the system acts; made on first use, cannot log in, cannot sign."""
        user, _made = cls.objects.get_or_create(username=BOT, defaults={"first_name": "Patchflow", "password": "!"})
        return user

    @property
    def is_bot(self) -> bool:
        return self.username == BOT

    @property
    def is_person(self) -> bool:
        """Neither the bot nor a program: who signs, answers for something, and is told."""
        return not self.is_bot and not self.is_service

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is their password; a program has none, whatever the row says: one rule for every door."""
        return not self.is_service and super().check_password(raw_password)

    @cached_property
    def _grants(self) -> list[tuple[str, str]]:
        return list(self.role_grants.values_list("role", "scope"))

    def scopes_for(self, capability: str) -> frozenset[str] | None:
        """Where the user holds `capability`: None = everywhere, else the scope keys (empty: nowhere)."""
        if not self.is_active:
            return frozenset()
        if self.is_bot:
            return None if capability in all_roles()[SYSTEM].capabilities else frozenset()
        if capability in all_roles()[EVERYONE].capabilities:
            return None
        if self.is_service and capability in PERSONAL:
            return frozenset()
        scopes = {scope for role, scope in self._grants if role in roles_with(capability)}
        return None if "" in scopes else frozenset(scopes)

    def holds_somewhere(self, capability: str) -> bool:
        """Whether the user holds `capability` for some hosts at least."""
        return self.scopes_for(capability) != frozenset()

    def holds(self, capability: str, over: Iterable[frozenset[str]] | None = None) -> bool:
        """Whether the user holds `capability`; with `over` (the scope keys of each host concerned), for every one of them.

        A scoped right reaches nothing that names no host.
        """
        scopes = self.scopes_for(capability)
        if scopes is None:
            return True
        concerned = list(over or ())
        return bool(scopes) and bool(concerned) and all(keys & scopes for keys in concerned)

    def holds_for_some(self, capability: str, over: Iterable[frozenset[str]] | None = None) -> bool:
        """Whether the user holds `capability` for at least one of the hosts concerned."""
        scopes = self.scopes_for(capability)
        return scopes is None or any(keys & scopes for keys in over or ())

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.pop("_grants", None)
        super().refresh_from_db(*args, **kwargs)


class RoleGrant(models.Model):
    """A role of `roles.yaml` held by a user, everywhere (scope empty) or for the hosts of one group (`group:<id>`)."""

    user = models.ForeignKey(User, models.CASCADE, related_name="role_grants")
    role = models.CharField(_("role"), max_length=40)
    scope = models.CharField(_("scope"), max_length=40, blank=True, default="")
    granted_by = models.ForeignKey(User, models.PROTECT, related_name="+", null=True)
    granted_at = models.DateTimeField(_("granted at"), auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "role", "scope"], name="kernel_rolegrant_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.role}{f' in {self.scope}' if self.scope else ''}"
