"""How people get in: accounts are made by administrators, never by whoever finds the page."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class Adapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Closed: a person comes from the directory or from an administrator, with roles."""
        return False
