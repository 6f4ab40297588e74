"""Each gate: passes, defers, refuses or halts, and denies when it cannot be evaluated; every answer is kept on a slip."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection

from changes.domain import freezes, holds, rfcs
from changes.enums_identify import VerificationOutcome
from changes.models import Artifact, Verification
from cmdb.domain import items
from cmdb.models import ConfigurationItem, Connection, Exemption, GroupMember, Host, Relation, ServiceWindow
from patchflow.kernel import append_only, service_accounts
from patchflow.kernel.models import RoleGrant, SignOff, SignOffLevel, SignOffRound, User
from releases.domain import gates, host_gates, rollouts, slips, switches
from releases.domain.gates import ask_whole
from releases.domain.host_batches import Batch
from releases.domain.host_gates import ask_hosts
from releases.domain.slips import Answer, Slip, ask, never, passed, wait
from releases.models import Job, Manifest, PermissionSlip, Release, Rollout
from tests.factories.cmdb import make_service
from tests.factories.rollouts import Deployment, seal

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db
NAMES = [name for name, _gate in gates.GATES]
HOST_NAMES = [name for name, _gate in host_gates.GATES]


def whole(deployment: Deployment) -> Slip:
    return ask_whole(deployment.rollout, at=deployment.clock.at)


def host(deployment: Deployment, number: int = 0) -> Slip:
    """The slip of one host, as a claim would ask it."""
    job = Job.objects.get(host=deployment.hosts[number], rollout__started_at__isnull=False)
    return ask_hosts(Batch(job.rollout, job.ring, [job], deployment.clock.at), limit=1)[0][1]


@pytest.fixture
def running(make: Make) -> Deployment:
    """Two hosts, started, its ring running, nothing let through yet."""
    deployment = make(hosts=2)
    switches.set_kill_switch(on=True, reason="not yet", actor=deployment.cast.ada, at=deployment.clock.at)
    switches.set_kill_switch(on=False, reason="now", actor=deployment.cast.ada, at=deployment.clock.at)
    deployment.start()
    from patchflow.kernel import workflow
    from releases.models import Ring

    for name in ("notify", "start"):
        workflow.fire(Ring, deployment.ring().pk, name, actor=deployment.cast.bot, at=deployment.clock.at)
    return deployment


# --- asking -----------------------------------------------------------------------------------------------------------
def test_briefly_asked_only_who_is_denied_has_the_whole_slip(now: datetime) -> None:
    """Who may run is only told so; what denies is told as ever, with every gate and what was not asked."""
    gates_ = [
        ("one", lambda n: passed("one")),
        ("two", lambda n: passed("two") if n else wait("not yet", now, key="k")),
    ]
    whole, brief = ([ask(gates_, n, at=now, guarded=False, brief=b) for n in (1, 0)] for b in (False, True))
    assert (brief[0].runs, brief[0].key, brief[0].gates) == (True, whole[0].key, [])
    assert [row["gate"] for row in whole[0].gates] == ["one", "two"]
    assert brief[1] == whole[1]
    assert [row["verdict"] for row in brief[1].gates] == ["pass", "defer"]


def test_gates_are_asked_in_order_and_the_later_ones_not_at_all(now: datetime) -> None:
    asked: list[str] = []

    def says(name: str, answer: Answer) -> tuple[str, Callable[[None], Answer]]:
        return name, lambda _s: asked.append(name) or answer  # type: ignore[func-returns-value]

    slip = ask([says("a", passed("fine")), says("b", wait("not yet", now)), says("c", passed("fine"))], None, at=now)
    assert asked == ["a", "b"]
    assert [(g["gate"], g["verdict"]) for g in slip.gates] == [("a", "pass"), ("b", "defer"), ("c", "not asked")]
    assert (slip.verdict, slip.code, slip.not_before) == ("defer", "b", now)


def test_a_gate_that_breaks_denies(now: datetime) -> None:
    def broken(_subject: None) -> Answer:
        raise ZeroDivisionError("oops")

    slip = ask([("a", broken)], None, at=now)
    assert slip.verdict == "defer"
    assert "could not be evaluated (ZeroDivisionError: oops)" in slip.statement
    assert slip.not_before == now + slips.ASK_AGAIN


def test_a_refusal_is_a_refusal(now: datetime) -> None:
    slip = ask([("a", lambda _s: never("it is gone"))], None, at=now)
    assert (slip.verdict, slip.statement) == ("refuse", "Will not run, because it is gone.")


@pytest.mark.parametrize("name", NAMES)
def test_every_gate_of_the_rollout_that_breaks_shuts(
    running: Deployment, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 4, for each gate as it is registered: replaced by one that raises, nothing is let through."""

    def broken(_whole: object) -> Answer:
        raise RuntimeError("no database")

    monkeypatch.setattr(gates, "GATES", [(n, broken if n == name else g) for n, g in gates.GATES])
    assert running.tick() == 0
    assert running.states() == ["pending"] * 2
    slip = PermissionSlip.objects.filter(job=None).latest("pk")
    assert (slip.verdict, slip.gates[NAMES.index(name)]["verdict"]) == ("defer", "defer")


