"""Which addresses a download may reach."""

from __future__ import annotations

import pytest

from patchflow.kernel.addresses import refusal


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "0.0.0.0",  # noqa: S104
        "::",
        "224.0.0.1",
        "ff02::1",
        "not-an-address",
    ],
)
def test_address_that_only_this_machine_can_reach_is_refused(address: str) -> None:
    assert refusal(address, allow_private=False) != ""


@pytest.mark.parametrize("address", ["151.101.2.132", "2a04:4e42:600::644", "64:ff9b::9765:284"])
def test_address_of_the_public_internet_may_be_reached(address: str) -> None:
    assert refusal(address, allow_private=False) == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.8", "fd00::1", "::ffff:10.0.0.1"])
def test_private_address_may_be_reached_where_that_is_allowed(address: str) -> None:
    assert refusal(address, allow_private=True) == ""


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "::", "ff02::1"])  # noqa: S104
def test_address_of_no_single_machine_is_never_reached(address: str) -> None:
    assert refusal(address, allow_private=True) == f"{address} is no address of one machine"
