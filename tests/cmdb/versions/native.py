"""The package managers' own comparators. Their bindings belong to the system's Python, so a process of it answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Self

SYSTEM_PYTHON = "/usr/bin/python3"
_CHUNK = 5_000  # answers of one chunk (3 bytes each) fit a pipe, so neither side waits for the other

_APT = """
import sys, apt_pkg
apt_pkg.init_system()
order = apt_pkg.version_compare
"""

_RPM = """
import sys, rpm
def label(text):
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    version, _, release = rest.rpartition("-")
    return epoch, version, release
def order(left, right):
    return rpm.labelCompare(label(left), label(right))
"""

_LOOP = """
for line in sys.stdin:
    if line == "\\n":
        sys.stdout.flush()
        continue
    left, right = line[:-1].split("\\t")
    answer = order(left, right)
    print((answer > 0) - (answer < 0))
"""


class NativeOrder:
    """Answers -1, 0 or 1 for pairs of versions; one process for all pairs, ended by `close`."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, "-I", "-c", program + _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="ascii",
        )

    @classmethod
    def of_apt(cls) -> Self:
        return cls(_APT)

    @classmethod
    def of_rpm(cls) -> Self:
        return cls(_RPM)

    def compare(self, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, int]]:
        """Yield (left, right, answer) for each pair, in order. Takes versions without tab and line break."""
        source = iter(pairs)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        while chunk := list(islice(source, _CHUNK)):
            stdin.write("".join(f"{left}\t{right}\n" for left, right in chunk) + "\n")
            stdin.flush()
            for left, right in chunk:
                yield left, right, int(stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def has_module(name: str) -> bool:
    """Tell whether the system's Python can import the binding `name`."""
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-I", "-c", f"import {name}"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def dpkg_says(left: str, relation: str, right: str) -> bool:
    """Ask `dpkg --compare-versions`; raises CalledProcessError where dpkg refuses one of the two."""
    done = subprocess.run(["dpkg", "--compare-versions", "--", left, relation, right], capture_output=True, check=False)
    if done.returncode not in (0, 1):
        done.check_returncode()
    return done.returncode == 0


def dpkg_refuses(text: str) -> bool:
    """Ask `dpkg --validate-version`: 0 is valid, 1 a warning, 2 a refusal."""
    return subprocess.run(["dpkg", "--validate-version", "--", text], capture_output=True, check=False).returncode == 2