@pytest.mark.parametrize("name", [NAMES[0], NAMES[4], NAMES[-1]])
def test_a_gate_of_the_rollout_that_the_database_refuses_shuts_alone(
    running: Deployment, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are asked behind one savepoint; each by itself as soon as the database refuses one, so that the slip names it."""

    def broken(_whole: object) -> Answer:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")
        return passed("fine")

    monkeypatch.setattr(gates, "GATES", [(n, broken if n == name else g) for n, g in gates.GATES])
    assert running.tick() == 0
    slip = PermissionSlip.objects.filter(job=None).latest("pk")
    place = NAMES.index(name)
    said = [gate["verdict"] for gate in slip.gates]
    assert said == ["pass"] * place + ["defer"] + ["not asked"] * (len(NAMES) - place - 1)
    assert "could not be evaluated" in slip.statement


@pytest.mark.parametrize("name", HOST_NAMES)
def test_every_gate_of_a_host_that_breaks_shuts(
    running: Deployment, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_target: object) -> Answer:
        raise RuntimeError("no database")

    monkeypatch.setattr(host_gates, "GATES", [(n, broken if n == name else g) for n, g in host_gates.GATES])
    assert running.tick() == 0
    assert running.states() == ["pending"] * 2
    assert "could not be evaluated" in running.job().statement
    assert running.job().not_before == running.clock.at + slips.ASK_AGAIN


def test_all_open(running: Deployment) -> None:
    slip = whole(running)
    assert [(g["gate"], g["verdict"]) for g in slip.gates] == [(name, "pass") for name in NAMES]
    slip = host(running)
    assert [(g["gate"], g["verdict"]) for g in slip.gates] == [(name, "pass") for name in HOST_NAMES]
    assert slip.statement.startswith("Runs at 18 Nov 2026 09:42 UTC, because ")
    assert "is open until" in slip.statement


# --- the whole rollout ------------------------------------------------------------------------------------------------
def test_kill_switch(running: Deployment) -> None:
    switches.set_kill_switch(on=True, reason="power", actor=running.cast.otto, at=running.clock.at)
    slip = whole(running)
    assert (slip.verdict, slip.code, slip.halts) == ("defer", "kill_switch", False)
    assert slip.gates[0]["input"]["reason"] == "power"


def test_release_that_is_no_longer_deploying_halts(running: Deployment) -> None:
    Release.objects.filter(pk=running.release.pk).update(state="deployed", outcome="partial")
    assert (whole(running).code, whole(running).halts) == ("release", True)
    running.tick()
    assert running.rollout.state == "halted"


def test_a_manifest_row_that_was_changed_halts(running: Deployment) -> None:
    document = Manifest.objects.get().document
    document["hosts"][0]["packages"][0]["to"] = "9.9"
    _overwrite(running.manifest, document)
    slip = whole(running)
    assert (slip.code, slip.halts) == ("digests", True)
    assert "has not the digest" in slip.statement


def _overwrite(manifest: Manifest, document: dict[str, Any]) -> None:
    """What only somebody with the database in hand can do."""
    import json

    from django.db import connection

    append_only.remove(connection, "releases_manifest")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_manifest SET document = %s WHERE id = %s", [json.dumps(document), manifest.pk])
    append_only.install(connection, "releases_manifest")


def test_a_newer_manifest_halts(running: Deployment) -> None:
    document = {**Manifest.objects.get().document, "revision": 2}
    seal(running.release, document, running.cast, running.clock.at)
    assert (whole(running).code, whole(running).halts) == ("digests", True)


def test_a_manifest_that_nobody_signed_halts(running: Deployment) -> None:
    SignOffRound.objects.filter(subject_type="releases.release").update(state="void")
    assert (whole(running).code, whole(running).halts) == ("digests", True)


def test_a_change_that_no_longer_contains_the_manifest_halts(running: Deployment) -> None:
    """A host was taken out of the RFC behind the process's back: its digest moves, and what was signed is not what runs."""
    running.rfc.targets.filter(host=running.hosts[0]).update(removed_at=running.clock.at)
    slip = whole(running)
    assert (slip.code, slip.halts) == ("digests", True)
    assert "not within what was approved" in slip.statement


def test_an_rfc_that_lapsed_halts(running: Deployment) -> None:
    rfcs.lapse(rfc_id=running.rfc.pk, reason="superseded", actor=running.cast.che, at=running.clock.at)
    slip = whole(running)
    assert (slip.code, slip.halts) == ("changes", True)
    assert running.rfc.number in slip.statement


def test_a_hold_waits(running: Deployment) -> None:
    holds.place(rfc_id=running.rfc.pk, reason="ask the owner", actor=running.cast.che, at=running.clock.at)
    slip = whole(running)
    assert (slip.verdict, slip.code, slip.halts) == ("defer", "changes", False)
    assert "ask the owner" in slip.statement


def test_a_freeze_stops_the_kinds_that_it_does_not_let_pass(running: Deployment) -> None:
    at, che = running.clock.at, running.cast.che
    row = whole(running).gates[NAMES.index("freeze")]
    assert (row["verdict"], row["sentence"]) == ("pass", "no freeze is in force for its kinds")
    span = {"starts_at": at, "ends_at": at + timedelta(hours=2), "actor": che, "at": at}
    freezes.declare(name="Ours", reason="Normal ones pass.", passes=["normal", "emergency"], **span)
    assert whole(running).runs
    freeze = freezes.declare(name="Year's end", reason="The books are closed.", **span)
    slip = whole(running)
    assert (slip.verdict, slip.code) == ("defer", "freeze")
    assert "freeze “Year's end” lets no normal change start until 18 Nov 2026" in slip.statement
    assert "The books are closed." in slip.statement
    running.tick()
    assert running.states() == ["pending", "pending"], "nobody is let through"
    freezes.lift(freeze_id=freeze.pk, reason="Closed early.", actor=che, at=at)
    assert whole(running).runs


def test_a_freeze_begins_and_ends_by_itself(running: Deployment) -> None:
    at = running.clock.at
    freezes.declare(
        name="Night", reason="Backup.", starts_at=at + timedelta(minutes=5), ends_at=at + timedelta(minutes=9),
        actor=running.cast.che, at=at,
    )  # fmt: skip
    asked = [ask_whole(running.rollout, at=at + timedelta(minutes=minutes)).runs for minutes in (4, 5, 8, 9)]
    assert asked == [True, False, False, True]


@pytest.mark.parametrize(
    "change", [{"revision": 2}, {"retired_at": datetime.fromisoformat("2026-11-18T09:00:00+00:00")}]
)
def test_a_window_that_is_not_what_was_signed_halts(running: Deployment, change: dict[str, Any]) -> None:
    ServiceWindow.objects.filter(pk=running.window.pk).update(**change)
    assert (whole(running).code, whole(running).halts) == ("windows", True)


def test_a_starter_who_lost_the_right_halts(running: Deployment) -> None:
    RoleGrant.objects.filter(user=running.cast.rex).delete()
    assert (whole(running).code, whole(running).halts) == ("starter", True)


def test_a_starter_who_was_locked_out_halts(running: Deployment) -> None:
    User.objects.filter(pk=running.cast.rex.pk).update(is_active=False)
    assert (whole(running).code, whole(running).halts) == ("starter", True)


def test_a_starter_who_signed_meanwhile_halts(running: Deployment) -> None:
    round_ = SignOffRound.objects.filter(subject_type="changes.rfc").first()
    assert round_ is not None
    level = SignOffLevel.objects.filter(round=round_).first()
    SignOff.objects.create(
        round=round_,
        level=level,
        user=running.cast.rex,
        verdict="approve",
        digest=round_.digest,
        decided_at=running.clock.at,
    )
    assert (whole(running).code, whole(running).halts) == ("starter", True)


def test_a_token_that_a_signer_was_given_after_the_start_halts_nothing(running: Deployment) -> None:
    """One given before it does, and the sentence says whose hands it was."""
    rex, signer = running.cast.rex, User.objects.get(pk=min(running.release.signer_ids()))
    User.objects.filter(pk=rex.pk).update(is_service=True)
    RoleGrant.objects.create(user=signer, role="administrator")
    begun = running.rollout.started_at
    assert begun is not None
    later = begun + timedelta(seconds=1)
    service_accounts.give_token(user_id=rex.pk, days=1, actor=User.objects.get(pk=signer.pk), at=later)
    assert whole(running).runs
    Rollout.objects.filter(pk=running.rollout.pk).update(started_at=later)
    slip = whole(running)
    assert (slip.code, slip.halts) == ("starter", True)
    assert slip.sentence == (
        "rex, which started it, is a program: somebody who had been given a token of it has signed it"
    )


def test_halting_writes_the_cause_and_resume_gives_it_as_a_reason(running: Deployment) -> None:
    from patchflow.kernel import workflow

    rfcs.lapse(rfc_id=running.rfc.pk, reason="superseded", actor=running.cast.che, at=running.clock.at)
    running.tick()
    assert running.rollout.state == "halted"
    assert "is not authorized" in running.rollout.reason
    offered = {a.name: a for a in workflow.available(running.rollout, actor=running.cast.rex, at=running.clock.at)}
    assert [b.code for b in offered["resume"].blockers] == ["gate.changes"]


def test_a_slip_of_the_rollout_is_written_only_when_its_verdict_changes(running: Deployment) -> None:
    switches.set_kill_switch(on=True, reason="power", actor=running.cast.otto, at=running.clock.at)
    for _turn in range(3):
        running.tick()
        running.pass_time(seconds=30)
    assert list(PermissionSlip.objects.filter(job=None).values_list("verdict", flat=True)) == ["defer"]


# --- one host ---------------------------------------------------------------------------------------------------------
def test_another_machine_under_the_same_name_is_refused(running: Deployment) -> None:
    Host.objects.filter(pk=running.hosts[0].pk).update(machine_id="f" * 32)
    slip = host(running)
    assert (slip.verdict, slip.code) == ("refuse", "machine")
    assert slip.gates[1]["input"]["signed"] == running.hosts[0].fingerprint
    assert host(running, 1).runs


def test_a_machine_that_nobody_has_seen_waits(running: Deployment) -> None:
    Host.objects.filter(pk=running.hosts[0].pk).update(machine_id="")
    assert (host(running).verdict, host(running).code) == ("defer", "machine")


def test_a_retired_host_is_refused(running: Deployment) -> None:
    Host.objects.filter(pk=running.hosts[0].pk).update(retired_at=running.clock.at)
    assert (host(running).verdict, host(running).code) == ("refuse", "service_state")


def test_an_exempt_host_is_refused_only_for_its_package(running: Deployment) -> None:
    at = running.clock.at
    given: dict[str, Any] = {
        "host": running.hosts[0], "reason": "r", "compensating_control": "c", "requested_by": running.cast.cora, "requested_at": at,
        "expires_at": at + timedelta(days=9), "state": "granted", "kind": "package",
    }  # fmt: skip
    Exemption.objects.create(subject="bash", **given)
    assert host(running).runs
    Exemption.objects.create(subject="openssl", **given)
    assert (host(running).verdict, host(running).code) == ("refuse", "service_state")


def test_start_dates(make: Make, now: datetime) -> None:
    deployment = make(hosts=1, earliest=now + timedelta(minutes=10), latest=now + timedelta(hours=5))
    deployment.start()
    deployment.tick()
    job = deployment.job()
    assert (job.state, job.code, job.not_before) == ("pending", "start", now + timedelta(minutes=10))
    deployment.pass_time(minutes=10)
    deployment.work()
    assert deployment.states() == ["succeeded"]


def test_a_shut_window_defers_to_its_next_opening(make: Make, now: datetime) -> None:
    deployment = make(hosts=1)
    deployment.pass_time(hours=8)
    deployment.start()
    deployment.tick()
    job = deployment.job()
    opens = now - timedelta(hours=1) + timedelta(days=7)
    assert (job.state, job.code, job.not_before) == ("pending", "window", opens)
    assert (
        job.statement
        == f"Will run at {opens:%d %b %Y %H:%M} UTC, because window “{deployment.window.name}” opens then."
    )
    deployment.clock.at = opens
    Host.objects.update(audited_at=opens)
    deployment.work()
    assert deployment.states() == ["succeeded"]


def test_a_window_with_too_little_left_defers(make: Make, now: datetime) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.pass_time(hours=6, minutes=31)  # 29 minutes are left, 30 are expected
    deployment.tick()
    assert (deployment.job().state, deployment.job().code) == ("pending", "window")


def test_the_cut_off_of_a_window_holds(make: Make, now: datetime) -> None:
    deployment = make(hosts=1, window={"cutoff_minutes": 300})
    deployment.pass_time(hours=2, minutes=1)
    deployment.start()
    deployment.tick()
    assert (deployment.job().state, deployment.job().code) == ("pending", "window")


def test_a_host_without_a_window_is_refused_with_that_reason(running: Deployment) -> None:
    GroupMember.objects.filter(host=running.hosts[0]).delete()
    slip = host(running)
    assert (slip.verdict, slip.code) == ("refuse", "window")
    assert "has none of the windows" in slip.statement


def test_a_window_that_was_not_signed_does_not_count(make: Make) -> None:
    from tests.factories.rollouts import open_window

    deployment = make(hosts=1)
    deployment.start()
    deployment.pass_time(hours=8)
    open_window(deployment.clock.at)
    deployment.tick()
    assert (deployment.job().state, deployment.job().code) == ("pending", "window")


def test_a_window_that_comes_after_the_latest_start_refuses(make: Make, now: datetime) -> None:
    deployment = make(hosts=1, latest=now + timedelta(days=2))
    deployment.pass_time(hours=8)
    deployment.start()
    deployment.tick()
    assert (deployment.job().state, deployment.job().code) == ("refused", "window")
    assert "comes after the latest start" in deployment.job().statement


def test_a_window_shorter_than_the_work_refuses(make: Make) -> None:
    deployment = make(hosts=1, window={"length_minutes": 20, "starts_local": time(9, 30)})
    deployment.start()
    deployment.tick()
    assert (deployment.job().state, deployment.job().code) == ("refused", "window")


def test_redundancy_never_takes_all_hosts_of_a_service_at_once(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    make_service("mail", deployment.hosts[:2], deployment.clock.at)
    make_service("alone", deployment.hosts[2:], deployment.clock.at)
    deployment.start()
    assert deployment.tick() == 2
    assert deployment.states() == ["claimed", "pending", "claimed"], (
        "mail keeps a host; a service of one host has no choice"
    )
    assert deployment.job(1).code == "redundancy"
    deployment.work()
    deployment.pass_time(minutes=2)
    deployment.work()
    assert deployment.states() == ["succeeded"] * 3


def test_redundancy_keeps_as_many_as_the_profile_asks(make: Make) -> None:
    """Half of five, rounded up, are three: two may be away at once. A cluster is a whole too."""
    deployment = make(
        hosts=5, rings=[{"hosts": 5, "concurrency": 5}], profile={"min_alive": 2, "min_alive_percent": 50}
    )
    cluster = ConfigurationItem.objects.create(kind="cluster", name="nodes")
    for one in deployment.hosts:
        Relation.objects.create(source=one.ci, target=cluster, kind="member_of", since_at=deployment.clock.at)
    deployment.start()
    assert deployment.tick() == 2
    waits = [n for n, state in enumerate(deployment.states()) if state == "pending"]
    assert {deployment.job(n).code for n in waits} == {"redundancy"}
    assert "2 hosts of a service would stay without it, and 3 must" in deployment.job(waits[0]).statement


def test_redundancy_refuses_what_no_waiting_opens(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 2}], profile={"min_alive": 2})
    make_service("mail", deployment.hosts, deployment.clock.at)
    deployment.start()
    deployment.tick()
    assert deployment.states() == ["refused", "refused"]
    assert deployment.job(0).code == "redundancy"


