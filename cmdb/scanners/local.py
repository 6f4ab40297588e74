"""This computer, by the collector run here: what a first visitor sees of a real machine. Works without root."""

from cmdb.remote import transport
from cmdb.remote.connection import THIS_COMPUTER, Endpoint
from cmdb.scanners.base import HostReport
from cmdb.scanners.reading import COLLECTOR, report_from


class LocalScanner:
    """Reads this computer whatever endpoint is given; writes nothing, fetches nothing unless `refresh`."""

    name = "local"

    def scan(self, endpoint: Endpoint = THIS_COMPUTER, *, timeout: float = 120, refresh: bool = False) -> HostReport:
        """Raises TimedOut, SudoRefused (only if the endpoint asks for root), BadAnswer."""
        here = endpoint if endpoint.kind == "local" else THIS_COMPUTER
        said = transport.ask(here, COLLECTOR, {"refresh": refresh}, timeout=timeout)
        return report_from(said, endpoint=here, scanner=self.name)
