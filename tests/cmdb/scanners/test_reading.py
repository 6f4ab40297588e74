"""A collector's report becomes a HostReport, or is refused; never half believed."""

from datetime import UTC, datetime

import pytest

from cmdb.remote.connection import THIS_COMPUTER, Endpoint
from cmdb.remote.errors import BadAnswer
from cmdb.scanners.base import Fingerprint
from cmdb.scanners.reading import report_from

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0w+PJr8t4o8bZbHhqKkJ3l2M9l3u2n3l3m1S4c3cQx"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther"


def said(**more: object) -> dict[str, object]:
    return {
        "collected_at": "2026-11-22T14:00:00+01:00",
        "package_manager": "dpkg",
        "errors": [],
        "machine_id": "abc",
        "host_keys": [OTHER],
    } | more


def test_fingerprint_is_the_key_that_the_connection_proved_not_what_a_file_says() -> None:
    report = report_from(said(), endpoint=Endpoint(address="h", host_key=f"{KEY} root@h"), scanner="ssh")
    assert report.fingerprint == Fingerprint(machine_id="abc", host_key=KEY)

    here = report_from(said(), endpoint=THIS_COMPUTER, scanner="local")
    assert here.fingerprint == Fingerprint(machine_id="abc", host_key=OTHER)
    assert not Fingerprint(machine_id="abc", host_key="")


def test_times_are_utc_and_missing_parts_are_empty_with_their_errors() -> None:
    report = report_from(said(errors=["pending: apt is broken"]), endpoint=THIS_COMPUTER, scanner="local")

    assert report.collected_at == datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
    assert (report.packages, report.pending, report.restart.needed) == ((), (), None)
    assert (report.complete, report.errors) == (False, ("pending: apt is broken",))


@pytest.mark.parametrize(
    "broken",
    [{"collected_at": "yesterday"}, {"errors": None}, {"packages": [{"name": "a"}]}, {"host_keys": 7}, {"facts": 3}],
)
def test_report_that_cannot_be_read_is_a_bad_answer(broken: dict[str, object]) -> None:
    with pytest.raises(BadAnswer, match="cannot be read"):
        report_from(said(**broken), endpoint=THIS_COMPUTER, scanner="local")
