"""Addresses of the toolkit itself: saved filters, and its style guide while one develops."""

from __future__ import annotations

from django.conf import settings
from django.urls import URLPattern, path

from patchflow.web import saved, styleguide

app_name = "web"
urlpatterns: list[URLPattern] = [
    path("filters/", saved.filter_list, name="filter-list"),
    path("filters/save/", saved.filter_save, name="filter-save"),
    path("filters/<int:pk>/", saved.filter_edit, name="filter-edit"),
    path("filters/<int:pk>/remove/", saved.filter_remove, name="filter-remove"),
    path("filters/<int:pk>/begin/", saved.filter_begin, name="filter-begin"),
]
if not settings.PRODUCTION:
    urlpatterns += [
        path("styleguide/", styleguide.guide, name="styleguide"),
        path("styleguide/<slug:page>/", styleguide.specimen, name="styleguide-page"),
    ]
