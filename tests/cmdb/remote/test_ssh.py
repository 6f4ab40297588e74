"""Connections to a real host: what a person sees when one does not work."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from cmdb.remote import transport
from cmdb.remote.errors import HostKeyChanged, SudoRefused, TimedOut, Unreachable
from tests.lab.fleet import FreshHost, Lab, started

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def pair() -> Iterator[Lab]:
    with started(debian=2) as lab:
        yield lab


def test_probe_of_a_good_connection(lab: Lab) -> None:
    found = transport.probe(lab.endpoint("h01"))

    assert found.usable
    assert (found.reachable, found.host_key_matches, found.authenticated, found.sudo) == (True, True, True, True)
    assert (found.account, found.python) == ("deploy", "3.11.2")


def test_shown_key_is_the_hosts_own(lab: Lab) -> None:
    assert transport.fetch_host_key(lab.endpoint("h01")).line == lab.host_key("h01")


def test_probe_of_a_host_with_another_key_shows_both(lab: Lab) -> None:
    before = lab.endpoint("h01")
    transport.run(before, ["true"])
    lab.reset("h01")  # reinstalled: same address, another key

    found = transport.probe(before)

    assert (found.reachable, found.host_key_matches, found.authenticated) == (True, False, None)
    assert found.shown_key is not None
    assert found.shown_key.line == lab.host_key("h01")
    assert found.shown_key.fingerprint in found.reasons[0]
    with pytest.raises((HostKeyChanged, Unreachable)):
        transport.run(before, ["true"], timeout=20)


def test_probe_without_an_accepted_key_does_not_connect(lab: Lab) -> None:
    found = transport.probe(replace(lab.endpoint("h01"), host_key=""))

    assert (found.host_key_matches, found.authenticated) == (False, None)
    assert found.reasons == (f"no host key of deploy@{lab.address('h01')} has been accepted yet",)
    assert found.shown_key is not None


def test_probe_with_a_key_that_the_host_does_not_know(lab: Lab, tmp_path: Path) -> None:
    stranger = f"{tmp_path}/stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)

    found = transport.probe(replace(lab.endpoint("h01"), key_path=stranger))

    assert (found.reachable, found.host_key_matches, found.authenticated) == (True, True, False)
    assert "Permission denied" in found.reasons[0]


def test_probe_of_nobody(lab: Lab) -> None:
    absent = transport.probe(replace(lab.endpoint("h01"), address=f"{lab.net}.99"))
    closed = transport.probe(replace(lab.endpoint("h01"), port=2222))

    assert (absent.reachable, closed.reachable) == (False, False)
    assert "No route to host" in absent.reasons[0]
    assert "Connection refused" in closed.reasons[0]


def test_probe_where_sudo_wants_a_password(fresh_host: FreshHost) -> None:
    fresh_host.ssh("sudo sed -i s/NOPASSWD:// /etc/sudoers.d/deploy")
    try:
        found = transport.probe(fresh_host.endpoint)

        assert (found.authenticated, found.sudo) == (True, False)
        assert "password is required" in found.reasons[0]
        with pytest.raises(SudoRefused):
            transport.run(fresh_host.endpoint, ["true"])
        assert transport.run(fresh_host.endpoint, ["id", "-un"], become=False).stdout == "deploy\n"
    finally:
        fresh_host.lab.reset("h01")


def test_commands_become_root_and_keep_their_status(lab: Lab) -> None:
    done = transport.run(lab.endpoint("h01"), ["sh", "-c", "id -u; cat; echo oops >&2; exit 255"], stdin="in")

    assert (done.rc, done.stdout, done.stderr) == (255, "0\nin", "oops")


def test_command_without_end_may_have_begun(lab: Lab) -> None:
    with pytest.raises(TimedOut) as caught:
        transport.run(lab.endpoint("h01"), ["sleep", "30"], timeout=2)
    assert caught.value.started is True


def test_cable_pulled_while_a_command_runs_leaves_the_outcome_unknown(lab: Lab) -> None:
    pull = Timer(1.5, lab.link, ("h01", "down"))
    pull.start()
    try:
        with pytest.raises((Unreachable, TimedOut)) as caught:
            transport.run(lab.endpoint("h01"), ["sleep", "60"], timeout=40)
    finally:
        pull.join()
        lab.link("h01", "up")
    assert caught.value.started is True


def test_host_behind_a_jump_host(pair: Lab) -> None:
    behind = replace(pair.endpoint("h02"), jump=pair.endpoint("h01"))

    assert transport.run(behind, ["hostname"]).stdout == "h02\n"
    assert transport.fetch_host_key(behind).line == pair.host_key("h02")
    assert (
        transport.probe(replace(behind, jump=replace(pair.endpoint("h01"), host_key=pair.host_key("h02")))).usable
        is False
    )
