"""People who act over REST, and a clock that stands until a test moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from changes.domain import cycles
from changes.models import RFC, Cycle
from patchflow.kernel import signoffs
from patchflow.kernel.models import User
from releases.models import Release, Rollout
from tests.factories import releases as stages
from tests.factories.changes import PLANS, World
from tests.factories.people import Cast
from tests.factories.releases import Yard
from tests.factories.rollouts import Deployment, make_deployment
from tests.releases.conftest import repository, yard  # noqa: F401 - fixtures
from tests.releases.domain.test_reviews import review_of, rolled_out

ROOT = "/api/v1/"


class Walk:
    """Acts as people over REST; `at` is the time at which they do."""

    def __init__(self, cast: Cast, traveller: Any, at: datetime) -> None:
        self.cast, self.traveller, self.at = cast, traveller, at

    def wait(self, **span: float) -> None:
        self.come(self.at + timedelta(**span))

    def come(self, at: datetime) -> None:
        self.at = max(self.at, at)
        self.traveller.move_to(self.at)

    def _post(self, person: User, path: str, body: dict[str, Any]) -> Any:
        client = APIClient()
        client.force_authenticate(person)
        return client.post(f"{ROOT}{path}/", body, format="json")

    def say(self, person: User, path: str, **body: Any) -> dict[str, Any]:
        """A verb that goes through; returns the object as it is then."""
        answer = self._post(person, path, body)
        assert answer.status_code in (200, 201), f"{person} {path}: {answer.content.decode()}"
        return dict(answer.json())

    def look(self, person: User, path: str) -> Any:
        """What is answered to who looks there."""
        client = APIClient()
        client.force_authenticate(person)
        answer = client.get(f"{ROOT}{path}/")
        assert answer.status_code == 200, f"{person} {path}: {answer.content.decode()}"
        return answer.json()

    def refused(self, person: User, path: str, **body: Any) -> set[str]:
        """A verb that is refused; returns the codes of its reasons."""
        answer = self._post(person, path, body)
        assert answer.status_code in (400, 403, 409), f"{person} {path}: {answer.status_code}"
        return {b["code"] for b in answer.json()["blockers"]}

    # --- changes -----------------------------------------------------------------------------------------------------
    def raised(self, world: World, **given: Any) -> int:
        """Raised by ann for the hosts of the world, and submitted."""
        body = {"update_ids": [world.update.pk], "host_ids": [h.pk for h in world.hosts], **PLANS, **given}
        pk = int(self.say(self.cast.ann, "rfcs", **body)["id"])
        self.say(self.cast.ann, f"rfcs/{pk}/submit")
        return pk

    def signed(self, pk: int, *people: User) -> str:
        """These people sign the open round; returns the state of the RFC then."""
        rfc = RFC.objects.get(pk=pk)
        round_ = signoffs.open_round_of(rfc)
        assert round_ is not None
        for person in people or (self.cast.sam, self.cast.cal, self.cast.mia):
            self.say(person, f"rounds/{round_.pk}/decide", verdict="approve", digest_seen=round_.digest)
        return self.state(pk)

    def authorized(self, world: World, **given: Any) -> int:
        """A normal change that the board has approved."""
        pk = self.raised(world, **given)
        self.say(self.cast.che, f"rfcs/{pk}/evaluate")
        self.say(self.cast.che, f"rfcs/{pk}/request_approval")
        assert self.signed(pk) == "authorized"
        return pk

    def state(self, pk: int) -> str:
        return str(RFC.objects.get(pk=pk).state)

    def cycle(self, pk: int) -> str:
        """The state of the cycle of an RFC."""
        return str(Cycle.objects.get(rfcs=pk).state)

    def unneeded(self, pk: int) -> str:
        """The cycle of an RFC is closed as not needed; returns its state."""
        cycle = Cycle.objects.get(rfcs=pk)
        return str(self.say(self.cast.che, f"cycles/{cycle.pk}/close_unneeded", reason="nothing came of it")["state"])

    # --- releases ----------------------------------------------------------------------------------------------------
    def ready(self, yard: Yard, *pks: int) -> Release:  # noqa: F811
        """A release of these RFCs with its manifest signed."""
        yard.world.at = self.at
        return stages.ready(yard, *RFC.objects.filter(pk__in=pks))

    def deployed(self, yard: Yard, release: Release) -> Release:  # noqa: F811
        """rex starts it, the nights pass, and it has ended."""
        self.say(self.cast.rex, f"releases/{release.pk}/deploy")
        yard.world.at = self.at
        done = rolled_out(yard, release)
        self.come(Rollout.objects.filter(release=release).latest("pk").ended_at or self.at)
        return done

    def reviewed(self, release: Release, by: User | None = None) -> str:
        """The review is answered and completed (by che, who has not carried it out), the release accepted; returns its state."""
        review = review_of(Release.objects.get(pk=release.pk))
        answers = dict.fromkeys(review.questions, "Yes.")
        self.say(self.cast.rex, f"reviews/{review.pk}/answer", answers=answers)
        self.say(by or self.cast.che, f"reviews/{review.pk}/complete", lessons="Tell the help desk first.", actions="")
        return str(self.say(self.cast.rex, f"releases/{release.pk}/accept")["state"])

    def closed(self, pk: int, code: str) -> tuple[str, str]:
        """che closes the RFC; returns its state and its cycle's."""
        self.say(self.cast.che, f"rfcs/{pk}/close", code=code, summary="As reviewed.")
        return self.state(pk), self.cycle(pk)


@pytest.fixture
def walk(cast: Cast, now: datetime) -> Iterator[Walk]:
    with time_machine.travel(now, tick=False) as traveller:
        yield Walk(cast, traveller, now)


@pytest.fixture
def deploying(walk: Walk, cast: Cast, now: datetime, tmp_path: Path) -> Callable[..., Deployment]:
    """Makes a release that is deploying on simulated hosts, whose cycle has come as far."""

    def make(**given: Any) -> Deployment:
        deployment = make_deployment(cast, now, tmp_path, **given)
        cycles.notified(update_ids=[deployment.world.update.pk], actor=cast.bot, at=now)
        cycles.deployment_approved(cycle_id=deployment.rfc.cycle_id, actor=cast.bot, at=now)
        return deployment

    return make
