"""The chapters in order: a month from assess to its completion, and the next one half-way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from changes.domain import cycles, phase_steps, rfcs
from patchflow.kernel.models import User
from releases.demo import changes, deploying, estate, feed, half_way
from releases.demo.story import Story
from releases.models import Release, Rollout

LENGTH = {"assess": 1.0, "identify": 2.0, "evaluate": 5.0, "deploy": 8.5, "completed": 17.0, "half_way": 36.0}
"""Stage → how many days before the present the story begins."""


def tell(story: Story, stage: str) -> None:
    """Everything up to and including this stage; `story.reached` hears of each on the way."""
    story.people = {user.get_username(): user for user in User.objects.filter(is_active=True)}
    for chapter, told in CHAPTERS.items():
        told(story, LENGTH[stage])
        story.reached(chapter)
        if chapter == stage:
            return


def assess(story: Story, _start: float) -> None:
    """What do we have: the estate described and read, the month opened, a feed in place."""
    cycle = cycles.open_cycle(kind="monthly", **story.who("che"))
    story.things["cycle"] = cycle
    estate.describe(story)
    estate.read(story)
    feed.add(story)
    feed.poll(story)
    outputs = {
        "threats": "Nothing is known to be exploited here. (simulated)",
        "distribution": "Two mirrors, both reached from every site. (simulated)",
        "effectiveness": "Last month 97 % were done in time; the help desk wants a day's notice. (simulated)",
    }
    for key, output in outputs.items():
        phase_steps.complete_step(cycle_id=cycle.pk, key=key, output=output, **story.who("che"))


def identify(story: Story, start: float) -> None:
    """Which updates exist and matter: the first wave of advisories, and what is answered to them."""
    story.day(start - 1, 6)
    story.say("advisories of the simulated vendor are read …")
    for update in feed.publish(story, 1):
        changes.answer(story, update, "deploy" if update.name in ("libcrystal", "glanz-server") else "wait_for_rollup")


def evaluate(story: Story, start: float) -> None:
    """Should we: two changes go to the board, whose meeting is called; a third is rejected."""
    story.day(start - 2, 8)
    story.say("changes are raised, evaluated and decided …")
    crystal = changes.submit(story, changes.raise_for(story, "libcrystal", 1))
    glanz = changes.submit(story, changes.raise_for(story, "glanz-server", 1))
    browser = changes.submit(
        story,
        changes.raise_for(story, "fernglas-browser", 1, where=lambda one: one.is_workstation and not one.is_silent),
    )
    story.day(start - 3, 9)
    for rfc in (crystal, glanz, browser):
        changes.evaluate(story, rfc)
    rfcs.reject(rfc_id=browser.pk, reason="It goes with next month's browser update.", **story.who("che"))
    story.day(start - 4, 9)
    for rfc in (crystal, glanz):
        changes.vote(story, changes.ask(story, rfc), "sam")
    story.things["meeting"] = changes.call(story, in_=timedelta(hours=46))
    story.things["first"] = [crystal, glanz]


def plan(story: Story, start: float) -> Release:
    """How: the board decides; the release is composed, built, tested on the benches, sealed and signed."""
    changes.hold(story, story.things["meeting"], notes="Both were agreed. The next meeting is in two weeks.")
    story.things["first"] = changes.authorized(story, *story.things["first"])
    story.day(start - 6, 10)
    story.say("a release is planned, built, tested, sealed and signed …")
    release = deploying.compose(
        story, story.things["first"], "Crystal and Glanz on the simulated servers", rings=deploying.servers(), latest=timedelta(days=14)
    )  # fmt: skip
    release = deploying.test(story, deploying.build(story, release))
    story.day(start - 7, 9)
    story.scan()
    release = deploying.sign(story, deploying.seal(story, release))
    story.things["release"] = release
    return release


def deploy(story: Story, start: float) -> None:
    """Roll it out: the first ring has passed, the next is at work."""
    plan(story, start)
    story.day(start - 8, 9)
    story.say("it is rolled out, ring by ring, window by window …")
    deploying.roll_out(story, story.things["release"], until=has_passed_a_ring)


def has_passed_a_ring(rollout: Rollout) -> bool:
    return rollout.rings.filter(state="passed").exists() and rollout.rings.filter(state="running").exists()


def complete(story: Story, _start: float) -> None:
    """To the end; watch, verify, review: the review is held, the changes are closed, the month is completed."""
    deploying.roll_out(story, story.things["release"])
    release = Release.objects.get(pk=story.things["release"].pk)
    if release.state != "deployed":
        raise RuntimeError(f"The demo's {release} was not deployed within its days.")
    story.say("… reviewed and completed")
    story.scan()
    deploying.review(story, release)
    changes.close(story, story.things["first"])


CHAPTERS: dict[str, Callable[[Story, float], object]] = {
    "assess": assess,
    "identify": identify,
    "evaluate": evaluate,
    "deploy": deploy,
    "completed": complete,
    "half_way": half_way.tell,
}
STAGES = tuple(CHAPTERS)
