"""A suite's signed Release file: who signed it, whether it is current, which indexes it vouches for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from changes.sources.base import Check, Fetcher, FetchError, IndexDigest, NotFound, TooMuchData, VerificationResult
from changes.sources.deb822 import BadStanza, fields, stanzas
from changes.sources.openpgp import BadKeyring, BadSignature, SignedText, Unsigned, open_clearsigned, read_keyring

MAX_RELEASE_BYTES = 8 * 1024 * 1024
CLOCK_TOLERANCE = timedelta(hours=1)

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


class Refusal(Exception):
    """Ends a trail of checks; the last check says why."""


@dataclass(kw_only=True)
class Trail:
    """The checks made so far, in order, and what was learned on the way."""

    checks: list[Check] = field(default_factory=list)
    indexes: list[IndexDigest] = field(default_factory=list)
    release_sha256: str = ""
    signer: str = ""
    signer_name: str = ""
    date: datetime | None = None
    valid_until: datetime | None = None

    def passed(self, name: str, detail: str) -> None:
        self.checks.append(Check(name=name, ok=True, detail=detail))

    def refuse(self, name: str, detail: str) -> Refusal:
        self.checks.append(Check(name=name, ok=False, detail=detail))
        return Refusal(detail)

    def result(self) -> VerificationResult:
        return VerificationResult(
            ok=bool(self.checks) and all(check.ok for check in self.checks),
            checks=tuple(self.checks),
            release_sha256=self.release_sha256,
            indexes=tuple(self.indexes),
            signer=self.signer,
            signer_name=self.signer_name,
            date=self.date,
            valid_until=self.valid_until,
        )


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
        raise trail.refuse("release.syntax", f"The Release file cannot be read: {error}.") from None
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
            "release.fetched", f"{uri} does not exist: the suite is unsigned, or its name is wrong."
        ) from None
    except TooMuchData:
        raise trail.refuse("release.fetched", f"{uri} has no end, or more than {MAX_RELEASE_BYTES} bytes.") from None
    except FetchError as error:
        raise trail.refuse("release.fetched", f"{uri} could not be read: {error}") from None
    trail.release_sha256 = hashlib.sha256(data).hexdigest()
    trail.passed("release.fetched", f"{uri}, {len(data)} bytes.")
    try:
        signed = open_clearsigned(data, keys=read_keyring(spec.keyring))
    except BadKeyring as error:
        raise trail.refuse("release.signature", f"{error} Enter the repository's public key.") from None
    except Unsigned as error:
        raise trail.refuse("release.signature", f"The Release file is not properly signed: {error}.") from None
    except BadSignature as error:
        raise trail.refuse(
            "release.signature", f"No given key signed this Release file, or it was changed: {error}. Do not use it."
        ) from None
    certificate = signed.certificate
    trail.signer = certificate.fingerprint
    trail.signer_name = str(certificate.user_ids[0])[:200] if certificate.user_ids else ""
    trail.passed("release.signature", f"Good signature of {trail.signer} {trail.signer_name}".strip() + ".")
    if certificate.expiration is not None and certificate.expiration <= now:
        raise trail.refuse("release.key", f"The key expired at {_shown(certificate.expiration)}. Get the renewed one.")
    trail.passed("release.key", "The key is not expired and not revoked.")
    return signed


def _check_suite(spec: RepositorySpec, trail: Trail, release: Mapping[str, str]) -> None:
    named = [release[name] for name in ("suite", "codename") if release.get(name)]
    if spec.suite not in named and spec.suite.partition("/")[0] not in named:
        raise trail.refuse(
            "release.suite",
            f"The Release file is for {' / '.join(named)[:100] or 'no suite'}, asked was {spec.suite}. "
            "A key signs many suites: one must not stand in for another.",
        )
    trail.passed("release.suite", f"It is for {' / '.join(named)[:100]}.")


def _check_date(trail: Trail, release: Mapping[str, str], *, now: datetime, last_seen: datetime | None) -> None:
    date = trail.date = _time(trail, release, "date")
    if date is None:
        raise trail.refuse("release.date", "The Release file has no Date, so an old one could not be told from a new.")
    if date > now + CLOCK_TOLERANCE:
        raise trail.refuse("release.date", f"It is dated {_shown(date)}, in the future. Check this machine's clock.")
    if last_seen is not None and date < last_seen:
        raise trail.refuse(
            "release.date",
            f"It is dated {_shown(date)}, older than the one seen before ({_shown(last_seen)}): an old state is "
            "played again. Use another mirror.",
        )
    trail.passed("release.date", f"It is dated {_shown(date)}.")


def _check_validity(trail: Trail, release: Mapping[str, str], *, now: datetime, max_age: timedelta | None) -> None:
    ends = trail.valid_until = _time(trail, release, "valid-until")
    if ends is None and max_age is not None and trail.date is not None:
        ends = trail.date + max_age
    if ends is None:
        trail.passed("release.valid_until", "It has no Valid-Until: only going back in time can be noticed.")
    elif now >= ends:
        raise trail.refuse(
            "release.valid_until",
            f"It was valid until {_shown(ends)}: the mirror is frozen or no longer fed. Use another mirror.",
        )
    else:
        trail.passed("release.valid_until", f"It is valid until {_shown(ends)}.")


def _time(trail: Trail, release: Mapping[str, str], name: str) -> datetime | None:
    text = release.get(name, "")
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise trail.refuse("release." + name.replace("-", "_"), f"{name} is {text[:60]!r}, which is no time.") from None


def _entries(trail: Trail, release: Mapping[str, str]) -> dict[str, IndexDigest]:
    if "sha256" not in release:
        weaker = ", ".join(name for name in ("md5sum", "sha1") if name in release) or "none"
        raise trail.refuse(
            "release.hashes", f"It lists no SHA-256 of its indexes (found: {weaker}). Older hashes prove nothing."
        )
    found: dict[str, IndexDigest] = {}
    for line in release["sha256"].split("\n"):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3 or not _HASH.fullmatch(parts[0]) or not re.fullmatch(r"\d{1,12}", parts[1]):
            raise trail.refuse("release.hashes", f"{line[:100]!r} is no line of hash, size and name.")
        path = parts[2]
        if not _PATH.fullmatch(path) or ".." in path.split("/"):
            continue  # such a name is never asked for
        entry = IndexDigest(path=path, size=int(parts[1]), sha256=parts[0])
        if found.setdefault(path, entry) != entry:
            raise trail.refuse("release.hashes", f"It lists {path} twice, with different hashes.")
    trail.passed("release.hashes", f"It vouches for {len(found)} indexes by SHA-256.")
    return found


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
