"""Releases in the admin site."""

from releases.admin import release as release
from releases.admin import rollout as rollout
