"""Four eyes over REST: the scenes of `test_duties` in which one rule alone stands in somebody's way, played at its address.

The answer is 403 with that rule as its only reason; with the rule taken out of its transition it is not 403 any more.

What no address fires by itself is asked where its round is voted on (`VOTES`): RFCs, change models, baselines and rings. Of the
other rules of `test_duties`: nobody but the system fires `decide` of an agenda item, and over its meeting `conclude` asks first;
`withdraw` of one asks for the role of its meeting first, which its rule would let pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.utils.html import escape
from rest_framework.test import APIClient

from changes.domain import agendas, meetings
from changes.models import AgendaItem, ChangeTask, Meeting
from cmdb.domain import baselines
from cmdb.models import Exemption
from patchflow.kernel import fsm, signoffs
from patchflow.kernel.models import SignOffLevel, SignOffRound, User
from patchflow.kernel.registry import signoff_subjects
from patchflow.kernel.roles import grantable
from releases.domain import partial
from releases.models import DelayRequest, HandTask, HostStep, PostImplementationReview
from tests.factories import changes as made
from tests.factories.people import Cast, make_user
from tests.patchflow.test_duties import SCENES, Stage, model_proposed

pytestmark = pytest.mark.django_db
REASON = {"reason": "Because."}
ADDRESSES: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = {
    ("changes.rfc", "submit", "rfc.own"): ("rfcs/{pk}/submit/", {}),
    ("changes.rfc", "cancel", "rfc.own"): ("rfcs/{pk}/cancel/", REASON),
    ("changes.rfc", "break_glass", "rfc.four_eyes_requester"): ("rfcs/{pk}/break_glass/", REASON),
    ("changes.rfc", "break_glass", "rfc.glass_not_asked"): ("rfcs/{pk}/break_glass/", REASON),
    ("releases.release", "build", "release.four_eyes"): ("releases/{pk}/build/", {}),
    ("releases.release", "seal", "release.four_eyes"): ("releases/{pk}/seal/", {}),
    ("releases.release", "deploy", "release.four_eyes"): ("releases/{pk}/deploy/", {}),
    ("releases.rollout", "resume", "rollout.four_eyes"): ("rollouts/{pk}/resume/", {}),
    ("releases.delayrequest", "grant", "delay.own"): ("delay-requests/{pk}/grant/", {}),
    ("releases.delayrequest", "refuse", "delay.own"): ("delay-requests/{pk}/refuse/", {"comment": "Because."}),
    ("releases.handtask", "begin", "task.four_eyes"): ("tasks/{pk}/begin/", {}),
    ("releases.handtask", "finish", "task.four_eyes"): ("tasks/{pk}/finish/", {"remark": "Done by hand."}),
    ("releases.handtask", "give_up", "task.four_eyes"): ("tasks/{pk}/give_up/", {"remark": "Its rack is locked."}),
    ("releases.handtask", "attest", "task.performer"): (
        "tasks/{pk}/attest/",
        {"remark": "I looked.", "packages": {"a": "1"}},
    ),
    ("releases.hoststep", "approve", "step.writer"): ("steps/{pk}/approve/", {}),
    ("releases.postimplementationreview", "complete", "review.four_eyes"): ("reviews/{pk}/complete/", {}),
    ("releases.delayrequest", "withdraw", "delay.not_own"): ("delay-requests/{pk}/withdraw/", {}),
    ("changes.changetask", "begin", "task.concerned"): ("change-tasks/{pk}/begin/", {}),
    ("changes.changetask", "begin", "task.four_eyes_signer"): ("change-tasks/{pk}/begin/", {}),
    ("changes.changetask", "finish", "task.four_eyes_signer"): ("change-tasks/{pk}/finish/", {"outcome": "Done."}),
    ("changes.changetask", "dismiss", "task.required"): ("change-tasks/{pk}/dismiss/", REASON),
    ("changes.changetask", "reopen", "task.planner"): ("change-tasks/{pk}/reopen/", REASON),
    ("cmdb.exemption", "grant", "exemption.own"): ("exemptions/{pk}/grant/", {}),
}


@pytest.fixture
def stage(cast: Cast, now: datetime, tmp_path: Path) -> Stage:
    return Stage(cast, now, tmp_path, make_user("all-roles", *(role.name for role in grantable())))


def kept(stage: Stage, thing: Any) -> Any:
    """The thing in the database, where its scene only made it in memory."""
    if thing.pk is not None:
        return thing
    at, soon = stage.at, stage.at + timedelta(hours=2)
    columns: dict[str, Any] = {}
    match thing:
        case Exemption():
            columns = {"kind": "package", "subject": "sudo", "reason": "Needed.", "compensating_control": "None."}
            columns |= {"host": stage.world().hosts[0], "requested_at": at, "expires_at": at + timedelta(days=9)}
        case DelayRequest():
            columns = {"reason": "Not today.", "asked_at": at, "until": at + timedelta(days=2)}
        case ChangeTask():
            columns = {
                "position": 1,
                "number": "T1",
                "title": "Look",
                "outcome": "Seen.",
                "added_by": stage.cast.che,
                "added_at": at,
            }
        case HandTask():
            columns = {
                "job_key": thing.job.job_key,
                "order": {"packages": [{"name": "a"}]},
                "minutes": 30,
                "given_at": at,
                "begin_by": soon,
            }
        case HostStep():
            columns = {
                "name": "drain",
                "moment": "before",
                "kind": "command",
                "body": "true",
                "written_at": at,
                "digest": "0" * 64,
            }
        case PostImplementationReview():
            columns = {"name": "After", "opened_at": at}
    for name, value in columns.items():
        setattr(thing, name, value)
    thing.save()
    return thing


@pytest.mark.parametrize(("label", "name", "code"), sorted(ADDRESSES), ids=lambda part: part)
def test_the_rule_alone_is_the_answer(
    stage: Stage, label: str, name: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing, person, *_ = SCENES[label, name, code](stage)
    thing = kept(stage, thing)
    address, body = ADDRESSES[label, name, code]
    edge = next(e for e in fsm.MACHINES[label] if e.name == name)
    column = fsm.state_attribute(type(thing))
    if getattr(thing, column) not in edge.sources:
        type(thing)._base_manager.filter(pk=thing.pk).update(**{column: edge.sources[0]})
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(User.objects.get(pk=person.pk))
    path = "/api/v1/" + address.format(pk=thing.pk)
    answer = client.post(path, body, format="json")
    assert (answer.status_code, [b["code"] for b in answer.json()["blockers"]]) == (403, [code])
    rest = [
        replace(e, allowed=tuple(r for r in e.allowed if r.code != code)) if e.name == name else e
        for e in fsm.MACHINES[label]
    ]
    monkeypatch.setitem(fsm.MACHINES, label, rest)
    monkeypatch.setattr(fsm, "find", fsm.find.__wrapped__)  # without what was found before
    without = client.post(path, body, format="json")
    assert without.status_code != 403, without.content


# --- rounds ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Vote:
    """A round, and who may not sign it for what they did to its subject.

    `second`: the transition and the rule that stand behind the round's own check. `path`: where the subject is voted on.
    """

    round: SignOffRound
    author: User
    second: tuple[str, str] | None
    path: str = ""
    body: tuple[tuple[str, Any], ...] = ()

    @property
    def address(self) -> str:
        return "/api/v1/" + (self.path or f"rounds/{self.round.pk}/decide/")


def change_of_its_requester(stage: Stage) -> Vote:
    rfc = made.awaiting(stage.world())
    return Vote(made.round_of(rfc), stage.cast.ann, ("authorize", "rfc.four_eyes_requester"))


def model_of_its_author(stage: Stage) -> Vote:
    model = model_proposed(stage)
    return Vote(asked_about(model), stage.cast.che, ("approve", "model.author"))


def baseline_of_its_proposer(stage: Stage) -> Vote:
    items = [("bash", "amd64", "5.2.15-2")]
    given = {"name": "web", "platform_id": stage.world().hosts[0].platform_id, "items": items, "at": stage.at}
    baseline = baselines.propose(actor=stage.cast.cora, **given)
    return Vote(asked_about(baseline), stage.cast.cora, ("approve", "baseline.own"))


def ring_of(stage: Stage, author: User, second: tuple[str, str] | None, own_address: bool) -> Vote:
    """A failed ring of a rollout that rex started, of which otto proposes that it is accepted as it is."""
    deployment = stage.deployment()
    deployment.habit(0, "fail")
    deployment.start()
    deployment.work()
    ring = deployment.ring()
    given = {"reason": "Good enough.", "actor": stage.cast.otto, "at": deployment.clock.at}
    round_ = partial.propose(ring_id=ring.pk, **given)
    if own_address:
        return Vote(round_, author, second, f"rollouts/{ring.rollout_id}/decide_partial/", (("ring", ring.pk),))
    return Vote(round_, author, second)


def asked_about(subject: Any) -> SignOffRound:
    round_ = signoffs.open_round_of(subject)
    assert round_ is not None
    return round_


STARTER = ("accept_partial", "ring.four_eyes")
VOTES: dict[str, Callable[[Stage], Vote]] = {
    "a change by its requester": change_of_its_requester,
    "a change model by its author": model_of_its_author,
    "a baseline by its proposer": baseline_of_its_proposer,
    "a ring by its starter": lambda stage: ring_of(stage, stage.cast.rex, STARTER, own_address=False),
    "a ring by its starter, at its rollout": lambda stage: ring_of(stage, stage.cast.rex, STARTER, own_address=True),
    "a ring by its proposer": lambda stage: ring_of(stage, stage.cast.otto, None, own_address=False),
    "a ring by its proposer, at its rollout": lambda stage: ring_of(stage, stage.cast.otto, None, own_address=True),
}


def seated(stage: Stage, vote: Vote) -> User:
    """The author with every role, asked at the last level of the round, where one signature is enough."""
    last = vote.round.levels.order_by("position").last()
    assert last is not None
    SignOffRound.objects.filter(pk=vote.round.pk).update(position=last.position)
    SignOffLevel.objects.filter(pk=last.pk).update(quorum="first")
    last.voters.create(user=vote.author)
    return stage.everything(vote.author)


@pytest.mark.parametrize("name", sorted(VOTES))
def test_no_vote_on(stage: Stage, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused for what they did alone; without that check by the rule of the transition behind it; without both it is signed."""
    vote = VOTES[name](stage)
    label = vote.round.subject_type
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(seated(stage, vote))

    def answer() -> tuple[int, list[str]]:
        body = {"verdict": "approve", "digest_seen": vote.round.digest, **dict(vote.body)}
        found = client.post(vote.address, body, format="json")
        return found.status_code, [b["code"] for b in found.json().get("blockers", [])]

    assert answer() == (403, ["signoff.four_eyes"])
    signer = replace(signoff_subjects[label], excluded=lambda _subject: {})
    monkeypatch.setitem(signoff_subjects._items, label, signer)
    if vote.second:
        transition, code = vote.second
        assert answer() == (403, [code])
        edges = fsm.MACHINES[label]
        rest = [
            replace(e, allowed=tuple(r for r in e.allowed if r.code != code)) if e.name == transition else e
            for e in edges
        ]
        monkeypatch.setitem(fsm.MACHINES, label, rest)
        monkeypatch.setattr(fsm, "find", fsm.find.__wrapped__)  # without what was found before
    assert answer() == (200, [])
    vote.round.refresh_from_db()
    assert vote.round.state == "passed"