def test_redundancy_does_not_count_on_a_host_that_failed(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 1, "failure_limit": 2}])
    make_service("mail", deployment.hosts, deployment.clock.at)
    deployment.habit(0, "fail")
    deployment.start()
    deployment.work()
    assert deployment.states() == ["failed", "pending"]
    assert deployment.job(1).code == "redundancy"


def test_redundancy_keeps_as_many_as_the_service_asks_itself(make: Make) -> None:
    """Whatever the profile says that asks for less; another service of the same rollout keeps its usual one."""
    deployment = make(hosts=7, rings=[{"hosts": 7, "concurrency": 7}])
    make_service("mail", deployment.hosts[:4], deployment.clock.at, min_alive=2, min_alive_percent=75)
    make_service("shop", deployment.hosts[4:], deployment.clock.at)
    deployment.start()
    deployment.tick()
    assert deployment.states() == ["claimed", "pending", "pending", "pending", "claimed", "claimed", "pending"]
    assert "because 2 hosts of a service would stay without it, and 3 must." in deployment.job(1).statement
    deployment.work()
    for _n in range(3):
        deployment.pass_time(minutes=2)
        deployment.work()
    assert deployment.states() == ["succeeded"] * 7


def test_a_service_that_keeps_all_its_hosts_waits_until_its_rule_is_changed(make: Make) -> None:
    deployment = make(hosts=1, rings=[{"hosts": 1}])
    service = make_service("alone", deployment.hosts, deployment.clock.at, min_alive=1)
    deployment.start()
    deployment.tick()
    assert deployment.states() == ["pending"]
    assert "a service that it supports keeps all its hosts: change its rule" in deployment.job(0).statement
    items.revise(item_id=service.pk, min_alive=None, actor=deployment.cast.cora, at=deployment.clock.at)
    deployment.pass_time(minutes=2)
    deployment.work()
    assert deployment.states() == ["succeeded"]


