"""Pages of the roof."""

from django.urls import path

from patchflow.reports.web import audit, home

app_name = "reports"
urlpatterns = [
    path("", home.home, name="home"),
    path("find/", home.find, name="find"),
    path("audit/", audit.entry_list, name="audit-list"),
    path("audit/verify/", audit.verify, name="audit-verify"),
    path("audit/<int:pk>/", audit.entry_detail, name="audit-detail"),
    path("audit/<str:object_type>/<str:object_id>/", audit.object_history, name="audit-object"),
]
