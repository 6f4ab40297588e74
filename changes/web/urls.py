"""Pages of this app."""

from django.urls import URLPattern

from changes.web import calendar_urls, change_model_urls, rfc_urls, update_urls

app_name = "changes"
urlpatterns: list[URLPattern] = [
    *rfc_urls.urlpatterns,
    *calendar_urls.urlpatterns,
    *change_model_urls.urlpatterns,
    *update_urls.urlpatterns,
]
