"""Every address of Patchflow."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from patchflow import health
from patchflow.api import routes
from patchflow.api.access import LoginView, LogoutView
from patchflow.api.preferences import PreferencesView
from patchflow.api.saved_filters import SavedFilterViewSet

APPS = ("cmdb", "changes", "releases", "patchflow.reports")

routes.register("filters", SavedFilterViewSet, basename="filter")
for app in APPS:
    import_module(f"{app}.api.urls")


def home_of_admin(request: HttpRequest) -> HttpResponse:
    """The admin's own log-in is not used: one door for people."""
    from django.contrib.auth.views import redirect_to_login

    return redirect_to_login(request.GET.get("next", "/admin/"))


urlpatterns = [
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path(
        "api/v1/",
        include(
            [
                path("login/", LoginView.as_view(), name="login"),
                path("logout/", LogoutView.as_view(), name="logout"),
                path("preferences/", PreferencesView.as_view(), name="preferences"),
                *routes.router.urls,
            ]
        ),
    ),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path(
        "api/docs/",
        SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="web/api_docs.html"),
        name="docs",
    ),
    path("admin/login/", home_of_admin),
    path("admin/", admin.site.urls),
    path("account/", include("allauth.account.urls")),
    path("", include("patchflow.web.urls")),
    *[path("", include(f"{app}.web.urls")) for app in APPS],
]
if settings.DEBUG:
    admin.site.site_url = "/"

handler400 = "patchflow.web.errors.bad_request"
handler403 = "patchflow.web.errors.permission_denied"
handler404 = "patchflow.web.errors.page_not_found"
handler500 = "patchflow.web.errors.server_error"
