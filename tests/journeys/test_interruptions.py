"""Killed workers, lost messages and restarts change nothing: every host is acted on once, and its end is looked up on the host."""

from __future__ import annotations

import time
from typing import Any

from tests.journeys.estate import HOSTS, PILOT, PRODUCTION, SECOND, TEST, THIRD, Estate
from tests.journeys.stack import Stack
from tests.journeys.walk import Walk

SLOW, KERNEL = "acme-slow", "acme-kernel"


def test_a_worker_killed_while_the_host_installs_is_followed_by_one_that_looks(stack: Stack, estate: Estate) -> None:
    walk, release, rollout = _installing(stack, estate)
    before = walk.jobs(rollout["id"])[PILOT]
    stack.kill("worker")
    time.sleep(3)
    assert estate.state(PILOT, SLOW) == "1.1 half-configured", "the host works on by itself"
    stack.start("worker")

    _ends_well(walk, release["id"], rollout["id"], before)


def test_a_broker_that_dies_with_all_its_messages_is_replaced_by_an_empty_one(stack: Stack, estate: Estate) -> None:
    walk, release, rollout = _installing(stack, estate)
    before = walk.jobs(rollout["id"])[PILOT]
    stack.lose_broker()
    assert walk.otto.get(f"rollouts/{rollout['id']}/")["state"] == "running", "reading needs no broker"
    time.sleep(3)
    stack.start_broker()

    _ends_well(walk, release["id"], rollout["id"], before)


def test_a_host_that_must_restart_is_found_again_and_looked_at(stack: Stack, estate: Estate) -> None:
    """The update asks for a restart, and the profile allows it: one boot for each host, and what runs is the new one."""
    walk = Walk(stack, estate)
    walk.begin()
    boots = {h: _boot(estate, h) for h in HOSTS}
    release = walk.ready_release(KERNEL)
    rollout = walk.deploy(release["id"])

    walk.until_deployed(release["id"], rollout["id"])
    at_work = ["claimed", "staged", "installing", "restarting", "verifying", "succeeded"]
    for job in walk.jobs(rollout["id"]).values():
        assert walk.states_in_trail("releases.job", job["id"]) == [(state, "bot") for state in at_work]
    for host in PRODUCTION:
        assert _boot(estate, host) != boots[host]
        assert estate.ssh(host, "cat /run/acme-kernel") == "1.1", "it booted with the new one"
        assert estate.ssh(host, "ls /run/reboot-required", check=False) == ""
        assert estate.began(host) == [f"upgrade {KERNEL} 1.0 1.1"]
    assert _boot(estate, TEST) == boots[TEST], "a test restarts nothing"
    for host, job in walk.jobs(rollout["id"]).items():
        ended = job["ended_at"]
        seen = walk.cora.until(f"hosts/{walk.hosts[host]}/", lambda h, ended=ended: h["audited_at"] > ended)  # type: ignore[misc]
        assert seen["restart_needed"] is False


def test_a_pulled_cable_and_a_power_cut_end_where_the_hosts_are(stack: Stack, estate: Estate) -> None:
    """Two hosts vanish while they install. One works on behind its pulled cable; the other lies dark with a package half
    configured. Neither is taken as good or as failed until it is seen again; what was interrupted is finished, once."""
    walk = Walk(stack, estate)
    walk.begin()
    for host in HOSTS:
        estate.ssh(host, f"echo {8 if host in (SECOND, THIRD) else 0} | sudo tee /etc/acme-slow.seconds")
    release = walk.ready_release(SLOW, failure_limit=3)
    rollout = walk.deploy(release["id"])
    for host in (SECOND, THIRD):
        _half_configured(estate, host, seconds=120)
    estate.lab.link(SECOND, "down")
    estate.lab.crash(THIRD)
    try:
        for host in (SECOND, THIRD):
            gone = walk.until_job(rollout["id"], host, lambda job: job["state"] == "unknown")
            assert "succeeded" not in gone["statement"]
        assert walk.otto.get(f"rollouts/{rollout['id']}/")["state"] == "running"
    finally:
        estate.lab.link(SECOND, "up")
        estate.lab.start(THIRD)
    estate.ssh(THIRD, "echo 0 | sudo tee /etc/acme-slow.seconds")

    walk.until_deployed(release["id"], rollout["id"])
    assert {name: job["state"] for name, job in walk.jobs(rollout["id"]).items()} == dict.fromkeys(
        PRODUCTION, "succeeded"
    )
    assert estate.states(SLOW, PRODUCTION) == dict.fromkeys(PRODUCTION, "1.1 installed")
    assert {h: estate.began(h) for h in PRODUCTION} == {h: [f"upgrade {SLOW} 1.0 1.1"] for h in PRODUCTION}
    assert {h: estate.at_work(h) for h in PRODUCTION} == dict.fromkeys(PRODUCTION, "")
    unseen = walk.jobs(rollout["id"])[THIRD]["id"]
    assert ("unknown", "bot") in walk.states_in_trail("releases.job", unseen)
    assert "The trail is whole." in walk.stack.manage("verify_audit")


def _half_configured(estate: Estate, host: str, *, seconds: float) -> None:
    """Returns while the host's package manager is in the middle of it."""
    end = time.monotonic() + seconds
    while estate.state(host, SLOW) != "1.1 half-configured":
        assert time.monotonic() < end, estate.state(host, SLOW)
        time.sleep(0.2)


def _boot(estate: Estate, host: str) -> str:
    return estate.ssh(host, "cat /proc/sys/kernel/random/boot_id")


def _installing(stack: Stack, estate: Estate) -> tuple[Walk, Any, Any]:
    """A rollout whose pilot is in the middle of installing: dpkg runs, the package is half-configured."""
    walk = Walk(stack, estate)
    walk.begin()
    for host, seconds in {**dict.fromkeys(PRODUCTION, 5), PILOT: 30, TEST: 0}.items():
        estate.ssh(host, f"echo {seconds} | sudo tee /etc/acme-slow.seconds")
    release = walk.ready_release(SLOW)
    rollout = walk.deploy(release["id"])
    walk.until_job(rollout["id"], PILOT, lambda job: job["state"] == "installing")
    _half_configured(estate, PILOT, seconds=30)
    return walk, release, rollout


def _ends_well(walk: Walk, release_id: int, rollout_id: int, before: Any) -> None:
    """All hosts done, by one attempt each, with one upgrade each in dpkg's own log."""
    estate = walk.estate
    walk.until_deployed(release_id, rollout_id)
    jobs = walk.jobs(rollout_id)
    assert {name: (job["state"], job["attempt"]) for name, job in jobs.items()} == dict.fromkeys(
        PRODUCTION, ("succeeded", 1)
    )
    after = jobs[PILOT]
    assert (after["job_key"], after["packages"]) == (before["job_key"], before["packages"])
    assert after["result"]["seen"]["verdict"] == "succeeded", "success is what the host shows"
    assert estate.states(SLOW, PRODUCTION) == dict.fromkeys(PRODUCTION, "1.1 installed")
    assert {h: estate.began(h) for h in PRODUCTION} == {h: [f"upgrade {SLOW} 1.0 1.1"] for h in PRODUCTION}
    assert {h: estate.at_work(h) for h in PRODUCTION} == dict.fromkeys(PRODUCTION, "")
    assert "The trail is whole." in walk.stack.manage("verify_audit")
