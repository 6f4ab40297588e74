"""What releases adds to the navigation."""

from releases.web import release_nav, rollout_nav  # noqa: F401
