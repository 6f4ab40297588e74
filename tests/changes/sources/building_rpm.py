"""A small signed RPM repository of our own making."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pysequoia import SignatureMode, sign

from changes.sources.fetchers import CallableFetcher
from changes.sources.rpm import RpmRepository, RpmRepositorySpec, fetch_rpm_repository
from tests.changes.sources.building import key, public

URI = "https://packages.example/rpm"
REPOMD = f"{URI}/repodata/repomd.xml"
PRIMARY = f"{URI}/repodata/primary.xml.gz"
FILE = b"not really a package, but these bytes"


def package(**changes: str) -> str:
    """An entry of primary.xml."""
    it = {
        "name": "libacme", "arch": "x86_64", "epoch": "0", "ver": "2.4", "rel": "3.el9", "kind": "sha256",
        "sum": hashlib.sha256(FILE).hexdigest(), "size": str(len(FILE)), "href": "Packages/l/libacme-2.4-3.el9.x86_64.rpm",
        "source": "acme-2.4-3.el9.src.rpm", "location": "",
    } | changes  # fmt: skip
    return f"""<package type="rpm"><name>{it["name"]}</name><arch>{it["arch"]}</arch>
<version epoch="{it["epoch"]}" ver="{it["ver"]}" rel="{it["rel"]}"/>
<checksum type="{it["kind"]}" pkgid="YES">{it["sum"]}</checksum><summary>library of Acme</summary>
<size package="{it["size"]}" installed="44" archive="400"/><location {it["location"]} href="{it["href"]}"/>
<format><rpm:sourcerpm>{it["source"]}</rpm:sourcerpm>
<rpm:provides><rpm:entry name="libacme"/><rpm:entry name="libacme.so.1()(64bit)"/></rpm:provides>
<rpm:requires><rpm:entry name="libc.so.6()(64bit)"/></rpm:requires></format></package>"""


@dataclass(frozen=True)
class Built:
    """A repository before it is published."""

    packages: str = package() + package(name="acme-doc", arch="noarch", epoch="1", href="Packages/a/acme-doc.rpm")
    date: datetime | None = datetime(2026, 11, 18, 6, 0, tzinfo=UTC)
    signer: str = "archive"
    kind: str = "sha256"
    href: str = "repodata/primary.xml.gz"
    doctype: str = ""
    types: tuple[str, ...] = ("primary",)
    open_size: int | None = None

    def but(self, **changes: Any) -> Built:
        return replace(self, **changes)

    def publish(self) -> dict[str, Any]:
        """All files by address."""
        text = (
            f'<?xml version="1.0"?>{self.doctype}<metadata xmlns="http://linux.duke.edu/metadata/common" '
            f'xmlns:rpm="http://linux.duke.edu/metadata/rpm">{self.packages}</metadata>'
        ).encode()
        packed = gzip.compress(text, mtime=0)
        stamp = f"<timestamp>{int(self.date.timestamp())}</timestamp>" if self.date else ""
        entries = "".join(
            f'<data type="{kind}"><checksum type="{self.kind}">{hashlib.new(self.kind, packed).hexdigest()}</checksum>'
            f'<location href="{self.href}"/>{stamp}<size>{len(packed)}</size>'
            f"<open-size>{len(text) if self.open_size is None else self.open_size}</open-size></data>"
            for kind in self.types
        )
        repomd = f'<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo">{entries}</repomd>'.encode()
        files: dict[str, Any] = {PRIMARY: packed, REPOMD: repomd}
        if self.signer:
            files[f"{REPOMD}.asc"] = bytes(sign(key(self.signer).signer(), repomd, mode=SignatureMode.DETACHED))
        return files


def opened(files: dict[str, Any], *, now: datetime, last_seen: datetime | None = None, **changes: Any) -> RpmRepository:
    """What becomes of these files, fetched by address."""
    settings: dict[str, Any] = {
        "uri": URI,
        "suite": "baseos",
        "architectures": ("x86_64",),
        "keyring": bytes(public("archive")),
    }
    spec = RpmRepositorySpec(**{**settings, **changes})
    return fetch_rpm_repository(spec, fetcher=CallableFetcher(files.get), now=now, last_seen=last_seen)