@pytest.mark.parametrize("age", [None, timedelta(days=8)])
def test_an_old_audit_waits(running: Deployment, age: timedelta | None) -> None:
    audited = running.clock.at - age if age else None
    Host.objects.filter(pk=running.hosts[0].pk).update(audited_at=audited)
    assert (host(running).verdict, host(running).code) == ("defer", "audit")


def test_a_host_on_which_another_job_works_waits(make: Make, running: Deployment) -> None:
    from releases.models import Ring, Rollout

    rollout = Rollout.objects.create(
        number="RO-2026-99999", release=running.release, manifest=running.manifest, executor="x", planned_by=running.cast.rex,
        planned_at=running.clock.at, state_at=running.clock.at, state="cancelled",
    )  # fmt: skip
    ring = Ring.objects.create(
        rollout=rollout,
        position=0,
        name="r",
        concurrency=1,
        failure_limit=1,
        success_percent=1,
        soak_seconds=0,
        state_at=running.clock.at,
    )
    Job.objects.create(
        rollout=rollout,
        ring=ring,
        host=running.hosts[0],
        job_key="other",
        state="installing",
        state_at=running.clock.at,
    )
    slip = host(running)
    assert (slip.verdict, slip.code) == ("defer", "alone")
    assert "other is at work there" in slip.statement


