"""Pages of the roof."""

from django.urls import path

from patchflow.reports.web import audit, home, notices, people, programs, trial, webhooks

app_name = "reports"
urlpatterns = [
    path("", home.home, name="home"),
    path("find/", home.find, name="find"),
    path("notices/", notices.notice_list, name="notice-list"),
    path("notices/read/", notices.read_all, name="notices-read"),
    path("notices/undelivered/", notices.undelivered_list, name="undelivered-list"),
    path("notices/undelivered/<int:pk>/send-again/", notices.undelivered_send_again, name="undelivered-send-again"),
    path("notices/<int:pk>/", notices.notice_detail, name="notice-detail"),
    path("webhooks/", webhooks.webhook_list, name="webhook-list"),
    path("webhooks/add/", webhooks.webhook_add, name="webhook-add"),
    path("webhooks/<int:pk>/", webhooks.webhook_detail, name="webhook-detail"),
    path("webhooks/<int:pk>/edit/", webhooks.webhook_revise, name="webhook-revise"),
    path("webhooks/<int:pk>/new-secret/", webhooks.webhook_rotate, name="webhook-rotate"),
    path("webhooks/<int:pk>/switch-off/", webhooks.webhook_switch_off, name="webhook-switch-off"),
    path("webhooks/<int:pk>/switch-on/", webhooks.webhook_switch_on, name="webhook-switch-on"),
    path("webhooks/<int:pk>/test/", webhooks.webhook_test, name="webhook-test"),
    path("webhooks/<int:pk>/messages/<int:message>/again/", webhooks.webhook_again, name="webhook-again"),
    path("people/", people.person_list, name="person-list"),
    path("people/add/", people.person_add, name="person-add"),
    path("people/add-service/", programs.add_service, name="person-add-service"),
    path("people/<int:pk>/", people.person_detail, name="person-detail"),
    path("people/<int:pk>/grant/", people.person_grant, name="person-grant"),
    path("people/<int:pk>/roles/<int:grant>/revoke/", people.person_revoke, name="person-revoke"),
    path("people/<int:pk>/give-token/", programs.give_token, name="person-give-token"),
    path("people/<int:pk>/tokens/<slug:token>/revoke/", programs.revoke_token, name="person-revoke-token"),
    path("people/<int:pk>/deactivate/", people.person_deactivate, name="person-deactivate"),
    path("people/<int:pk>/reactivate/", people.person_reactivate, name="person-reactivate"),
    path("settings/", notices.own_settings, name="settings"),
    path("settings/notices/", notices.settings_notices, name="settings-notices"),
    path("trial/", trial.show, name="trial"),
    path("audit/", audit.entry_list, name="audit-list"),
    path("audit/verify/", audit.verify, name="audit-verify"),
    path("audit/<int:pk>/", audit.entry_detail, name="audit-detail"),
    path("audit/<str:object_type>/<str:object_id>/", audit.object_history, name="audit-object"),
]