@pytest.mark.parametrize("name", sorted(name for name in VOTES if "at its" not in name))
def test_no_vote_on_its_page(stage: Stage, name: str) -> None:
    """The page of the round refuses the same vote with the same reason."""
    vote = VOTES[name](stage)
    client = Client()
    client.force_login(seated(stage, vote))
    body = {"verdict": "approve", "digest_seen": vote.round.digest}
    page = client.post(f"/changes/board/{vote.round.pk}/", body, follow=True).content.decode()
    subject = apps.get_model(vote.round.subject_type).objects.get(pk=vote.round.subject_id)
    assert escape(signoff_subjects[vote.round.subject_type].excluded(subject)[vote.author.pk]) in page
    assert not vote.round.signoffs.exists()


# --- meetings -------------------------------------------------------------------------------------------------------------
def in_session(stage: Stage) -> tuple[Meeting, AgendaItem]:
    """A meeting of the board that is held, and its item: a change of low risk, in the consent block."""
    made.approve(made.awaiting(stage.world()), stage.cast.sam, at=stage.at)
    meeting = meetings.plan(kind="cab", starts_at=stage.at + timedelta(hours=1), actor=stage.cast.che, at=stage.at)
    meetings.publish(meeting_id=meeting.pk, actor=stage.cast.che, at=stage.at)
    meetings.open_session(meeting_id=meeting.pk, actor=stage.cast.cal, at=stage.at)
    return meeting, meeting.items.get(consent=True)


