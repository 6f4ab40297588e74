"""REST routes of the roof."""

from patchflow.api import routes
from patchflow.reports.api.audit import AuditViewSet

routes.register("audit", AuditViewSet, basename="audit")
