"""Pages of releases: every one at every stage, forms that keep what was typed, refusals with their reasons, no leaks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from changes.domain import freezes
from changes.models import Hold
from changes.queries.holds import open_hold_of
from cmdb.domain import windows
from patchflow.kernel.models import User
from patchflow.web import states
from releases.enums import (
    AmendmentState,
    BuildState,
    ReadinessState,
    ReleaseOutcome,
    ReleaseState,
    ReviewState,
    RunState,
    StepOutcome,
)
from releases.models import InstallProfile, Release
from releases.web import release_parts
from releases.web.outlook import ahead, outlook
from tests.factories.people import make_user
from tests.factories.releases import (
    AT_STATE,
    Yard,
    composed,
    in_testing,
    manifest_of,
    planned,
    ready,
    rfc_of,
    run_tests,
    scheduling,
    sealed,
)


@pytest.fixture(autouse=True)
def _real_urls(yard: Yard, settings: Any) -> None:
    settings.ROOT_URLCONF = "patchflow.urls"


def browser(user: User) -> Client:
    made = Client()
    made.force_login(user)
    return made


def page(user: User, name: str, *args: Any) -> Any:
    return browser(user).get(reverse(f"releases:{name}", args=args))


def text(answer: Any) -> str:
    return answer.content.decode()


@pytest.mark.parametrize(
    ("machine", "enum"),
    [
        ("releases.release", ReleaseState),
        ("releases.outcome", ReleaseOutcome),
        ("releases.build", BuildState),
        ("releases.acceptancerun", RunState),
        ("releases.acceptancestep", StepOutcome),
        ("releases.readinessreview", ReadinessState),
        ("releases.amendment", AmendmentState),
        ("releases.postimplementationreview", ReviewState),
    ],
)
def test_every_state_has_a_look(machine: str, enum: Any) -> None:
    assert states.missing(machine, enum.values) == []


def test_the_empty_list_says_what_to_do(yard: Yard) -> None:
    shown = text(page(yard.cast.rex, "release-list"))
    assert "No release yet" in shown
    assert reverse("releases:release-compose") in shown
    assert reverse("releases:release-compose") not in text(page(yard.cast.aud, "release-list"))


@pytest.mark.parametrize("state", list(AT_STATE))
def test_the_page_stands_at_every_stage_for_everybody_who_may_look(yard: Yard, state: str) -> None:
    release = AT_STATE[state](yard)
    for person in (yard.cast.rex, yard.cast.gus, yard.cast.tia, yard.cast.aud):
        answer = page(person, "release-detail", release.pk)
        assert answer.status_code == 200
        assert release.number in text(answer)
    assert page(yard.cast.eve, "release-detail", release.pk).status_code == 404
    assert page(yard.cast.rex, "release-tests", release.pk).status_code == 200
    assert page(yard.cast.rex, "release-list").status_code == 200


def test_compose_takes_the_chosen_changes(yard: Yard) -> None:
    rfc = rfc_of(yard)
    assert rfc.number in text(page(yard.cast.rex, "release-compose"))
    answer = browser(yard.cast.rex).post(
        reverse("releases:release-compose"), {"rfc_ids": [rfc.pk], "title": "November"}
    )
    release = Release.objects.get()
    assert (answer.status_code, answer["Location"], release.title) == (302, release.get_absolute_url(), "November")
    assert "No authorized change is free" in text(page(yard.cast.rex, "release-compose"))


def test_the_builder_walks_from_rings_to_tests(yard: Yard) -> None:
    release = composed(yard)
    rex, at = browser(yard.cast.rex), release.get_absolute_url()
    rings = {
        "form-TOTAL_FORMS": "3", "form-INITIAL_FORMS": "0", "form-0-name": "Pilot", "form-0-hosts": yard.world.hosts[1].name,
        "form-0-soak_hours": "1", "form-1-name": "Rest", "form-1-percent": "100", "form-1-concurrency": "2", "form-2-name": "",
    }  # fmt: skip
    assert rex.post(at + "rings/", rings).status_code == 302
    assert [(r.name, r.hosts.count()) for r in release.planned_rings.all()] == [("Pilot", 1), ("Rest", 2)]
    assert release.planned_rings.first().hosts.get().host == yard.world.hosts[1]
    planned = text(rex.get(at + "rings/"))
    assert "The class of 2 later production hosts is not known: nothing is tried for them." in planned
    refused = rex.post(at + "rings/", {**rings, "form-0-class_hosts": "1"})
    assert (refused.status_code, "of 2 hosts there it is not known: scan them" in text(refused)) == (400, True)
    assert rex.get(at + "windows/").status_code == 200
    assert (
        rex.post(at + "windows/", {"window_ids": [yard.window.pk], "latest_at": "2036-11-30T00:00"}).status_code == 302
    )
    assert rex.post(at + "profile/", {"profile_id": yard.profile.pk}).status_code == 302
    assert rex.post(at + "way-back/", {"kind": "reinstall_previous"}).status_code == 302
    checks = "shop | http | http://127.0.0.1/ | 200"
    answer = browser(yard.cast.tia).post(
        at + "plan-test/",
        {"update_id": yard.world.update.pk, "host_id": yard.test_host.pk, "checks": checks, "walk_back": "on"},
    )
    assert answer.status_code == 302
    plan = release.acceptance_plans.get()
    assert plan.checks == [{"name": "shop", "kind": "http", "target": "http://127.0.0.1/", "expect": "200"}]
    assert rex.post(at + "build/").status_code == 302
    assert Release.objects.get(pk=release.pk).state == "building"


def test_a_form_that_is_refused_keeps_what_was_typed(yard: Yard) -> None:
    release = composed(yard)
    rings = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "0", "form-0-name": "Only these", "form-0-percent": "30"}
    answer = browser(yard.cast.rex).post(release.get_absolute_url() + "rings/", rings)
    assert answer.status_code == 400
    assert "Only these" in text(answer)
    assert "hosts are in no ring" in text(answer)
    answer = browser(yard.cast.rex).post(release.get_absolute_url() + "way-back/", {"kind": "none"})
    assert (answer.status_code, "An RFC was approved with the way back" in text(answer)) == (400, True)


def test_a_refused_click_is_a_page_of_reasons(yard: Yard) -> None:
    release = scheduling(yard)
    release.planned_windows.all().delete()
    answer = browser(yard.cast.rex).post(release.get_absolute_url() + "seal/")
    assert answer.status_code == 409
    assert "No window is chosen." in text(answer)


def test_verbs_are_shown_greyed_with_their_reasons_never_hidden(yard: Yard) -> None:
    release = scheduling(yard)
    shown = text(page(yard.cast.cal, "release-detail", release.pk))
    assert "Seal the manifest" in shown
    assert "who signed it neither builds nor starts it" in shown


def test_a_release_is_put_on_hold_and_resumed_on_its_page(yard: Yard) -> None:
    release = composed(yard)
    page, che = release.get_absolute_url(), browser(yard.cast.che)
    assert f"{page}hold/" in che.get(page).content.decode()
    assert browser(yard.cast.rex).post(f"{page}hold/", {"reason": "wait"}).status_code == 400
    assert che.post(f"{page}hold/", {"reason": "wait for vendor"}).status_code == 302
    shown = browser(yard.cast.rex).get(page).content.decode()
    assert "on hold" in shown
    assert "che: wait for vendor" in shown
    assert "on hold" in browser(yard.cast.rex).get(reverse("releases:release-list")).content.decode()
    assert (
        "On hold by che"
        in browser(yard.cast.rex).get(reverse("releases:release-profile", args=[release.pk])).content.decode()
    )
    assert "It is on hold already." in che.get(f"{page}hold/").content.decode()
    assert che.post(f"{page}resume/", {"reason": ""}).status_code == 302
    assert "It is not on hold." in che.get(f"{page}resume/").content.decode()
    assert "on hold" not in browser(yard.cast.rex).get(page).content.decode().replace("Put on hold", "")


def test_releases_are_held_and_resumed_on_the_list_of_the_admin_site(yard: Yard) -> None:
    """Both are chosen there; what is on hold already says so and stays, who may not is told why, a reason is asked for."""
    first, second = composed(yard), composed(yard, rfc_of(yard))
    che, otto = browser(make_user("adm", "change_manager", "auditor")), browser(yard.cast.otto)
    place, both = reverse("admin:releases_release_changelist"), [str(first.pk), str(second.pk)]

    def pressed(client: Client, verb: str, reason: str, *rows: str) -> Any:
        form = {"action": verb, "_selected_action": list(rows), "confirmed": "1", "reason": reason}
        return client.post(place, form, follow=True)

    def held() -> list[bool]:
        return [open_hold_of(release) is not None for release in (first, second)]

    assert '<option value="hold">' in text(che.get(place))
    assert "Give a reason" in text(pressed(che, "hold", "", both[0]))
    assert "Nothing was changed" in text(pressed(otto, "hold", "mine", *both))
    assert held() == [False, False]
    pressed(che, "hold", "wait for vendor", both[0])
    assert held() == [True, False]
    assert "It is on hold already." in text(che.post(place, {"action": "hold", "_selected_action": both}))
    pressed(che, "hold", "wait for vendor", *both)
    assert held() == [True, True]
    assert "on hold" in text(otto.get(reverse("releases:release-list")))
    pressed(che, "resume", "it came", *both)
    assert held() == [False, False]
    assert "It is not on hold." in text(che.post(place, {"action": "resume", "_selected_action": both}))
    assert list(Hold.objects.values_list("reason", "resumed_by__username")) == [("wait for vendor", "adm")] * 2


def test_a_dangerous_verb_shows_its_reach_and_asks_for_a_reason(yard: Yard) -> None:
    release = sealed(yard)
    at = release.get_absolute_url() + "revise/"
    shown = browser(yard.cast.rex).get(at)
    assert "hosts of the release" in text(shown)
    assert browser(yard.cast.rex).post(at, {"reason": ""}).status_code == 400
    assert browser(yard.cast.rex).post(at, {"reason": "other windows"}).status_code == 302
    assert Release.objects.get(pk=release.pk).state == "planning"


def test_the_manifest_is_read_and_signed_on_its_page(yard: Yard) -> None:
    release = sealed(yard)
    manifest = manifest_of(release)
    shown = text(page(yard.cast.gus, "manifest-detail", release.pk, 1))
    assert manifest.digest in shown
    assert "The class of 2 later production hosts is not known" in shown  # the signer sees what nothing is tried for
    assert all(h.name in shown for h in yard.world.hosts)
    assert 'name="verdict"' in shown
    assert 'name="verdict"' not in text(page(yard.cast.rex, "manifest-detail", release.pk, 1))
    assert "You built this release" in text(page(yard.cast.rex, "manifest-detail", release.pk, 1))
    at = reverse("releases:manifest-detail", args=[release.pk, 1])
    stale = browser(yard.cast.gus).post(at, {"verdict": "approve", "digest_seen": "0" * 64})
    assert stale.status_code == 400
    assert browser(yard.cast.gus).post(at, {"verdict": "approve", "digest_seen": manifest.digest}).status_code == 302
    assert Release.objects.get(pk=release.pk).state == "ready"
    document = page(yard.cast.gus, "manifest-document", release.pk, 1)
    assert document.json() == manifest.document


def test_a_scoped_reader_is_told_what_is_not_shown_and_sees_none_of_it(yard: Yard) -> None:
    from cmdb.models import GroupMember
    from tests.factories.changes import make_group

    inside = make_group("corner", at=yard.at)
    GroupMember.objects.create(group=inside, host=yard.world.hosts[0], since_at=yard.at)
    reader = make_user("ria", "reader", scope=f"group:{inside.pk}")
    release = sealed(yard)
    answer = page(reader, "release-detail", release.pk)
    assert "2 hosts of this release lie outside your scope" in text(answer)
    for name, args in (("release-detail", [release.pk]), ("release-tests", [release.pk])):
        shown = text(page(reader, name, *args))
        assert not [h.name for h in [*yard.world.hosts[1:], yard.test_host] if h.name in shown], name
    assert page(reader, "manifest-detail", release.pk, 1).status_code == 403
    assert page(reader, "manifest-document", release.pk, 1).status_code == 403


def test_tests_show_their_steps(yard: Yard) -> None:
    release = in_testing(yard)
    run_tests(yard, release)
    shown = text(page(yard.cast.tia, "release-tests", release.pk))
    assert "Install again" in shown
    assert "way back tested in 1 of 1" in shown


def test_profiles_are_defined_and_listed(yard: Yard) -> None:
    rex = browser(yard.cast.rex)
    given = {
        "name": "Desks",
        "restart": "always",
        "max_minutes_each": 10,
        "max_minutes_total": 30,
        "countdown_seconds": 60,
        "min_alive": 1,
        "min_alive_percent": 0,
        "notice_hours": 0,
        "restart_kinds": ["workstation"],
        "checks": "nonsense",
    }
    assert rex.post(reverse("releases:profile-define"), {**given, "checks": "", "restart_kinds": []}).status_code == 400
    assert rex.post(reverse("releases:profile-define"), given).status_code == 400
    assert rex.post(reverse("releases:profile-define"), {**given, "checks": ""}).status_code == 302
    shown = text(page(yard.cast.rex, "profile-list"))
    assert "Desks" in shown
    assert "Servers" in shown
    desks = InstallProfile.objects.get(name="Desks")
    assert f"?like={desks.pk}" in shown
    next_revision = rex.get(reverse("releases:profile-define"), {"like": desks.pk}).text
    assert "Next revision of Desks" in next_revision
    assert 'value="60"' in next_revision


def test_the_page_of_an_rfc_shows_its_release(yard: Yard) -> None:
    rfc = rfc_of(yard)
    shown = browser(yard.cast.rex).get(rfc.get_absolute_url())
    assert f"{reverse('releases:release-compose')}?rfc={rfc.pk}" in text(shown)
    release = composed(yard, rfc)
    assert release.get_absolute_url() in text(browser(yard.cast.rex).get(rfc.get_absolute_url()))


def test_lists_cost_the_same_for_one_and_three_releases(yard: Yard) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def queries() -> int:
        client = browser(yard.cast.rex)
        with CaptureQueriesContext(connection) as seen:
            client.get(reverse("releases:release-list"))
        return len(seen)

    composed(yard)
    first = queries()
    composed(yard, rfc_of(yard))
    composed(yard, rfc_of(yard))
    assert queries() == first


def test_a_review_is_answered_and_completed_on_its_page(yard: Yard) -> None:
    from releases.domain import releases
    from tests.releases.domain.test_reviews import review_of, rolled_out

    release = ready(yard)
    releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    release = rolled_out(yard, release)
    review = review_of(release)
    assert release.number in text(page(yard.cast.che, "review-list"))
    shown = text(page(yard.cast.che, "review-detail", review.pk))
    assert "Hosts at the new versions" in shown
    at = review.get_absolute_url()
    answers = {f"q{n}": f"Answer {n}" for n in range(len(review.questions))}
    assert browser(yard.cast.che).post(at, answers).status_code == 302
    assert browser(yard.cast.rex).post(at + "complete/", {"lessons": "x"}).status_code == 400
    assert (
        browser(yard.cast.che).post(at + "complete/", {"lessons": "Tell the help desk.", "actions": ""}).status_code
        == 302
    )
    shown = text(page(yard.cast.aud, "review-detail", review.pk))
    assert "Tell the help desk." in shown
    assert "Answer 0" in shown
    assert page(yard.cast.rex, "release-detail", release.pk).status_code == 200
    assert page(yard.cast.eve, "review-detail", review.pk).status_code == 404


def test_planned_dates_are_those_of_the_changes(yard: Yard) -> None:
    release = planned(yard)
    shown = text(page(yard.cast.rex, "release-detail", release.pk))
    assert "Nights" in shown
    assert release.latest_at == yard.at + timedelta(days=14)


def test_a_window_lists_the_work_that_its_edit_reaches(yard: Yard) -> None:
    release = planned(yard)
    cora, place = yard.cast.cora, ("cmdb:window-detail", [yard.window.pk])
    shown = text(browser(cora).get(reverse(place[0], args=place[1])))
    assert release.number in shown
    assert "An edit reaches these" in shown
    assert release.number in text(browser(cora).get(reverse("cmdb:window-revise", args=place[1])))
    windows.revise(window_id=yard.window.pk, length_minutes=120, actor=cora, at=yard.at)
    shown = text(browser(cora).get(reverse(place[0], args=place[1])))
    assert "named revision 1, choose the window again" in shown
    assert "Nothing of it starts until it is planned again." in shown


def test_starting_a_deployment_says_who_comes_first_and_when_and_what_stops_it(yard: Yard) -> None:
    release = ready(yard, rfc_of(yard))
    ring = release.planned_rings.order_by("number")[0]
    first = ring.hosts.order_by("host__name")[0].host.name
    freezes.declare(
        name="Year end", reason="Closing.", starts_at=yard.at + timedelta(days=1), ends_at=yard.at + timedelta(days=2),
        actor=yard.cast.che, at=yard.at,
    )  # fmt: skip
    shown = outlook(release, yard.cast.rex, at=yard.at)
    assert shown[0].startswith(f"Its changes begin. Ring “{ring.name}” comes first: {first}")
    assert shown[1].startswith("The first start that a window gives: ")
    assert shown[-1].startswith("Freeze “Year end” lets nothing of it start from ")
    assert "Its changes begin. Ring “" in text(page(yard.cast.rex, "release-deploy", release.pk))


def test_the_head_of_a_ready_release_says_when_its_first_host_could_start_and_what_stands_against_it(
    yard: Yard,
) -> None:
    release = ready(yard, rfc_of(yard))
    freezes.declare(
        name="Year end", reason="Closing.", starts_at=yard.at + timedelta(days=1), ends_at=yard.at + timedelta(days=2),
        actor=yard.cast.che, at=yard.at,
    )  # fmt: skip
    told = release_parts.next_of(release, now=yard.at, yours=True)
    *_ring, first, freeze = outlook(release, yard.cast.rex, at=yard.at)
    assert told.sentence == "Start the deployment when you are ready."
    assert told.detail == f"Everything is asked again at that moment. {first} {freeze}"
    shown = text(page(yard.cast.rex, "release-detail", release.pk))
    assert ahead(release, at=timezone.now()) in shown
    release.planned_windows.all().delete()
    none = release_parts.next_of(release, now=yard.at).detail
    assert "No window gives it a start. " in none
    assert "fit no opening of their windows and will be refused." in none


def test_the_first_start_comes_after_the_notice_of_the_first_ring(yard: Yard) -> None:
    release, everybody = (
        ready(yard, rfc_of(yard)),
        "A ring does not start before everybody who was told has acknowledged.",
    )
    at_once = outlook(release, yard.cast.rex, at=yard.at)
    release.profile.notice_hours, release.profile.acknowledge = 72, True
    noticed = outlook(release, yard.cast.rex, at=yard.at)
    for shown in (at_once, noticed):
        assert shown[1].startswith("The first start that a window gives: ")
    assert at_once[1] != noticed[1], "its people are told three days before"
    assert (everybody in at_once, noticed[2]) == (False, everybody)
