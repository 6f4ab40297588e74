"""The steps that the walks at the admin site have in common; each is pressed there by whoever does it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from changes.models import RFC
from patchflow.kernel import signoffs
from patchflow.kernel.models import SignOffRound, User
from releases.domain import acceptance_work
from releases.models import AcceptanceRun, PostImplementationReview, Release, Rollout
from tests.factories import releases as stages
from tests.factories.changes import PLANS
from tests.factories.releases import Yard
from tests.releases.domain.test_reviews import rolled_out
from tests.walks.conftest import Walk
from tests.walks.desk import Desk


def local(at: Any) -> str:
    """A moment as it is typed into a form."""
    return f"{timezone.localtime(at):%Y-%m-%dT%H:%M}"


def question(subject: Any) -> SignOffRound:
    """The open round about it."""
    round_ = signoffs.open_round_of(subject)
    assert round_ is not None
    return round_


class Ending:
    """How every deployment ends: reviewed, accepted, its change closed."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.desk, self.cast = walk, Desk(walk.cast), walk.cast

    def reviewed(self, release: Release, by: User | None = None) -> Release:
        """rex answers, che (who has not carried it out) completes, rex accepts."""
        desk, review = self.desk, PostImplementationReview.objects.get(release=release)
        answers = {f"q{n}": "Yes." for n in range(len(review.questions))}
        desk.press(self.cast.rex, "answer", review, **answers)
        desk.press(by or self.cast.che, "complete", review, lessons="Tell the help desk first.")
        found: Release = desk.press(self.cast.rex, "accept", release)
        return found

    def closed(self, rfc: RFC, code: str) -> tuple[str, str]:
        """che closes it; its state and its cycle's."""
        now = self.desk.press(self.cast.che, "close", rfc, code=code, summary="As reviewed.")
        return str(now.state), str(now.cycle.state)


class Process(Ending):
    """From the first row to the last, in a yard with a repository and machines."""

    def __init__(self, walk: Walk, yard: Yard) -> None:
        super().__init__(walk)
        self.yard = yard

    def raised(self, **typed: Any) -> RFC:
        """ann raises it from the row of the update, and submits it."""
        given = {
            "host_ids": [h.pk for h in self.yard.world.hosts],
            **PLANS,
            "not_after": local(self.walk.at + timedelta(days=20)),
        }
        self.desk.press(self.cast.ann, "raise", self.yard.world.update, **{**given, **typed})
        rfc: RFC = self.desk.press(self.cast.ann, "submit", RFC.objects.latest("pk"))
        return rfc

    def asked(self, rfc: RFC) -> SignOffRound:
        """che evaluates it and asks the board."""
        self.desk.press(self.cast.che, "evaluate", rfc)
        self.desk.press(self.cast.che, "request_approval", rfc)
        return question(rfc)

    def authorized(self, rfc: RFC) -> RFC:
        round_ = self.asked(rfc)
        for person in (self.cast.sam, self.cast.cal, self.cast.mia):
            self.desk.decide(person, round_)
        return RFC.objects.get(pk=rfc.pk)

    def sealed(self, rfc: RFC) -> Release:
        """rex composes, plans and has it built, tia tests, rex seals."""
        desk, rex, tia, at = self.desk, self.cast.rex, self.cast.tia, self.walk.at
        self.yard.world.at = at
        release = desk.make(rex, Release, rfc_ids=[rfc.pk], title="At the admin site")
        desk.press(rex, "rings", release)
        desk.press(
            rex, "windows", release, window_ids=[self.yard.window.pk], earliest_at=local(at),
            latest_at=local(at + timedelta(days=14)),
        )  # fmt: skip
        desk.press(rex, "profile", release, profile_id=self.yard.profile.pk)
        desk.press(tia, "plan_test", release, update_id=self.yard.world.update.pk, host_id=self.yard.test_host.pk)
        desk.press(rex, "build", release)
        assert stages.work(self.yard, release).state == "built"
        machine = self.yard.machine(self.yard.test_host)
        machine.packages[self.yard.world.update.name] = self.yard.old  # as it is before every test
        release = desk.press(tia, "test", release)
        self._tested(release)
        found: Release = desk.press(rex, "seal", Release.objects.get(pk=release.pk))
        return found

    def _tested(self, release: Release) -> None:
        """The workers do what was asked for."""
        for _turn in range(20):
            for run in AcceptanceRun.objects.filter(plan__release=release):
                AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
                acceptance_work.advance(run_id=run.pk, owner="test", now=self.yard.at)
        assert {run.state for run in AcceptanceRun.objects.filter(plan__release=release)} == {"passed"}

    def signed(self, release: Release, *people: User) -> Release:
        round_ = question(release)
        for person in people or (self.cast.gus,):
            self.desk.decide(person, round_)
        return Release.objects.get(pk=release.pk)

    def nights_pass(self, release: Release) -> Release:
        """The dispatcher does the rest."""
        done = rolled_out(self.yard, release)
        self.walk.come(Rollout.objects.filter(release=release).latest("pk").ended_at or self.walk.at)
        return done
