"""The way on which a job's files come: directly, or through a distribution point and through nothing else.

Where the bytes came from is of no consequence: each file is compared with what was signed before it is installed.
"""

from __future__ import annotations

import re
from typing import Any

ADDRESS = re.compile(r"http://(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9][a-z0-9.-]{0,252}):[0-9]{1,5}")
ASIDE = ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""Variables that would lead past the point."""


def checked(way: dict[str, Any]) -> dict[str, Any]:
    """The way as it may reach a package manager's configuration. Raises ValueError: here it is root's, so it is looked at
    again whoever looked before."""
    address, throttle = str(way["address"]), int(way["throttle_kib"])
    if not ADDRESS.fullmatch(address) or throttle < 0:
        raise ValueError(f"not the address of a distribution point: {address!r}")
    return {"point": str(way["point"])[:80], "address": address, "throttle_kib": throttle}


def named(way: dict[str, Any]) -> str:
    """The way in words."""
    limit = f", {way['throttle_kib']} KiB/s at most" if way["throttle_kib"] else ""
    return f"through {way['point']} ({way['address']}{limit})"


def apt_settings(way: dict[str, Any]) -> str:
    """A file of apt's settings. What the host has set of proxies, also for one server or by a program, is taken back first."""
    lines = []
    for kind in ("http", "https"):
        for name in ("Proxy", "Proxy-Auto-Detect", "ProxyAutoDetect"):
            lines.append(f"#clear Acquire::{kind}::{name};")
        lines.append(f'Acquire::{kind}::Proxy "{way["address"]}";')
        if way["throttle_kib"]:
            lines.append(f'Acquire::{kind}::Dl-Limit "{way["throttle_kib"]}";')
    return "\n".join(lines) + "\n"


def dnf_settings(way: dict[str, Any]) -> dict[str, str]:
    """dnf's settings for every repository, over those of its file; bytes in a second."""
    found = {"proxy": way["address"], "proxy_username": "", "proxy_password": ""}
    if way["throttle_kib"]:
        found["throttle"] = str(way["throttle_kib"] * 1024)
    return found
