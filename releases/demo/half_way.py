"""The second month, half-way: a change in every state, releases at their stages, one rolling out at this moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from changes.domain import approvals, change_tasks, dossiers, freezes, holds, rfcs
from changes.models import RFC
from cmdb.domain import baselines, discrepancies, exemptions
from cmdb.enums import DiscrepancyKind
from cmdb.models import Platform
from releases.demo import changes, deploying, feed
from releases.demo.changes import is_server
from releases.demo.deploying import desks, servers
from releases.demo.story import HABITS, Story
from releases.executors import simulator_software as software
from releases.executors.simulator_fleet import SimulatedHost
from releases.models import Release, Rollout

RUNNING = timedelta(minutes=95)
"""So long ago the rollout that is shown at work was started."""
SPARSE = 8
"""One host of so many in staging does badly: fewer than its ring may lose, however small the fleet."""
AHEAD = 72
"""So many hours before their windows the files of its servers are laid ready."""


def tell(story: Story, _start: float) -> None:
    """The month after the first one, up to the present."""
    story.say("the next month: more advisories, a licence, a freeze …")
    around(story)
    announced(story)
    browsers = standard(story)
    story.say("… changes in every state, the board meets …")
    crystal, cobalt, cache = decided(story)
    desktop = composed(story, browsers, "Browser of the simulated workstations", rings=desks())
    big = composed(story, crystal, "Crystal again, on the simulated servers", rings=servers(), hours=AHEAD)
    next_one = composed(story, cobalt, "Cobalt on the simulated application servers", rings=servers(vital=False))
    story.say("… the browsers are rolled out and reviewed …")
    workstations(story, desktop)
    undecided(story)
    emergency(story)
    story.say("… and the servers are at it now")
    story.until(story.now - RUNNING - timedelta(hours=3))
    feed.publish(story, 4)
    story.scan()
    ready(story, next_one)
    planned = deploying.compose(
        story, [cache], "Brisk on the simulated caches", rings=small(), latest=timedelta(days=14)
    )
    story.things["planned"] = planned
    under_way(story, big)


def small() -> list[deploying.RingPlan]:
    return [deploying.RingPlan("All", percent=100, concurrency=2, bound_percent=0)]


def around(story: Story) -> None:
    """What is true around the changes: an exemption, one that is asked for, baselines, a clone, a freeze to come."""
    story.day(19, 9)
    database = next(one for one in story.fleet() if one.duty == "db" and one.environment == "production")
    given: dict[str, Any] = {
        "kind": "package", "subject": "mountaindb-server", "reason": "The vendor of the ledger certifies this version only.",
        "compensating_control": "Reached from the application servers alone.", "expires_at": story.now + timedelta(days=60),
        "host_id": story.hosts[database.name].pk,
    }  # fmt: skip
    asked = exemptions.request(**given, **story.who("cora"))
    exemptions.grant(exemption_id=asked.pk, **story.who("sam"))
    exemptions.request(
        **{**given, "subject": "quillshell", "reason": "A script of the night depends on it."}, **story.who("cora")
    )
    platform = Platform.objects.get(distribution="debian", release="12", arch="amd64")
    items = [("mountaindb-server", "amd64", software.version(software.BY_NAME["mountaindb"], software.DEBIAN_12, 1))]
    baselines.propose(name="Databases (simulated)", platform_id=platform.pk, items=items, **story.who("cora"))
    twin = next(one for one in story.fleet() if one.duty == "api")
    discrepancies.note(
        host=story.hosts[twin.name], kind=DiscrepancyKind.CLONE, key="machine-id", source="simulator",
        sentence=f"{twin.name} and another simulated machine show one machine-id with two live keys.", **story.who("bot"),
    )  # fmt: skip
    freezes.declare(
        name="Closing of the year (simulated)", reason="The books are closed.", starts_at=story.now + timedelta(days=16),
        ends_at=story.now + timedelta(days=20), **story.who("che"),
    )  # fmt: skip


def announced(story: Story) -> None:
    """The second wave, and what is answered to it at once."""
    story.day(17, 6)
    for update in feed.publish(story, 2):
        if update.name in ("libcrystal", "cobalt-runtime", "brisk-cache", "fernglas-browser"):
            changes.answer(story, update, "deploy")
        elif update.name == "quillshell":
            changes.answer(story, update, "decline")


def standard(story: Story) -> RFC:
    """A licence for browsers, and a change that runs by it without a round."""
    story.day(16, 9)
    model = changes.license_browsers(story)
    story.day(15, 10)
    rfc = changes.raise_for(
        story, "fernglas-browser", 2, where=lambda one: one.is_workstation and not one.is_silent, kind="standard",
        change_model_id=model.pk,
    )  # fmt: skip
    return changes.submit(story, rfc)


def decided(story: Story) -> list[RFC]:
    """Three changes that the board has agreed to in its meeting."""
    raised = [
        changes.raise_for(story, name, number)
        for name, number in (("libcrystal", 2), ("cobalt-runtime", 1), ("brisk-cache", 1))
    ]
    for rfc in raised:
        changes.evaluate(story, changes.submit(story, rfc))
    story.day(14, 9)
    for rfc in raised:
        changes.vote(story, changes.ask(story, rfc), "olga")
    changes.hold(
        story,
        changes.call(story, in_=timedelta(hours=22)),
        notes="All three were agreed; the caches wait for their window.",
    )
    return changes.authorized(story, *raised)


def composed(story: Story, rfc: RFC, title: str, *, rings: list[deploying.RingPlan], hours: int = 0) -> Release:
    """A release of one change, built and tested."""
    story.until(story.at + timedelta(hours=3))
    release = deploying.compose(story, [rfc], title, rings=rings, latest=timedelta(days=26), hours=hours)
    return deploying.test(story, deploying.build(story, release))


def workstations(story: Story, release: Release) -> None:
    """The standard change is done: signed, rolled out on a Wednesday, reviewed; it waits to be closed."""
    story.scan()
    release = deploying.sign(story, deploying.seal(story, release))
    deploying.roll_out(story, release)
    release = Release.objects.get(pk=release.pk)
    if release.state != "deployed":
        raise RuntimeError(f"The demo's {release} is {release.state}.")
    deploying.review(story, release)


def undecided(story: Story) -> None:
    """What is still talked about: drafts, evaluations, a hold, two that wait for the meeting of tomorrow."""
    story.until(story.now - timedelta(days=3))
    posthorn, keyring = (
        changes.submit(story, changes.raise_for(story, name, 1)) for name in ("posthorn-mta", "keyring-directory")
    )
    mountain = changes.submit(story, changes.raise_for(story, "mountaindb", 1, where=in_production))
    quill = changes.submit(story, changes.raise_for(story, "quillshell", 1))
    for rfc in (posthorn, keyring, mountain, quill):
        changes.evaluate(story, rfc)
    change_tasks.add(
        rfc_id=mountain.pk, title="Ask the vendor when the second build comes", stage="planning",
        assignee_id=story.people["che"].pk, **story.who("che"),
    )  # fmt: skip
    holds.place(
        rfc_id=mountain.pk, reason="The vendor withdrew the first build; a second one is announced.", **story.who("che")
    )
    changes.submit(story, changes.raise_for(story, "watchtide", 1))
    changes.raise_for(story, "ledgerfs", 1, title="ledgerfs +sim1 on simulated hosts (to be planned)", test_plan="")
    story.until(story.now - timedelta(hours=22))
    changes.vote(story, changes.ask(story, posthorn), "dirk")
    changes.vote(story, changes.ask(story, keyring), "sam", "mia")
    dossiers.comment(
        rfc_id=keyring.pk, text="Does the directory fail over while its nodes restart? @dirk knows.", **story.who("cal")
    )
    dossiers.comment(rfc_id=keyring.pk, text="It does, one node at a time.", **story.who("dirk"))
    changes.call(story, in_=timedelta(hours=46))


def in_production(one: SimulatedHost) -> bool:
    return is_server(one) and one.environment == "production"


def emergency(story: Story) -> RFC:
    """A flaw that is exploited: raised, and authorized by the emergency board within the hour; its test is still owed."""
    story.until(story.now - timedelta(hours=16))
    feed.publish(story, 3)
    rfc = changes.raise_for(story, "glanz-server", 2, kind="emergency", test_plan="")
    rfc = changes.submit(story, rfc)
    approvals.request_approval(rfc_id=rfc.pk, **story.who("che"))
    changes.vote(story, rfc, "sam")
    second = changes.raise_for(
        story, "glanz-server", 2, where=lambda one: one.duty == "bench", title="glanz-server +sim2 on the benches"
    )
    rfcs.cancel(rfc_id=second.pk, reason="The emergency change covers what matters.", **story.who("ann"))
    return RFC.objects.get(pk=rfc.pk)


def ready(story: Story, release: Release) -> Release:
    """Sealed and signed: it starts when rex says so."""
    return deploying.sign(story, deploying.seal(story, release))


def under_way(story: Story, release: Release) -> Rollout:
    """The canary has passed, staging is half done with some failures; production waits for its windows, the files of many of its
    hosts laid ready."""
    release = deploying.sign(story, deploying.seal(story, release))
    story.until(story.now - RUNNING)
    staging = [one for one in story.fleet() if is_server(one) and one.environment == "staging"]
    for one, habit in zip(staging[::SPARSE], ("fail", "lose", "fail"), strict=False):
        story.simulator.switch(one.address, habit)  # type: ignore[arg-type]
    rollout = deploying.roll_out(story, release, habits=HABITS, until=half_of("Staging"))
    for one in staging:
        story.simulator.switch(one.address, None)
    deploying.lay_ready(story, rollout)
    return rollout


def half_of(name: str) -> Callable[[Rollout], bool]:
    """Whether half of the hosts of this ring have ended, and one of them has failed."""

    def reached(rollout: Rollout) -> bool:
        jobs = rollout.jobs.filter(ring__name=name)
        half = 2 * jobs.filter(ended_at__isnull=False).count() >= jobs.count()
        return half and jobs.filter(state="failed").exists()

    return reached
