"""Pages of this app."""

from django.urls import URLPattern

from changes.web import rfc_urls, update_urls

app_name = "changes"
urlpatterns: list[URLPattern] = [*rfc_urls.urlpatterns, *update_urls.urlpatterns]
