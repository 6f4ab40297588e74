"""Addresses of cmdb over REST, below /api/v1/."""

from cmdb.api.baselines import BaselineViewSet, DiscrepancyViewSet, ExemptionViewSet
from cmdb.api.groups import GroupViewSet, WindowViewSet
from cmdb.api.hosts import HostViewSet, PlatformViewSet
from cmdb.api.items import ItemViewSet
from cmdb.api.points import PointViewSet
from cmdb.api.scans import ScanRunViewSet
from cmdb.api.support import SupportGroupViewSet
from patchflow.api.routes import register

register("hosts", HostViewSet, basename="host")
register("platforms", PlatformViewSet, basename="platform")
register("items", ItemViewSet, basename="item")
register("host-groups", GroupViewSet, basename="host-group")
register("distribution-points", PointViewSet, basename="distribution-point")
register("service-windows", WindowViewSet, basename="service-window")
register("scan-runs", ScanRunViewSet, basename="scan-run")
register("baselines", BaselineViewSet, basename="baseline")
register("exemptions", ExemptionViewSet, basename="exemption")
register("discrepancies", DiscrepancyViewSet, basename="discrepancy")
register("support-groups", SupportGroupViewSet, basename="support-group")
