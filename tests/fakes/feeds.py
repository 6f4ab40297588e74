"""A feed whose source holds what the test says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from changes.feeds.base import AdvisoryDraft, FeedError, Quarantined, Tally


class FakeFeed:
    """Implements the port of feeds. `complete` False: the source breaks off; `error`: it cannot be reached."""

    def __init__(
        self,
        *,
        name: str = "fake",
        found: Sequence[AdvisoryDraft | Quarantined] = (),
        complete: bool = True,
        error: FeedError | None = None,
    ) -> None:
        self.name = name
        self.tally = Tally()
        self._found, self._complete, self._error = list(found), complete, error

    def fetch(self, *, since: datetime | None) -> Iterator[AdvisoryDraft | Quarantined]:
        if self._error:
            raise self._error
        for each in self._found:
            self.tally.documents += 1
            yield each
        self.tally.complete = self._complete