def test_a_file_whose_verification_failed_since_waits(running: Deployment) -> None:
    artifact = Artifact.objects.get(version="3.0.15-1~deb12u2")
    Verification.objects.create(
        artifact=artifact, outcome=VerificationOutcome.REFUSED, reason="key revoked", verified_by=running.cast.bot,
        verified_at=running.clock.at,
    )  # fmt: skip
    assert (host(running).verdict, host(running).code) == ("defer", "files")


def test_a_host_without_an_accepted_key_waits(running: Deployment) -> None:
    Connection.objects.filter(host=running.hosts[0]).update(
        host_key="", host_key_accepted_by=None, host_key_accepted_at=None
    )
    slip = host(running)
    assert (slip.verdict, slip.code) == ("defer", "reach")
    assert "has not been accepted" in slip.statement


def test_an_executor_that_is_not_registered_waits(running: Deployment) -> None:
    from releases.models import Rollout

    Rollout.objects.filter(pk=running.rollout.pk).update(executor="gone")
    assert (host(running).verdict, host(running).code) == ("defer", "reach")


def test_the_same_deferral_writes_one_slip_and_one_entry(make: Make) -> None:
    deployment = make(hosts=1)
    Host.objects.filter(pk=deployment.hosts[0].pk).update(audited_at=None)
    deployment.start()
    for _turn in range(4):
        deployment.tick()
        deployment.pass_time(minutes=11)
    assert PermissionSlip.objects.filter(job__isnull=False).count() == 1
    Host.objects.filter(pk=deployment.hosts[0].pk).update(audited_at=deployment.clock.at)
    deployment.tick()
    assert list(PermissionSlip.objects.filter(job__isnull=False).order_by("pk").values_list("verdict", flat=True)) == [
        "defer",
        "run",
    ]


