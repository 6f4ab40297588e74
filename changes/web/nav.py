"""What changes adds to the navigation."""

from changes.web import rfc_nav, update_nav  # noqa: F401
