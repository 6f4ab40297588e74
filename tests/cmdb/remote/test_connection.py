"""Endpoints and host keys: what cannot be written down, cannot go wrong later."""

import subprocess
from pathlib import Path

import pytest

from cmdb.remote.connection import Endpoint, HostKey


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "root@host", "h\tx", "h'x"])
def test_address_that_ssh_would_read_otherwise_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        Endpoint(address=address)


def test_user_and_port_are_checked_too() -> None:
    with pytest.raises(ValueError, match="user"):
        Endpoint(address="h", user="-l")
    with pytest.raises(ValueError, match="port"):
        Endpoint(address="h", port=0)


def test_fingerprint_is_the_one_that_ssh_keygen_prints(tmp_path: Path) -> None:
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", str(file)], check=True)
    printed = subprocess.run(["ssh-keygen", "-l", "-f", f"{file}.pub"], check=True, capture_output=True, text=True)

    key = HostKey.from_line((tmp_path / "key.pub").read_text())

    assert key.fingerprint == printed.stdout.split()[1]
    assert HostKey.from_line(key.line) == key


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 not*base64"])
def test_line_that_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        HostKey.from_line(line)
