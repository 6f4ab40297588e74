"""Four eyes over REST: the scenes of `test_duties` in which one rule alone stands in somebody's way, played at its address.

The answer is 403 with that rule as its only reason; with the rule taken out of its transition it is not 403 any more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from cmdb.models import Exemption
from patchflow.kernel import fsm
from patchflow.kernel.models import User
from patchflow.kernel.roles import grantable
from releases.models import DelayRequest, HandTask, HostStep, PostImplementationReview
from tests.factories import changes as made
from tests.factories.people import Cast, make_user
from tests.patchflow.test_duties import SCENES, Stage

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
    ("releases.postimplementationreview", "complete", "review.starter"): ("reviews/{pk}/complete/", {}),
    ("releases.delayrequest", "withdraw", "delay.not_own"): ("delay-requests/{pk}/withdraw/", {}),
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
    without = client.post(path, body, format="json")
    assert without.status_code != 403, without.content


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
