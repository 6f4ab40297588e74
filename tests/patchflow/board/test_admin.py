"""The admin site as a whole: every window opens, shows the state, and says why it is shut."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from changes.models import RFC, Fix
from patchflow.kernel import fsm
from patchflow.kernel.models import AuditEntry, User
from patchflow.web.admin import VerbAdmin
from releases.models import KillSwitch
from tests.patchflow.board.board import Board, taken_back

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def entered(person: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def place(model: type[Model], page: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_list_and_change_form_of_every_model_open(model: type[Model], board: Board) -> None:
    assert isinstance(admin.site.get_model_admin(model), VerbAdmin)
    with taken_back():
        everything, otto = entered(board.people["everything"]), entered(board.cast.otto)
        assert everything.get(place(model, "changelist")).status_code == 200
        makes = admin.site.get_model_admin(model).maker is not None
        assert everything.get(place(model, "add")).status_code == (200 if makes else 403)
        row, client = next(
            ((found, who) for who in (everything, otto) for found in listed(who, model)), (None, everything)
        )
        if row is None:
            assert model.__name__ in WITHOUT_ROW
            return
        form = client.get(place(model, "change", row.pk))
    assert form.status_code == 200
    if fsm.machine_of(model):
        first = form.text.index('<div class="readonly">')
        assert form.text[first:].startswith(f'<div class="readonly">{row.get_state_display()}')


def listed(client: Client, model: type[Model]) -> list[Any]:
    return list(client.get(place(model, "changelist")).context["cl"].result_list)


WITHOUT_ROW = {"ReviewDefinition"}
"""Models of which the small world has no row: their list alone is opened."""


def test_who_may_not_use_the_site_is_told_so(board: Board) -> None:
    cast = board.cast
    for person in (cast.mia, cast.che, cast.eve, cast.root):
        answer = entered(person).get("/admin/", follow=True)
        assert (answer.status_code, answer.redirect_chain) == (403, [])
        assert "The admin site is for roles that may see every row" in answer.text
    assert Client().get("/admin/").status_code == 302
    assert entered(cast.otto).get("/admin/").status_code == 200


def test_what_nobody_may_is_said_to_be_for_nobody(board: Board) -> None:
    entry = AuditEntry.objects.latest("pk")
    everything = entered(board.people["everything"])
    for answer in (
        everything.post(place(AuditEntry, "delete", entry.pk), {"post": "yes"}),
        everything.post(place(AuditEntry, "change", entry.pk), {"verb": "typed"}),
        everything.get(place(AuditEntry, "add")),
    ):
        assert answer.status_code == 403
        assert "Nobody" in answer.text
        assert "no role allows it, and nobody can" in answer.text


def test_kill_switch_is_turned_on_before_its_first_use(board: Board) -> None:
    assert not KillSwitch.objects.exists()
    with taken_back():
        assert not listed(entered(board.cast.aud), KillSwitch)
        ada = entered(board.cast.ada)
        [switch] = listed(ada, KillSwitch)
        assert not switch.is_on
        chosen = {"action": "turn_on", "_selected_action": [switch.pk], "confirmed": "1", "reason": "Smoke."}
        ada.post(place(KillSwitch, "changelist"), chosen)
        switch.refresh_from_db()
        assert (switch.is_on, switch.set_by, switch.reason) == (True, board.cast.ada, "Smoke.")
        entries = AuditEntry.objects.filter(object_type="releases.killswitch", object_id=switch.pk)
        assert [entry.verb for entry in entries] == ["settings.kill_switch_on"]


def test_history_of_an_object_leads_to_its_trail(board: Board) -> None:
    rfc = RFC.objects.latest("pk")
    fix = Fix.objects.latest("pk")
    with taken_back():
        aud = entered(board.cast.aud)
        answer = aud.get(place(RFC, "history", rfc.pk), follow=True)
        assert (answer.status_code, answer.redirect_chain) == (200, [(f"/audit/changes.rfc/{rfc.pk}/", 302)])
        assert f"History of {rfc.number}" in answer.text
        answer = aud.get(place(Fix, "history", fix.pk), follow=True)
        assert answer.redirect_chain == [(place(Fix, "change", fix.pk), 302)]
        assert "The audit trail has nothing about it that you may read." in answer.text


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_plural_is_of_the_noun_and_not_of_what_follows_it(model: type[Model]) -> None:
    inlines: Any = admin.site.get_model_admin(model).inlines
    for each in (model, *(inline.model for inline in inlines)):
        name, plural = str(each._meta.verbose_name), str(each._meta.verbose_name_plural)
        tail = re.search(r" (of|for|on) .*", name)
        assert plural.endswith(tail.group() if tail else plural)
        assert not plural.endswith("sss")
