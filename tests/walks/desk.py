"""People who act at the admin site and nowhere else: they choose a row, press a verb, fill the form that it asks for."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from patchflow.kernel.models import RoleGrant, SignOffRound, User
from tests.factories.people import Cast
from tests.patchflow.admin_forms import as_shown, told

ENTRY = "auditor"
"""The role that lets people into the site beside their own: it reads everything and does nothing."""


class Desk:
    """The admin site for the people of the cast."""

    def __init__(self, cast: Cast) -> None:
        for person in cast:
            if person not in (cast.bot, cast.root):
                RoleGrant.objects.get_or_create(user=person, role=ENTRY, scope="")

    def client(self, person: User) -> Client:
        """The person, logged in: walks last longer than a log-in does."""
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    def press(self, person: User, name: str, row: Model, /, **typed: Any) -> Any:
        """A verb of one row that goes through; returns the row as it is then."""
        answer, place = self._pressed(person, name, row, typed)
        assert answer.status_code == 302, f"{person} {name} {row}: {told(answer)}"
        assert answer.headers["Location"] == place
        return type(row).objects.get(pk=row.pk)  # type: ignore[attr-defined]

    def refused(self, person: User, name: str, row: Model, /, **typed: Any) -> str:
        """A verb that is refused; returns what the page says, which it had said before."""
        answer, _place = self._pressed(person, name, row, typed)
        assert answer.status_code == 200, f"{person} {name} {row} went through"
        assert "Nothing was changed" in answer.text
        return told(answer)

    def make(self, person: User, model: type[Model], /, **typed: Any) -> Any:
        """Something new by the site's own button; returns it."""
        place = _place(model, "add")
        client = self.client(person)
        page = client.get(place)
        assert "This will be refused" not in page.text
        answer = client.post(place, {**as_shown(page.context_data["form"]), **typed, "confirmed": "1"})
        assert answer.status_code == 302, f"{person} {place}: {told(answer)}"
        return model.objects.latest("pk")  # type: ignore[attr-defined]

    def decide(self, person: User, round_: SignOffRound, verdict: str = "approve", comment: str = "") -> SignOffRound:
        found: SignOffRound = self.press(person, "decide", round_, verdict=verdict, comment=comment)
        return found

    def _pressed(self, person: User, name: str, row: Model, typed: dict[str, Any]) -> tuple[Any, str]:
        place = _place(type(row), "changelist")
        verb = next(v for v in admin.site.get_model_admin(type(row)).verbs if v.name == name)  # type: ignore[attr-defined]
        chosen = {"action": name, "_selected_action": [str(row.pk)]}
        client = self.client(person)
        asked = client.post(place, chosen)
        assert asked.status_code == 200, f"{person} does not find {row}"
        shown = as_shown(asked.context_data["form"]) if verb.form else {}
        kept = {"action": name, "chosen": asked.context_data["sealed"], "confirmed": "1"}
        if ahead := asked.context_data["ahead"]:
            kept["seen"] = ahead.token
        return client.post(place, {**shown, **typed, **kept}), place


def _place(model: type[Model], page: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")
