"""What can go wrong between us and a host, each with its reason in words."""


class RemoteError(Exception):
    """The host could not be asked.

    `started` tells whether the command may have begun over there: if so the outcome is unknown, not "failed",
    and whoever asked has to look before doing anything again.
    """

    code = "remote"

    def __init__(self, reason: str, *, started: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.started = started


class Unreachable(RemoteError):
    """No answer on the address and port, or the line was cut."""

    code = "unreachable"


class HostKeyChanged(RemoteError):
    """The host shows another key than the pinned one, or none was pinned. Never accepted by itself."""

    code = "host_key_changed"


class AuthenticationFailed(RemoteError):
    """The host refuses our key."""

    code = "authentication_failed"


class SudoRefused(RemoteError):
    """Logged in, but not allowed to become root without a password."""

    code = "sudo_refused"


class TimedOut(RemoteError):
    """The command did not end in time. It may still be running over there."""

    code = "timed_out"


class BadAnswer(RemoteError):
    """The host answered with something else than what was shipped to it would say."""

    code = "bad_answer"
