"""Tasks by pages, at the admin site, on Home and in the search: the same verbs and reasons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from changes.domain import change_models, change_tasks, holds
from changes.models import ChangeModel, ChangeTask
from patchflow.kernel.models import User
from patchflow.reports.queries.find import find
from patchflow.reports.queries.waiting import waiting_for
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(cast: Cast) -> World:
    return made.make_world(cast, datetime.now(UTC) - timedelta(minutes=5))


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_task_from_adding_to_its_outcome_by_pages(world: World) -> None:
    """What was typed stays where it is refused; each reason is told; the outcome stands on the page of the change."""
    cast, rfc = world.cast, made.evaluating(world)
    ann, tia = as_(cast.ann), as_(cast.tia)
    add = reverse("changes:rfc-add-task", args=[rfc.pk])
    given = {"title": "Ask the vendor", "stage": "planning", "required": "on", "assignee_id": make_user("blind").pk}
    refused = ann.post(add, given)
    assert refused.status_code == 400
    assert "blind may not see this change." in refused.text
    assert 'value="Ask the vendor"' in refused.text
    assert ann.post(add, given | {"assignee_id": cast.tia.pk, "due_at": "2020-01-01T00:00"}).status_code == 400
    assert ann.post(add, given | {"assignee_id": cast.tia.pk}).status_code == 302
    task = ChangeTask.objects.get()

    def post(client: Client, verb: str, **said: str) -> int:
        return client.post(reverse(f"changes:changetask-{verb}", args=[task.pk]), said).status_code

    assert task.number in ann.get(rfc.get_absolute_url()).text
    held = holds.place(rfc_id=rfc.pk, reason="The vendor is silent.", actor=cast.che, at=world.at)
    for page in (task.get_absolute_url(), reverse("changes:changetask-finish", args=[task.pk])):
        assert "The vendor is silent." in tia.get(page).text or "It is open." in tia.get(page).text
    assert "on hold" in tia.get(task.get_absolute_url()).text
    assert post(tia, "begin") == 409
    holds.resume(rfc_id=rfc.pk, actor=cast.che, at=held.placed_at)
    assert post(tia, "begin") == 302
    assert (post(tia, "finish", outcome=" "), post(tia, "finish", outcome="They answered: Tuesday.")) == (400, 302)
    assert "They answered: Tuesday." in ann.get(rfc.get_absolute_url()).text
    assert (post(ann, "reopen", reason="Which Tuesday?"), post(ann, "give")) == (302, 302)
    assert post(ann, "revise", title="Ask the vendor again", stage="planning", required="on", due_at="") == 302
    assert post(ann, "dismiss", reason="No.") == 400
    assert post(as_(cast.che), "dismiss", reason="They have told us all.") == 302
    task.refresh_from_db()
    assert (task.title, task.state, task.assignee) == ("Ask the vendor again", "not_needed", None)
    assert as_(cast.eve).get(task.get_absolute_url()).status_code == 404


def test_who_may_not_add_a_task_is_told_who_may(world: World) -> None:
    rfc, told = made.evaluating(world), "You cannot add one: "
    page = as_(world.cast.aud).get(rfc.get_absolute_url()).text
    assert "It has no tasks." in page
    assert "This needs the role" in page[page.index(told) :][:120]
    assert told not in as_(world.cast.ann).get(rfc.get_absolute_url()).text
    holds.place(rfc_id=rfc.pk, reason="The vendor is silent.", actor=world.cast.che, at=world.at)
    assert f"{told}On hold by che: The vendor is silent." in as_(world.cast.ann).get(rfc.get_absolute_url()).text
    ended = made.rejected(world)
    assert told not in as_(world.cast.aud).get(ended.get_absolute_url()).text


def test_the_list_its_filters_and_its_files(world: World) -> None:
    cast, rfc = world.cast, made.evaluating(world)
    said: dict[str, Any] = {"rfc_id": rfc.pk, "actor": cast.che, "at": world.at}
    mine = change_tasks.add(
        **said, title="Mine", stage="planning", assignee_id=cast.tia.pk, due_at=world.at + timedelta(seconds=9)
    )
    change_tasks.add(**said, title="Yours", stage="review", required=False)
    url, tia = reverse("changes:changetask-list"), as_(cast.tia)

    def titles(query: str) -> list[str]:
        return [row.title for row in tia.get(f"{url}?{query}").context["listing"].page.rows]

    assert titles("") == ["Yours", "Mine"]
    assert titles("mine=yes") == titles("overdue=yes") == titles("required=yes") == titles("by=tia") == ["Mine"]
    assert titles("stage=review") == ["Yours"]
    assert b"".join(tia.get(f"{url}?format=csv&mine=yes").streaming_content).count(b"\n") == 2
    api = APIClient()
    api.force_authenticate(cast.tia)
    file = api.get("/api/v1/change-tasks/?format=csv")
    assert mine.number in b"".join(file.streaming_content).decode()
    api.force_authenticate(cast.eve)
    assert api.get("/api/v1/change-tasks/").json()["results"] == []
    assert api.get(f"/api/v1/change-tasks/{mine.pk}/").status_code == 404


def test_home_and_the_search_find_them(world: World) -> None:
    """What waits for somebody is what is theirs and whose turn it is; a change that owes a task is not yet to be closed."""
    cast, rfc = world.cast, made.in_review(world)
    made.reviewed(rfc, world)
    said: dict[str, Any] = {"actor": cast.che, "at": world.at}
    early = made.evaluating(world)
    change_tasks.add(rfc_id=early.pk, title="Later", stage="testing", assignee_id=cast.tia.pk, **said)
    late = world.at + timedelta(hours=2)
    task = change_tasks.add(
        rfc_id=rfc.pk, title="Test order", stage="testing", assignee_id=cast.tia.pk, due_at=late, **said
    )
    (todo,) = [one for one in waiting_for(cast.tia, at=late) if one.section == "My tasks"]
    assert (todo.title, todo.css, todo.url) == (str(task), "st-bad", task.get_absolute_url())
    assert "overdue by" in todo.due
    assert not [one for one in waiting_for(cast.che, at=late) if rfc.number in one.title]
    for text in (task.number, task.number.lower(), "test ord"):
        assert task.get_absolute_url() in [hit.url for hit in find(text, cast.tia)]
    assert [hit.noun for hit in find(rfc.number, cast.tia)] == ["rfc"]
    assert find(task.number, cast.eve) == []


def test_the_same_verbs_at_the_admin_site(world: World) -> None:
    rfc = made.evaluating(world)
    boss = make_user("boss", "change_manager", "administrator", is_staff=True)
    client = as_(boss)

    def act(model: str, verb: str, pk: int, **said: str) -> None:
        body = {"action": verb, "_selected_action": [pk], "confirmed": "yes", **said}
        answer = client.post(reverse(f"admin:changes_{model}_changelist"), body)
        assert answer.status_code == 302, answer.content.decode()

    act("rfc", "add_task", rfc.pk, title="Ask the vendor", stage="planning", required="on")
    task = ChangeTask.objects.get()
    act("changetask", "begin", task.pk)
    act("changetask", "finish", task.pk, outcome="They answered.")
    act("changetask", "reopen", task.pk, reason="Again.")
    act("changetask", "give", task.pk, assignee_id=str(boss.pk))
    act("changetask", "dismiss", task.pk, reason="Enough.")
    task.refresh_from_db()
    assert (task.state, task.assignee, task.outcome) == ("not_needed", boss, "Enough.")


def test_a_model_is_given_tasks_by_its_form(world: World) -> None:
    che = as_(world.cast.che)
    form = {"name": "Shop", "kind": "normal", "max_score": "8", "max_hosts": "50"}
    task = {"task_1_title": "Test order", "task_1_stage": "testing", "task_1_required": "on"}
    assert che.post(reverse("changes:model-draft"), form | task).status_code == 302
    model = ChangeModel.objects.get()
    assert model.tasks == [{"title": "Test order", "stage": "testing", "required": True, "instructions": ""}]
    assert "Test order" in che.get(model.get_absolute_url()).text
    assert 'value="Test order"' in che.get(reverse("changes:model-revise", args=[model.pk])).text
    change_models.revise(model_id=model.pk, name="Shop and till", actor=world.cast.che, at=world.at)
    assert ChangeModel.objects.get().tasks == model.tasks, "what is left out stays"
    many = [{"title": f"Task {n}", "stage": "review"} for n in range(9)]
    change_models.revise(model_id=model.pk, tasks=many, actor=world.cast.che, at=world.at)
    assert 'value="Task 8"' in che.get(reverse("changes:model-revise", args=[model.pk])).text, (
        "none is lost by the form"
    )
