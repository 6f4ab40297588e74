"""What a version order says when it cannot place a text."""

_SHOWN = 80


class InvalidVersion(ValueError):
    """A text that is no version of its ecosystem.

    Carries the raw `text`, which the caller keeps and shows, and the `reason` in words that continue "The version ...".
    A finding about such a version is "unknown", never "not affected".
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        # The ASCII form keeps line breaks and direction marks of a hostile text out of logs.
        shown = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}..."
        return f"version {shown!a} {self.reason}"
