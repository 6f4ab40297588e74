"""The same walk on hosts of the RPM family: the update as dnf itself reports it, with what it brings; refused when tampered with."""

from __future__ import annotations

import pytest

from tests.journeys.estate import RpmEstate
from tests.journeys.stack import Stack
from tests.journeys.walk import Walk

LIB, APP, EXTRA, TOOL = "acme-lib", "acme-app", "acme-extra", "acme-tool"
SET = {(APP, "1.0-1", "2.0-1"), (EXTRA, "", "2.0-1"), (LIB, "1.0-1", "2.0-1")}
"""Asking for the one brings the others: what is signed is the whole set."""


@pytest.fixture
def walk(rpm_stack: Stack, rpm_estate: RpmEstate) -> Walk:
    """Hosts known and read, windows open; no feed: what is missing, the hosts' own package manager says."""
    walk = Walk(rpm_stack, rpm_estate)
    walk.add_hosts()
    walk.open_windows()
    return walk


def test_an_update_of_coupled_packages_from_dnfs_report_to_the_review(walk: Walk, rpm_estate: RpmEstate) -> None:
    estate = rpm_estate
    reach = len(estate.hosts)
    walk.ann.until(f"updates/?name={LIB}", lambda page: [u["reach"] for u in page["results"]] == [reach], seconds=60)
    update = walk.update(LIB)
    assert (update["origin"], update["fixed_version"]) == ("reported", "2.0-1")

    rfc = walk.authorized_rfc(LIB)
    release_id = walk.compose([rfc["id"]])["id"]
    estate.lab.tamper_rpm("metadata")
    walk.build(release_id, ends="planning")
    assert walk.rex.get(f"releases/{release_id}/builds/")[0]["state"] == "failed"
    estate.lab.repair_rpm()
    walk.build(release_id)
    walk.test(release_id, LIB)
    manifest = walk.seal(release_id)["document"]
    signed = {host["name"]: {(p["name"], p["from"], p["to"]) for p in host["packages"]} for host in manifest["hosts"]}
    assert signed == dict.fromkeys(estate.production, SET)
    files = {estate.sha256(name, "2.0") for name in (LIB, APP, EXTRA)}
    assert {artifact["sha256"] for artifact in manifest["artifacts"]} == files
    walk.sign(release_id)
    assert [estate.began(host) for host in estate.production] == [[], []], "nothing was touched before the start"

    rollout = walk.deploy(release_id)
    walk.until_deployed(release_id, rollout["id"])
    for name in (LIB, APP, EXTRA):
        assert estate.states(name, estate.production) == dict.fromkeys(estate.production, "2.0-1")
    assert estate.states(TOOL, estate.production) == dict.fromkeys(estate.production, "1.0-1"), (
        "nothing else was updated"
    )
    review = walk.che.only("reviews/")
    assert review["figures"]["hosts"] == {"manifest": 2, "jobs": 2, "done": 2, "taken_back": 0}
    answers = dict.fromkeys(review["questions"], "Yes.")
    walk.che.post(f"reviews/{review['id']}/answer/", {"answers": answers})
    walk.che.post(f"reviews/{review['id']}/complete/", {"lessons": "None.", "actions": ""})
    assert walk.rex.post(f"releases/{release_id}/accept/")["state"] == "completed"
    assert walk.che.post(f"rfcs/{rfc['id']}/close/", {"code": "successful"})["state"] == "closed"
    walk.ann.until(
        f"updates/{update['id']}/hosts/", lambda rows: not {r["host_name"] for r in rows} & set(estate.production)
    )
    assert {h: estate.at_work(h) for h in estate.production} == dict.fromkeys(estate.production, "")
    assert "The trail is whole." in walk.stack.manage("verify_audit")


def test_a_package_edited_after_the_seal_is_refused_before_anything_is_installed(
    walk: Walk, rpm_estate: RpmEstate
) -> None:
    estate = rpm_estate
    release = walk.ready_release(TOOL)
    file = estate.package(TOOL, "2.0")
    content = bytearray(file.read_bytes())
    content[2000] ^= 0xFF
    file.write_bytes(content)
    rollout = walk.deploy(release["id"])

    walk.otto.until_state(f"rollouts/{rollout['id']}/", "halted", seconds=180, bad=("completed", "stopped"))
    pilot, other = estate.production
    jobs = walk.jobs(rollout["id"])
    assert {name: job["state"] for name, job in jobs.items()} == {pilot: "refused", other: "pending"}
    assert jobs[pilot]["statement"].startswith("Did not run, because the host refused:")
    assert [estate.began(host) for host in estate.production] == [[], []]
    assert estate.states(TOOL, estate.production) == dict.fromkeys(estate.production, "1.0-1")
