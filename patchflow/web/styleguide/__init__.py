"""The style guide: every component with invented data, and pages of every kind. Only while one develops."""

from patchflow.web.styleguide.views import guide, specimen

__all__ = ["guide", "specimen"]
