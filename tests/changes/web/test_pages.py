"""The pages of changes: each answers, forms keep what was typed, and no page is a second door."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from changes.domain import approvals, cycles, holds, phase_steps, revisions, rfcs, risk, slots
from changes.domain.slots import Span
from changes.models import RFC, Comment, RFCRevision, RFCUpdate
from changes.queries.cycles import SHOWN
from changes.queries.rfcs import may_break_glass
from changes.web import rfc_next
from changes.web.rfc_acts import AT_A_CLICK, VERB_PAGES
from cmdb.models import Host, Installation
from patchflow.kernel import fsm
from patchflow.kernel.models import AuditEntry, RoleGrant, SignOffRound, User
from patchflow.kernel.roles import grantable
from patchflow.web import states
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("label", ["changes.rfc", "changes.cycle", "changes.changemodel"])
def test_every_state_has_its_look(label: str) -> None:
    known = {s for one in fsm.MACHINES[label] for s in (*one.sources, one.target)}
    assert states.missing(label, known) == []


@pytest.mark.parametrize("state", list(made.AT_STATE))
def test_rfc_page_answers_in_every_state(world: World, state: str) -> None:
    rfc = made.AT_STATE[state](world)
    for person in (world.cast.ann, world.cast.che, world.cast.mia, world.cast.aud):
        response = as_(person).get(rfc.get_absolute_url())
        assert response.status_code == 200
        assert rfc.number in response.text


def test_pages_without_data_say_what_to_do(world: World) -> None:
    for name in ("rfc-list", "board-list", "cycle-list"):
        assert 'class="empty"' in as_(world.cast.ann).get(reverse(f"changes:{name}")).text


def test_nothing_is_shown_to_who_may_see_nothing(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    paths = [rfc.get_absolute_url(), reverse("changes:board-item", args=[round_.pk]), rfc.cycle.get_absolute_url()]
    paths += [reverse(f"changes:rfc-{v.replace('_', '-')}", args=[rfc.pk]) for v in VERB_PAGES]
    for person in (world.cast.eve, world.cast.root):
        assert {as_(person).get(path).status_code for path in paths} == {404}
        assert rfc.number not in as_(person).get(reverse("changes:rfc-list")).text
    assert Client().get(rfc.get_absolute_url()).status_code == 302


def test_list_costs_the_same_for_one_and_three(world: World, django_assert_max_num_queries: object) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = as_(world.cast.che)
    made.draft(world)
    counts = []
    for _more in range(2):
        with CaptureQueriesContext(
            connection,
        ) as caught:
            client.get(reverse("changes:rfc-list"))
        counts.append(len(caught))
        made.draft(world)
        made.draft(world)
    assert counts[0] == counts[1]


def test_raise_submit_evaluate_and_ask_by_forms(world: World) -> None:
    ann, che = as_(world.cast.ann), as_(world.cast.che)
    page = reverse("changes:rfc-raise") + f"?update={world.update.pk}"
    assert world.hosts[0].name in ann.get(page).text
    fewer = [h.pk for h in world.hosts[:2]]
    form = {**made.PLANS, "kind": "normal", "way_back": "snapshot", "update_ids": [world.update.pk], "host_ids": fewer}
    response = ann.post(page, form)
    rfc = RFC.objects.get()
    assert response.headers["Location"] == rfc.get_absolute_url()
    assert set(rfc.targets.values_list("host_id", flat=True)) == set(fewer)
    for client, verb in ((ann, "submit"), (che, "evaluate"), (che, "request-approval")):
        assert client.post(reverse(f"changes:rfc-{verb}", args=[rfc.pk])).status_code == 302
    assert RFC.objects.get().state == "awaiting_approval"


def test_refused_form_keeps_what_was_typed(world: World) -> None:
    rfc = made.awaiting(world)
    response = as_(world.cast.mia).post(reverse("changes:rfc-cancel", args=[rfc.pk]), {"reason": "typed words"})
    assert response.status_code == 400
    assert "typed words" in response.text
    assert "This needs the role" in response.text
    assert RFC.objects.get(pk=rfc.pk).state == "awaiting_approval"


def test_refused_click_shows_the_reasons(world: World) -> None:
    rfc = made.evaluating(world, test_plan="")
    response = as_(world.cast.che).post(reverse("changes:rfc-request-approval", args=[rfc.pk]))
    assert response.status_code == 409
    assert "test plan" in response.text


def test_revise_says_what_it_voids_and_guards_against_others(world: World) -> None:
    rfc = made.awaiting(world)
    client = as_(world.cast.ann)
    page = reverse("changes:rfc-revise", args=[rfc.pk])
    shown = client.get(page)
    assert "An edit voids what is signed." in shown.text
    given = {k: v for k, v in shown.context["form"].initial.items() if v is not None}
    refused = client.post(page, {**given, "digest_seen": "0" * 64, "test_plan": "my words"})
    assert refused.status_code == 400
    assert "my words" in refused.text
    assert client.post(page, {**given, "test_plan": "my words"}).status_code == 302
    assert RFC.objects.get(pk=rfc.pk).state == "evaluating"
    assert "my words" in client.get(rfc.get_absolute_url()).text


def test_board_shows_all_evidence_and_takes_the_vote(world: World) -> None:
    first, second = made.awaiting(world), made.awaiting(world)
    for rfc in (first, second):
        made.approve(rfc, world.cast.sam, at=world.at)
    mia = as_(world.cast.mia)
    assert mia.get(reverse("changes:board-list")).text.count("Decide") >= 2
    round_ = made.round_of(first)
    page = reverse("changes:board-item", args=[round_.pk])
    shown = mia.get(page).text
    for words in ("Risk of doing it", "Cost of waiting", "What and where", "Plans", 'data-key="a"', 'data-key="r"'):
        assert words in shown
    missing = mia.post(page, {"verdict": "refuse", "comment": "", "digest_seen": round_.digest})
    assert (missing.status_code, "A refusal needs a comment" in missing.text) == (400, True)
    assert 'aria-invalid="true" aria-describedby="errors"' in missing.text
    done = mia.post(page, {"verdict": "refuse", "comment": "no way back", "digest_seen": round_.digest})
    assert done.headers["Location"] == reverse("changes:board-item", args=[made.round_of(second).pk])
    assert RFC.objects.get(pk=first.pk).state == "evaluating"


def test_who_is_asked_sees_the_evidence_without_rights_on_the_hosts(world: World) -> None:
    """A service owner of another group is asked by a model that names them: the decision is not made blind."""
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    far = make_user("far", "cab_member", scope=made.make_group("others", at=world.at).scope_key)
    page = reverse("changes:board-item", args=[round_.pk])
    assert as_(far).get(page).status_code == 404
    round_.levels.get(position=1).voters.create(user=far, via="planted")
    assert as_(far).get(page).status_code == 200
    assert as_(far).get(rfc.get_absolute_url()).status_code == 404


def test_own_rfc_is_approved_at_no_door(world: World) -> None:
    """Web, REST and operators' admin: the requester with every role and the superuser's flag."""
    from rest_framework.test import APIClient

    rfc = made.awaiting(world)
    ann = world.cast.ann
    User.objects.filter(pk=ann.pk).update(is_superuser=True, is_staff=True)
    for role in grantable():
        RoleGrant.objects.get_or_create(user=ann, role=role.name, scope="")
    ann = User.objects.get(pk=ann.pk)
    round_ = made.round_of(rfc)
    vote = {"verdict": "approve", "comment": "", "digest_seen": round_.digest}
    assert as_(ann).post(reverse("changes:board-item", args=[round_.pk]), vote).status_code == 400
    rest = APIClient()
    rest.force_authenticate(ann)
    response = rest.post(f"/api/v1/rounds/{round_.pk}/decide/", vote, format="json")
    assert response.status_code == 403
    assert "signoff.four_eyes" in {b["code"] for b in response.json()["blockers"]}
    action = {"action": "approve", "_selected_action": [round_.pk], "confirmed": "1", "reason": "x"}
    as_(ann).post(reverse("admin:kernel_signoffround_changelist"), action)
    assert not SignOffRound.objects.get(pk=round_.pk).signoffs.exists()
    assert RFC.objects.get(pk=rfc.pk).state == "awaiting_approval"


def test_every_verb_has_an_address_and_a_click_never_gets(world: World) -> None:
    rfc = made.draft(world)
    client = as_(world.cast.che)
    for verb in AT_A_CLICK:
        assert client.get(reverse(f"changes:rfc-{verb.replace('_', '-')}", args=[rfc.pk])).status_code == 405
    for verb in VERB_PAGES:
        assert client.get(reverse(f"changes:rfc-{verb.replace('_', '-')}", args=[rfc.pk])).status_code == 200


def test_history_says_once_that_approval_was_asked_for_and_at_which_level_who_signed(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    approvals.decide(
        round_id=round_.pk, actor=world.cast.sam, at=world.at, verdict="approve", comment="", digest_seen=round_.digest
    )
    text = as_(world.cast.che).get(rfc.get_absolute_url()).text
    history = text[text.index('id="h-history"') :]
    assert history.count("Approval requested") == 1
    assert history.count(f"Signed, level “{round_.levels.get(position=1).name}”") == 1


def test_what_comes_next_names_who_asks_for_the_glass_and_why_a_change_was_suspended(world: World) -> None:
    rfc, che = made.glass_asked(world), as_(world.cast.che)
    step = che.get(rfc.get_absolute_url()).context["next"]
    assert step.sentence.startswith(f"{rfc.glass.get().asked_by} asked ")
    assert step.sentence.endswith("to break the glass: “exploited now”")
    assert step.detail == "A second person decides: cal."
    rfc.glass.update(withdrawn_at=world.at)
    assert che.get(rfc.get_absolute_url()).context["next"].sentence == "A change manager asks the ECAB at once."
    suspended = che.get(made.suspended(world).get_absolute_url()).context["next"]
    assert suspended.sentence.endswith(", by che: superseded")
    assert suspended.detail == "Nothing runs under it now. A change manager asks for approval of the rest, or stops it."


def test_a_change_that_is_carried_out_names_its_release_and_one_in_review_no_conflicts(world: World) -> None:
    rfc, che = made.authorized(world), as_(world.cast.che)
    assert 'id="h-conflicts"' in che.get(rfc.get_absolute_url()).text
    span = Span(None, "Nights", world.at, world.at + timedelta(hours=2), hosts=1)
    slots.reserve(
        rfc_id=rfc.pk, holder="REL-7", spans=[span], responsible=world.cast.rex, actor=world.cast.rex, at=world.at
    )
    rfcs.begin(rfc_id=rfc.pk, actor=world.cast.rex, at=world.at)
    assert che.get(rfc.get_absolute_url()).context["next"].sentence == "REL-7 is carrying it out."
    rfcs.implemented(rfc_id=rfc.pk, outcome="full", actor=world.cast.bot, at=world.at)
    page = che.get(rfc.get_absolute_url())
    assert "Completing the review of its release brings it" in page.context["next"].detail
    assert 'id="h-conflicts"' not in page.text


def test_a_criticality_stands_with_the_word_of_its_scale(world: World) -> None:
    rfc, che = made.submitted(world), as_(world.cast.che)
    targets = reverse("changes:rfc-targets", args=[rfc.pk])
    for page in (rfc.get_absolute_url(), targets, reverse("cmdb:host-detail", args=[world.hosts[0].pk])):
        assert "3 · medium" in che.get(page).text, page
    sheet: Any = che.get(f"{targets}?format=csv")
    assert ",3," in b"".join(sheet.streaming_content).decode()


def test_hold_is_told_first_and_greys_the_verbs(world: World) -> None:
    rfc = made.evaluating(world)
    holds.place(rfc_id=rfc.pk, reason="vendor", actor=world.cast.che, at=world.at)
    text = as_(world.cast.che).get(rfc.get_absolute_url()).text
    assert "On hold" in text
    assert 'data-code="hold.open"' in text


def test_cycle_page_has_four_columns_and_its_steps_are_settled(world: World) -> None:
    cycles.notified(actor=world.cast.bot, at=world.at, update_ids=[world.update.pk])
    rfc = made.awaiting(world)
    che = as_(world.cast.che)
    text = che.get(rfc.cycle.get_absolute_url()).text
    assert text.count('<li class="pc') == 4
    assert rfc.number in text
    page = reverse("changes:cycle-step", args=[rfc.cycle.pk, "threats"])
    assert che.post(page, {"act": "waived", "text": ""}).status_code == 400
    assert che.post(page, {"act": "waived", "text": "done last week"}).status_code == 302
    assert rfc.cycle.steps.get(key="threats").state == "waived"
    assert as_(world.cast.ann).post(page, {"act": "done", "text": "x"}).status_code == 400


def test_figures_of_a_cycles_steps_say_of_when_they_are(world: World) -> None:
    """Beside them stand figures of now: "2 updates notified" of last week and three of today are both right."""
    cycles.notified(actor=world.cast.bot, at=world.at, update_ids=[world.update.pk])
    cycle = made.submitted(world).cycle
    phase_steps.prove_steps(cycle_id=cycle.pk, actor=world.cast.bot, at=world.at)
    proven = cycle.steps.exclude(output="").count()
    page = as_(world.cast.che).get(cycle.get_absolute_url()).text
    assert proven
    assert page.count("as of <time") == proven


def test_a_cycle_names_few_changes_and_leads_to_all_of_a_column(world: World) -> None:
    every = [made.submitted(world) for _n in range(SHOWN + 2)]
    drafted = made.draft(world)
    che, cycle = as_(world.cast.che), every[0].cycle
    columns = {c.phase: c for c in che.get(cycle.get_absolute_url()).context["columns"]}
    assert len(columns["evaluate_and_plan"].shown) == SHOWN
    assert columns["identify"].shown == [drafted]
    url = f"{reverse('changes:rfc-list')}?cycle={cycle.pk}&phase=evaluate_and_plan"
    assert f'<a href="{url.replace("&", "&amp;")}">all 7 changes</a>' in che.get(cycle.get_absolute_url()).text
    assert {rfc.pk for rfc in che.get(url).context["listing"].queryset} == {rfc.pk for rfc in every}
    RFC.objects.filter(pk=every[0].pk).update(state="cancelled")
    assert len(che.get(url).context["listing"].queryset) == SHOWN + 2, "where it ended is no other column"
    RFC.objects.filter(pk=every[0].pk).update(state="in_review")
    columns = {c.phase: c for c in che.get(cycle.get_absolute_url()).context["columns"]}
    assert len(columns["evaluate_and_plan"].shown) == SHOWN + 1, "never one more behind a link"


def test_a_refusal_is_what_happens_next_until_the_request_is_changed(world: World) -> None:
    """The requester is told who refused and why; the board is shown the objection and what was done about it."""
    cast, at = world.cast, world.at
    rfc = made.awaiting(world)
    first = made.round_of(rfc)
    given = {"verdict": "refuse", "comment": "Not on a Friday.", "digest_seen": first.digest}
    approvals.decide(round_id=first.pk, actor=cast.sam, at=at, **given)
    page = as_(cast.ann).get(rfc.get_absolute_url()).text
    assert "sam refused: “Not on a Friday.”" in page
    assert page.index(f"/changes/rfcs/{rfc.pk}/revise/") < page.index(f"/changes/rfcs/{rfc.pk}/cancel/")
    plan = {"implementation_plan": "On a Monday.", "reason": "As sam asked."}
    revisions.revise(rfc_id=rfc.pk, actor=cast.ann, at=at, **plan)
    assert "sam refused: “" not in as_(cast.ann).get(rfc.get_absolute_url()).text

    risk.score(rfc_id=rfc.pk, actor=cast.che, at=at)
    approvals.request_approval(rfc_id=rfc.pk, actor=cast.che, at=at)
    page = as_(cast.sam).get(reverse("changes:board-item", args=[made.round_of(rfc).pk])).text
    assert "Since round 1, refused" in page
    assert page.index("sam: “Not on a Friday.”") < page.index("<span>On a Monday.</span>")


def test_the_list_says_which_change_is_on_hold(world: World) -> None:
    free, held = made.evaluating(world), made.evaluating(world)
    holds.place(rfc_id=held.pk, reason="The vendor looks at it.", actor=world.cast.che, at=world.at)
    client = Client()
    client.force_login(world.cast.che, backend="django.contrib.auth.backends.ModelBackend")
    rows = re.findall(r"<tr>.*?</tr>", client.get(reverse("changes:rfc-list")).text, re.S)
    said = {number: "normal, on hold" in row for row in rows for number in (free.number, held.number) if number in row}
    assert said == {free.number: False, held.number: True}


def test_the_page_of_an_act_asks_only_while_it_is_possible(world: World) -> None:
    """Otherwise it says why, as the verb would, and nothing is written down: nobody has tried."""
    client, rfc = as_(world.cast.che), made.awaiting(world)
    before = AuditEntry.objects.count()
    for name in VERB_PAGES:
        asked = client.get(reverse(f"changes:rfc-{name.replace('_', '-')}", args=[rfc.pk])).text
        possible = name in ("reject", "cancel", "hold", "classify")
        assert ('id="h-barred"' in asked, 'class="pc form' in asked) == (not possible, possible), name
    assert AuditEntry.objects.count() == before
    closing = client.get(reverse("changes:rfc-close", args=[rfc.pk])).text
    assert "This is possible only where it is in review." in closing


def test_no_answer_is_chosen_before_it_is_given(world: World) -> None:
    rfc = made.in_review(world)
    form = as_(world.cast.che).post(reverse("changes:rfc-close", args=[rfc.pk]), {"code": ""})
    assert (form.status_code, RFC.objects.get(pk=rfc.pk).state) == (400, "in_review")
    asked = as_(world.cast.che).get(reverse("changes:rfc-classify", args=[made.awaiting(world).pk])).text
    assert f'<option value="{rfc.update_class}" selected' in asked


def test_an_ended_change_counts_nothing_on_and_says_who_ended_it(world: World) -> None:
    rfc = made.submitted(world)
    rfcs.cancel(rfc_id=rfc.pk, reason="Bought a new one.", actor=world.cast.che, at=world.at)
    page = as_(world.cast.che).get(rfc.get_absolute_url()).text
    assert "che: “Bought a new one.”" in page
    assert "Cost of waiting" not in page
    assert "The change has ended, and its clock with it." in page


def test_a_suspended_change_says_why_it_is_and_that_its_signatures_count_no_longer(world: World) -> None:
    rfc = made.suspended(world)
    target = rfc.targets.order_by("pk")[0]
    rfc.targets.filter(pk=target.pk).update(outcome="done")
    shown = as_(world.cast.che).get(rfc.get_absolute_url()).text
    assert shown.count(", by che: superseded") == 2, "in its lead and beside its signatures"
    assert "What was signed here counts no longer." in shown
    assert "A change manager asks for approval of the rest, or stops it." in shown
    assert "1 of 3 hosts are done" in shown


def test_a_lapsed_change_says_so_until_it_is_asked_for_again(world: World) -> None:
    rfc = made.authorized(world)
    rfcs.lapse(rfc_id=rfc.pk, reason="Facts changed", actor=world.cast.che, at=world.at)
    che, where = as_(world.cast.che), rfc.get_absolute_url()
    assert ", by che: Facts changed" in che.get(where).text
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert "What was signed here counts no longer." not in che.get(where).text


def test_a_lapse_leads_only_while_what_was_signed_is_unchanged(world: World) -> None:
    rfc = made.authorized(world)
    rfcs.lapse(rfc_id=rfc.pk, reason="Facts changed", actor=world.cast.che, at=world.at)
    fresh = RFC.objects.get(pk=rfc.pk)
    assert ", by che: Facts changed" in rfc_next.next_of(fresh, now=world.at).sentence
    revisions.revise(
        rfc_id=rfc.pk, implementation_plan="Another one.", reason="Asked for.", digest_seen=fresh.change_digest,
        actor=world.cast.ann, at=world.at,
    )  # fmt: skip
    edited = rfc_next.next_of(RFC.objects.get(pk=rfc.pk), now=world.at).sentence
    assert edited.startswith("A change manager assesses the risk of what was changed")


def test_who_wrote_the_change_is_not_named_as_who_may_break_its_glass(world: World) -> None:
    rfc = made.glass_asked(world)
    assert [str(user) for user in may_break_glass(rfc.open_glass())] == ["cal"]
    RFCRevision.objects.create(
        rfc=rfc, number=99, by=world.cast.cal, at=world.at, reason="Mended.", difference=[], digest_before="a",
        digest_after="b", authored=True,
    )  # fmt: skip
    assert may_break_glass(rfc.open_glass()) == []
    assert "A second person decides: cal." not in as_(world.cast.ann).get(rfc.get_absolute_url()).text


def test_a_request_to_break_the_glass_leads_and_names_who_may_answer(world: World) -> None:
    rfc = made.glass_asked(world)
    shown = as_(world.cast.ann).get(rfc.get_absolute_url()).text
    assert "to break the glass: “exploited now”" in shown
    assert "A second person decides: cal." in shown
    assert "A change manager asks the ECAB at once." not in shown


def test_a_change_that_is_done_says_what_its_hosts_still_miss(world: World) -> None:
    rfc, che = made.closed(world), as_(world.cast.che)
    Host.objects.update(audited_at=timezone.now())
    shown = che.get(rfc.get_absolute_url()).text
    assert "By what its hosts report now, 3 of 3 still miss" in shown
    assert "Who will be told what, when" not in shown, "nobody will be told anything of it"
    assert "By what its hosts report now" not in che.get(made.authorized(world).get_absolute_url()).text
    Host.objects.filter(pk=world.hosts[0].pk).update(audited_at=None)
    shown = che.get(rfc.get_absolute_url()).text
    assert "By what its hosts report now, 2 of 3 still miss" in shown
    assert "1 more is unknown." in shown, "it has not reported"
    Installation.objects.update(gone_seen_at=world.at)
    shown = che.get(rfc.get_absolute_url()).text
    assert "It is unknown whether 1 of its 3 hosts still misses anything of it." in shown
    Host.objects.update(audited_at=timezone.now())
    shown = che.get(rfc.get_absolute_url()).text
    assert "By what its hosts report now" not in shown
    assert "It is unknown whether" not in shown


def test_a_long_discussion_and_many_updates_are_folded(world: World) -> None:
    rfc, at = made.evaluating(world), world.at
    Comment.objects.bulk_create(Comment(rfc=rfc, text=f"word {n}", by=world.cast.ann, at=at) for n in range(12))
    for n in range(11):
        row = made.make_update(f"package{n:02}", at=at, hosts=world.hosts)
        RFCUpdate.objects.create(
            rfc=rfc, update=row, name=row.name, fixed_version=row.fixed_version, distribution="debian", release="12",
            added_at=at,
        )  # fmt: skip
    page = as_(world.cast.ann).get(rfc.get_absolute_url()).text
    first, folded, rest = page.partition("2 earlier contributions")
    assert folded
    assert ("word 2<" in first, "word 1<" in first, "word 1<" in rest) == (True, False, True)
    scope = page.partition('id="h-scope"')[2].partition("</section>")[0]
    assert "2 more</summary>" in scope
    assert scope.partition("2 more</summary>")[0].count('<span class="mono">') == 10
