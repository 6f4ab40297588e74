"""Reading apt's words, and the comparison of files that apt itself does not make."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from releases.executors.onhost import apt, dnf, packaging
from releases.executors.onhost.packaging import Plan, Refused

ONE = [{"name": "one", "arch": "", "from_version": "", "to_version": "1.1"}]
SIMULATION = """\
Reading package lists...
Inst acme-app [1.0] (2.0 lab-updates:lab-updates [all]) [acme-lib:amd64 on acme-app:amd64] [acme-lib:amd64 ]
Inst libssl3 [3.0.20-1~deb12u2] (3.0.22-1~deb12u2 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64])
Inst libc6:i386 [2.36-9] (2.36-9+deb12u14 Debian:12.15/oldstable [i386]) []
Inst linux-image-6.1.0-50-amd64 (6.1.190-1 Debian-Security:12/oldstable-security [amd64])
Remv old-thing [1:0.9-2] [other:amd64 ]
Purg older-thing [3]
Conf acme-app (2.0 lab-updates:lab-updates [all])
"""


def test_simulation_lines_of_every_kind() -> None:
    changes = {(name, arch): (old, new) for name, old, new, arch in apt.INST.findall(SIMULATION)}

    assert changes == {
        ("acme-app", "all"): ("1.0", "2.0"),
        ("libssl3", "amd64"): ("3.0.20-1~deb12u2", "3.0.22-1~deb12u2"),
        ("libc6", "i386"): ("2.36-9", "2.36-9+deb12u14"),
        ("linux-image-6.1.0-50-amd64", "amd64"): ("", "6.1.190-1"),
    }
    assert apt.REMOVAL.findall(SIMULATION) == [("old-thing", "1:0.9-2"), ("older-thing", "3")]


@pytest.mark.parametrize(
    ("words", "code", "permanent"),
    [
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)", "locked", False),
        ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", "unfinished", False),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "disk_full", False),
        (
            "Err:4 http://r lab\n  Hash Sum mismatch\nE: Some index files failed to download.",
            "repository_untrusted",
            True,
        ),
        ("E: The repository 'http://r lab Release' no longer has a Release file.", "repository_untrusted", True),
        (
            "Err:4 http://r lab Release\n  Cannot initiate the connection to r:80. - connect (113: No route to host)\n"
            "E: The repository 'http://r lab Release' no longer has a Release file.",
            "repository_unreachable",
            False,
        ),
        (
            "Err:1 http://r lab\n  Hash Sum mismatch\nErr:2 http://s lab Release\n  Cannot initiate the connection to s:80",
            "repository_untrusted",
            True,
        ),
        ("E: Release file for http://r/InRelease is expired (invalid since 1d).", "repository_untrusted", True),
        ("E: Held packages were changed and -y was used without --allow-change-held-packages.", "held", True),
        ("E: Version '9' for 'acme-tool' was not found", "impossible", True),
        ("E: Failed to fetch http://r/x  Could not connect to r:80", "repository_unreachable", False),
        ("nobody knows", "failed", True),
    ],
)
def test_meaning_of_apts_words(words: str, code: str, permanent: bool) -> None:
    found = apt.Apt().meaning(words)

    assert (found.code, found.permanent) == (code, permanent)


def package(name: str, version: str, arch: str = "all") -> dict[str, str]:
    return {"name": name, "arch": arch, "to_version": version}


def test_containment_names_all_that_is_too_much() -> None:
    changes = {("a", "all"): ("1", "2"), ("b", "all"): ("", "1"), ("c", "amd64"): ("1", "3")}

    with pytest.raises(Refused) as no:
        packaging.contained(
            Plan(changes, {"d": "1", "e": "1"}), [package("a", "2"), package("c", "2", "amd64"), package("e", "")]
        )

    assert no.value.code == "not_contained"
    assert no.value.reason.endswith("b 1, c 3, removal of d")


def test_less_than_what_was_signed_is_contained() -> None:
    packaging.contained(Plan({("a", "all"): ("1", "2")}, {}), [package("a", "2"), package("b", "2")])


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    tree = tmp_path / "tree" / "DEBIAN"
    tree.mkdir(parents=True)
    (tree / "control").write_text(
        "Package: acme-tool\nVersion: 1:1.1\nArchitecture: all\nMaintainer: a <a@example.invalid>\nDescription: x\n"
    )
    folder = tmp_path / "archives"
    (folder / "partial").mkdir(parents=True)
    built = ["dpkg-deb", "--root-owner-group", "--build", str(tree.parent), str(folder / "acme-tool_1%3a1.1_all.deb")]
    subprocess.run(built, check=True, capture_output=True)
    return folder


CHANGES = {("acme-tool", "all"): ("1:1.0", "1:1.1")}


def signed(path: Path) -> dict[str, object]:
    return {
        "filename": path.name, "package": "acme-tool", "version": "1:1.1", "arch": "all",
        "sha256": packaging.sha256(str(path)), "size": path.stat().st_size,
    }  # fmt: skip


@pytest.mark.integration
def test_files_are_compared_byte_by_byte(archives: Path) -> None:
    path = next(archives.glob("*.deb"))
    artifact = signed(path)
    assert packaging.compare_files(apt.Apt(), str(archives), CHANGES, [artifact]) == {str(path): artifact}

    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refused) as no:
        packaging.compare_files(apt.Apt(), str(archives), CHANGES, [artifact])
    assert no.value.code == "artifact_mismatch"


@pytest.mark.integration
def test_extra_missing_and_unneeded_files_are_refused(archives: Path) -> None:
    path = next(archives.glob("*.deb"))
    artifact = signed(path)

    def code(changes: dict[tuple[str, str], tuple[str, str]], artifacts: list[dict[str, object]]) -> str:
        with pytest.raises(Refused) as no:
            packaging.compare_files(apt.Apt(), str(archives), changes, artifacts)
        return no.value.code

    assert code(CHANGES, []) == "artifact_extra"
    assert code({}, [artifact]) == "artifact_extra"
    assert code({**CHANGES, ("b", "all"): ("", "1")}, [artifact]) == "artifact_missing"
    (archives / "notes.txt").write_text("x")
    assert code(CHANGES, [artifact]) == "artifact_extra"


class Wanted(Exception):
    """Somebody else wants the host."""


def wanted_by_another() -> None:
    raise Wanted


@pytest.mark.parametrize(("make", "program"), [(apt.Apt, "apt-get"), (dnf.Dnf, "dnf")])
@pytest.mark.parametrize("phase", ["refresh", "simulate", "fetch"])
def test_what_changes_nothing_is_ended_when_the_host_is_wanted(
    make: type[packaging.Manager], program: str, phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(program, tmp_path, monkeypatch)
    manager, log = make(), str(tmp_path / "log")
    manager.meanwhile = wanted_by_another
    asked = {
        "refresh": lambda: manager.refresh(log),
        "simulate": lambda: manager.simulate(ONE, str(tmp_path), False, log),
        "fetch": lambda: manager.fetch(ONE, str(tmp_path), False, log, 20),
    }
    began = time.monotonic()
    with pytest.raises(Wanted):
        asked[phase]()
    assert time.monotonic() - began < 10


def hang(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, first in (
        ("slow", "/bin/sh"),
        (program, folder / "slow"),
    ):  # dnf's library runs on what dnf itself runs on
        (folder / name).write_text(f"#!{first}\nexec sleep 20\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(("make", "program"), [(apt.Apt, "apt-get"), (dnf.Dnf, "dnf")])
def test_lists_that_do_not_come_in_time_are_given_up(
    make: type[packaging.Manager], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(program, tmp_path, monkeypatch)
    manager = make()
    assert (manager.lists_within, manager.dry_run_within) == (packaging.LISTS, packaging.DRY_RUN)
    manager.lists_within = manager.dry_run_within = 0.2
    with pytest.raises(Refused, match="the lists did not come in time") as no:
        manager.refresh(str(tmp_path / "log"))
    assert (no.value.code, no.value.permanent) == ("repository_unreachable", False)
    with pytest.raises(Refused, match=r"it did not say within 0\.2 s what would be done") as no:
        manager.simulate(ONE, str(tmp_path), False, str(tmp_path / "log"))
    assert (no.value.code, no.value.permanent) == ("slow", False)
    with pytest.raises(Refused, match=r"it did not say within 0\.2 s") as no:
        manager.announced(ONE, str(tmp_path), False)
    assert no.value.code == "slow"
    with pytest.raises(Refused, match="the download did not end in time") as no:
        manager.fetch(ONE, str(tmp_path), False, str(tmp_path / "log"), 0.2)
    assert no.value.code == "repository_unreachable"
