"""What is sent to hosts must run on the Pythons that hosts have, not only on ours."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
SHIPPED = {
    (3, 6): ROOT / "cmdb/scanners/collector",
    (3, 7): ROOT / "releases/executors/onhost",
}
OLDER = ("solver.py",)
"""What dnf's own Python runs, which may be older than the host's."""


@pytest.mark.parametrize("oldest", SHIPPED)
def test_syntax_is_of_the_oldest_python(oldest: tuple[int, int]) -> None:
    for path in sorted(SHIPPED[oldest].glob("*.py")):
        ast.parse(path.read_text(), str(path), feature_version=(3, 6) if path.name in OLDER else oldest)
        modern = oldest > (3, 6) and path.name not in OLDER
        assert modern == ("from __future__" in path.read_text()) or path.name == "__init__.py"
        assert "datetime.UTC" not in path.read_text()


@pytest.mark.integration
@pytest.mark.parametrize("oldest", SHIPPED)
def test_imports_on_every_older_python_of_this_machine(oldest: tuple[int, int]) -> None:
    names = [f"python3.{minor}" for minor in range(oldest[1], 11)]
    found = [shutil.which(name) for name in names]
    found += [str(path) for path in Path.home().glob(".pyenv/versions/3.*/bin/python3.?") if path.name in names]
    package, ran = SHIPPED[oldest], 0
    for python in filter(None, found):
        code = f"import sys; sys.path.insert(0, {str(package.parent)!r}); import {package.name}.entry"
        if "/shims/" not in python:
            subprocess.run([python, "-B", "-c", code], check=True, cwd="/")
            ran += 1
    if not ran:
        pytest.skip("no older Python on this machine")
