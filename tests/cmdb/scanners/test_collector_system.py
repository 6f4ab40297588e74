"""What kind of machine a host is, by its case, its screen and what it runs on."""

import pytest

from cmdb.scanners.collector.system import kind_of


@pytest.mark.parametrize(
    ("chassis", "screen", "virtual", "kind"),
    [
        ("23", False, "none", "server"),
        ("1", False, "kvm", "server"),
        ("3", False, "microsoft", "server"),
        ("1", True, "kvm", "workstation"),
        ("10", False, "none", "workstation"),
        ("3", False, "none", ""),
        ("", False, "systemd-nspawn", "server"),
        ("", False, "", ""),
        ("23", True, "none", "workstation"),
    ],
)
def test_kind_of_machine(chassis: str, screen: bool, virtual: str, kind: str) -> None:
    assert kind_of(chassis, screen, virtual) == kind
