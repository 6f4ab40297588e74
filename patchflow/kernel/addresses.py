"""Which addresses outside may be reached: by downloads, and by messages that Patchflow sends."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Resolver = Callable[[str, int], Sequence[str]]
"""(host, port) -> numeric addresses, best first. Raises OSError where the name has none."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of `host`, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def refusal(address: str, *, allow_private: bool) -> str:
    """Say why `address` may not be reached, or nothing if it may.

    Without `allow_private` only addresses of the public internet may be: a feed's address is a setting, and its server
    may redirect, so both could else be used to read what only this machine can reach (cloud metadata, local services).
    IPv4 addresses inside IPv6 ones (mapped, 6to4, Teredo, NAT64) are judged by what they hold.
    """
    try:
        outer = ipaddress.ip_address(address)
    except ValueError:
        return f"{address!r} is no address"
    for inner in _held(outer):
        if inner.is_unspecified or inner.is_multicast:
            return f"{inner} is no address of one machine"
        if not allow_private and not inner.is_global:
            return f"{inner} is not on the public internet"
    return ""


def _held(address: Address) -> list[Address]:
    if not isinstance(address, ipaddress.IPv6Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    held: list[Address] = [address]
    if address.sixtofour is not None:
        held.append(address.sixtofour)
    if address.teredo is not None:
        held += address.teredo
    if address in _NAT64:
        held.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return held
