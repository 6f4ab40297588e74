"""Steps before and after an installation on real Debian hosts."""

from __future__ import annotations

import pytest

from releases.executors.base import Stage, Step
from releases.executors.ssh import SshExecutor
from tests.lab.fleet import FreshHost
from tests.releases.executors.orders import ended, order_for, stages, start

pytestmark = pytest.mark.lab

WANTED = ("acme-tool", "1.1")


@pytest.fixture
def executor() -> SshExecutor:
    return SshExecutor()


def before(name: str, kind: str, target: str, **given: object) -> Step:
    return Step(name=name, revision=1, moment="before", kind=kind, target=target, **given)  # type: ignore[arg-type]


def after(name: str, kind: str, target: str, **given: object) -> Step:
    return Step(name=name, revision=1, moment="after", kind=kind, target=target, **given)  # type: ignore[arg-type]


STOP = before("Stop web", "stop_service", "acme-web.service")
START = after("Start web", "start_service", "acme-web.service", runs="intact")


def is_active(host: FreshHost) -> str:
    return host.ssh("systemctl is-active acme-web.service || true").strip()


def test_a_service_is_down_while_packages_change_and_runs_again_when_they_are_verified(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    fresh_host.ssh(
        "printf '#!/bin/sh\\nsystemctl is-active acme-web > /run/seen\\nexit 0\\n' | sudo tee /opt/sees && sudo chmod 755 /opt/sees"
    )
    seen = before("See", "command", "/opt/sees")
    answers = after("Answers", "http_answers", "http://127.0.0.1:8080/version", limit=15)
    order = order_for(
        executor,
        fresh_host.endpoint,
        WANTED,
        steps=(before("Space", "space", "/", amount=10), STOP, seen, START, answers),
    )

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert (done.result.outcome, done.result.reason) == (Stage.SUCCEEDED, "installed and verified")
    told = [(event.stage.value, event.message) for event in done.events]
    assert ("staged", "before the installation: Stop web (revision 1) begins, for 60 s at most") in told
    assert ("verifying", "Answers (revision 1): done") in told
    assert fresh_host.ssh("cat /run/seen").strip() == "inactive"
    assert (fresh_host.state("acme-tool"), is_active(fresh_host)) == ("1.1 installed", "active")


def test_a_failing_step_before_it_leaves_the_host_untouched_and_what_it_took_is_put_back(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    old = before("Backup", "backup", "/var/backups/none", amount=24)
    order = order_for(executor, fresh_host.endpoint, WANTED, steps=(STOP, old, START))

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert (done.result.outcome, done.result.code) == (Stage.FAILED, "step_before")
    assert (
        "nothing was installed, because of a step before it: Backup (revision 1): there is no backup"
        in done.result.reason
    )
    assert "installing" not in stages(done)
    assert (fresh_host.state("acme-tool"), is_active(fresh_host)) == ("1.0 installed", "active")


def test_a_hanging_step_is_ended_at_its_limit_and_nothing_of_it_stays(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    fresh_host.ssh(
        "printf '#!/bin/sh\\nsleep 4711 &\\nsleep 4711\\n' | sudo tee /opt/hangs && sudo chmod 755 /opt/hangs"
    )
    order = order_for(executor, fresh_host.endpoint, WANTED, steps=(before("Hang", "command", "/opt/hangs", limit=2),))

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert (done.result.outcome, done.result.code) == (Stage.FAILED, "step_before")
    assert "Hang (revision 1): it was ended at its limit of 2 s" in done.result.reason
    assert fresh_host.ssh("pgrep -f 'sleep 471[1]' || true") == ""
    assert fresh_host.state("acme-tool") == "1.0 installed"


def test_a_step_after_it_that_fails_fails_the_job_though_the_package_is_there(
    executor: SshExecutor, fresh_host: FreshHost
) -> None:
    noted = after("Noted", "command", "/bin/false", on_failure="note")
    fatal = after("Port", "port_open", "127.0.0.1:9", limit=2)
    always = after("Told", "command", "/usr/bin/touch /run/told", runs="always")
    order = order_for(executor, fresh_host.endpoint, WANTED, steps=(noted, fatal, always))

    done = ended(executor, start(executor, order))

    assert done.result is not None
    assert (done.result.outcome, done.result.code) == (Stage.FAILED, "step_after")
    assert "installed and verified, but a step after it failed: Port (revision 1): " in done.result.reason
    assert fresh_host.state("acme-tool") == "1.1 installed"
    assert fresh_host.ssh("ls /run/told").strip() == "/run/told"
