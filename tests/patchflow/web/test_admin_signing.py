"""Deciding at the admin site: the password is asked where it is set, over the digest that was shown, by nobody's rank."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from patchflow.kernel.models import RoleGrant, SignOff, User
from tests.factories import changes as made
from tests.factories.changes import World, make_world
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
WORD = "correct horse battery"
PLACE = "/admin/kernel/signoffround/"


@pytest.fixture
def world(cast: Any, now: Any) -> World:
    return make_world(cast, now)


@pytest.fixture
def asked(settings: Any) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "REAUTHENTICATE_WITHIN": timedelta(minutes=5)}
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300


def entered(person: User) -> Client:
    RoleGrant.objects.get_or_create(user=person, role="auditor", scope="")
    person.set_password(WORD)
    person.save()
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def vote(round_: Any, **given: str) -> dict[str, Any]:
    return {
        "action": "decide", "_selected_action": [str(round_.pk)], "confirmed": "1", "verdict": "approve",
        "comment": "fine", "digest_seen": round_.digest, **given,
    }  # fmt: skip


def test_the_password_is_asked_and_the_decision_goes_on_by_itself(asked: None, world: World) -> None:
    round_ = made.round_of(made.awaiting(world))
    sam = entered(world.cast.sam)
    shown = sam.post(PLACE, {"action": "decide", "_selected_action": [str(round_.pk)]})
    assert f'value="{round_.digest}"' in shown.text
    assert f'action="{PLACE}"' in shown.text
    away = sam.post(PLACE, vote(round_))
    confirm = away.headers["Location"]
    assert confirm.startswith(reverse("account_reauthenticate"))
    assert sam.post(confirm, {"password": "wrong"}).status_code == 200
    assert not SignOff.objects.exists()
    assert sam.post(confirm, {"password": WORD}).headers["Location"] == PLACE
    assert [(s.user.username, s.comment) for s in SignOff.objects.all()] == [("sam", "fine")]


def test_one_round_at_a_time(world: World) -> None:
    rounds = [made.round_of(made.awaiting(world)) for _n in range(2)]
    both = vote(rounds[0]) | {"_selected_action": [str(round_.pk) for round_ in rounds]}
    answer = entered(world.cast.sam).post(PLACE, both, follow=True)
    assert "Choose one row alone" in answer.text
    assert not SignOff.objects.exists()


def test_four_eyes_hold_for_who_is_root_too(world: World) -> None:
    world.cast.ann.is_superuser = True
    RoleGrant.objects.create(user=world.cast.ann, role="security_officer", scope="")
    round_ = made.round_of(made.awaiting(world))
    answer = entered(world.cast.ann).post(PLACE, vote(round_))
    assert answer.status_code == 200
    assert "You requested" in answer.text
    assert not SignOff.objects.exists()


def test_rounds_about_other_hosts_are_not_there(world: World) -> None:
    round_ = made.round_of(made.awaiting(world))
    omar = make_user("omar", "operator", scope="group:999")
    client = Client()
    client.force_login(omar, backend="django.contrib.auth.backends.ModelBackend")
    assert str(round_.subject_label) not in client.get(PLACE).text
    assert "None of these rows is there for you" in client.post(PLACE, vote(round_), follow=True).text
