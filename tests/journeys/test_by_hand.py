"""A person does it: the order is a task, what counts is what a scan of the real host shows (law 7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journeys.estate import PILOT, PRODUCTION, SECOND, THIRD, Estate
from tests.journeys.stack import Stack
from tests.journeys.walk import Walk

TOOL = "acme-tool"


@pytest.mark.parametrize("stack", ["manual"], indirect=True)
def test_an_update_by_hand_is_believed_when_a_scan_shows_it(stack: Stack, estate: Estate) -> None:
    """One task is done, one only reported: that job fails with what was seen, halts the ring, and succeeds once it is done."""
    walk = Walk(stack, estate)
    walk.begin()
    release = walk.ready_release(TOOL)
    rollout = walk.deploy(release["id"])

    pilot = _task(walk, PILOT)
    assert [(p["name"], p["from_version"], p["to_version"]) for p in pilot["order"]["packages"]] == [
        (TOOL, "1.0", "1.1")
    ]
    assert estate.began(PILOT) == [], "nothing is sent to a host"
    walk.otto.post(f"tasks/{pilot['id']}/begin/")
    _install(estate, PILOT)
    walk.otto.post(f"tasks/{pilot['id']}/finish/", {"remark": "By apt-get."})
    walk.until_job(rollout["id"], PILOT, lambda job: job["state"] == "succeeded")

    lie, second = _task(walk, THIRD), _task(walk, SECOND)
    for task in (lie, second):
        walk.otto.post(f"tasks/{task['id']}/begin/")
    _install(estate, SECOND)
    for task in (lie, second):
        walk.otto.post(f"tasks/{task['id']}/finish/", {"remark": "Done."})
    failed = walk.until_job(rollout["id"], THIRD, lambda job: job["state"] not in ("installing", "verifying"))
    assert failed["state"] == "failed", failed
    assert "the host shows otherwise" in failed["statement"]
    assert failed["statement"].endswith("every package is as before"), failed
    walk.until_job(rollout["id"], SECOND, lambda job: job["state"] == "succeeded")

    halted = walk.otto.until_state(f"rollouts/{rollout['id']}/", "halted", seconds=60, bad=("completed", "stopped"))
    ring = next(ring for ring in halted["rings"] if ring["state"] == "failed")
    walk.rex.post(f"rollouts/{rollout['id']}/retry_ring/", {"ring": ring["id"]})
    again = _task(walk, THIRD)
    walk.otto.post(f"tasks/{again['id']}/begin/")
    _install(estate, THIRD)
    walk.otto.post(f"tasks/{again['id']}/finish/")
    walk.until_deployed(release["id"], rollout["id"])

    assert estate.states(TOOL, PRODUCTION) == dict.fromkeys(PRODUCTION, "1.1 installed")
    assert {h: estate.began(h) for h in PRODUCTION} == {h: [f"upgrade {TOOL} 1.0 1.1"] for h in PRODUCTION}
    assert "The trail is whole." in walk.stack.manage("verify_audit")


def _task(walk: Walk, host: str) -> Any:
    """The task of this host that waits for somebody."""
    page = walk.otto.until(
        "tasks/?state=waiting", lambda page: host in [task["host_name"] for task in page["results"]], seconds=90
    )
    return next(task for task in page["results"] if task["host_name"] == host)


def _install(estate: Estate, host: str) -> None:
    """What a person does at the host itself."""
    estate.ssh(host, f"sudo DEBIAN_FRONTEND=noninteractive apt-get install -qqy {TOOL}=1.1")
