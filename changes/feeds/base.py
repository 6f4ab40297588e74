"""The port of every feed, and what a feed hands over.

To add a feed: a module here with a class that has `name` and `fetch`, `@register("its kind")` above it, a test with
small documents of our own writing. It sees no model and no database.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Protocol, TypeVar

PREFIX_BYTES = 2_000


class AdvisoryKind(StrEnum):
    SECURITY = "security"
    BUGFIX = "bugfix"
    ENHANCEMENT = "enhancement"
    NEWPACKAGE = "newpackage"


class SeverityRank(IntEnum):
    """The vendors' words on one ladder of five steps; 0 where the vendor has not said."""

    UNKNOWN = 0
    NEGLIGIBLE = 1
    LOW = 2
    MODERATE = 3
    IMPORTANT = 4
    CRITICAL = 5


class Relation(StrEnum):
    """What an advisory says of a vulnerability. Only one that it fixes makes a finding."""

    FIXES = "fixes"
    MENTIONS = "mentions"


class FixState(StrEnum):
    """What the vendor states for one package in one release.

    `unparsable`: there is a statement about versions, but not one that can be ordered. The verdict is unknown, never
    not affected.
    """

    FIXED = "fixed"
    NOT_AFFECTED = "not_affected"
    NO_FIX = "no_fix"
    WILL_NOT_FIX = "will_not_fix"
    DEFERRED = "deferred"
    UNDER_INVESTIGATION = "under_investigation"
    OUT_OF_SUPPORT = "out_of_support"
    UNPARSABLE = "unparsable"


@dataclass(frozen=True, kw_only=True, slots=True)
class VulnerabilityDraft:
    """A vulnerability as one advisory names it. `cvss`: (type, vector) pairs, types CVSS_V2, CVSS_V3, CVSS_V4."""

    id: str
    relation: Relation
    aliases: tuple[str, ...] = ()
    cvss: tuple[tuple[str, str], ...] = ()
    severity_vendor: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FixDraft:
    """One statement about one package: affected from `introduced` (inclusive) to `fixed_version` (exclusive).

    `introduced` "0" is "from the beginning". `fixed_version` is empty unless the state is fixed or unparsable (then it
    is the raw text). Two narrower ways to say "affected, no fixed version named": `last_affected` (inclusive), and
    `affected_versions` (exactly these). `module` is name:stream; `modular` is true also where the feed does not say
    the stream for sure, and `module_candidates` are then the streams that it may be (none: unknown).
    """

    ecosystem: str
    distribution: str
    release: str
    package_name: str
    name_kind: str
    state: FixState
    channel: str = ""
    flavour: str = "plain"
    arch: str = "any"
    modular: bool = False
    module: str = ""
    module_candidates: tuple[str, ...] = ()
    introduced: str = "0"
    fixed_version: str = ""
    last_affected: str = ""
    affected_versions: tuple[str, ...] = ()
    severity_vendor: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdvisoryDraft:
    """One document of a vendor, read. Unique on (source, advisory_id, release of its fixes).

    Times are aware UTC. `document` is the text as published (or its canonical JSON where it came inside a larger one)
    and `document_sha256` the hash of these bytes: an unchanged hash is a repeat. `notes` say what was read but could
    not become a fix; nothing is left out without one.
    """

    source: str
    advisory_id: str
    vendor: str
    title: str
    text: str
    kind: AdvisoryKind
    severity_vendor: str
    severity_rank: SeverityRank
    published_at: datetime | None
    modified_at: datetime
    withdrawn_at: datetime | None
    references: tuple[tuple[str, str], ...]
    vulnerabilities: tuple[VulnerabilityDraft, ...]
    fixes: tuple[FixDraft, ...]
    cvss: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    document_name: str = ""
    document_sha256: str
    document: bytes = field(repr=False)

    @property
    def releases(self) -> frozenset[tuple[str, str, str]]:
        """The (distribution, release, channel) triples that the fixes are for."""
        return frozenset((fix.distribution, fix.release, fix.channel) for fix in self.fixes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A document that was not taken in, whole. What an earlier run knew under its id stays in force.

    `error` says what is wrong and what to do. `advisory_id` is empty where not even that could be read.
    """

    document_name: str
    document_sha256: str
    prefix: bytes = field(repr=False)
    error: str
    advisory_id: str = ""


@dataclass(kw_only=True, slots=True)
class Tally:
    """What one run of a feed saw, counted while it runs.

    `unchanged`: left out because older than `since`. `ignored`: files that are no documents of this format. `complete`
    is false until the end of the source is reached: before that, nothing may be called vanished.
    """

    documents: int = 0
    drafts: int = 0
    quarantined: int = 0
    unchanged: int = 0
    repeats: int = 0
    ignored: int = 0
    fixes: int = 0
    complete: bool = False


class FeedError(Exception):
    """The source as a whole could not be reached. `retryable`: the same run may succeed later."""

    def __init__(self, sentence: str, *, retryable: bool) -> None:
        super().__init__(sentence)
        self.retryable = retryable


class Feed(Protocol):
    """Network or files in, dataclasses out; no model, no database."""

    name: str
    tally: Tally

    def fetch(self, *, since: datetime | None) -> Iterator[AdvisoryDraft | Quarantined]:
        """Yield what the source holds, in its order; with `since`, only what was modified then or later.

        A document never raises: it is yielded as Quarantined. Raises FeedError before the first document where the
        source cannot be reached.
        """
        ...


FeedT = TypeVar("FeedT", bound=Callable[..., Feed])
_FEEDS: dict[str, Callable[..., Feed]] = {}

_RANKS = {
    "critical": SeverityRank.CRITICAL,
    "important": SeverityRank.IMPORTANT,
    "high": SeverityRank.IMPORTANT,
    "moderate": SeverityRank.MODERATE,
    "medium": SeverityRank.MODERATE,
    "low": SeverityRank.LOW,
    "negligible": SeverityRank.NEGLIGIBLE,
    "unimportant": SeverityRank.NEGLIGIBLE,
}


def rank_severity(word: str) -> SeverityRank:
    """Place a vendor's word on the ladder. "not yet assigned", "untriaged", "end-of-life", "none": unknown, never low.

    Debian marks a guess with asterisks; the guess counts.
    """
    return _RANKS.get(word.strip().strip("*").lower(), SeverityRank.UNKNOWN)


def register(kind: str) -> Callable[[FeedT], FeedT]:
    """Make a feed class known as `kind`. Raises ValueError where the kind is taken."""

    def add(feed: FeedT) -> FeedT:
        if kind in _FEEDS:
            raise ValueError(f"there is a feed of kind {kind!r} already")
        _FEEDS[kind] = feed
        return feed

    return add


def kinds() -> list[str]:
    """The kinds of feeds there are, in order of the alphabet."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return sorted(_FEEDS)


def make_feed(kind: str, **settings: Any) -> Feed:
    """Make the feed of this kind. Raises LookupError, naming the kinds there are."""
    known = kinds()
    if kind not in known:
        raise LookupError(f"There is no feed of kind {kind!r}; there are: {', '.join(known)}.")
    return _FEEDS[kind](**settings)
