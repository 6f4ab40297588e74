"""The executor on real hosts of the RPM family: the same words as on Debian, by dnf's and rpm's own ways."""

import subprocess
import time
from dataclasses import replace

import pytest

from releases.executors.base import (
    Action,
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
from tests.lab.fleet import FreshRpmHost
from tests.releases.executors.orders import at_stage, ended, order_for, stages, start

pytestmark = pytest.mark.lab

HEALTH = HealthCheck(name="web", kind="http", target="http://127.0.0.1:8080/", attempts=3, interval=0.5)
LOCKED = "import fcntl, time; f = open('/var/lib/rpm/.rpm.lock', 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(60)"


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


def seconds_of_slow(host: FreshRpmHost, seconds: int) -> None:
    host.ssh(f"echo {seconds} | sudo tee /etc/acme-slow.seconds")


def refused(
    executor: SshExecutor,
    host: FreshRpmHost,
    order: JobOrder,
    code: str,
    *,
    permanent: bool = True,
    seconds: float = 60,
) -> str:
    """The reason of a refusal, after asserting that nothing was installed."""
    done = ended(executor, start(executor, order), seconds=seconds)
    assert done.result is not None
    assert (done.result.outcome, done.result.code) == (Stage.REFUSED, code), done.result.reason
    assert done.result.permanent is permanent
    assert "installing" not in stages(done)
    assert host.state(order.packages[0].name) == "1.0-1"
    assert host.transactions() == []
    assert look(executor, order)[0] is Verdict.UNDONE
    return done.result.reason


# ------------------------------------------------------------------------ dry run


def test_dry_run_names_the_whole_set_with_its_files(executor: SshExecutor, fresh_rpm_host: FreshRpmHost) -> None:
    plan = executor.dry_run(fresh_rpm_host.endpoint, [("acme-lib", "2.0-1")])

    assert plan.changes == (
        PackageChange(name="acme-app", arch="noarch", from_version="1.0-1", to_version="2.0-1"),
        PackageChange(name="acme-extra", arch="noarch", from_version="", to_version="2.0-1"),
        PackageChange(name="acme-lib", arch="noarch", from_version="1.0-1", to_version="2.0-1"),
    )
    pool = fresh_rpm_host.lab.folder / "www/rpm/Packages"
    assert {artifact.package for artifact in plan.artifacts} == {"acme-app", "acme-extra", "acme-lib"}
    for artifact in plan.artifacts:
        digest = subprocess.run(["sha256sum", pool / artifact.filename], capture_output=True, text=True, check=True)
        assert artifact.sha256 == digest.stdout.split()[0]
        assert artifact.size == (pool / artifact.filename).stat().st_size
    assert fresh_rpm_host.state("acme-lib") == "1.0-1"

    unknown = executor.dry_run(fresh_rpm_host.endpoint, [("acme-tool", "9.9-1")], refresh=False)
    assert (unknown.code, unknown.changes) == ("impossible", ())
    assert "acme-tool 9.9-1 was not found" in unknown.refused
    assert executor.dry_run(fresh_rpm_host.endpoint, [("acme-lib", "")], refresh=False).removals == (
        "acme-app",
        "acme-lib",
    )


# ------------------------------------------------------------------------ install


def test_install_brings_exact_versions_and_dnf_remembers_it(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    """Not the newest: acme-tool has a 2.0. What came for others only is marked so, what was asked for stays so."""
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-lib", "2.0-1"), ("acme-tool", "1.1-1"))

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert (done.result.outcome, done.result.reason) == (Stage.SUCCEEDED, "installed and verified")
    assert stages(done) == ["accepted", "staged", "installing", "verifying", "succeeded"]
    assert [fresh_rpm_host.state(name) for name in ("acme-lib", "acme-app", "acme-extra", "acme-tool")] == [
        "2.0-1", "2.0-1", "2.0-1", "1.1-1",
    ]  # fmt: skip
    assert f"patchflow {order.job_key}" in fresh_rpm_host.transactions()
    assert fresh_rpm_host.ssh("dnf -q -C repoquery --userinstalled --qf '%{name}' 'acme-[elt]*'").split() == [
        "acme-lib",
        "acme-tool",
    ]
    assert fresh_rpm_host.ssh("sudo find /var/cache/patchflow -name '*.rpm'") == ""
    assert look(executor, order)[0] is Verdict.SUCCEEDED

    back = order_for(executor, fresh_rpm_host.endpoint, *[(c.name, c.from_version) for c in order.packages],
                     action=Action.ROLLBACK)  # fmt: skip
    undone = ended(executor, start(executor, back)).result
    assert undone is not None
    assert undone.outcome is Stage.SUCCEEDED, undone.reason
    assert [fresh_rpm_host.state(name) for name in ("acme-lib", "acme-app", "acme-tool")] == ["1.0-1"] * 3
    assert "not installed" in fresh_rpm_host.state("acme-extra")

    newer = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    fresh_rpm_host.ssh("sudo dnf -qy upgrade acme-tool")
    already = ended(executor, start(executor, newer)).result
    assert already is not None
    assert (already.outcome, fresh_rpm_host.state("acme-tool")) == (Stage.NOT_NEEDED, "2.0-1")


def test_failing_pre_script_keeps_the_old_version_while_the_rest_goes_in(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-brittle", "1.1-1"), ("acme-tool", "1.1-1"))

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "package_kept")
    assert "What to do: roll back, or bring a repaired version" in done.reason
    assert "acme-brittle is 1.0-1 installed, wanted 1.1-1" in done.reason
    assert "Error in PREIN scriptlet in rpm package acme-brittle" in done.reason
    assert "cannot convert the database" in done.log_tail
    assert (fresh_rpm_host.state("acme-brittle"), fresh_rpm_host.state("acme-tool")) == ("1.0-1", "1.1-1")
    assert look(executor, order)[0] is Verdict.FAILED

    again = order_for(executor, fresh_rpm_host.endpoint, ("acme-brittle", "1.2-1"))
    mended = ended(executor, start(executor, again)).result
    assert mended is not None
    assert mended.outcome is Stage.SUCCEEDED


def test_failing_post_script_is_told_though_the_package_is_there(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-notice", "1.1-1"))

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, fresh_rpm_host.state("acme-notice")) == (Stage.SUCCEEDED, "1.1-1")
    assert done.reason == (
        "installed and verified; but: Error in POSTIN scriptlet in rpm package acme-notice; see the log"
    )
    assert "post script fails" in done.log_tail
    assert look(executor, order) == (Verdict.SUCCEEDED, done.reason)


def test_unhealthy_service_fails_though_dnf_is_content_and_goes_back(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-web", "2.0-1"), health=(HEALTH,))

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "unhealthy")
    assert "answers 500" in done.reason
    back = order_for(executor, fresh_rpm_host.endpoint, ("acme-web", "1.0-1"), action=Action.ROLLBACK, health=(HEALTH,))
    restored = ended(executor, start(executor, back)).result
    assert restored is not None
    assert restored.outcome is Stage.SUCCEEDED


def test_kernel_comes_beside_the_old_one_restarts_and_goes_again(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    policy = RestartPolicy(mode="if_needed", timeout=60)
    order = order_for(executor, fresh_rpm_host.endpoint, ("kernel", "1.1-1"), restart=policy, health=(HEALTH,))
    before = fresh_rpm_host.ssh("cat /proc/sys/kernel/random/boot_id")

    done = ended(executor, start(executor, order), seconds=90)

    assert done.result is not None
    assert (done.result.outcome, done.result.restarted, done.result.restart_needed) == (Stage.SUCCEEDED, True, False)
    assert stages(done) == ["accepted", "staged", "installing", "restarting", "verifying", "succeeded"]
    assert done.result.boot_id != before
    assert fresh_rpm_host.state("kernel").split() == ["1.0-1", "1.1-1"]

    back = order_for(executor, fresh_rpm_host.endpoint, ("kernel", "1.0-1"), action=Action.ROLLBACK)
    assert [(a.package, a.version) for a in back.artifacts] == [("kernel", "1.0-1")], "its file is known all the same"
    undone = ended(executor, start(executor, back)).result
    assert undone is not None
    assert undone.outcome is Stage.SUCCEEDED, undone.reason
    assert fresh_rpm_host.state("kernel") == "1.0-1"


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("what", ["metadata", "key", "package"])
def test_tampered_repository_is_refused(executor: SshExecutor, fresh_rpm_host: FreshRpmHost, what: str) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    fresh_rpm_host.lab.tamper_rpm(what)
    try:
        reason = refused(executor, fresh_rpm_host, order, "repository_untrusted")
    finally:
        fresh_rpm_host.lab.repair_rpm()
    assert ("GPG signature" if what == "key" else "checksum doesn't match") in reason


def test_what_was_not_signed_is_refused(executor: SshExecutor, fresh_rpm_host: FreshRpmHost) -> None:
    """Other bytes, a file too much, a dependency, a removal, another machine."""
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    other = replace(order.artifacts[0], sha256="0" * 64)
    reason = refused(executor, fresh_rpm_host, replace(order, job_key="x.1", artifacts=(other,)), "artifact_mismatch")
    assert order.artifacts[0].sha256 in reason
    refused(executor, fresh_rpm_host, replace(order, job_key="x.2", artifacts=()), "artifact_extra")
    refused(executor, fresh_rpm_host, replace(order, job_key="x.3", machine_id="0" * 32), "wrong_machine")

    lib = order_for(executor, fresh_rpm_host.endpoint, ("acme-lib", "2.0-1"))
    only_lib = tuple(change for change in lib.packages if change.name == "acme-lib")
    reason = refused(executor, fresh_rpm_host, replace(lib, packages=only_lib), "not_contained")
    assert "acme-app 2.0-1, acme-extra 2.0-1" in reason
    away = order_for(executor, fresh_rpm_host.endpoint, ("acme-lib", ""), action=Action.UNINSTALL)
    only_lib = tuple(change for change in away.packages if change.name == "acme-lib")
    assert "removal of acme-app" in refused(executor, fresh_rpm_host, replace(away, packages=only_lib), "not_contained")


def test_locked_version_is_held_not_missing(executor: SshExecutor, fresh_rpm_host: FreshRpmHost) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    fresh_rpm_host.ssh("echo acme-tool-1.0-1.noarch | sudo tee /etc/dnf/plugins/versionlock.list")

    assert "versionlock" in refused(executor, fresh_rpm_host, order, "held")


def test_locked_package_database_is_waited_for_then_refused_for_now(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"), timeouts=Timeouts(lock=2))
    fresh_rpm_host.ssh(f'sudo systemd-run --quiet --unit locker python3 -c "{LOCKED}"; sleep 0.5')

    done = ended(executor, start(executor, order)).result
    fresh_rpm_host.ssh("sudo systemctl stop locker")

    assert done is not None
    assert (done.outcome, done.code, done.permanent) == (Stage.REFUSED, "locked", False)
    assert "python3 (" in done.reason
    assert fresh_rpm_host.state("acme-tool") == "1.0-1"


def test_full_disk_is_refused_for_now_before_anything_is_touched(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    fresh_rpm_host.ssh(
        "sudo mount -t tmpfs -o size=4k tmpfs /usr/share/acme-tool"
        " && sudo dd if=/dev/zero of=/usr/share/acme-tool/full bs=4k count=1 status=none"
    )

    reason = refused(executor, fresh_rpm_host, order, "disk_full", permanent=False)

    assert "more space" in reason
    assert "/usr/share/acme-tool" in reason


def test_files_are_not_laid_ready_where_room_is_short_and_the_job_still_is_done(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    fresh_rpm_host.ssh(
        "sudo mkdir -p /var/cache/patchflow && sudo mount -t tmpfs -o size=64m tmpfs /var/cache/patchflow"
    )
    staging = replace(order, job_key="stage.1", action=Action.STAGE)

    reason = refused(executor, fresh_rpm_host, staging, "disk_full", permanent=False)

    assert "MiB free: too few to lay 1 MiB ready there" in reason
    assert fresh_rpm_host.ssh("sudo find /var/cache/patchflow /var/lib/patchflow/store -name '*.rpm*'") == ""

    done = ended(executor, start(executor, order)).result
    assert done is not None
    assert done.outcome is Stage.SUCCEEDED, done.reason


def test_what_fills_the_disk_while_dnf_downloads_is_named_so(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    fresh_rpm_host.ssh(
        "sudo mkdir -p /var/cache/patchflow && sudo mount -t tmpfs -o size=4k tmpfs /var/cache/patchflow"
        " && sudo dd if=/dev/zero of=/var/cache/patchflow/full bs=4k count=1 status=none"
    )
    refused(executor, fresh_rpm_host, order, "disk_full", permanent=False)


def test_staged_files_are_used_later_without_the_repository(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"))
    staging = ended(executor, start(executor, replace(order, job_key="stage.1", action=Action.STAGE)))
    assert stages(staging) == ["accepted", "staged", "staged_only"]

    fresh_rpm_host.lab.repository("down")
    try:
        done = ended(executor, start(executor, order))
    finally:
        fresh_rpm_host.lab.repository("up")
    assert done.result is not None
    assert done.result.outcome is Stage.SUCCEEDED, done.result.reason
    assert fresh_rpm_host.state("acme-tool") == "1.1-1"
    assert [e.data.get("ahead") for e in done.events if e.stage is Stage.STAGED] == [1]


# ------------------------------------------------------------- once, and found again


def test_worker_killed_on_the_host_dnf_runs_on_and_too_late_to_cancel(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    seconds_of_slow(fresh_rpm_host, 5)
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-slow", "1.1-1"))
    handle = start(executor, order)
    at_stage(executor, handle, "installing")
    assert [answer.word for answer in executor.cancel(handle)] == ["too_late"]
    time.sleep(1.5)
    fresh_rpm_host.ssh(f"sudo systemctl kill --signal=KILL --kill-who=main patchflow-job-{order.job_key}-work")
    assert look(executor, order)[0] is Verdict.RUNNING

    deadline = time.monotonic() + 20
    while look(executor, order)[0] is Verdict.RUNNING and time.monotonic() < deadline:
        time.sleep(0.5)

    progress = executor.events(handle)[0]
    assert (progress.known, progress.alive, progress.result) == (True, False, None)
    assert look(executor, order)[0] is Verdict.SUCCEEDED
    assert fresh_rpm_host.transactions() == [f"patchflow {order.job_key}"]


def test_cancel_before_installing_installs_nothing(executor: SshExecutor, fresh_rpm_host: FreshRpmHost) -> None:
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-tool", "1.1-1"), timeouts=Timeouts(lock=30))
    fresh_rpm_host.ssh(f'sudo systemd-run --quiet --unit locker python3 -c "{LOCKED}"; sleep 0.5')
    handle = start(executor, order)

    answers = executor.cancel(handle)
    done = ended(executor, handle).result
    fresh_rpm_host.ssh("sudo systemctl stop locker")

    assert [answer.word for answer in answers] == ["cancelled"]
    assert done is not None
    assert done.outcome is Stage.CANCELLED
    assert fresh_rpm_host.transactions() == []


def test_power_cut_in_the_middle_is_interrupted_and_recovered_as_a_step_of_its_own(
    executor: SshExecutor, fresh_rpm_host: FreshRpmHost
) -> None:
    """rpm leaves both versions of both packages, dnf a transaction without an end; the signed files are still there."""
    seconds_of_slow(fresh_rpm_host, 30)
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-slow", "1.1-1"), ("acme-tool", "1.1-1"))
    other = order_for(executor, fresh_rpm_host.endpoint, ("acme-web", "1.1-1"))
    handle = start(executor, order)
    at_stage(executor, handle, "installing")
    deadline = time.monotonic() + 20
    while not fresh_rpm_host.ssh("pgrep -x sleep", check=False):
        assert time.monotonic() < deadline
    fresh_rpm_host.lab.crash("r01")
    fresh_rpm_host.lab.start("r01")

    progress = executor.events(handle)[0]
    assert (progress.alive, progress.result) == (False, None)
    assert fresh_rpm_host.state("acme-slow").split() == ["1.0-1", "1.1-1"]
    assert look(executor, order) == (Verdict.INTERRUPTED, "packages are unfinished; recover before anything else")
    waits = ended(executor, start(executor, other)).result
    assert waits is not None
    assert (waits.outcome, waits.code, waits.permanent) == (Stage.REFUSED, "unfinished", False)
    assert "recover first: acme-slow, acme-tool" in waits.reason

    seconds_of_slow(fresh_rpm_host, 0)
    recover = replace(order, job_key=f"{order.job_key}-recover", action=Action.RECOVER, artifacts=(), refresh=False)
    done = ended(executor, start(executor, recover)).result
    assert done is not None
    assert done.outcome is Stage.SUCCEEDED, done.reason
    assert (fresh_rpm_host.state("acme-slow"), fresh_rpm_host.state("acme-tool")) == ("1.1-1", "1.1-1")
    assert fresh_rpm_host.ssh("ls /usr/share/acme-slow") == "version-1.1"
    assert look(executor, order)[0] is Verdict.SUCCEEDED


def test_interrupted_by_somebody_else_says_what_to_do(executor: SshExecutor, fresh_rpm_host: FreshRpmHost) -> None:
    seconds_of_slow(fresh_rpm_host, 30)
    order = order_for(executor, fresh_rpm_host.endpoint, ("acme-slow", "1.1-1"))
    fresh_rpm_host.ssh("sudo systemd-run --quiet dnf -qy upgrade acme-slow; until pgrep -x sleep; do sleep 0.2; done")
    fresh_rpm_host.lab.crash("r01")
    fresh_rpm_host.lab.start("r01")

    recover = replace(order, action=Action.RECOVER, artifacts=(), refresh=False)
    done = ended(executor, start(executor, recover)).result

    assert done is not None
    assert done.outcome is Stage.FAILED
    assert "acme-slow is there twice: 1.0-1, 1.1-1" in done.reason
    assert "finish it by hand, with `dnf remove --duplicates`" in done.reason
