"""Freezes are declared and lifted by those who may, with a reason, and both stay in the trail."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from changes.domain import freezes
from changes.models import FreezeWindow
from patchflow.kernel import audit
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


def span(now: datetime, **other: Any) -> dict[str, Any]:
    return {"name": "Year's end", "reason": "Books.", "starts_at": now, "ends_at": now + timedelta(days=1), **other}


def test_who_may_declares_and_lifts_once(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        freezes.declare(**span(now), actor=cast.ann, at=now)
    freeze = freezes.declare(**span(now), actor=cast.che, at=now)
    assert freeze.passes == ["emergency"]
    assert list(FreezeWindow.objects.in_force(now)) == [freeze]
    with pytest.raises(NotAllowed):
        freezes.lift(freeze_id=freeze.pk, reason="Enough.", actor=cast.rex, at=now)
    freezes.lift(freeze_id=freeze.pk, reason="Enough.", actor=cast.che, at=now)
    assert list(FreezeWindow.objects.in_force(now)) == []
    with pytest.raises(Conflict):
        freezes.lift(freeze_id=freeze.pk, reason="Again.", actor=cast.che, at=now)
    verbs = [(entry.verb, entry.outcome) for entry in audit.history(freeze)]
    assert sorted(verbs) == [
        ("change.freeze.declared", "done"),
        ("change.freeze.lifted", "done"),
        ("change.freeze.lifted", "refused"),
        ("change.freeze.lifted", "refused"),
    ]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"name": " "}, "invalid.name"),
        ({"reason": ""}, "invalid.reason"),
        ({"passes": ["urgent"]}, "invalid.passes"),
        ({"starts_at": timedelta(days=2)}, "invalid.ends_at"),
    ],
)
def test_what_makes_no_freeze_is_refused(cast: Cast, now: datetime, wrong: dict[str, Any], code: str) -> None:
    wrong = {field: now + value if isinstance(value, timedelta) else value for field, value in wrong.items()}
    with pytest.raises(Invalid) as refused:
        freezes.declare(**span(now, **wrong), actor=cast.che, at=now)
    assert refused.value.blockers[0].code == code


def test_over_rest(cast: Cast, now: datetime, client: Client) -> None:
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    ahead = datetime.now(now.tzinfo)
    body = {**span(ahead), "starts_at": ahead.isoformat(), "ends_at": (ahead + timedelta(days=1)).isoformat()}
    made = client.post("/api/v1/freezes/", body, "application/json")
    assert (made.status_code, made.json()["passes"], made.json()["declared_by"]) == (201, ["emergency"], "che")
    path = f"/api/v1/freezes/{made.json()['id']}/lift/"
    assert client.post(path, {}, "application/json").status_code == 400
    assert client.post(path, {"reason": "Done."}, "application/json").json()["lifted_by"] == "che"
    assert client.post(path, {"reason": "Done."}, "application/json").status_code == 409
    client.force_login(cast.eve, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/v1/freezes/").json()["results"] == []
    assert client.post(path, {"reason": "Mine."}, "application/json").status_code == 404
