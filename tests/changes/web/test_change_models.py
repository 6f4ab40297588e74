"""The pages of change models, and the same verbs at the admin site."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from changes.domain import change_models
from changes.models import RFC, ChangeModel
from patchflow.kernel.models import RoleGrant, User
from tests.factories import changes as made
from tests.factories.changes import World

pytestmark = pytest.mark.django_db
FORM = {
    "name": "Routine", "kind": "emergency", "max_score": "9", "max_hosts": "5", "packages": "curl\nopenssl",
    "level_1_name": "Chair", "level_1_roles": ["cab_chair"], "level_1_quorum": "first", "level_1_amount": "1",
    "level_1_within": "2", "level_1_unit": "hours", "level_1_escalate_to": "change_manager",
}  # fmt: skip


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_model_is_written_revised_proposed_and_taken_back_by_forms(world: World) -> None:
    che = as_(world.cast.che)
    che.post(reverse("changes:model-draft"), FORM)
    model = ChangeModel.objects.get()
    assert (model.packages, model.levels[0]["hours"]) == (["curl", "openssl"], 2)
    page = che.get(reverse("changes:model-revise", args=[model.pk])).text
    assert 'value="Chair"' in page
    che.post(reverse("changes:model-revise", args=[model.pk]), {**FORM, "max_hosts": "7"})
    che.post(reverse("changes:model-propose", args=[model.pk]))
    model.refresh_from_db()
    assert (model.max_hosts, model.state) == (7, "proposed")
    che.post(reverse("changes:model-take-back", args=[model.pk]), {"reason": "too wide"})
    assert ChangeModel.objects.get().state == "draft"


def test_a_refused_form_keeps_what_was_typed(world: World) -> None:
    response = as_(world.cast.che).post(reverse("changes:model-draft"), {**FORM, "level_1_roles": []})
    assert (response.status_code, 'value="Routine"' in response.text) == (400, True)
    assert as_(world.cast.mia).post(reverse("changes:model-draft"), FORM).status_code == 400
    assert not ChangeModel.objects.exists()


def test_pages_answer_in_each_state_and_offer_what_may_be_done(world: World) -> None:
    model = made.licensed_model(world)
    rfc = made.submitted(world, kind="standard", change_model_id=model.pk)
    page = as_(world.cast.che).get(model.get_absolute_url()).text
    assert rfc.number in page
    assert reverse("changes:model-withdraw", args=[model.pk]) in page
    che = as_(world.cast.che)
    che.post(reverse("changes:model-withdraw", args=[model.pk]), {"reason": "a doubt"})
    assert ChangeModel.objects.get().state == "draft"
    che.post(reverse("changes:model-retire", args=[model.pk]), {"reason": "no use"})
    assert ChangeModel.objects.get().state == "retired"
    assert che.get(model.get_absolute_url()).status_code == 200
    assert as_(world.cast.eve).get(model.get_absolute_url()).status_code == 404


def test_the_form_of_an_rfc_offers_what_the_board_has_signed(world: World) -> None:
    made.licensed_model(world, name="Signed by the board")
    change_models.draft(kind="normal", name="Only a draft", actor=world.cast.che, at=world.at)
    page = as_(world.cast.ann).get(reverse("changes:rfc-raise")).text
    assert "Signed by the board" in page
    assert "Only a draft" not in page


def test_an_emergency_shows_what_it_owes_and_is_not_closed_before(world: World) -> None:
    rfc = made.submitted(world, kind="emergency", test_plan="", implementation_plan="")
    page = as_(world.cast.che).get(rfc.get_absolute_url()).text
    assert "still owes its test plan" in page


def test_an_emergency_without_a_way_back_is_told_to_write_it_first(world: World) -> None:
    """By its page and by Home alike: nobody is sent to the ECAB with it."""
    rfc = made.submitted(world, kind="emergency", back_out_plan="")
    che = as_(world.cast.che)
    page = che.get(rfc.get_absolute_url()).text
    assert "Its back-out plan is written first" in page
    assert "still owes its back-out plan" not in page
    home = che.get("/").text
    assert "Complete and ask for approval" in home
    assert "Ask the ECAB" not in home


def admin_says(client: Client, rfc: RFC, action: str, **given: str) -> str:
    place = reverse("admin:changes_rfc_changelist")
    chosen = {"action": action, "_selected_action": [str(rfc.pk)], "confirmed": "1", **given}
    return client.post(place, chosen, follow=True).text


def test_the_admin_site_has_the_verbs_that_need_an_answer(world: World) -> None:
    cast = world.cast
    RoleGrant.objects.bulk_create(
        [RoleGrant(user=user, role="operator") for user in (cast.ann, cast.cal, cast.che)]
    )  # whoever enters the admin site
    ann, cal, che = (as_(user) for user in (cast.ann, cast.cal, cast.che))
    rfc = made.submitted(world, kind="emergency")
    admin_says(ann, rfc, "ask_break_glass", reason="exploited")
    admin_says(cal, rfc, "break_glass", reason="it is")
    assert RFC.objects.get(pk=rfc.pk).state == "authorized"
    assert "something is missing" in admin_says(che, rfc, "review_glass", finding="fine")
    admin_says(che, rfc, "review_glass", finding="fine", justified="yes")
    assert rfc.glass.get().justified
    admin_says(che, rfc, "classify", reason="exploited", update_class="critical")
    assert RFC.objects.get(pk=rfc.pk).update_class == "critical"
    assert "post-implementation review" in admin_says(
        che, made.in_review(world), "close", summary="done", code="successful"
    )
