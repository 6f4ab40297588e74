"""What ssh says, and what it means: without any host."""

import subprocess

import pytest

from cmdb.remote.connection import Completed, Endpoint
from cmdb.remote.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    RemoteError,
    SudoRefused,
    Unreachable,
)
from cmdb.remote.ssh import ARRIVED, BECAME, ENDED, judge, options, remote_command

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0w+PJr8t4o8bZbHhqKkJ3l2M9l3u2n3l3m1S4c3cQx"
HOST = Endpoint(address="10.0.0.5", user="deploy", host_key=KEY)


def judged(rc: int, stderr: str, *, become: bool = False) -> Completed:
    return judge(HOST, Completed(rc=rc, stdout="out", stderr=stderr), become=become)


def test_exit_status_255_of_the_command_itself_is_no_broken_line() -> None:
    assert judged(255, f"{ARRIVED}\nmy own words\n{ENDED} 255\n") == Completed(
        rc=255, stdout="out", stderr="my own words"
    )


@pytest.mark.parametrize(
    ("stderr", "error", "started"),
    [
        ("ssh: connect to host 10.0.0.5 port 22: Connection refused", Unreachable, False),
        ("Host key verification failed.", HostKeyChanged, False),
        ("Unable to negotiate with 10.0.0.5 port 22: no matching host key type found.", HostKeyChanged, False),
        ("deploy@10.0.0.5: Permission denied (publickey).", AuthenticationFailed, False),
        ("", Unreachable, False),
        (f"{ARRIVED}\nTimeout, server 10.0.0.5 not responding.", Unreachable, True),
        (f"{ARRIVED}\nConnection to 10.0.0.5 closed by remote host.", Unreachable, True),
        (ARRIVED, Unreachable, True),  # a shared connection breaks without a word
        (f"{ARRIVED}\n{ENDED} x", Unreachable, True),
    ],
)
def test_ssh_errors_have_a_type_and_say_whether_the_command_began(
    stderr: str, error: type[RemoteError], started: bool
) -> None:
    with pytest.raises(error) as caught:
        judged(255, stderr)
    assert type(caught.value) is error
    assert caught.value.started is started
    assert "10.0.0.5" in caught.value.reason


def test_refused_sudo_is_told_from_a_failed_command() -> None:
    with pytest.raises(SudoRefused, match="a password is required"):
        judged(1, f"{ARRIVED}\nsudo: a password is required\n{ENDED} 1", become=True)
    assert judged(1, f"{ARRIVED}\n{BECAME}\nno such file\n{ENDED} 1", become=True).stderr == "no such file"


def test_words_of_a_command_reach_it_unchanged() -> None:
    words = ["printf", "%s|", "a b", "$HOME; rm", "it's", "", "\\n"]
    for shell in ("sh", "bash"):
        done = subprocess.run([shell, "-c", remote_command(words, become=False)], capture_output=True, text=True)
        assert done.stdout == "a b|$HOME; rm|it's||\\n|"
        assert done.stderr == f"{ARRIVED}\n\n{ENDED} 0\n"


def test_last_words_without_a_line_end_do_not_hide_the_end() -> None:
    command = remote_command(["sh", "-c", "printf oops >&2; exit 255"], become=False)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)

    told = judged(done.returncode, done.stderr)

    assert (told.rc, told.stderr) == (255, "oops")


def test_nothing_connects_without_a_pinned_key() -> None:
    with pytest.raises(HostKeyChanged, match="no host key"), options(Endpoint(address="h")):
        pass


def test_jump_host_has_a_pinned_key_of_its_own() -> None:
    jump = Endpoint(address="gate", port=2222, host_key=KEY)
    with options(Endpoint(address="inner", host_key=KEY, jump=jump)) as opts:
        proxy = next(word for word in opts if word.startswith("ProxyCommand="))
    assert "StrictHostKeyChecking=yes" in proxy
    assert proxy.count("known_hosts_1") == 1
    assert proxy.endswith("-W '[inner]:22' -- gate")
