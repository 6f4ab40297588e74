"""How people get in, and how they confirm that it is still they who decide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from patchflow.kernel import people


class Adapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Closed: a person comes from the directory or from an administrator, with roles."""
        return False

    def clean_password(self, password: str, user: Any = None) -> str:
        """A new password is another than the one that somebody else knows."""
        if user is not None and user.check_password(password):
            raise ValidationError(_("This is the password that you have: choose another."))
        return str(super().clean_password(password, user))

    def set_password(self, user: Any, password: str) -> None:
        changed = people.change_password(password=password, actor=user, at=timezone.now())
        user.password, user.must_change_password = changed.password, changed.must_change_password


def authenticated_at(request: HttpRequest) -> datetime | None:
    """When this person last confirmed who they are; for who has no password here, when they last logged in."""
    user: Any = request.user
    records = get_authentication_records(request, user)
    if user.has_usable_password():
        records = [one for one in records if one.get("reauthenticated")]
    return datetime.fromtimestamp(records[-1]["at"], UTC) if records else None


def confirmed(view: Callable[..., Any]) -> Callable[..., Any]:
    """A POST to this view asks for the password where the settings say so, and goes on by itself when it is right."""
    asks = reauthentication_required(
        allow_get=True, enabled=lambda _request: bool(settings.PATCHFLOW["REAUTHENTICATE_WITHIN"])
    )
    wrapped: Callable[..., Any] = asks(view)
    return wrapped
