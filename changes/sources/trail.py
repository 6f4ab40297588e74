"""The trail of checks that every source leaves, up to the first refusal; and what all of them ask of a key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from changes.sources.base import Check, IndexDigest, VerificationResult
from changes.sources.openpgp import BadKeyring, BadSignature, SignedText, Unsigned
from patchflow.kernel.blockers import english

CLOCK_TOLERANCE = timedelta(hours=1)


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


def check_signature(trail: Trail, what: str, opened: Callable[[], SignedText], *, now: datetime) -> SignedText:
    """What `opened` says was signed, by a key that is neither expired nor revoked. Raises Refusal."""
    try:
        signed = opened()
    except BadKeyring as error:
        raise trail.refuse(
            "release.signature", english("%(error)s Enter the repository's public key.", error=error)
        ) from None
    except Unsigned as error:
        raise trail.refuse(
            "release.signature", english("The %(what)s is not properly signed: %(error)s.", what=what, error=error)
        ) from None
    except BadSignature as error:
        raise trail.refuse(
            "release.signature",
            english(
                "No given key signed this %(what)s, or it was changed: %(error)s. Do not use it.",
                what=what,
                error=error,
            ),
        ) from None
    certificate = signed.certificate
    trail.signer = certificate.fingerprint
    trail.signer_name = str(certificate.user_ids[0])[:200] if certificate.user_ids else ""
    trail.passed("release.signature", f"Good signature of {trail.signer} {trail.signer_name}".strip() + ".")
    if certificate.expiration is not None and certificate.expiration <= now:
        raise trail.refuse(
            "release.key",
            english(
                "The key expired at %(expiration)s. Get the renewed one.", expiration=shown(certificate.expiration)
            ),
        )
    trail.passed("release.key", english("The key is not expired and not revoked."))
    return signed


def check_date(trail: Trail, what: str, date: datetime | None, *, now: datetime, last_seen: datetime | None) -> None:
    """That it is dated, not in the future, and not before what was accepted already. Raises Refusal."""
    trail.date = date
    if date is None:
        raise trail.refuse(
            "release.date", english("The %(what)s has no Date, so an old one could not be told from a new.", what=what)
        )
    if date > now + CLOCK_TOLERANCE:
        raise trail.refuse(
            "release.date",
            english("It is dated %(date)s, in the future. Check this machine's clock.", date=shown(date)),
        )
    if last_seen is not None and date < last_seen:
        raise trail.refuse(
            "release.date",
            english(
                "It is dated %(date)s, older than the one seen before (%(last_seen)s): an old state is played again. Use another mirror.",
                date=shown(date),
                last_seen=shown(last_seen),
            ),
        )
    trail.passed("release.date", english("It is dated %(date)s.", date=shown(date)))


def check_index(trail: Trail, digest: IndexDigest, data: bytes) -> None:
    """That an index is, byte for byte, the one that was vouched for; then it is one of the trail's. Raises Refusal."""
    if len(data) != digest.size:
        raise trail.refuse(
            "index.size",
            english(
                "%(path)s has %(data)s bytes, signed %(size)s: cut off or changed.",
                path=digest.path,
                data=len(data),
                size=digest.size,
            ),
        )
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != digest.sha256:
        raise trail.refuse(
            "index.sha256",
            english(
                "%(path)s has SHA-256 %(sha256)s, signed %(signed)s: it was changed, or the mirror is between two states. "
                "Try again; if it stays so, do not use it.",
                path=digest.path,
                sha256=sha256,
                signed=digest.sha256,
            ),
        )
    trail.passed(
        "index.sha256",
        english(
            "%(path)s has the signed size %(size)s and SHA-256 %(sha256)s.",
            path=digest.path,
            size=digest.size,
            sha256=sha256,
        ),
    )
    trail.indexes.append(digest)


def check_validity(trail: Trail, *, now: datetime, max_age: timedelta | None) -> None:
    """That it is valid still, by its own word or the age that is allowed here. Raises Refusal."""
    ends = trail.valid_until
    if ends is None and max_age is not None and trail.date is not None:
        ends = trail.date + max_age
    if ends is None:
        trail.passed("release.valid_until", english("It has no Valid-Until: only going back in time can be noticed."))
    elif now >= ends:
        raise trail.refuse(
            "release.valid_until",
            english(
                "It was valid until %(ends)s: the mirror is frozen or no longer fed. Use another mirror.",
                ends=shown(ends),
            ),
        )
    else:
        trail.passed("release.valid_until", english("It is valid until %(ends)s.", ends=shown(ends)))


def shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
