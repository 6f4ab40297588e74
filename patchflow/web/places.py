"""Pages of the toolkit's own in the menu under a person's name."""

from django.utils.translation import gettext_lazy

from patchflow.web.navigation import nav

nav.own(gettext_lazy("Saved filters"), "web:filter-list", "filter")
nav.own(gettext_lazy("API"), "docs", "term")
