"""Pages of this app."""

from django.urls import URLPattern

from changes.web import calendar_urls, change_model_urls, change_task_urls, rfc_urls, update_urls

app_name = "changes"
urlpatterns: list[URLPattern] = [
    *rfc_urls.urlpatterns,
    *calendar_urls.urlpatterns,
    *change_model_urls.urlpatterns,
    *change_task_urls.urlpatterns,
    *update_urls.urlpatterns,
]