# --- at the moment of acting ------------------------------------------------------------------------------------------
def test_the_gates_are_asked_again_at_the_moment_of_acting(make: Make) -> None:
    """Let through, then everything changes before the worker comes: nothing is ordered."""
    deployment = make(hosts=2)
    deployment.start()
    deployment.tick()
    rfcs.lapse(rfc_id=deployment.rfc.pk, reason="superseded", actor=deployment.cast.che, at=deployment.clock.at)
    Host.objects.filter(pk=deployment.hosts[1].pk).update(machine_id="f" * 32)
    deployment.visit(0)
    assert deployment.states() == ["pending", "claimed"]
    assert "is not authorized" in deployment.job(0).statement
    assert deployment.job(0).lease_until is None
    deployment.work()
    assert deployment.simulator.effects() == []
    assert deployment.rollout.state == "halted"


def test_another_machine_at_the_moment_of_acting_is_refused(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    Host.objects.filter(pk=deployment.hosts[0].pk).update(machine_id="f" * 32)
    deployment.visit()
    assert deployment.job().state == "refused"
    assert deployment.simulator.effects() == []


def test_rollouts_reach_is_the_starters_scope(make: Make) -> None:
    """A starter whose right covers only some of the hosts starts nothing."""
    deployment = make(hosts=2)
    group = GroupMember.objects.filter(host=deployment.hosts[0]).get().group
    GroupMember.objects.filter(host=deployment.hosts[1]).delete()
    RoleGrant.objects.filter(user=deployment.cast.rex).update(scope=group.scope_key)
    from patchflow.kernel.errors import NotAllowed

    rex = User.objects.get(pk=deployment.cast.rex.pk)
    with pytest.raises(NotAllowed):
        rollouts.start(release_id=deployment.release.pk, actor=rex, at=deployment.clock.at)


def test_an_authorization_that_is_lost_has_one_receiver() -> None:
    from changes.signals import authorization_lost
    from releases.receivers import look_at_rollouts

    assert [found() if callable(found) else found for _key, found, *_more in authorization_lost.receivers] == [
        look_at_rollouts
    ]
