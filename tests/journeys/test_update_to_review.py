"""One update from its notification to its review, walked by people over REST, proven on the hosts.

Assess → identify → evaluate and plan → deploy, refusals included. Three production hosts in two rings, and a test host.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from tests.journeys.estate import HOSTS, PILOT, PRODUCTION, SECOND, TEST, THIRD, Estate
from tests.journeys.stack import Stack
from tests.journeys.walk import PLANS, Walk

TOOL = "acme-tool"
CHECK = {"name": "is there", "kind": "command", "target": "test -s /usr/share/acme-tool/version"}


def test_an_update_from_its_notification_to_its_review(stack: Stack, estate: Estate, tmp_path: Path) -> None:
    walk = Walk(stack, estate)
    _assess(walk)
    update = _identify(walk)
    rfc_id = _evaluate(walk, update["id"])
    release_id = _plan(walk, rfc_id)
    _deploy(walk, release_id)
    _see_on_the_hosts(estate, tmp_path)
    _inventory_follows(walk, update["id"])
    _review(walk, release_id, rfc_id)
    _prove(walk, release_id, rfc_id)


# --- assess: what do we have ------------------------------------------------------------------------------------------
def _assess(walk: Walk) -> None:
    """Nothing is trusted before a person has compared the key; then the host says what it is and what it has."""
    first = walk.describe_host(PILOT)
    walk.cora.refused(f"hosts/{first}/test-connection/", code="connection.key_not_accepted")
    walk.cora.refused(f"hosts/{first}/accept-key/", {"fingerprint": "SHA256:x"}, code="connection.no_key_shown")
    walk.accept_key(first)
    for name in HOSTS[1:]:
        walk.accept_key(walk.describe_host(name))
    walk.scan(list(walk.hosts.values()))
    walk.open_windows()

    for name, pk in walk.hosts.items():
        host = walk.cora.get(f"hosts/{pk}/")
        machine_id = walk.estate.ssh(name, "cat /etc/machine-id")
        key = hashlib.sha256(base64.b64decode(walk.estate.lab.host_key(name).split()[1])).digest()
        fingerprint = base64.b64encode(key).decode().rstrip("=")
        assert host["fingerprint"] == f"{machine_id}/SHA256:{fingerprint}"
        assert (host["platform"], host["state"], host["stale"]) == ("debian-12-amd64", "in_service", False)
        packages = {row["name"]: row for row in walk.cora.all(f"hosts/{pk}/packages/?page_size=500")}
        assert (packages[TOOL]["version"], packages[TOOL]["origin"]) == ("1.0", "distribution")


# --- identify: which updates matter here ------------------------------------------------------------------------------
def _identify(walk: Walk) -> Any:
    walk.read_advisories()
    update = walk.update(TOOL)
    assert (update["fixed_version"], update["origin"], update["reach"]) == ("1.1", "advisory", len(HOSTS))
    assert [v["cve"] for v in walk.ann.get(f"updates/{update['id']}/vulnerabilities/")] == ["CVE-2026-90001"]
    missing = walk.missing(update["id"])
    assert set(missing) == set(HOSTS)
    for row in missing.values():
        found = (row["verdict"], row["basis"], row["installed_version"], row["fixed_version"], row["installable"])
        assert found == ("applicable", "below", "1.0", "1.1", True)
    assert walk.cycle()["state"] == "identify"
    return update


# --- evaluate: shall it be done ---------------------------------------------------------------------------------------
def _evaluate(walk: Walk, update_id: int) -> int:
    """Refused once, edited while asked, passed at the third round: two levels, two people on the board."""
    rfc = walk.ann.post("rfcs/", {"update_ids": [update_id]})
    rfc_id: int = rfc["id"]
    assert {t["host_name"] for t in walk.ann.all(f"rfcs/{rfc_id}/targets/")} == set(HOSTS)
    walk.ann.post(f"rfcs/{rfc_id}/submit/")
    assert walk.cycle()["state"] == "evaluate_and_plan"
    walk.che.post(f"rfcs/{rfc_id}/evaluate/")
    walk.che.refused(f"rfcs/{rfc_id}/request_approval/", code="rfc.plan_missing")
    walk.revise(rfc_id, {**PLANS, "reason": "Plans were missing."})

    first = walk.ask(rfc_id)
    assert [(level["name"], len(level["voters"])) for level in first["levels"]] == [
        ("Service and security", 3),
        ("CAB", 2),
    ]
    vote = {"verdict": "approve", "comment": "Mine.", "digest_seen": first["digest"]}
    walk.ann.refused(f"rounds/{first['id']}/decide/", vote, status=403, code="signoff.four_eyes")
    walk.cal.refused(f"rounds/{first['id']}/decide/", vote, status=403, code="signoff.not_asked")
    walk.decide("sam", first)
    silent = {"verdict": "refuse", "comment": "", "digest_seen": first["digest"]}
    walk.mia.refused(f"rounds/{first['id']}/decide/", silent, code="signoff.comment")
    ended = walk.decide("mia", first, "refuse", "The test host is no production host: take it out.")
    assert ended["state"] == "refused"
    assert walk.ann.get(f"rfcs/{rfc_id}/")["state"] == "evaluating"

    walk.revise(rfc_id, {"host_ids": [walk.hosts[h] for h in PRODUCTION], "reason": "As mia asked."})
    second = walk.ask(rfc_id)
    assert second["digest"] != first["digest"]
    walk.decide("sam", second)
    walk.ann.post(f"rfcs/{rfc_id}/revise/", {"test_plan": "Also ask the tool for its version.", "reason": "Better."})
    assert walk.che.get(f"rounds/{second['id']}/")["state"] == "void"
    assert walk.ann.get(f"rfcs/{rfc_id}/")["state"] == "evaluating"
    assert [d["field"] for d in walk.ann.get(f"rfcs/{rfc_id}/difference/")] == ["plans.test"]
    late = {"verdict": "approve", "comment": "Late.", "digest_seen": second["digest"]}
    walk.cal.refused(f"rounds/{second['id']}/decide/", late, status=409, code="signoff.round_over")

    risk = walk.che.post(f"rfcs/{rfc_id}/score/")["risk"]
    assert risk["level"] in ("low", "medium", "high")
    assert all(factor["sentence"] for factor in risk["factors"])
    walk.approve(walk.ask(rfc_id))
    authorization = walk.rex.get(f"rfcs/{rfc_id}/authorization/")
    assert (authorization["state"], authorization["valid"], authorization["blockers"]) == ("authorized", True, [])
    return rfc_id


# --- plan: how, exactly -----------------------------------------------------------------------------------------------
def _plan(walk: Walk, rfc_id: int) -> int:
    release = walk.compose([rfc_id], checks=[CHECK])
    release_id: int = release["id"]
    walk.build(release_id)
    (build,) = walk.rex.get(f"releases/{release_id}/builds/")
    (one,) = build["classes"]
    assert [(p["name"], p["to"], p["dependency"]) for p in one["packages"]] == [(TOOL, "1.1", False)]
    walk.test(release_id, TOOL, checks=[CHECK])
    (test,) = walk.tia.get(f"releases/{release_id}/tests/")
    assert [s["outcome"] for s in test["runs"][0]["steps"]] == ["passed"] * 5

    manifest = walk.seal(release_id)
    document = manifest["document"]
    places = {h["name"]: (h["ring"], h["packages"]) for h in document["hosts"]}
    tool = [{"name": TOOL, "arch": "all", "from": "1.0", "to": "1.1"}]
    assert places == {PILOT: (0, tool), SECOND: (1, tool), THIRD: (1, tool)}
    assert [a["sha256"] for a in document["artifacts"]] == [walk.estate.sha256(TOOL, "1.1")]
    assert [a["sha256"] for a in document["way_back"]["artifacts"]] == [walk.estate.sha256(TOOL, "1.0")]
    walk.rex.refused(f"releases/{release_id}/deploy/", status=409, code="conflict.state")
    own = {"verdict": "approve", "comment": "Mine.", "digest_seen": manifest["digest"]}
    walk.rex.refused(f"releases/{release_id}/sign/", own, status=403, code="signoff.four_eyes")
    walk.sign(release_id)
    assert walk.cycle()["state"] == "deploy"
    assert [walk.estate.began(h) for h in PRODUCTION] == [[], [], []], "nothing was touched before the start"
    return release_id


# --- deploy -----------------------------------------------------------------------------------------------------------
def _deploy(walk: Walk, release_id: int) -> None:
    refused = walk.gus.refused(f"releases/{release_id}/deploy/", status=403)
    assert refused.codes == ("release.four_eyes",), "gus has the role; only his signature stops him"
    rollout = walk.deploy(release_id)
    walk.until_deployed(release_id, rollout["id"])
    rollout = walk.otto.get(f"rollouts/{rollout['id']}/")
    assert (rollout["state"], [r["state"] for r in rollout["rings"]]) == ("completed", ["passed", "passed"])
    jobs = walk.jobs(rollout["id"])
    ends = {name: (job["state"], job["attempt"]) for name, job in jobs.items()}
    assert ends == dict.fromkeys(PRODUCTION, ("succeeded", 1))
    at_work = ["claimed", "staged", "installing", "verifying", "succeeded"]
    for job in jobs.values():
        slip = walk.otto.get(f"jobs/{job['id']}/slips/")[-1]
        assert slip["statement"].startswith("Runs at "), "why it may run is stored before it runs"
        assert {gate["verdict"] for gate in slip["gates"]} == {"pass"}
        assert walk.states_in_trail("releases.job", job["id"]) == [(state, "bot") for state in at_work]
    assert walk.states_in_trail("releases.rollout", rollout["id"]) == [
        ("planned", "rex"), ("running", "rex"), ("completed", "bot"),
    ]  # fmt: skip
    for ring in rollout["rings"]:
        passed = ["notified", "running", "soaking", "passed"]
        assert walk.states_in_trail("releases.ring", ring["id"]) == [(state, "bot") for state in passed]


def _see_on_the_hosts(estate: Estate, tmp_path: Path) -> None:
    """By dpkg's own words and the files' own hashes."""
    assert estate.states(TOOL) == dict.fromkeys(HOSTS, "1.1 installed")
    up, down = f"upgrade {TOOL} 1.0 1.1", f"upgrade {TOOL} 1.1 1.0"
    assert {h: estate.began(h) for h in PRODUCTION} == {h: [up] for h in PRODUCTION}
    assert estate.began(TEST) == [up, down, up]
    published = estate.packed_hashes(TOOL, "1.1", tmp_path / "unpacked")
    assert published
    for host in HOSTS:
        assert estate.file_hashes(host, TOOL) == published
        assert estate.at_work(host) == ""
    assert estate.began_at(PILOT) < min(estate.began_at(SECOND), estate.began_at(THIRD)), "the pilot goes first"


def _inventory_follows(walk: Walk, update_id: int) -> None:
    """A scan of each host has seen the new version: nobody in production misses the update any more."""
    walk.ann.until(f"updates/{update_id}/hosts/", lambda rows: not {r["host_name"] for r in rows} & set(PRODUCTION))


# --- review -----------------------------------------------------------------------------------------------------------
def _review(walk: Walk, release_id: int, rfc_id: int) -> None:
    """Completed means reviewed, and not by who started it; then the RFC closes and the cycle turns."""
    review = walk.che.only("reviews/")
    assert review["figures"]["hosts"] == {"manifest": 3, "jobs": 3, "done": 3, "taken_back": 0}
    assert review["figures"]["owed"] == []
    walk.rex.refused(f"releases/{release_id}/accept/", code="release.not_reviewed")
    walk.che.refused(f"reviews/{review['id']}/complete/", code="review.unanswered")
    answers = dict.fromkeys(review["questions"], "Yes, and nothing else.")
    walk.che.post(f"reviews/{review['id']}/answer/", {"answers": answers})
    walk.rex.refused(f"reviews/{review['id']}/complete/", status=403, code="review.four_eyes")
    walk.che.post(f"reviews/{review['id']}/complete/", {"lessons": "A test host is no target.", "actions": ""})
    assert walk.rex.post(f"releases/{release_id}/accept/")["state"] == "completed"

    evidence = {e["kind"]: e["passed"] for e in walk.che.get(f"rfcs/{rfc_id}/evidence/")}
    passed = dict.fromkeys(["acceptance", "rollback_rehearsal", "readiness", "deployment", "review"], True)
    assert evidence == {**passed, "manifest": None}
    assert {t["outcome"] for t in walk.che.all(f"rfcs/{rfc_id}/targets/")} == {"done"}
    closed = walk.che.post(f"rfcs/{rfc_id}/close/", {"code": "successful", "summary": "As planned."})
    assert (closed["state"], closed["close_code"]) == ("closed", "successful")

    baseline = walk.cora.only("baselines/")
    assert (baseline["state"], baseline["proposed_by"]) == ("approved", "bot")
    assert list(walk.cora.all(f"baselines/{baseline['id']}/items/")) == [
        {"name": TOOL, "arch": "all", "version": "1.1"}
    ]
    compliance = walk.cora.get(f"baselines/{baseline['id']}/compliance/")
    assert {h["host_name"]: h["result"] for h in compliance["hosts"]}.items() >= dict.fromkeys(PRODUCTION, "at").items()
    following, turned = walk.che.all("cycles/")
    assert (turned["state"], following["state"]) == ("completed", "assess")


# --- prove ------------------------------------------------------------------------------------------------------------
def _prove(walk: Walk, release_id: int, rfc_id: int) -> None:
    """The trail is whole, and every change of state is in it, with who made it."""
    assert "The trail is whole." in walk.stack.manage("verify_audit")
    cycle_id = walk.che.get(f"rfcs/{rfc_id}/")["cycle"]
    assert walk.states_in_trail("changes.rfc", rfc_id) == [
        ("draft", "ann"), ("submitted", "ann"), ("evaluating", "che"),
        ("awaiting_approval", "che"), ("evaluating", "mia"),
        ("awaiting_approval", "che"), ("evaluating", "ann"),
        ("awaiting_approval", "che"), ("authorized", "mia"),
        ("implementing", "rex"), ("in_review", "bot"), ("closed", "che"),
    ]  # fmt: skip
    assert walk.states_in_trail("releases.release", release_id) == [
        ("planning", "rex"), ("building", "rex"), ("testing", "bot"), ("scheduling", "bot"),
        ("awaiting_readiness", "rex"), ("ready", "gus"), ("deploying", "rex"), ("deployed", "bot"), ("completed", "rex"),
    ]  # fmt: skip
    turned = [state for state, _who in walk.states_in_trail("changes.cycle", cycle_id)]
    assert turned == ["assess", "identify", "evaluate_and_plan", "deploy", "completed"]
    refused = [entry["actor_name"] for entry in walk.aud.all("audit/?outcome=refused&page_size=500")]
    assert {"ann", "cal", "mia", "gus", "rex", "che", "cora"} <= set(refused), "refused attempts are kept too"
