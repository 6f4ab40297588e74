"""What changes adds to the navigation."""

from changes.web import calendar_nav, rfc_nav, update_nav  # noqa: F401
