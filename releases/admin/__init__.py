"""Releases in the admin site."""

from releases.admin import planning as planning
from releases.admin import release as release
from releases.admin import review as review
from releases.admin import rollout as rollout
from releases.admin import telling as telling
