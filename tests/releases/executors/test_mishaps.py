"""What befalls real hosts and is nobody's fault: each ends in the right state, and says what to do."""

import re
import time
from dataclasses import replace

import pytest

from releases.executors.base import Action, HealthCheck, ObserveSpec, Stage, Timeouts, Verdict
from releases.executors.ssh import SshExecutor
from tests.lab.fleet import FreshHost
from tests.releases.executors.orders import at_stage, ended, order_for, stages, start

pytestmark = pytest.mark.lab

FULL = "sudo mkdir -p {0} && sudo mount -t tmpfs -o size=4k tmpfs {0} && sudo dd if=/dev/zero of={0}/full bs=4k count=1 status=none"

HEALTH = HealthCheck(name="web", kind="http", target="http://127.0.0.1:8080/version", attempts=3, interval=0.5)

SMALL = "sudo mkdir -p /var/cache/patchflow && sudo mount -t tmpfs -o size={0} tmpfs /var/cache/patchflow"


def test_settings_that_a_person_changed_stay_and_it_is_said(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    fresh_host.ssh("echo 'workers = 9' | sudo tee /etc/acme-conf.conf")

    done = ended(executor, start(executor, order_for(executor, fresh_host.endpoint, ("acme-conf", "1.1")))).result

    assert done is not None
    assert done.outcome is Stage.SUCCEEDED
    assert done.reason == (
        "installed and verified; but: /etc/acme-conf.conf was changed here and stays; the new one lies beside it, .dpkg-dist"
    )
    assert fresh_host.ssh("cat /etc/acme-conf.conf") == "workers = 9"
    assert "version = 1.1" in fresh_host.ssh("cat /etc/acme-conf.conf.dpkg-dist")
    assert fresh_host.state("acme-conf") == "1.1 installed"


def test_disk_full_before_the_download_is_refused_for_now(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh(FULL.format("/var/cache/patchflow"))

    progress = ended(executor, start(executor, order))
    done = progress.result

    assert done is not None
    assert (done.outcome, done.code, done.permanent) == (Stage.REFUSED, "disk_full", False), done.reason
    assert done.reason.endswith("What to do: free space on the host; it is tried again by itself")
    assert "installing" not in stages(progress)
    assert fresh_host.dpkg_ran("acme-tool") == 0


def test_files_are_not_laid_ready_where_room_is_short_and_the_job_still_is_done(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh(SMALL.format("64m"))
    fresh_host.ssh("sudo touch -d 2001-01-01 /var/lib/apt/lists")

    progress = ended(executor, start(executor, replace(order, job_key="stage.1", action=Action.STAGE)))
    done = progress.result

    assert done is not None
    assert (done.outcome, done.code, done.permanent) == (Stage.REFUSED, "disk_full", False), done.reason
    assert re.match(r"/var/cache/patchflow/stage\.1 has 6\d MiB free: too few to lay 1 MiB ready there", done.reason)
    assert done.reason.endswith("What to do: free space on the host; it is tried again by itself")
    assert stages(progress) == ["accepted", "refused"]
    assert fresh_host.ssh("sudo find /var/cache/patchflow /var/lib/patchflow/store -name '*.deb*'") == ""
    assert fresh_host.ssh("stat -c %y /var/lib/apt/lists").startswith("2001-01-01"), "no list was fetched either"

    installed = ended(executor, start(executor, order)).result
    assert installed is not None
    assert installed.outcome is Stage.SUCCEEDED, installed.reason


def test_files_are_laid_ready_from_one_disk_to_another(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh(SMALL.format("700m"))

    staged = ended(executor, start(executor, replace(order, job_key="stage.1", action=Action.STAGE))).result
    assert staged is not None
    assert staged.outcome is Stage.STAGED_ONLY, staged.reason
    found = fresh_host.ssh("sudo find /var/cache/patchflow /var/lib/patchflow/store -name '*.deb*'")
    assert found == f"/var/lib/patchflow/store/{order.artifacts[0].sha256}.deb"

    progress = ended(executor, start(executor, order))
    assert progress.result is not None
    assert progress.result.outcome is Stage.SUCCEEDED, progress.result.reason
    assert any("1 of them staged ahead" in event.message for event in progress.events)


def test_disk_full_while_unpacking_fails_and_the_old_version_is_whole(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh(FULL.format("/usr/share/acme-tool"))

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "disk_full"), done.reason
    assert "acme-tool is 1.0 installed, wanted 1.1" in done.reason
    assert "No space left on device" in done.log_tail
    assert done.reason.endswith("What to do: free space on the host, then retry it")
    assert fresh_host.state("acme-tool") == "1.0 installed"
    assert fresh_host.ssh("sudo dpkg --audit") == ""


def test_held_package_says_to_take_the_hold_off(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    fresh_host.ssh("sudo apt-mark hold acme-tool")

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.code, done.permanent) == (Stage.REFUSED, "held", True)
    assert done.reason.endswith("What to do: take the hold off on the host, or leave the host out of the rollout")


def test_failing_script_says_to_roll_back_or_to_bring_a_repaired_version(fresh_host: FreshHost) -> None:
    executor = SshExecutor()

    done = ended(executor, start(executor, order_for(executor, fresh_host.endpoint, ("acme-brittle", "1.1")))).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "package_state")
    assert "acme-brittle is 1.1 half-configured, wanted 1.1" in done.reason
    assert "What to do: roll back, or bring a repaired version" in done.reason


def test_unhealthy_service_says_to_roll_back_or_to_mend_it(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-web", "2.0"), health=(HEALTH,))

    done = ended(executor, start(executor, order)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "unhealthy")
    assert done.reason.endswith("What to do: roll back, or mend the service on the host and look again")


def test_host_that_was_taken_back_and_is_not_healthy_says_so(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    fresh_host.ssh("sudo apt-get -qq -y install acme-web=2.0")
    back = order_for(executor, fresh_host.endpoint, ("acme-web", "1.0"), action=Action.ROLLBACK)
    elsewhere = replace(HEALTH, target="http://127.0.0.1:8081/version")

    done = ended(executor, start(executor, replace(back, health=(elsewhere,)))).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "back_unhealthy")
    assert done.reason.startswith("taken back, and web is still not healthy: ")
    assert done.reason.endswith(
        "What to do: mend the service on the host and look again, or restore the host from a backup"
    )
    assert fresh_host.state("acme-web") == "1.0 installed"


def test_package_that_does_not_go_back_says_how_to_go_on(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    fresh_host.ssh("sudo apt-get -qq -y install acme-oneway=2.0")
    back = order_for(executor, fresh_host.endpoint, ("acme-oneway", "1.0"), action=Action.ROLLBACK)

    done = ended(executor, start(executor, back)).result

    assert done is not None
    assert (done.outcome, done.code) == (Stage.FAILED, "no_way_back")
    assert "acme-oneway is 2.0 installed, wanted 1.0" in done.reason
    assert done.reason.endswith(
        "What to do: bring a repaired version by a release of its own, or restore the host from a backup; until then the host "
        "stays at the version that it has"
    )
    assert "roll back" not in done.reason
    assert fresh_host.ssh("sudo dpkg --audit") == "", "nothing is left half-installed"


def test_package_that_brings_another_says_to_have_the_whole_set_signed(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-lib", "2.0"))
    alone = tuple(change for change in order.packages if change.name == "acme-lib")

    done = ended(executor, start(executor, replace(order, packages=alone))).result

    assert done is not None
    assert (done.outcome, done.code, done.permanent) == (Stage.REFUSED, "not_contained", True)
    assert done.reason.endswith("What to do: build the release anew, so that the whole set is seen and signed")


def test_lock_that_is_held_says_that_it_is_tried_again(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    order = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"), timeouts=Timeouts(lock=2))
    lock = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(20)"
    fresh_host.ssh(f'sudo systemd-run --quiet --unit locker python3 -c "{lock}"; sleep 0.5')

    done = ended(executor, start(executor, order)).result
    fresh_host.ssh("sudo systemctl stop locker")

    assert done is not None
    assert (done.outcome, done.code, done.permanent) == (Stage.REFUSED, "locked", False)
    assert "What to do: it is tried again by itself; if it stays so, see on the host what" in done.reason


def test_slow_script_that_is_cancelled_says_that_it_runs_on(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    fresh_host.ssh("echo 3 | sudo tee /etc/acme-slow.seconds")
    handle = start(executor, order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1")))
    at_stage(executor, handle, "installing")

    answer = executor.cancel(handle)[0]

    assert (answer.word, answer.reason) == ("too_late", "at installing; what runs is not stopped")
    done = ended(executor, handle).result
    assert done is not None
    assert (done.outcome, done.code) == (Stage.SUCCEEDED, "")


def test_cable_out_is_said_and_asks_nobody_for_anything(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    fresh_host.ssh("echo 3 | sudo tee /etc/acme-slow.seconds")
    handle = start(executor, order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1")))
    at_stage(executor, handle, "installing")
    fresh_host.lab.link("h01", "down")
    try:
        cut = executor.events(handle)[0]
    finally:
        fresh_host.lab.link("h01", "up")

    assert (cut.reachable, cut.result) == (False, None), "nobody knows how it ended, and nobody says that it did"
    assert "cannot be reached" in cut.reason or "does not answer" in cut.reason
    assert "What to do" not in cut.reason
    done = ended(executor, handle).result
    assert done is not None
    assert (done.outcome, done.reason) == (Stage.SUCCEEDED, "installed and verified")


def test_power_cut_says_to_recover_first(fresh_host: FreshHost) -> None:
    executor = SshExecutor()
    fresh_host.ssh("echo 30 | sudo tee /etc/acme-slow.seconds")
    order = order_for(executor, fresh_host.endpoint, ("acme-slow", "1.1"))
    other = order_for(executor, fresh_host.endpoint, ("acme-tool", "1.1"))
    handle = start(executor, order)
    at_stage(executor, handle, "installing")
    time.sleep(2)
    fresh_host.lab.crash("h01")
    fresh_host.lab.start("h01")

    seen = executor.observe(
        ObserveSpec(endpoint=order.endpoint, job_key=order.job_key, action=order.action, packages=order.packages)
    )
    assert seen.verdict is Verdict.INTERRUPTED
    assert seen.reason == "packages are unfinished; recover before anything else"
    refused = ended(executor, start(executor, other)).result
    assert refused is not None
    assert (refused.outcome, refused.code, refused.permanent) == (Stage.REFUSED, "unfinished", False)
    assert refused.reason.endswith(
        "What to do: finish it on the host, or let a person decide to; then it is tried again by itself"
    )
