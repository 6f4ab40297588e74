"""A release from composing to its end by people at their pages; between their clicks the worker's part is done by its verbs.

The machines are in memory (`tests.factories.releases.Yard`) and do at once what they are ordered; nights pass by the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from releases.domain import acceptance_work
from releases.models import AcceptanceRun, Release, Rollout
from tests.factories import releases as stages
from tests.factories.releases import Yard
from tests.journeys.browser import BrowserPerson, People
from tests.releases.domain.test_reviews import rolled_out


def waits(person: BrowserPerson, title: str, act: str, *, beside: tuple[str, ...] = ()) -> None:
    """Follows what Home says about this title: one thing, under this name, but for what waits `beside` it."""
    person.home()
    found = person.card("Waits for me").locator("li").filter(has_text=title)
    said = found.locator(".act").all_inner_texts()
    assert sorted(said) == sorted([act, *beside]), f"{person.name} is told to {said}"
    person.follow(title, within=found.filter(has_text=act))


@dataclass
class Releasing:
    """One release, composed by rex of the change of this title."""

    people: People
    yard: Yard
    traveller: Any
    title: str

    @property
    def release(self) -> Release:
        return Release.objects.get()

    def _now(self) -> None:
        """The worker's part is done now."""
        self.yard.world.at = timezone.now()

    def composed(self) -> None:
        """Rex takes the change into a release."""
        rex = self.people.rex
        waits(rex, self.title, "Compose a release")
        rex.follow("Take it into a release")
        rex.press("Compose")
        assert rex.state() == "planning"
        rex.look("release")

    def planned(self) -> None:
        """Rings, windows and profile, all as the pages propose them."""
        rex = self.people.rex
        rex.follow("Plan rings")
        rex.press("Plan rings")
        rex.follow("Choose windows")
        rex.press("Choose")
        rex.follow("Choose profile")
        rex.tick("Servers (revision 1): restarts if needed, at most 120 min in all")
        rex.press("Choose")
        rex.look("planned")

    def tested(self) -> None:
        """Rex builds; tia plans the test and runs it."""
        rex, tia = self.people.rex, self.people.tia
        rex.press("Build")
        self._now()
        build = stages.work(self.yard, self.release)
        assert build.state == "built", build.reason
        waits(tia, self.title, "Test")
        tia.follow("Tests")
        tia.follow("Plan a test")
        tia.choose("Test host", self.yard.test_host.name)
        tia.press("Plan")
        tia.press("Run the tests")
        self._now()
        for _step in range(20):
            AcceptanceRun.objects.update(not_before=None)
            for pk in AcceptanceRun.objects.values_list("pk", flat=True):
                acceptance_work.advance(run_id=pk, owner="test", now=self.yard.at)
        tia.becomes("scheduling", seconds=20)
        tia.look("tested")

    def ready(self, *signers: str) -> None:
        """Rex seals, and these say go."""
        rex = self.people.rex
        waits(rex, self.title, "Schedule and seal")
        rex.press("Seal the manifest")
        assert rex.state() == "awaiting readiness"
        for name in signers:
            signer: BrowserPerson = getattr(self.people, name)
            waits(signer, self.title, "Decide")
            signer.follow("full record")
            signer.follow("Decide")
            signer.fill({"Reason": "Tested and taken back: go."})
            signer.press("Go")
            signer.look("signed")
        assert signer.state() == "ready"

    def deployed(self) -> None:
        """Rex starts it, and the night passes."""
        rex = self.people.rex
        waits(rex, self.title, "Start the deployment")
        rex.follow("Start the deployment on 3 hosts")
        rex.press("Start the deployment")
        assert rex.title().startswith("RO-")
        rex.look("rollout")
        self._now()
        rolled_out(self.yard, self.release)
        rex.home()
        self.traveller.move_to(Rollout.objects.get().ended_at)
        self.people.log_in_again()
        rex.go("Rollouts")
        rex.follow("RO-")
        assert rex.state() == "completed"
        rex.sees("Nothing more happens here: 3 of 3 hosts are where they should be.")
        assert {self.yard.machine(host).packages["openssl"] for host in self.yard.world.hosts} == {stages.NEW}


def reviewed(people: People, title: str, outcome: str, *, beside: tuple[str, ...] = ()) -> None:
    """Che, who did not start it, reviews it; rex completes it. `beside`: what else waits for che about it."""
    che, rex = people.che, people.rex
    waits(che, title, "Review", beside=beside)
    for question in che.main.locator("form").get_by_role("textbox").all():
        question.fill("Yes, and nothing else.")
    che.press("Write the answers down")
    che.follow("Complete the review")
    che.fill({"Lessons": "Tell the help desk first."})
    che.press("Complete")
    assert che.state() == "completed"
    che.look("reviewed")
    waits(rex, title, "Complete")
    rex.press("Complete")
    assert rex.state() == "completed"
    rex.sees(outcome)
    rex.look("completed")


def closed(person: BrowserPerson, title: str, code: str) -> None:
    """Closes the change, which waits for that on Home."""
    waits(person, title, "Close")
    assert person.state() == "in review"
    person.look("in-review")
    person.follow("Close the change")
    person.choose("How it ended", code)
    person.fill({"Summary": "As reviewed."})
    person.press("Close the change")
    assert person.state() == "closed"
    person.sees(f"Nothing more: closed as {code}.")
    person.look("closed")
