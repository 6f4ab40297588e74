"""Deciding: a link only shows and asks; where it is set, the password is asked; a substitute decides for somebody."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from changes.domain import change_models, dossiers, meetings
from changes.models import RFC, Meeting, RiskAssessment, SoftwareUpdate
from changes.queries.board import versions_before
from changes.queries.conflicts import find_conflicts
from changes.web import rfc_parts
from cmdb.models import Installation
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound, Substitution, User
from patchflow.notices.models import Notice
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
WORD = "correct horse battery"


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def asked(settings: Any) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "REAUTHENTICATE_WITHIN": timedelta(minutes=5)}
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300


def test_the_link_of_a_notice_shows_and_asks_and_decides_nothing(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    link = Notice.objects.get(kind="approval_requested").url
    sam = as_(world.cast.sam)
    before = SignOffRound.objects.values().get(pk=round_.pk)
    for query in ("", "?verdict=approve&comment=x", f"?verdict=approve&digest_seen={round_.digest}&confirm=1"):
        shown = sam.get(link + query)
        assert shown.status_code == 200
        assert 'name="verdict" value="approve"' in shown.text
        assert sam.head(link + query).status_code == 200
    assert Client().get(link).headers["Location"].startswith(reverse("account_login"))
    assert not SignOff.objects.exists()
    assert SignOffRound.objects.values().get(pk=round_.pk) == before
    assert RFC.objects.get(pk=rfc.pk).state == "awaiting_approval"


def test_the_password_is_asked_and_the_decision_goes_on_by_itself(asked: None, world: World) -> None:
    world.cast.sam.set_password(WORD)
    world.cast.sam.save()
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    page = reverse("changes:board-item", args=[round_.pk])
    sam = as_(world.cast.sam)
    vote = {"verdict": "approve", "comment": "fine", "digest_seen": round_.digest}
    away = sam.post(page, vote)
    assert away.status_code == 302
    confirm = away.headers["Location"]
    assert confirm.startswith(reverse("account_reauthenticate"))
    assert "Confirm that it is you" in sam.get(confirm).text
    assert sam.post(confirm, {"password": "wrong"}).status_code == 200
    assert not SignOff.objects.exists()
    sam.post(confirm, {"password": WORD})
    assert [(s.user.username, s.comment) for s in SignOff.objects.all()] == [("sam", "fine")]


def test_the_password_over_rest(asked: None, world: World) -> None:
    world.cast.sam.set_password(WORD)
    world.cast.sam.save()
    round_ = made.round_of(made.awaiting(world))
    client = APIClient()
    client.force_authenticate(world.cast.sam)
    address = f"/api/v1/rounds/{round_.pk}/decide/"
    vote = {"verdict": "approve", "digest_seen": round_.digest}
    for wrong, code in (({}, "signoff.reauthenticate"), ({"password": "no"}, "signoff.password")):
        refused = client.post(address, {**vote, **wrong}, format="json")
        assert (refused.status_code, refused.json()["blockers"][0]["code"]) == (403, code)
    assert not SignOff.objects.exists()
    assert client.post(address, {**vote, "password": WORD}, format="json").status_code == 200
    assert SignOff.objects.count() == 1


def test_name_a_substitute_who_then_decides(world: World) -> None:
    sue = make_user("sue", "cab_member")
    sam = as_(world.cast.sam)
    round_ = made.round_of(made.awaiting(world))
    page = reverse("changes:board-item", args=[round_.pk])
    assert "does not ask you" in as_(sue).get(page).text
    now = timezone.now()
    span = {
        "starts_at": f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M}",
        "ends_at": f"{now + timedelta(days=5):%Y-%m-%dT%H:%M}",
    }
    form = reverse("changes:substitute-name")
    wrong = sam.post(form, {**span, "substitute_id": world.cast.ann.pk})
    assert wrong.status_code == 400
    assert sam.post(form, {**span, "substitute_id": sue.pk, "reason": "leave"}).status_code == 302
    assert "in force" in sam.get(reverse("changes:substitute-list")).text
    assert "Decide" in as_(sue).get(reverse("changes:board-list")).text
    assert as_(sue).post(page, {"verdict": "approve", "digest_seen": round_.digest}).status_code == 302
    assert "sue for sam" in as_(world.cast.che).get(page).text
    one = Substitution.objects.get()
    assert as_(world.cast.eve).get(reverse("changes:substitute-end", args=[one.pk])).status_code == 404
    assert sam.post(reverse("changes:substitute-end", args=[one.pk])).status_code == 302
    assert "over" in sam.get(reverse("changes:substitute-list")).text


def test_substitutes_over_rest(world: World) -> None:
    client = APIClient()
    client.force_authenticate(world.cast.mia)
    now = timezone.now()
    given = {"substitute": "cal", "starts_at": now.isoformat(), "ends_at": (now + timedelta(days=2)).isoformat()}
    made_ = client.post("/api/v1/substitutes/", given, format="json")
    assert (made_.status_code, made_.json()["user"]) == (201, "mia")
    assert client.post("/api/v1/substitutes/", {**given, "user": "sam"}, format="json").status_code == 403
    ended = client.post(f"/api/v1/substitutes/{made_.json()['id']}/end/", format="json")
    assert ended.json()["ended_at"]
    other = APIClient()
    other.force_authenticate(world.cast.eve)
    assert other.get("/api/v1/substitutes/").json()["results"] == []


def test_after_the_vote_it_says_that_it_counts_and_who_is_next(world: World) -> None:
    rfc = made.approve(made.awaiting(world), world.cast.sam, at=timezone.now())
    round_ = made.round_of(rfc)
    page = reverse("changes:board-item", args=[round_.pk])
    mia = as_(world.cast.mia)
    vote = {"verdict": "approve", "comment": "", "digest_seen": round_.digest}
    done = mia.post(page, vote, follow=True).text
    assert "is written down: approve." in done
    assert "One more person must sign level 2, CAB, by" in done
    again = mia.get(page).text
    assert "You have signed: approve." in again
    assert "You do not decide here" not in again
    agenda = again.partition('class="agenda"')[2].partition("</aside>")[0]
    assert "you voted: yes" in agenda
    assert ">open<" not in agenda
    assert "you voted" not in as_(world.cast.cal).get(page).text
    assert "One more person must sign level 2" in again


def test_the_question_names_the_version_that_the_hosts_leave(world: World) -> None:
    rfc = made.awaiting(world)
    page = reverse("changes:board-item", args=[made.round_of(rfc).pk])
    new = world.update.fixed_version
    have = Installation.objects.open().filter(package_version__source_name=world.update.name)
    (old,) = set(have.values_list("package_version__source_version", flat=True)) - {new}
    assert f'<span class="mono">{old}</span> → <span class="mono">{new}</span>' in as_(world.cast.sam).get(page).text
    one = have.select_related("package_version").first()
    assert one is not None
    older = one.package_version
    older.pk, older.version, older.source_version = None, "0.1-1", "0.1-1"
    older.save()
    Installation.objects.filter(pk=one.pk).update(package_version=older)
    assert (
        f'<span class="mono">2 versions</span> → <span class="mono">{new}</span>' in as_(world.cast.sam).get(page).text
    )


def test_the_board_reads_what_was_said_last_and_finds_the_rest(world: World) -> None:
    rfc = made.awaiting(world)
    page, sam = reverse("changes:board-item", args=[made.round_of(rfc).pk]), as_(world.cast.sam)
    link = f'<a href="{rfc.get_absolute_url()}#h-discussion">'
    assert f"{link}Nobody has said anything yet.</a>" in sam.get(page).text
    said = ["Who restarts it?", "otto does.", "word " * 60]
    for n, text in enumerate(said):
        dossiers.comment(rfc_id=rfc.pk, text=text, actor=world.cast.ann, at=world.at)
        shown = sam.get(page).text
        assert f"{link}{'1 contribution' if n == 0 else f'all {n + 1} contributions'}, in the full record</a>" in shown
    assert ("Who restarts it?" in shown, "otto does." in shown) == (False, True), "the newest two"
    assert "word " * 50 not in shown
    assert 'id="h-discussion"' in sam.get(rfc.get_absolute_url()).text


def test_the_list_of_the_board_tells_one_change_from_another(world: World) -> None:
    rfc = made.awaiting(world)
    page, sam = reverse("changes:board-list"), as_(world.cast.sam)
    level = rfc.risk.get_level_display()
    RFC.objects.update(start_by=None)
    assert f"Normal, risk {level}, {rfc.targets.count()} hosts." in sam.get(page).text
    RFC.objects.update(start_by=timezone.now() - timedelta(hours=1))
    assert ", missed." in sam.get(page).text
    RFC.objects.update(clock_stopped_at=timezone.now())
    assert "start by" not in sam.get(page).text


def test_a_back_out_plan_without_a_way_back_is_an_open_point(world: World) -> None:
    rfc = made.awaiting(world, way_back="none")
    page, said = (
        reverse("changes:board-item", args=[made.round_of(rfc).pk]),
        "A back-out plan is written, but no way back is promised: its release may go without one.",
    )
    assert said in as_(world.cast.sam).get(page).text
    RFC.objects.filter(pk=rfc.pk).update(way_back="reinstall_previous")
    assert said not in as_(world.cast.sam).get(page).text


def test_what_was_decided_lately_says_what_kind_of_thing_it_was(world: World) -> None:
    model = change_models.draft(kind="standard", name="Routine", actor=world.cast.che, at=world.at)
    SignOffRound.objects.create(
        subject_type="changes.changemodel", subject_id=model.pk, subject_label="Routine", number=1, kind="approval", digest="0" * 64,
        document={}, opened_by=world.cast.che, opened_at=world.at, closed_at=world.at, state="passed",
    )  # fmt: skip
    assert ">change model: Routine</a>" in as_(world.cast.che).get(reverse("changes:board-list")).text


def test_of_vote_and_meeting_the_page_says_which_counts(world: World) -> None:
    rfc = made.approve(made.awaiting(world), world.cast.sam, at=world.at)
    round_, mia = made.round_of(rfc), as_(world.cast.mia)
    level = round_.levels.get(position=2)
    meeting = meetings.plan(
        kind="cab", starts_at=level.deadline_at - timedelta(hours=1), actor=world.cast.che, at=world.at
    )
    meetings.publish(meeting_id=meeting.pk, actor=world.cast.che, at=world.at)
    page = reverse("changes:board-item", args=[round_.pk])
    assert "What counts is the end of the vote:" in mia.get(page).text
    SignOffLevel.objects.filter(pk=level.pk).update(deadline_at=meeting.starts_at - timedelta(minutes=1))
    assert "The vote ends before the meeting:" in mia.get(page).text
    assert "The vote ends" not in as_(world.cast.sam).get(page).text, "another level is asked"
    Meeting.objects.filter(pk=meeting.pk).update(state="in_session")
    assert "The vote ends before the meeting:" not in mia.get(page).text, "it was opened early"


def test_risk_and_way_back_stand_above_the_way_to_the_vote(world: World) -> None:
    """On a phone that way leads past both."""
    rfc = made.awaiting(world)
    page = as_(world.cast.sam).get(reverse("changes:board-item", args=[made.round_of(rfc).pk])).text
    above = page[page.index("<h1>") : page.index('href="#vt"')]
    assert rfc.get_way_back_display() in above
    assert rfc.risk.get_level_display() in above


def test_of_two_updates_of_a_package_each_has_its_versions(world: World) -> None:
    rfc = made.awaiting(world)
    one = world.update
    two = SoftwareUpdate.objects.get(pk=one.pk)
    two.pk, two.fixed_version = None, "0.0.1"
    two.fixed_key = "0"
    two.save(force_insert=True)
    found = versions_before(rfc, [one, two])
    assert len(found[one.pk]) == 1
    assert found[two.pk] == [], "what is newer than the update is nothing to leave"
    two.fixed_key = None
    assert versions_before(rfc, [one, two])[two.pk] == found[one.pk], "what cannot be compared is named"


def test_an_exploited_change_has_its_date_on_the_board_too(world: World) -> None:
    rfc = made.awaiting(world)
    page, sam = reverse("changes:board-item", args=[made.round_of(rfc).pk]), as_(world.cast.sam)
    before = sam.get(page).text
    assert "Start by" in before
    SoftwareUpdate.objects.filter(pk=world.update.pk).update(exploited=True)
    after = sam.get(page).text
    assert "known exploited" in after
    assert "Start by" in after


def test_the_list_says_what_a_round_is_about_and_what_one_signed(world: World) -> None:
    signed, other = made.awaiting(world), made.awaiting(world)
    made.approve(signed, world.cast.sam, at=world.at)
    page = as_(world.cast.sam).get(reverse("changes:board-list")).text
    ours = page.index("Signed by you, or asked of others")
    assert page.index(other.number) < ours < page.index(signed.number)
    assert "You signed: approve." in page[ours:]
    assert "It does not ask you now." not in page
    chair = as_(world.cast.che).get(reverse("changes:board-list")).text
    assert "It does not ask you now." in chair


def test_the_count_of_a_round_that_has_ended_leads_to_what_comes_next(world: World) -> None:
    round_ = made.round_of(made.awaiting(world))
    tally = reverse("changes:board-tally", args=[round_.pk])
    sam = as_(world.cast.sam)
    assert "show what comes next" not in sam.get(tally).text
    page = reverse("changes:board-item", args=[round_.pk])
    sam.post(page, {"verdict": "refuse", "comment": "Not now.", "digest_seen": round_.digest})
    ended = sam.get(tally)
    assert f'<a href="{page}">It has ended: show what comes next</a>' in ended.text
    assert not {"HX-Refresh", "HX-Redirect"} & set(ended.headers), "what is typed on the page stays"
    whole = sam.get(page).text
    assert (tally in whole, "show what comes next" in whole) == (False, False), "and then no more"


def board_of(world: World, rfc: RFC) -> str:
    return " ".join(as_(world.cast.sam).get(reverse("changes:board-item", args=[made.round_of(rfc).pk])).text.split())


def test_many_changes_on_the_same_hosts_are_gathered_and_each_can_be_opened(world: World) -> None:
    """Those with the same update in one line, the others in another; what denies stands by itself."""
    curl = made.make_update("curl", at=world.at, hosts=world.hosts)
    twins = [made.evaluating(world) for _ in range(5)]
    others = [made.evaluating(world, update_ids=[curl.pk]) for _ in range(2)]
    shown = board_of(world, made.awaiting(world))
    said = [re.sub("<[^>]*>", "", line) for line in re.findall("([0-9]+ changes [^(]*?)<details", shown)]
    named = ", ".join(rfc.number for rfc in twins[:3])
    assert said == [
        f"5 changes with the same update on some of the same hosts: {named} and 2 more",
        f"2 changes on some of the same hosts: {others[0].number}, {others[1].number}",
    ]
    for rfc in (*twins, *others):
        assert shown.count(f'<a href="{rfc.get_absolute_url()}"') == 1
    assert "8 conflicts, none of which stops it, 5 with the same update" in shown
    rfc = made.evaluating(world)
    lines = rfc_parts.conflict_statements(
        [replace(one, denies=True) for one in find_conflicts(rfc, at=world.at)], world.cast.che, whole=True
    )
    assert [(line.css, bool(line.each)) for line in lines] == [("st-bad", False)] * len(lines)
    assert len(lines) == 9


def test_what_waiting_costs_and_what_is_open_is_said_above_the_cards(world: World) -> None:
    rfc = made.awaiting(world)
    dossiers.comment(rfc_id=rfc.pk, text="Which ring is first?", actor=world.cast.ann, at=world.at)
    shown = board_of(world, rfc)
    head = shown.partition('class="quad')[0]
    assert '<a href="#h-cost">7 days of waiting: 24 host-days</a>' in head
    assert '<a href="#h-points">1 contribution to the discussion</a>' in head
    assert "changed since it was asked" not in head
    assert "urgency class high (start within 7 days)" in head


def test_what_nobody_has_tried_is_not_folded_below_a_factor_of_the_same_weight(world: World) -> None:
    def factor(key: str, points: int) -> dict[str, Any]:
        return {"key": key, "value": "", "points": points, "of": 5, "sentence": key}

    given = [
        ("hosts", 4),
        ("environment", 2),
        ("restart", 2),
        ("criticality", 5),
        ("way_back", 2),
        ("tests", 2),
        ("exposure", 1),
    ]
    risk = RiskAssessment(factors=[factor(key, points) for key, points in given])
    lines = [line.text for line in rfc_parts.risk_statements(risk, whole=True)]
    assert lines == ["criticality", "hosts", "way_back", "tests", "environment", "restart", "exposure"]
    assert rfc_parts.risk_shown(risk, whole=True) == 4
    assert rfc_parts.risk_shown(RiskAssessment(factors=[factor("hosts", 1), factor("tests", 0)]), whole=True) == 3
