"""Pages of this app."""

from django.urls import URLPattern

from changes.web import change_model_urls, rfc_urls, update_urls

app_name = "changes"
urlpatterns: list[URLPattern] = [
    *rfc_urls.urlpatterns,
    *change_model_urls.urlpatterns,
    *update_urls.urlpatterns,
]
