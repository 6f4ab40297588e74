"""REST routes of the roof."""

from patchflow.api import routes
from patchflow.reports.api.audit import AuditViewSet
from patchflow.reports.api.cockpit import CockpitViewSet
from patchflow.reports.api.instance import InstanceViewSet
from patchflow.reports.api.notices import NoticeViewSet, UndeliveredViewSet
from patchflow.reports.api.people import PersonViewSet
from patchflow.reports.api.search import SearchViewSet
from patchflow.reports.api.webhooks import WebhookMessageViewSet, WebhookViewSet

routes.register("audit", AuditViewSet, basename="audit")
routes.register(r"cycles/(?P<id>[0-9]+)/cockpit", CockpitViewSet, basename="cycle-cockpit")
routes.register("instance", InstanceViewSet, basename="instance")
routes.register("notices", NoticeViewSet, basename="notice")
routes.register("people", PersonViewSet, basename="person")
routes.register("search", SearchViewSet, basename="search")
routes.register("undelivered", UndeliveredViewSet, basename="undelivered")
routes.register("webhooks", WebhookViewSet, basename="webhook")
routes.register("webhook-messages", WebhookMessageViewSet, basename="webhook-message")
