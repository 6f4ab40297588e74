"""REST routes of the roof."""

from patchflow.api import routes
from patchflow.reports.api.audit import AuditViewSet
from patchflow.reports.api.notices import NoticeViewSet, UndeliveredViewSet

routes.register("audit", AuditViewSet, basename="audit")
routes.register("notices", NoticeViewSet, basename="notice")
routes.register("undelivered", UndeliveredViewSet, basename="undelivered")
