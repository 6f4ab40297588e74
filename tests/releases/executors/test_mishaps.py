"""What befalls real hosts and is nobody's fault: each ends in the right state, and says what to do."""

import re
from dataclasses import replace

import pytest

from releases.executors.base import Action, Stage
from releases.executors.ssh import SshExecutor
from tests.lab.fleet import FreshHost
from tests.releases.executors.orders import ended, order_for, stages, start

pytestmark = pytest.mark.lab

FULL = "sudo mkdir -p {0} && sudo mount -t tmpfs -o size=4k tmpfs {0} && sudo dd if=/dev/zero of={0}/full bs=4k count=1 status=none"

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
    assert (done.outcome, done.code) == (Stage.FAILED, "package_state"), done.reason
    assert "acme-tool is 1.0 installed, wanted 1.1" in done.reason
    assert "No space left on device" in done.log_tail
    assert "What to do: roll back, or bring a repaired version" in done.reason
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
