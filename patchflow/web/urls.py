"""Addresses of the toolkit itself: its style guide, while one develops."""

from __future__ import annotations

from django.conf import settings
from django.urls import URLPattern, path

from patchflow.web import styleguide

app_name = "web"
urlpatterns: list[URLPattern] = []
if not settings.PRODUCTION:
    urlpatterns = [
        path("styleguide/", styleguide.guide, name="styleguide"),
        path("styleguide/<slug:page>/", styleguide.specimen, name="styleguide-page"),
    ]
