"""The address of an HTTP proxy as it may reach a package manager that runs as root: a host and a port, and nothing else."""

from __future__ import annotations

import ipaddress
import re

LONGEST = 200
ADDRESS = re.compile(r"http://(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9.-]*):([0-9]{1,5})/?")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def proxy_address(text: str) -> str:
    """`http://host:port`, in one way of writing it. Raises ValueError, with the reason, for anything else: no path, no
    password, no port left out (apt and dnf then take different ones), no name that means another machine on every host."""
    found = ADDRESS.fullmatch(text.strip().lower()) if len(text) <= LONGEST else None
    if found is None:
        raise ValueError("write it as http://name:port, such as http://dp-berlin.example.org:3142")
    host, port = found[1], int(found[2])
    if not 0 < port < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    _check_host(host)
    return f"http://{host}:{port}"


def _check_host(host: str) -> None:
    try:
        number = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if host.startswith("[") or len(host) > 253 or not all(map(LABEL.fullmatch, host.split("."))):
            raise ValueError(f"{host} is no name of a machine") from None
        names = host.rstrip(".").split(".")
        if re.fullmatch(r"[0-9]+|0x.*", names[-1]):  # read as a number by inet_aton, in one of its ways of writing it
            raise ValueError(f"{host} is no address of a machine") from None
        if "localhost" in (names[0], names[-1]):
            raise ValueError("localhost is another machine on every host") from None
        return
    if number.version == 6 and not host.startswith("["):
        raise ValueError("an IPv6 address stands in square brackets")
    number = getattr(number, "ipv4_mapped", None) or number
    if number.is_loopback or number.is_unspecified or number.is_multicast or number.is_link_local:
        raise ValueError(f"{number} is not the address of one machine that every host reaches")
