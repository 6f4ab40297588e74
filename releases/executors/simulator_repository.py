"""The repository of simulated hosts: the simulator's invented files, listed and signed as a real repository lists its own.

So a simulated release walks the whole chain of trust (signature → index → hash). Its key lives as long as the process and
signs nothing else; a real host is never asked for these files, and would find none that has such a hash.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache

from pysequoia import SignatureMode, Tsk, sign

from changes.sources.apt_release import RepositorySpec
from changes.sources.base import NotFound
from releases.executors.base import ArtifactSpec

URI = "simulated://repository"
SUITE = "simulated"
VALID = timedelta(days=365)
Sources = Mapping[tuple[str, str], tuple[str, str]]
"""(package, version) → (source, source version), where they differ."""


class Shelf:
    """What the repository publishes for one question; a Fetcher that reads no network."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def fetch(self, uri: str, *, max_bytes: int) -> bytes:
        data = self.files.get(uri)
        if data is None:
            raise NotFound(f"The simulated repository has no {uri}.")
        return data


def publish(specs: Iterable[ArtifactSpec], *, sources: Sources, at: datetime) -> tuple[RepositorySpec, Shelf]:
    """A signed suite of exactly these files as of `at`, and how it is read."""
    wanted = list(specs)
    architectures = tuple(sorted({s.arch for s in wanted} - {"all"})) or ("amd64",)
    spec = RepositorySpec(
        uri=URI, suite=SUITE, components=("main",), architectures=architectures, keyring=_certificate()
    )
    indexes = {
        f"main/binary-{arch}/Packages.gz": gzip.compress(
            "".join(_stanza(s, sources) for s in wanted if s.arch in (arch, "all")).encode(), mtime=0
        )
        for arch in architectures
    }
    lines = [f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in indexes.items()]
    head = [
        "Origin: Simulated", f"Suite: {SUITE}", f"Codename: {SUITE}", f"Date: {_rfc822(at)}", f"Valid-Until: {_rfc822(at + VALID)}",
        "SHA256:", *lines, "",
    ]  # fmt: skip
    signed = bytes(sign(_key().signer(), "\n".join(head).encode(), mode=SignatureMode.CLEAR))
    files = {f"{spec.suite_uri}/{path}": data for path, data in indexes.items()}
    return spec, Shelf(files | {f"{spec.suite_uri}/InRelease": signed})


def _stanza(spec: ArtifactSpec, sources: Sources) -> str:
    source, version = sources.get((spec.package, spec.version), (spec.package, spec.version))
    return (
        f"Package: {spec.package}\nSource: {source} ({version})\nVersion: {spec.version}\nArchitecture: {spec.arch}\n"
        f"Filename: {spec.filename}\nSize: {spec.size}\nSHA256: {spec.sha256}\nDescription: simulated\n\n"
    )


def _rfc822(moment: datetime) -> str:
    return format_datetime(moment).replace("+0000", "UTC")


@lru_cache(maxsize=1)
def _key() -> Tsk:
    return Tsk.generate("Patchflow simulator <simulator@simulated.invalid>")


def _certificate() -> bytes:
    return bytes(_key().extract_certificate())
