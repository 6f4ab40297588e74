"""Addresses of updates and feeds."""

from django.urls import path

from changes.web import feeds, updates

urlpatterns = [
    path("updates/", updates.update_list, name="update-list"),
    path("updates/<int:pk>/", updates.update_detail, name="update-detail"),
    path("updates/<int:pk>/hosts.csv", updates.update_hosts, name="update-hosts"),
    path("updates/<int:pk>/respond/", updates.update_respond, name="update-respond"),
    path("updates/<int:pk>/classify/", updates.update_classify, name="update-classify"),
    path("feeds/", feeds.feed_list, name="feed-list"),
    path("feeds/add/", feeds.feed_add, name="feed-add"),
    path("feeds/<int:pk>/", feeds.feed_detail, name="feed-detail"),
    path("feeds/<int:pk>/revise/", feeds.feed_revise, name="feed-revise"),
    path("feeds/<int:pk>/poll/", feeds.feed_poll, name="feed-poll"),
    path("feeds/<int:pk>/enable/", feeds.feed_switch, {"on": True}, name="feed-enable"),
    path("feeds/<int:pk>/disable/", feeds.feed_switch, {"on": False}, name="feed-disable"),
    path("feeds/runs/<int:pk>/lost/", feeds.loss_shown, name="feedrun-lost"),
    path("feeds/runs/<int:pk>/accept-loss/", feeds.loss, {"accept": True}, name="feedrun-accept-loss"),
    path("feeds/runs/<int:pk>/refuse-loss/", feeds.loss, {"accept": False}, name="feedrun-refuse-loss"),
]
