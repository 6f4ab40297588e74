"""A host by plain SSH: the collector is sent over the connection and leaves nothing behind."""

from cmdb.remote import transport
from cmdb.remote.connection import Endpoint
from cmdb.scanners.base import HostReport
from cmdb.scanners.reading import COLLECTOR, report_from


class SshScanner:
    """The lightest way: one connection per scan, no program needed here but ssh, python3 over there."""

    name = "ssh"

    def scan(self, endpoint: Endpoint, *, timeout: float = 120, refresh: bool = False) -> HostReport:
        """Raises RemoteError when the host cannot be asked."""
        said = transport.ask(endpoint, COLLECTOR, {"refresh": refresh}, timeout=timeout)
        return report_from(said, endpoint=endpoint, scanner=self.name)
