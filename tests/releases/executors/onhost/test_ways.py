"""What of a way reaches a package manager that is root, and what never does."""

from __future__ import annotations

from typing import Any

import pytest

from cmdb.remote.connection import Endpoint
from cmdb.remote.proxies import proxy_address
from releases.executors.base import Action, JobOrder, Way
from releases.executors.onhost import ways
from releases.executors.simulator_wire import order_received, order_sent
from releases.executors.wire import order_said, way_said

WAY: dict[str, Any] = {"point": "dp", "address": "http://dp.example.org:3142", "throttle_kib": 200}


def test_settings_for_apt_take_back_what_the_host_has_set() -> None:
    lines = ways.apt_settings(ways.checked(WAY)).splitlines()
    for kind in ("http", "https"):
        clear, put = (
            lines.index(f"#clear Acquire::{kind}::Proxy;"),
            lines.index(f'Acquire::{kind}::Proxy "http://dp.example.org:3142";'),
        )
        assert clear < put
        assert f"#clear Acquire::{kind}::Proxy-Auto-Detect;" in lines
        assert f'Acquire::{kind}::Dl-Limit "200";' in lines
    assert "Dl-Limit" not in ways.apt_settings({**WAY, "throttle_kib": 0})


def test_settings_for_dnf_are_in_bytes() -> None:
    assert ways.dnf_settings(WAY)["throttle"] == "204800"
    assert "throttle" not in ways.dnf_settings({**WAY, "throttle_kib": 0})


@pytest.mark.parametrize(
    "address",
    ['http://dp:1"; x "', "http://dp:1\n#clear", "http://dp", "https://dp:1", "http://u:p@dp:1", "http://dp:1/x", "-o:1", "http://DP:1"],
)  # fmt: skip
def test_an_address_that_is_more_than_one_is_refused_at_every_place(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ways.checked({**WAY, "address": address})
    with pytest.raises(ValueError, match=r"."):
        Way(point="dp", address=address)


def test_what_the_verb_lets_through_the_host_takes() -> None:
    for typed in ("http://dp-1.example.org:3142", "http://10.0.0.1:80", "http://[2001:db8::7]:65535"):
        assert ways.checked({**WAY, "address": proxy_address(typed)})["address"] == typed


def test_a_way_goes_beside_the_order_and_not_in_it() -> None:
    bare = JobOrder(job_key="J.1", fence=1, endpoint=Endpoint(address="h"), action=Action.INSTALL, packages=())
    way = Way(point="dp", address="http://dp:1", throttle_kib=9)
    through = JobOrder(
        job_key="J.1", fence=1, endpoint=Endpoint(address="h"), action=Action.INSTALL, packages=(), way=way
    )
    assert order_said(bare) == order_said(through), "given again on another way it is the same order"
    assert way_said(bare.way) == {}
    assert way_said(through.way) == {"way": {"point": "dp", "address": "http://dp:1", "throttle_kib": 9}}
    from patchflow.kernel.json_text import bytes_from, read

    assert order_received(read(bytes_from(order_sent(through)))).way == way
    assert order_received(read(bytes_from(order_sent(bare)))).way is None
