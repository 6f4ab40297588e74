"""Pages of this app."""

from django.urls import URLPattern

from releases.web import release_urls, rollout_urls

app_name = "releases"
urlpatterns: list[URLPattern] = [*release_urls.urlpatterns, *rollout_urls.urlpatterns]
