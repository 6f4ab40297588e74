"""The tables of cmdb: what we have."""

from cmdb.models.baseline import Baseline, BaselineItem
from cmdb.models.connection import Connection
from cmdb.models.discrepancy import Discrepancy
from cmdb.models.exemption import Exemption
from cmdb.models.fields import VersionKeyField
from cmdb.models.group import GroupMember, HostGroup
from cmdb.models.host import Fact, Host, HostIdentity
from cmdb.models.item import ConfigurationItem, Relation
from cmdb.models.point import DistributionPoint
from cmdb.models.scan import ScanResult, ScanRun
from cmdb.models.software import Installation, PackageVersion, PendingUpdate, Platform
from cmdb.models.standing import BaselineStanding
from cmdb.models.support import SupportGroup
from cmdb.models.window import Nth, ServiceWindow, Weekday

__all__ = [
    "Baseline",
    "BaselineItem",
    "BaselineStanding",
    "ConfigurationItem",
    "Connection",
    "Discrepancy",
    "DistributionPoint",
    "Exemption",
    "Fact",
    "GroupMember",
    "Host",
    "HostGroup",
    "HostIdentity",
    "Installation",
    "Nth",
    "PackageVersion",
    "PendingUpdate",
    "Platform",
    "Relation",
    "ScanResult",
    "ScanRun",
    "ServiceWindow",
    "SupportGroup",
    "VersionKeyField",
    "Weekday",
]