def test_no_consent_of_who_asked_for_it(stage: Stage) -> None:
    """An item of the consent block is signed for nobody who requested the change, whatever roles they hold."""
    meeting, item = in_session(stage)
    assert item.round is not None
    vote = Vote(item.round, stage.cast.ann, None)
    client = APIClient()
    client.force_authenticate(seated(stage, vote))
    body = {"items": [{"item_id": item.pk, "digest": item.round.digest}]}
    answer = client.post(f"/api/v1/meetings/{meeting.pk}/consent/", body, format="json").json()
    assert answer["signed"] == []
    assert [(row["item_id"], [b["code"] for b in row["blockers"]]) for row in answer["refused"]] == [
        (item.pk, ["signoff.four_eyes"])
    ]
    item.round.refresh_from_db()
    assert item.round.is_open


@pytest.mark.parametrize("state", ["open", "passed"])
def test_no_meeting_decides_what_its_members_vote_on(stage: Stage, state: str) -> None:
    """Neither instead of their votes nor after them, by whom it may be: what they decided is noted by the system."""
    meeting, item = in_session(stage)
    SignOffRound.objects.filter(pk=item.round_id).update(state=state)
    topic = agendas.add_topic(meeting_id=meeting.pk, title="Any other business", actor=stage.cast.cal, at=stage.at)
    client = APIClient()
    client.force_authenticate(stage.all_roles)

    def answer(of: AgendaItem) -> tuple[int, list[str]]:
        body = {"item_id": of.pk, "outcome": "Agreed."}
        found = client.post(f"/api/v1/meetings/{meeting.pk}/conclude/", body, format="json")
        return found.status_code, [b["code"] for b in found.json().get("blockers", [])]

    assert answer(item) == (403, ["agenda.undecided"])
    assert answer(topic) == (200, [])


def test_no_vote_of_who_asked_for_it_wrote_it_or_was_not_asked(stage: Stage) -> None:
    """The round of an RFC: its requester with every role, and a member who joined later; then sam, who is asked, once."""
    rfc = made.awaiting(stage.world())
    round_ = made.round_of(rfc)
    path, body = f"/api/v1/rounds/{round_.pk}/decide/", {"verdict": "approve", "digest_seen": round_.digest}
    client = APIClient()

    def codes(person: User) -> tuple[int, list[str]]:
        client.force_authenticate(User.objects.get(pk=person.pk))
        answer = client.post(path, body, format="json")
        return answer.status_code, [b["code"] for b in answer.json().get("blockers", [])]

    round_.levels.get(position=round_.position).voters.create(user=stage.everything(stage.cast.ann))
    assert codes(stage.cast.ann) == (403, ["signoff.four_eyes"])
    assert codes(make_user("late", "security_officer")) == (403, ["signoff.not_asked"])
    assert codes(stage.cast.sam)[0] in (200, 201)
    assert codes(stage.cast.sam)[0] == 403
