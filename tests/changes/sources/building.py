"""A small signed repository of our own making, and keys to sign it with."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from pysequoia import Cert, SignatureMode, Tsk, sign

from changes.sources.apt import Repository, RepositorySpec, fetch_repository
from changes.sources.fetchers import CallableFetcher

URI = "https://packages.example/debian"
SUITE = "bookworm-security"
RELEASE = f"{URI}/dists/{SUITE}/InRelease"
PACKAGES = "main/binary-amd64/Packages"
DEB = b"not really a package, but these bytes"


@lru_cache(maxsize=8)
def key(name: str) -> Tsk:
    """The secret key of this name; made once, for keys take time."""
    return Tsk.generate(f"{name} <{name}@example.org>")


def public(name: str) -> Cert:
    return key(name).extract_certificate()


def stanza(**changes: str | None) -> bytes:
    """An entry of a Packages index; a change to None leaves the field out."""
    fields: dict[str, str | None] = {
        "Package": "libacme1",
        "Source": "acme (1:2.4-1+deb12u3)",
        "Version": "1:2.4-1+deb12u3+b1",
        "Architecture": "amd64",
        "Depends": "libc6 (>= 2.36),\n libssl3 (>= 3.0)",
        "Section": "libs",
        "Filename": "pool/main/a/acme/libacme1_2.4-1+deb12u3+b1_amd64.deb",
        "Size": str(len(DEB)),
        "SHA256": hashlib.sha256(DEB).hexdigest(),
        "Description": "library of Acme",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None).encode() + b"\n"


@dataclass(frozen=True)
class Built:
    """A repository before it is published; `replace` (below) changes a part, `publish` makes the files."""

    packages: bytes = stanza() + stanza(
        Package="acme-doc", Source="acme", Version="1:2.4-1", Architecture="all", Filename="pool/main/a/acme/d.deb"
    )
    date: datetime = datetime(2026, 11, 18, 6, 0, tzinfo=UTC)
    valid_for: timedelta | None = timedelta(days=7)
    suite: str = "stable-security"
    codename: str = SUITE
    signers: tuple[str, ...] = ("archive",)
    hashes: tuple[str, ...] = ("MD5Sum", "SHA256")
    endings: tuple[str, ...] = ("", ".gz", ".xz")
    fields: dict[str, str] = field(default_factory=dict)

    def but(self, **changes: Any) -> Built:
        return replace(self, **changes)

    def publish(self) -> dict[str, bytes]:
        """All files by address."""
        packed = {"": self.packages, ".gz": gzip.compress(self.packages), ".xz": lzma.compress(self.packages)}
        indexes = {PACKAGES + end: packed[end] for end in self.endings}
        text = self.release(indexes)
        files = {f"{URI}/dists/{SUITE}/{path}": data for path, data in indexes.items()}
        return {**files, RELEASE: signed(text, *self.signers)}

    def release(self, indexes: dict[str, bytes]) -> bytes:
        """The text of the Release file."""
        fields = {
            "Origin": "Acme",
            "Suite": self.suite,
            "Codename": self.codename,
            "Date": format_datetime(self.date).replace("+0000", "UTC"),
        }
        if self.valid_for is not None:
            fields["Valid-Until"] = format_datetime(self.date + self.valid_for).replace("+0000", "UTC")
        lines = [f"{name}: {value}" for name, value in {**fields, **self.fields}.items() if value]
        for name in self.hashes:
            make = {"MD5Sum": hashlib.md5, "SHA1": hashlib.sha1, "SHA256": hashlib.sha256}[name]
            lines.append(f"{name}:")
            lines += [f" {make(data).hexdigest()} {len(data):>8} {path}" for path, data in indexes.items()]
        return "\n".join(lines).encode() + b"\n"


def signed(text: bytes, *signers: str) -> bytes:
    """The text clear-signed, or as it is where nobody signs."""
    if not signers:
        return text
    (name,) = signers
    return bytes(sign(key(name).signer(), text, mode=SignatureMode.CLEAR))


def spec(**changes: Any) -> RepositorySpec:
    settings: dict[str, Any] = {
        "uri": URI,
        "suite": SUITE,
        "components": ("main",),
        "architectures": ("amd64",),
        "keyring": bytes(public("archive")),
    }
    return RepositorySpec(**{**settings, **changes})


def opened(files: dict[str, Any], *, now: datetime, last_seen: datetime | None = None, **changes: Any) -> Repository:
    """What becomes of these files, fetched by address."""
    return fetch_repository(spec(**changes), fetcher=CallableFetcher(files.get), now=now, last_seen=last_seen)
