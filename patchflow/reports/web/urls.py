"""Pages of the roof."""

from django.urls import path

from patchflow.reports.web import audit, home, notices

app_name = "reports"
urlpatterns = [
    path("", home.home, name="home"),
    path("find/", home.find, name="find"),
    path("notices/", notices.notice_list, name="notice-list"),
    path("notices/read/", notices.read_all, name="notices-read"),
    path("notices/undelivered/", notices.undelivered_list, name="undelivered-list"),
    path("notices/undelivered/<int:pk>/send-again/", notices.undelivered_send_again, name="undelivered-send-again"),
    path("notices/<int:pk>/", notices.notice_detail, name="notice-detail"),
    path("settings/", notices.own_settings, name="settings"),
    path("settings/notices/", notices.settings_notices, name="settings-notices"),
    path("audit/", audit.entry_list, name="audit-list"),
    path("audit/verify/", audit.verify, name="audit-verify"),
    path("audit/<int:pk>/", audit.entry_detail, name="audit-detail"),
    path("audit/<str:object_type>/<str:object_id>/", audit.object_history, name="audit-object"),
]
