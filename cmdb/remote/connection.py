"""Where a host is, and how it answered."""

import base64
import functools
import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal

from patchflow.kernel.values import value

Kind = Literal["ssh", "local"]
SIMULATED = ".simulated.invalid"
"""Ends the address of a host that exists in the simulator only: no name server ever knows it (RFC 2606)."""
_unusable = re.compile(r"""[\s@%\\'"]""").search


@value(kw_only=True)
class Endpoint:
    """One way to one host.

    `host_key` is the pinned key as `type base64` ("ssh-ed25519 AAAA..."); without it nothing connects.
    `key_path` is the file of our private key; empty lets ssh use the invoking account's own keys.
    `become` asks for root by `sudo -n`. `jump` is a host to go through, with a pinned key of its own.
    Kind `local` is this very computer: address, port, keys and jump are then without meaning.
    """

    address: str
    port: int = 22
    user: str = "root"
    become: bool = False
    jump: "Endpoint | None" = None
    host_key: str = ""
    key_path: str = ""
    kind: Kind = "ssh"

    def __post_init__(self) -> None:
        for name, text in (("address", self.address), ("user", self.user)):
            # A leading dash would be read as an option by ssh; white space and @ would name another target.
            if self.kind == "ssh" and (not text or text.startswith("-") or _unusable(text)):
                raise ValueError(f"{name} {text!r} cannot be used with ssh")
        if not 0 < self.port < 65536:
            raise ValueError(f"port {self.port} is out of range")

    @property
    def is_simulated(self) -> bool:
        return self.kind == "ssh" and self.address.endswith(SIMULATED)

    def __str__(self) -> str:
        if self.kind == "local":
            return "this computer"
        return f"{self.user}@{self.address}" + (f":{self.port}" if self.port != 22 else "")


THIS_COMPUTER = Endpoint(address="localhost", kind="local")


@functools.lru_cache(maxsize=50_000)
def _fingerprint_of(key: str) -> str:
    digest = hashlib.sha256(base64.b64decode(key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key as it was shown; `line` is what gets pinned."""

    type: str
    key: str

    @property
    def line(self) -> str:
        return f"{self.type} {self.key}"

    @property
    def fingerprint(self) -> str:
        """SHA256:... exactly as `ssh-keygen -l` prints it."""
        return _fingerprint_of(self.key)

    @classmethod
    def from_line(cls, line: str) -> "HostKey":
        """From `type base64 [comment]`. Raises ValueError for anything else."""
        parts = line.split()
        if len(parts) < 2:
            raise ValueError("a host key is written as 'type base64'")
        base64.b64decode(parts[1], validate=True)
        return cls(parts[0], parts[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ran to its end, whatever its exit status. `seconds` by our own clock."""

    rc: int
    stdout: str
    stderr: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a test of a connection found, as far as it got. None: not reached.

    `reasons` says in words what is in the way; empty means that scans and jobs can work through this connection.
    """

    reachable: bool
    host_key_matches: bool | None = None
    authenticated: bool | None = None
    sudo: bool | None = None
    python: str = ""
    account: str = ""
    shown_key: HostKey | None = None
    reasons: tuple[str, ...] = field(default=())
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        return not self.reasons
