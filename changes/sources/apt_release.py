"""A suite's signed Release file: who signed it, whether it is current, which indexes it vouches for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from changes.sources.base import Fetcher, FetchError, IndexDigest, NotFound, TooMuchData, VerificationResult
from changes.sources.deb822 import BadStanza, fields, stanzas
from changes.sources.openpgp import SignedText, open_clearsigned, read_keyring
from changes.sources.trail import Refusal, Trail, check_date, check_signature, check_validity
from patchflow.kernel.blockers import english

MAX_RELEASE_BYTES = 8 * 1024 * 1024

_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]*")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]*")
_PATH = re.compile(r"[A-Za-z0-9._+~%:@-]+(/[A-Za-z0-9._+~%:@-]+)*")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class RepositorySpec:
    """A suite of a Debian-style repository and the public keys that it must be signed by.

    `max_age` bounds the age of a suite whose Release carries no Valid-Until; without it only going back is noticed.
    Raises ValueError where a part could lead elsewhere.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    architectures: tuple[str, ...]
    keyring: bytes = field(repr=False)
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        if not _URI.fullmatch(self.uri):
            raise ValueError(f"{self.uri!r} is no address of a repository")
        if not _SUITE.fullmatch(self.suite) or ".." in self.suite:
            raise ValueError(f"{self.suite!r} is no name of a suite")
        for word in (*self.components, *self.architectures):
            if not _WORD.fullmatch(word) or ".." in word:
                raise ValueError(f"{word!r} is no name of a component or architecture")
        if not self.components or not self.architectures:
            raise ValueError("a repository needs a component and an architecture")

    @property
    def suite_uri(self) -> str:
        return f"{self.uri.rstrip('/')}/dists/{self.suite}"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A suite's Release file. Where `result` is not ok, `entries` is empty: nothing of it may be used."""

    spec: RepositorySpec
    result: VerificationResult
    entries: Mapping[str, IndexDigest] = field(default_factory=dict, repr=False)
    by_hash: bool = False


def fetch_release(
    spec: RepositorySpec, *, fetcher: Fetcher, now: datetime, last_seen: datetime | None = None
) -> Release:
    """Get the suite's InRelease and check it: signature, key, suite, date, Valid-Until, SHA-256 table.

    `last_seen` is the Date of the release accepted before: an older one is a replay. Never raises for what the other
    side does; the result says what was refused (apt-secure(8), and "replay" and "freeze" of theupdateframework.io).
    """
    trail = Trail()
    try:
        entries, by_hash = _verified(spec, trail, fetcher=fetcher, now=now, last_seen=last_seen)
    except Refusal:
        return Release(spec=spec, result=trail.result())
    return Release(spec=spec, result=trail.result(), entries=entries, by_hash=by_hash)


def _verified(
    spec: RepositorySpec, trail: Trail, *, fetcher: Fetcher, now: datetime, last_seen: datetime | None
) -> tuple[dict[str, IndexDigest], bool]:
    signed = _signed(spec, trail, fetcher=fetcher, now=now)
    try:
        found = list(stanzas(signed.content.split(b"\n")))
        if len(found) != 1:
            raise BadStanza(f"it has {len(found)} parts instead of one")
        release = fields(found[0])
    except BadStanza as error:
        raise trail.refuse(
            "release.syntax", english("The Release file cannot be read: %(error)s.", error=error)
        ) from None
    _check_suite(spec, trail, release)
    _check_date(trail, release, now=now, last_seen=last_seen)
    _check_validity(trail, release, now=now, max_age=spec.max_age)
    return _entries(trail, release), release.get("acquire-by-hash", "").lower() == "yes"


def _signed(spec: RepositorySpec, trail: Trail, *, fetcher: Fetcher, now: datetime) -> SignedText:
    uri = f"{spec.suite_uri}/InRelease"
    try:
        data = fetcher.fetch(uri, max_bytes=MAX_RELEASE_BYTES)
    except NotFound:
        raise trail.refuse(
            "release.fetched", english("%(uri)s does not exist: the suite is unsigned, or its name is wrong.", uri=uri)
        ) from None
    except TooMuchData:
        raise trail.refuse(
            "release.fetched",
            english(
                "%(uri)s has no end, or more than %(limit)s bytes.",
                uri=uri,
                limit=MAX_RELEASE_BYTES,
            ),
        ) from None
    except FetchError as error:
        raise trail.refuse(
            "release.fetched", english("%(uri)s could not be read: %(error)s", uri=uri, error=error)
        ) from None
    trail.release_sha256 = hashlib.sha256(data).hexdigest()
    trail.passed("release.fetched", english("%(uri)s, %(data)s bytes.", uri=uri, data=len(data)))
    return check_signature(
        trail, "Release file", lambda: open_clearsigned(data, keys=read_keyring(spec.keyring)), now=now
    )


def _check_suite(spec: RepositorySpec, trail: Trail, release: Mapping[str, str]) -> None:
    named = [release[name] for name in ("suite", "codename") if release.get(name)]
    if spec.suite not in named and spec.suite.partition("/")[0] not in named:
        raise trail.refuse(
            "release.suite",
            english(
                "The Release file is for %(named)s, asked was %(suite)s. A key signs many suites: one must not stand in for another.",
                named=" / ".join(named)[:100] or "no suite",
                suite=spec.suite,
            ),
        )
    trail.passed("release.suite", english("It is for %(named)s.", named=" / ".join(named)[:100]))


def _check_date(trail: Trail, release: Mapping[str, str], *, now: datetime, last_seen: datetime | None) -> None:
    check_date(trail, "Release file", _time(trail, release, "date"), now=now, last_seen=last_seen)


def _check_validity(trail: Trail, release: Mapping[str, str], *, now: datetime, max_age: timedelta | None) -> None:
    trail.valid_until = _time(trail, release, "valid-until")
    check_validity(trail, now=now, max_age=max_age)


def _time(trail: Trail, release: Mapping[str, str], name: str) -> datetime | None:
    text = release.get(name, "")
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise trail.refuse(
            "release." + name.replace("-", "_"),
            english("%(name)s is %(said)s, which is no time.", name=name, said=repr(text[:60])),
        ) from None


def _entries(trail: Trail, release: Mapping[str, str]) -> dict[str, IndexDigest]:
    if "sha256" not in release:
        weaker = ", ".join(name for name in ("md5sum", "sha1") if name in release) or "none"
        raise trail.refuse(
            "release.hashes",
            english(
                "It lists no SHA-256 of its indexes (found: %(weaker)s). Older hashes prove nothing.", weaker=weaker
            ),
        )
    found: dict[str, IndexDigest] = {}
    for line in release["sha256"].split("\n"):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3 or not _HASH.fullmatch(parts[0]) or not re.fullmatch(r"\d{1,12}", parts[1]):
            raise trail.refuse(
                "release.hashes", english("%(line)s is no line of hash, size and name.", line=repr(line[:100]))
            )
        path = parts[2]
        if not _PATH.fullmatch(path) or ".." in path.split("/"):
            continue  # such a name is never asked for
        entry = IndexDigest(path=path, size=int(parts[1]), sha256=parts[0])
        if found.setdefault(path, entry) != entry:
            raise trail.refuse("release.hashes", english("It lists %(path)s twice, with different hashes.", path=path))
    trail.passed("release.hashes", english("It vouches for %(found)s indexes by SHA-256.", found=len(found)))
    return found
