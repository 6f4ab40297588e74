"""Addresses of the calendar and of freezes."""

from django.urls import path

from changes.web import calendar, freeze_import, freezes

urlpatterns = [
    path("changes/calendar/", calendar.calendar_show, name="calendar-show"),
    path("changes/calendar/subscribe/", calendar.calendar_subscribe, name="calendar-subscribe"),
    path("changes/calendar/revoke/", calendar.calendar_revoke, name="calendar-revoke"),
    path("changes/calendar/feed/<str:secret>.ics", calendar.calendar_feed, name="calendar-feed"),
    path("changes/freezes/", freezes.freeze_list, name="freeze-list"),
    path("changes/freezes/declare/", freezes.freeze_declare, name="freeze-declare"),
    path("changes/freezes/import/", freeze_import.freeze_import_ics, name="freeze-import"),
    path("changes/freezes/<int:pk>/", freezes.freeze_detail, name="freeze-detail"),
    path("changes/freezes/<int:pk>/lift/", freezes.freeze_lift, name="freeze-lift"),
]
