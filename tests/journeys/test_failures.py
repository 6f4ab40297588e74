"""What must not reach a host does not: a broken package stops at the pilot, a repository that lies is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.estate import HOSTS, PILOT, PRODUCTION, SECOND, TEST, THIRD, Estate
from tests.journeys.stack import Stack
from tests.journeys.walk import Walk

BRITTLE, TOOL = "acme-brittle", "acme-tool"
NOT_BUILT = {"index": "is not to be trusted: ", "key": "repository_untrusted"}
"""How it was tampered with → a part of why nothing is built. The host keeps its own good list of an edited index, so that
Patchflow's own look finds that one; a stranger's signature is refused by the host already."""
REFUSED = {"package": "repository_untrusted", "key": "repository_untrusted", "swapped": "artifact_mismatch"}
"""How it was tampered with → why the host refuses the job."""


@pytest.fixture
def walk(stack: Stack, estate: Estate) -> Walk:
    """Hosts known, windows open, advisories read."""
    walk = Walk(stack, estate)
    walk.begin()
    return walk


def test_a_failing_pilot_halts_the_rollout_and_is_rolled_back(walk: Walk) -> None:
    """The package passes its test where a file exists that production lacks."""
    estate = walk.estate
    estate.ssh(TEST, "sudo touch /etc/acme-brittle.ok")
    release = walk.ready_release(BRITTLE)
    rollout = walk.deploy(release["id"])

    halted = walk.otto.until_state(f"rollouts/{rollout['id']}/", "halted", seconds=120, bad=("completed", "stopped"))
    assert [ring["state"] for ring in halted["rings"]] == ["failed", "pending"]
    jobs = walk.jobs(rollout["id"])
    assert {name: job["state"] for name, job in jobs.items()} == {PILOT: "failed", SECOND: "pending", THIRD: "pending"}
    assert estate.state(PILOT, BRITTLE) == "1.1 half-configured"
    assert [estate.began(h) for h in (SECOND, THIRD)] == [[], []], "the second ring was not touched"
    walk.rex.refused(f"rollouts/{rollout['id']}/resume/", code="rollout.ring_failed")

    back = walk.rex.post(f"rollouts/{rollout['id']}/roll_back/", {"reason": "It cannot convert the database."})
    assert back["reverses"] == rollout["number"]
    ended = walk.rex.until_state(f"releases/{release['id']}/", "rolled_back", seconds=120)
    assert ended["outcome"] == "rolled_back"
    assert {name: job["state"] for name, job in walk.jobs(back["id"]).items()} == {PILOT: "succeeded"}

    assert estate.states(BRITTLE, PRODUCTION) == dict.fromkeys(PRODUCTION, "1.0 installed")
    assert estate.began(PILOT) == [f"upgrade {BRITTLE} 1.0 1.1", f"upgrade {BRITTLE} 1.1 1.0"]
    assert [estate.began(h) for h in (SECOND, THIRD)] == [[], []]
    assert estate.at_work(PILOT) == ""
    _ends_without_a_baseline(walk, release["id"])


def _ends_without_a_baseline(walk: Walk, release_id: int) -> None:
    """What was taken back is reviewed, closed as backed out and still owed; no baseline follows."""
    review = walk.che.only("reviews/")
    answers = dict.fromkeys(review["questions"], "No.")
    walk.che.post(f"reviews/{review['id']}/answer/", {"answers": answers})
    walk.che.post(f"reviews/{review['id']}/complete/", {"lessons": "Test without the file.", "actions": ""})
    assert walk.rex.post(f"releases/{release_id}/accept/")["state"] == "completed"
    rfc = walk.che.only("rfcs/")
    assert {t["outcome"] for t in walk.che.all(f"rfcs/{rfc['id']}/targets/")} == {"owed"}
    assert walk.che.post(f"rfcs/{rfc['id']}/close/", {"code": "backed_out"})["state"] == "closed"
    assert list(walk.cora.all("baselines/")) == []
    assert "The trail is whole." in walk.stack.manage("verify_audit")


def test_nothing_is_built_from_a_repository_that_was_tampered_with(walk: Walk) -> None:
    """An index edited after it was signed, then one signed by a stranger; repaired, it builds."""
    estate = walk.estate
    rfc = walk.authorized_rfc(TOOL)
    release_id = walk.compose([rfc["id"]])["id"]

    for how, why in NOT_BUILT.items():
        estate.lab.tamper(how)
        walk.build(release_id, ends="planning")
        newest = walk.rex.get(f"releases/{release_id}/builds/")[0]
        assert newest["state"] == "failed"
        assert why in newest["reason"]
        walk.rex.refused(f"releases/{release_id}/seal/", status=409)

    estate.lab.repair()
    walk.build(release_id)
    assert [b["state"] for b in walk.rex.get(f"releases/{release_id}/builds/")] == ["built", "failed", "failed"]
    assert {h: estate.began(h) for h in HOSTS} == {h: [] for h in HOSTS}, "building changes nothing on any host"


@pytest.mark.parametrize("how", REFUSED)
def test_what_was_tampered_with_after_the_seal_is_refused_before_anything_is_installed(
    walk: Walk, how: str, tmp_path: Path
) -> None:
    """A package edited, a stranger's signature; or other content under the approved name, with every signature right:
    then the manifest's hash alone tells."""
    estate = walk.estate
    release = walk.ready_release(TOOL)
    if how == "swapped":
        estate.swap(TOOL, "1.1", tmp_path / "swapped")
        assert estate.sha256(TOOL, "1.1") not in str(walk.rex.get(f"releases/{release['id']}/manifests/"))
    else:
        estate.lab.tamper(how)
    rollout = walk.deploy(release["id"])

    halted = walk.otto.until_state(f"rollouts/{rollout['id']}/", "halted", seconds=180, bad=("completed", "stopped"))
    assert [ring["state"] for ring in halted["rings"]] == ["failed", "pending"]
    jobs = walk.jobs(rollout["id"])
    assert {name: job["state"] for name, job in jobs.items()} == {PILOT: "refused", SECOND: "pending", THIRD: "pending"}
    assert jobs[PILOT]["code"] == REFUSED[how], jobs[PILOT]
    assert jobs[PILOT]["statement"].startswith("Did not run, because the host refused:")
    assert {h: estate.began(h) for h in PRODUCTION} == {h: [] for h in PRODUCTION}
    assert estate.states(TOOL, PRODUCTION) == dict.fromkeys(PRODUCTION, "1.0 installed")
