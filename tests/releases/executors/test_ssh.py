"""The executor on real Debian hosts: what it installs, what it refuses, and how it is found again."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from releases.executors.base import (
    Action,
    Batch,
    HealthCheck,
    JobOrder,
    ObserveSpec,
    PackageChange,
    RestartPolicy,
    Stage,
    Timeouts,
    Verdict,
)
from releases.executors.ssh import SshExecutor
from tests.lab.fleet import FreshHost, started
from tests.releases.executors.orders import at_stage, ended, order_for, stages, start

pytestmark = pytest.mark.lab

HEALTH = HealthCheck(name="web", kind="http", target="http://127.0.0.1:8080/version", attempts=3, interval=0.5)


@pytest.fixture
def executor() -> SshExecutor:
    return SshExecutor()


def look(executor: SshExecutor, order: JobOrder) -> tuple[Verdict, str]:
    seen = executor.observe(
        ObserveSpec(
            endpoint=order.endpoint,
            job_key=order.job_key,
            action=order.action,
            packages=order.packages,
            health=order.health,
        )
    )
    return seen.verdict, seen.reason


def seconds_of_slow(host: FreshHost, seconds: int) -> None:
    host.ssh(f"echo {seconds} | sudo tee /etc/acme-slow.seconds")


# ------------------------------------------------------------------------ dry run


def test_dry_run_names_the_whole_set_with_its_files(executor: SshExecutor, fresh_host: FreshHost) -> None:
    plan = executor.dry_run(fresh_host.endpoint, [("acme-lib", "2.0")])

    assert plan.changes == (
        PackageChange(name="acme-app", arch="all", from_version="1.0", to_version="2.0"),
        PackageChange(name="acme-lib", arch="all", from_version="1.0", to_version="2.0"),
    )
    pool = fresh_host.lab.folder / "www/debian/pool/lab-updates"
    for artifact in plan.artifacts:
        digest = subprocess.run(["sha256sum", pool / artifact.filename], capture_output=True, text=True, check=True)
        assert artifact.sha256 == digest.stdout.split()[0]
        assert artifact.size == (pool / artifact.filename).stat().st_size
    assert [artifact.package for artifact in plan.artifacts] == ["acme-app", "acme-lib"]
    assert fresh_host.state("acme-lib") == "1.0 installed"


def test_dry_run_refuses_an_unknown_version_in_apts_words(executor: SshExecutor, fresh_host: FreshHost) -> None:
    plan = executor.dry_run(fresh_host.endpoint, [("acme-tool", "9.9")])

    assert (plan.code, plan.changes) == ("impossible", ())
    assert "Version '9.9' for 'acme-tool' was not found" in plan.refused


def test_dry_run_names_removals(executor: SshExecutor, fresh_host: FreshHost) -> None:
    assert executor.dry_run(fresh_host.endpoint, [("acme-lib", "")]).removals == ("acme-app", "acme-lib")


# ------------------------------------------------------------------------ install


def test_install_brings_exact_versions_and_leaves_marks_alone(executor: SshExecutor, fresh_host: FreshHost) -> None:
    fresh_host.ssh("sudo apt-mark auto acme-lib")
    order = order_for(executor, fresh_host.endpoint, ("acme-lib", "2.0"), ("acme-tool", "1.1"))

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert (done.result.outcome, done.result.reason) == (Stage.SUCCEEDED, "installed and verified")
    assert stages(done) == ["accepted", "staged", "installing", "verifying", "succeeded"]
    assert [event.seq for event in done.events] == [1, 2, 3, 4, 5]
    assert [fresh_host.state(name) for name in ("acme-lib", "acme-app", "acme-tool")] == [
        "2.0 installed",
        "2.0 installed",
        "1.1 installed",
    ]
    assert fresh_host.ssh("apt-mark showauto acme-lib acme-app acme-tool").split() == ["acme-lib"]
    assert fresh_host.ssh("sudo find /var/cache/patchflow -name '*.deb'") == ""
    assert look(executor, order)[0] is Verdict.SUCCEEDED


def test_install_of_a_package_with_a_failing_script_fails_and_the_old_version_mends_it(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-brittle", "1.1"))

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "package_state")
    assert "half-configured" in done.reason
    assert "cannot convert the database" in done.log_tail
    assert look(executor, order)[0] is Verdict.FAILED

    other = order_for(executor, fresh_host.endpoint, ("acme-web", "1.1"))
    refused = ended(executor, start(executor, replace(other, packages=other.packages[:1]))).result
    assert refused is not None
    assert (refused.outcome, refused.code, refused.permanent) == (Stage.REFUSED, "unfinished", False)
    assert fresh_host.state("acme-web") == "1.0 installed"

    back = order_for(executor, fresh_host.endpoint, ("acme-brittle", "1.0"), action=Action.ROLLBACK)
    undone = ended(executor, start(executor, back)).result
    assert undone is not None
    assert undone.outcome is Stage.SUCCEEDED
    assert fresh_host.state("acme-brittle") == "1.0 installed"


def test_install_where_it_is_already_is_not_needed(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh("sudo apt-get -qq -y install acme-tool=2.0")

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert done.outcome is Stage.NOT_NEEDED
    assert look(executor, order)[0] is Verdict.SUCCEEDED
    assert fresh_host.state("acme-tool") == "2.0 installed"


def test_unhealthy_service_fails_though_apt_is_content(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-web", "2.0"), health=(HEALTH,))

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "unhealthy")
    assert "answers 500" in done.reason

    back = order_for(executor, fresh_host.endpoint, ("acme-web", "1.0"), action=Action.ROLLBACK, health=(HEALTH,))
    restored = ended(executor, start(executor, back)).result
    assert restored is not None
    assert restored.outcome is Stage.SUCCEEDED


# ---------------------------------------------------------------- what is refused


def refused(executor: SshExecutor, host: FreshHost, order: JobOrder, package: str, code: str) -> str:
    """The reason of a refusal, after asserting that nothing was installed."""
    before = host.dpkg_ran(package)
    done = ended(executor, start(executor, order))
    assert done.result is not None
    assert (done.result.outcome, done.result.code) == (Stage.REFUSED, code), done.result.reason
    assert "installing" not in stages(done)
    assert host.state(package) == "1.0 installed"
    assert host.dpkg_ran(package) == before
    assert look(executor, order)[0] is Verdict.UNDONE
    return done.result.reason


@pytest.mark.parametrize("what", ["key", "unsigned", "expired"])
def test_tampered_repository_is_refused_despite_good_old_lists(
    executor: SshExecutor, fresh_host: FreshHost, what: str
) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.lab.tamper(what)
    try:
        refused(executor, fresh_host, order, "acme-tool", "repository_untrusted")
    finally:
        fresh_host.lab.repair()


def test_package_list_edited_after_signing_is_refused(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh("sudo rm -rf /var/lib/apt/lists")  # else apt has no reason to fetch the list again
    fresh_host.lab.tamper("index")
    try:
        refused(executor, fresh_host, order, "acme-tool", "repository_untrusted")
    finally:
        fresh_host.lab.repair()


def test_tampered_package_is_refused(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.lab.tamper("package")
    try:
        refused(executor, fresh_host, order, "acme-tool", "repository_untrusted")
    finally:
        fresh_host.lab.repair()


def test_file_with_other_bytes_than_signed_is_refused_though_the_repository_vouches_for_it(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    other = replace(order.artifacts[0], sha256="0" * 64)

    reason = refused(executor, fresh_host, replace(order, artifacts=(other,)), "acme-tool", "artifact_mismatch")

    assert order.artifacts[0].sha256 in reason


def test_file_that_nobody_signed_is_refused(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))

    refused(executor, fresh_host, replace(order, artifacts=()), "acme-tool", "artifact_extra")


def test_dependency_that_nobody_signed_is_refused(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-lib", "2.0"))
    only_lib = tuple(change for change in order.packages if change.name == "acme-lib")

    reason = refused(executor, fresh_host, replace(order, packages=only_lib), "acme-app", "not_contained")

    assert "acme-app 2.0" in reason


def test_removal_that_nobody_signed_is_refused(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-lib", ""), action=Action.UNINSTALL)
    only_lib = tuple(change for change in order.packages if change.name == "acme-lib")

    reason = refused(executor, fresh_host, replace(order, packages=only_lib), "acme-app", "not_contained")

    assert "removal of acme-app" in reason


def test_downgrade_is_refused_unless_it_is_a_rollback(executor: SshExecutor, fresh_host: FreshHost) -> None:
    fresh_host.ssh("sudo apt-get -qq -y install acme-tool=1.1")
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.0"), action=Action.INSTALL)

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert done.outcome is Stage.NOT_NEEDED
    assert fresh_host.state("acme-tool") == "1.1 installed"


def test_another_machine_is_refused(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"), machine_id="0" * 32)

    refused(executor, fresh_host, order, "acme-tool", "wrong_machine")


def test_held_package_is_refused(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh("sudo apt-mark hold acme-tool")

    refused(executor, fresh_host, order, "acme-tool", "held")


def test_unreachable_repository_is_refused_for_now(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.lab.repository("down")
    try:
        handle = start(executor, order)
        done = ended(executor, handle, seconds=90).result
    finally:
        fresh_host.lab.repository("up")

    assert done is not None
    assert (done.outcome, done.code, done.permanent) == (Stage.REFUSED, "repository_unreachable", False)
    assert fresh_host.state("acme-tool") == "1.0 installed"


def test_locked_package_database_is_waited_for_then_refused_for_now(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"), timeouts=Timeouts(lock=2))
    lock = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(20)"
    fresh_host.ssh(f'sudo systemd-run --quiet --unit locker python3 -c "{lock}"; sleep 0.5')

    reason = ended(executor, start(executor, order)).result
    fresh_host.ssh("sudo systemctl stop locker")

    assert reason is not None
    assert (reason.outcome, reason.code, reason.permanent) == (Stage.REFUSED, "locked", False)
    assert "python3 (" in reason.reason


# ------------------------------------------------------------- once, and found again


def test_same_order_twice_is_done_once(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    with ThreadPoolExecutor(4) as pool:
        handles = list(pool.map(lambda _: executor.start(Batch(orders=(order,))), range(4)))
    ended(executor, handles[0])
    again = executor.start(Batch(orders=(order,))).jobs[0].answer

    words = sorted(handle.jobs[0].answer.word for handle in handles)
    assert set(words) <= {"accepted", "already"}
    assert "accepted" in words
    assert (again.word, again.reason) == ("already", "at succeeded")
    assert fresh_host.dpkg_ran("acme-tool") == 1


def test_other_order_under_the_same_key_and_old_claims_are_not_obeyed(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"), fence=7)
    ended(executor, start(executor, order))

    def word(**changed: object) -> str:
        return executor.start(Batch(orders=(replace(order, **changed),))).jobs[0].answer.word

    assert word(fence=6) == "stale"
    assert word(packages=()) == "different"
    assert word(fence=8) == "already"
    assert word(fence=7) == "stale"


def test_controller_killed_in_the_middle_job_is_found_again_and_ran_once(
    executor: SshExecutor, fresh_host: FreshHost, tmp_path: Path
) -> None:
    seconds_of_slow(fresh_host, 5)
    order = order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1"))
    program = tmp_path / "controller.py"
    program.write_text(
        "import sys, time, pickle\n"
        "from releases.executors.ssh import SshExecutor\n"
        "from releases.executors.base import Batch\n"
        "handle = SshExecutor().start(Batch(orders=(pickle.load(open(sys.argv[1], 'rb')),)))\n"
        "print(handle.jobs[0].answer.word, flush=True)\n"
        "while True:\n"
        "    SshExecutor().events(handle)\n"
        "    time.sleep(0.1)\n"
    )
    import pickle

    (tmp_path / "order").write_bytes(pickle.dumps(order))
    controller = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "order")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert controller.stdout is not None
    assert controller.stdout.readline() == "accepted\n"
    handle = executor.attach([order])
    at_stage(executor, handle, "installing")
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()

    assert look(executor, order)[0] is Verdict.RUNNING
    done = ended(executor, handle)
    assert done.result is not None
    assert done.result.outcome is Stage.SUCCEEDED
    assert fresh_host.state("acme-slow") == "1.1 installed"
    assert fresh_host.dpkg_ran("acme-slow") == 1


def test_worker_killed_on_the_host_apt_runs_on_and_looking_tells_the_outcome(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    seconds_of_slow(fresh_host, 4)
    order = order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1"))
    handle = start(executor, order)
    at_stage(executor, handle, "installing")
    time.sleep(1.5)
    fresh_host.ssh(
        "sudo systemctl kill --signal=KILL --kill-who=main patchflow-job-$KEY-work".replace("$KEY", order.job_key)
    )

    deadline = time.monotonic() + 20
    while look(executor, order)[0] is Verdict.RUNNING and time.monotonic() < deadline:
        time.sleep(0.5)

    progress = executor.events(handle)[0]
    assert (progress.known, progress.alive, progress.result) == (True, False, None)
    assert look(executor, order)[0] is Verdict.SUCCEEDED
    assert executor.start(Batch(orders=(order,))).jobs[0].answer.word == "already"
    assert fresh_host.dpkg_ran("acme-slow") == 1


def test_cable_out_in_the_middle_is_unreachable_and_then_a_success(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    seconds_of_slow(fresh_host, 3)
    handle = start(executor, order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1")))
    at_stage(executor, handle, "installing")
    fresh_host.lab.link("h01", "down")
    try:
        cut = executor.events(handle)[0]
    finally:
        fresh_host.lab.link("h01", "up")

    assert (cut.reachable, cut.result) == (False, None)
    assert "cannot be reached" in cut.reason or "does not answer" in cut.reason
    done = ended(executor, handle).result
    assert done is not None
    assert done.outcome is Stage.SUCCEEDED


def test_power_cut_in_the_middle_is_interrupted_and_recovered_as_a_step_of_its_own(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    seconds_of_slow(fresh_host, 30)
    order = order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1"))
    handle = start(executor, order)
    at_stage(executor, handle, "installing")
    time.sleep(2)
    fresh_host.lab.crash("h01")
    fresh_host.lab.start("h01")

    progress = executor.events(handle)[0]
    assert (progress.alive, progress.result) == (False, None)
    assert look(executor, order)[0] is Verdict.INTERRUPTED

    seconds_of_slow(fresh_host, 0)
    recover = replace(order, job_key=f"{order.job_key}-recover", action=Action.RECOVER)
    done = ended(executor, start(executor, recover)).result
    assert done is not None
    assert done.outcome is Stage.SUCCEEDED
    assert fresh_host.state("acme-slow") == "1.1 installed"
    assert look(executor, order)[0] is Verdict.SUCCEEDED


def test_second_job_on_a_busy_host_is_answered_with_the_first_ones_key(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    seconds_of_slow(fresh_host, 3)
    other = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    first = order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1"))
    handle = start(executor, first)

    answer = executor.start(Batch(orders=(other,))).jobs[0].answer

    assert (answer.word, first.job_key in answer.reason) == ("busy", True)
    ended(executor, handle)
    assert fresh_host.state("acme-tool") == "1.0 installed"
    assert executor.start(Batch(orders=(other,))).jobs[0].answer.word == "accepted"


def test_unreachable_host_is_an_answer_and_was_surely_not_started(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    nowhere = replace(order, endpoint=replace(fresh_host.endpoint, address=f"{fresh_host.lab.net}.99"))

    answer = executor.start(Batch(orders=(nowhere,))).jobs[0].answer

    assert (answer.word, answer.unknown) == ("unreachable", False)


# ------------------------------------------------------------------------- cancel


def test_cancel_before_installing_installs_nothing(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"), timeouts=Timeouts(lock=30))
    lock = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(60)"
    fresh_host.ssh(f'sudo systemd-run --quiet --unit locker python3 -c "{lock}"; sleep 0.5')
    handle = start(executor, order)

    answers = executor.cancel(handle)
    done = ended(executor, handle).result
    fresh_host.ssh("sudo systemctl stop locker")

    assert [answer.word for answer in answers] == ["cancelled"]
    assert done is not None
    assert done.outcome is Stage.CANCELLED
    assert fresh_host.state("acme-tool") == "1.0 installed"
    assert [answer.word for answer in executor.cancel(handle)] == ["ended"]


def test_cancel_of_what_installs_says_too_late_and_it_runs_on(executor: SshExecutor, fresh_host: FreshHost) -> None:
    seconds_of_slow(fresh_host, 3)
    handle = start(executor, order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1")))
    at_stage(executor, handle, "installing")

    assert [answer.word for answer in executor.cancel(handle)] == ["too_late"]
    done = ended(executor, handle).result
    assert done is not None
    assert done.outcome is Stage.SUCCEEDED


def test_cancel_before_the_order_arrives_stops_it_when_it_does(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))

    assert [answer.word for answer in executor.cancel(executor.attach([order]))] == ["cancelled"]
    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert done.outcome is Stage.CANCELLED
    assert fresh_host.state("acme-tool") == "1.0 installed"


# ------------------------------------------------------ back, away, staged, restarted


def test_rollback_brings_the_old_versions_back(executor: SshExecutor, fresh_host: FreshHost) -> None:
    ended(executor, start(executor, order_for(executor, fresh_host.endpoint, ("acme-lib", "2.0"))))
    back = order_for(executor, fresh_host.endpoint, ("acme-lib", "1.0"), ("acme-app", "1.0"), action=Action.ROLLBACK)

    done = ended(executor, start(executor, back)).result

    assert done is not None
    assert done.outcome is Stage.SUCCEEDED
    assert (fresh_host.state("acme-lib"), fresh_host.state("acme-app")) == ("1.0 installed", "1.0 installed")


def test_rollback_of_a_package_without_a_way_back_fails_in_its_words(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    fresh_host.ssh("sudo apt-get -qq -y install acme-oneway=2.0")
    back = order_for(executor, fresh_host.endpoint, ("acme-oneway", "1.0"), action=Action.ROLLBACK)

    done = ended(executor, start(executor, back)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "no_way_back")
    assert "acme-oneway is 2.0 installed, wanted 1.0" in done.reason
    assert fresh_host.state("acme-oneway") == "2.0 installed"


def test_uninstall_and_install_again(executor: SshExecutor, fresh_host: FreshHost) -> None:
    away = order_for(executor, fresh_host.endpoint, ("acme-tool", ""), action=Action.UNINSTALL)
    gone = ended(executor, start(executor, away)).result
    assert gone is not None
    assert gone.outcome is Stage.SUCCEEDED
    assert "installed" not in fresh_host.state("acme-tool").split()

    again = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    assert again.packages[0].from_version == ""
    back = ended(executor, start(executor, again)).result
    assert back is not None
    assert back.outcome is Stage.SUCCEEDED
    assert fresh_host.ssh("apt-mark showmanual acme-tool") == "acme-tool"


def test_staged_files_are_used_later_without_the_repository(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    staging = ended(executor, start(executor, replace(order, job_key="stage.1", action=Action.STAGE)))
    assert staging.result is not None
    assert staging.result.outcome is Stage.STAGED_ONLY
    assert stages(staging) == ["accepted", "staged", "staged_only"]
    assert fresh_host.state("acme-tool") == "1.0 installed"

    fresh_host.lab.repository("down")
    try:
        done = ended(executor, start(executor, order))
    finally:
        fresh_host.lab.repository("up")
    assert done.result is not None
    assert done.result.outcome is Stage.SUCCEEDED, done.result.reason
    assert fresh_host.state("acme-tool") == "1.1 installed"
    staged = next(event for event in done.events if event.stage is Stage.STAGED)
    assert staged.message == "1 files are there and are the signed ones, 1 of them staged ahead"
    assert staged.data["ahead"] == 1


def test_a_staged_file_that_was_changed_since_is_fetched_again(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    ended(executor, start(executor, replace(order, job_key="stage.1", action=Action.STAGE)))
    stored = f"/var/lib/patchflow/store/{order.artifacts[0].sha256}.deb"
    fresh_host.ssh(f"sudo sh -c 'printf X | dd of={stored} bs=1 seek=100 conv=notrunc status=none'")

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert done.result.outcome is Stage.SUCCEEDED, done.result.reason
    assert fresh_host.state("acme-tool") == "1.1 installed"
    assert [e.message for e in done.events if e.stage is Stage.STAGED] == ["1 files are there and are the signed ones"]
    assert fresh_host.ssh(f"sudo test -e {stored} || echo gone") == "gone"


def test_lists_that_do_not_do_any_more_are_fetched_although_the_files_are_there(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    ended(executor, start(executor, replace(order, job_key="stage.1", action=Action.STAGE)))
    fresh_host.ssh("sudo find /var/lib/apt/lists -type f -delete")

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert done.result.outcome is Stage.SUCCEEDED, done.result.reason
    assert any("what was staged ahead does not do, so it is fetched" in event.message for event in done.events)
    assert [e.data.get("ahead") for e in done.events if e.stage is Stage.STAGED] == [1]


def test_a_job_that_comes_while_files_are_laid_ready_has_them_make_way(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    lock = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(30)"
    fresh_host.ssh(f'sudo systemd-run --quiet --unit locker python3 -c "{lock}"; sleep 0.5')
    staging = start(executor, replace(order, job_key="stage.1", action=Action.STAGE))

    busy = executor.start(Batch(orders=(order,))).jobs[0].answer
    ahead = ended(executor, staging).result

    assert busy.word == "busy"
    assert ahead is not None
    assert (ahead.outcome, ahead.code) == (Stage.CANCELLED, "cancelled")
    fresh_host.ssh("sudo systemctl stop locker")
    done = ended(executor, start(executor, order)).result
    assert done is not None
    assert done.outcome is Stage.SUCCEEDED


def test_restart_where_the_host_asks_for_it_then_verified(executor: SshExecutor, fresh_host: FreshHost) -> None:
    policy = RestartPolicy(mode="if_needed", timeout=60)
    order = order_for(executor, fresh_host.endpoint, ("acme-kernel", "1.1"), restart=policy, health=(HEALTH,))
    before = fresh_host.ssh("cat /proc/sys/kernel/random/boot_id")

    done = ended(executor, start(executor, order), seconds=90)

    assert done.result is not None
    assert (done.result.outcome, done.result.restarted, done.result.restart_needed) == (Stage.SUCCEEDED, True, False)
    assert stages(done) == ["accepted", "staged", "installing", "restarting", "verifying", "succeeded"]
    assert done.result.boot_id != before
    assert fresh_host.ssh("cat /run/acme-kernel") == "1.1"


def test_restart_that_is_not_allowed_is_only_reported(executor: SshExecutor, fresh_host: FreshHost) -> None:
    order = order_for(executor, fresh_host.endpoint, ("acme-kernel", "1.1"))
    before = fresh_host.ssh("cat /proc/sys/kernel/random/boot_id")

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.restarted, done.restart_needed) == (Stage.SUCCEEDED, False, True)
    assert fresh_host.ssh("cat /proc/sys/kernel/random/boot_id") == before


def test_host_without_systemd_works_too(executor: SshExecutor) -> None:
    with started(init="light") as lab:
        host = FreshHost(lab, "h01")
        host.ssh("sudo apt-get -qq update -eany")
        seconds_of_slow(host, 2)
        order = order_for(executor, host.endpoint, ("acme-slow", "1.1"))
        done = ended(executor, start(executor, order)).result
        assert done is not None
        assert done.outcome is Stage.SUCCEEDED
        assert host.state("acme-slow") == "1.1 installed"
