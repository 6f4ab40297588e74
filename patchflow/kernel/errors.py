"""Typed refusals and failures. Views, REST and workers map these; nothing else crosses a layer."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext_noop

from patchflow.kernel.blockers import Blocker, said, sentences


class Refusal(Exception):
    """A verb was refused; `blockers` says why. Nothing was changed, and the attempt is in the audit trail."""

    status = 409
    title = gettext_noop("Refused")

    def __init__(self, blockers: Sequence[Blocker] | Blocker | str, *, code: str = "") -> None:
        if isinstance(blockers, str):
            blockers = [Blocker(code or self.default_code, blockers)]
        elif isinstance(blockers, Blocker):
            blockers = [blockers]
        self.blockers: list[Blocker] = list(blockers)
        super().__init__(sentences(self.blockers))

    default_code = "refused"

    @property
    def said(self) -> str:
        """The reasons in the reader's language; `str` of it is English, for logs and rows."""
        return said(self.blockers)


class NotAllowed(Refusal):
    """This person may not do this here: role, scope or separation of duties."""

    status = 403
    title = gettext_noop("Not allowed")
    default_code = "not_allowed"


class Blocked(Refusal):
    """A gate is shut; each blocker says what opens it."""

    title = gettext_noop("Blocked")
    default_code = "blocked"


class Conflict(Refusal):
    """The object has moved on since it was read, or another holds it: look again."""

    title = gettext_noop("Conflict")
    default_code = "conflict"


class Invalid(Refusal):
    """The input cannot be used; each blocker's code ends in the field's name."""

    status = 400
    title = gettext_noop("Invalid input")
    default_code = "invalid"


class Failure(Exception):
    """Base of what a worker meets; `reason` is stored with the row."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Retry(Failure):
    """Nothing was done; trying later is safe."""


class Refused(Failure):
    """Nothing was done and never will be: permanent."""


class Lost(Failure):
    """What was ordered may have happened: look before anything is repeated (law 7)."""
