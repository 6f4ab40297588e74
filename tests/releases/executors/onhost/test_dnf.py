"""Reading the words of dnf and rpm, and rpm's order of versions as the host decides it."""

import functools
import itertools
import shutil
from pathlib import Path

import pytest

from cmdb import versions
from releases.executors.onhost import rpmdb
from releases.executors.onhost.dnf import Dnf

VERSIONS = [
    "1.0-1", "1.0-1.el9", "1.0-1.el9_4", "1.0~rc1-1", "1.0~rc2-1", "1.0^git1-1", "1.0.1-1", "1.10-1", "1.9-1", "1.a-1",
    "1:0.5-1", "2.0-1", "0:2.0-1", "2.0-2", "2.0-10", "1.0a-1", "1.0.-1", "10xyz-1", "xyz10-1", "1.0^-1", "1.0~-1",
]  # fmt: skip


def test_versions_are_ordered_as_the_server_orders_them() -> None:
    for left, right in itertools.product(VERSIONS, VERSIONS):
        ours, theirs = versions.key("rpm", left), versions.key("rpm", right)
        assert (rpmdb.compare(left, right) > 0) == (ours > theirs), (left, right)
        assert (rpmdb.compare(left, right) < 0) == (ours < theirs), (left, right)
    assert sorted(VERSIONS, key=functools.cmp_to_key(rpmdb.compare))[-1] == "1:0.5-1"


@pytest.mark.parametrize(
    ("words", "code", "permanent"),
    [
        ("Error: Failed to download metadata for repo 'lab': repomd.xml GPG signature verification error: Bad GPG signature",
         "repository_untrusted", True),
        ("  - Downloading successful, but checksum doesn't match. Calculated: 5c(sha256)  Expected: 2e(sha256)\n"
         "Error: Failed to download metadata for repo 'lab': all mirrors were already tried without success",
         "repository_untrusted", True),
        ("Package acme-tool-1.1-1.noarch.rpm is not signed", "repository_untrusted", True),
        ("  - Curl error (28): Timeout was reached for http://10.0.0.2/rpm/repodata/repomd.xml [Failed to connect]\n"
         "Error: Failed to download metadata for repo 'lab': Cannot download repomd.xml", "repository_unreachable", False),
        ("Cache-only enabled but no cache for 'lab'", "repository_unreachable", False),
        ("Transaction test error:\n  installing package a-1-1.noarch needs 4KB more space on the /usr filesystem\n\n"
         "Error Summary\n-------------\n", "disk_full", False),
        ("error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Resource temporarily unavailable)", "locked", False),
        ("Problem: The operation would result in removing the following protected packages: dnf", "removal", True),
        ("Problem: package a-2-1.noarch requires b = 2, but none of the providers can be installed", "impossible", True),
        ("Curl error (23): Failed writing received data to disk/application for http://r/a.rpm", "disk_full", False),
        ("nobody knows", "failed", True),
    ],
)  # fmt: skip
def test_meaning_of_the_words_of_dnf(words: str, code: str, permanent: bool) -> None:
    found = Dnf().meaning(words)

    assert (found.code, found.permanent) == (code, permanent)
    assert found.reason


def test_only_scripts_that_do_not_keep_a_package_out_are_warnings() -> None:
    text = (
        "error: Error in POSTIN scriptlet in rpm package acme-notice\n"
        "error: Error in PREIN scriptlet in rpm package acme-brittle\n"
        "error: Error in POSTTRANS scriptlet in rpm package acme-web\n"
        "warning: /etc/acme.conf created as /etc/acme.conf.rpmnew\n"
    )

    assert Dnf().warnings(text) == [
        "Error in POSTIN scriptlet in rpm package acme-notice; see the log",
        "Error in POSTTRANS scriptlet in rpm package acme-web; see the log",
        "/etc/acme.conf was changed here and stays; the new one lies beside it, .rpmnew",
    ]


def test_dnf_5_and_rpm_alone_are_not_worked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from releases.executors.onhost import dnf

    monkeypatch.setenv("PATH", str(tmp_path))
    assert dnf.why_not() == "this host has rpm, but no dnf"
    (tmp_path / "dnf5").write_text("#!/bin/sh\n")
    (tmp_path / "dnf5").chmod(0o755)
    (tmp_path / "dnf").symlink_to("dnf5")
    assert shutil.which("dnf")
    assert dnf.why_not() == "this host has dnf 5, of which only dnf 4 is known"
