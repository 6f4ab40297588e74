"""One way to ask any endpoint, and to run a small program of ours over there without leaving it behind."""

import importlib.util
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cmdb.remote import local, ssh
from cmdb.remote.connection import Completed, Endpoint, HostKey, ProbeResult
from cmdb.remote.errors import BadAnswer
from patchflow.kernel.blockers import english

# What the other side runs: first line of stdin the request, the rest a zip with the program. Python 3.6 and later.
BOOTSTRAP = """
import importlib, json, sys, tempfile
request = json.loads(sys.stdin.buffer.readline().decode())
shipped = tempfile.NamedTemporaryFile(prefix="patchflow-", suffix=".zip")
shipped.write(sys.stdin.buffer.read()); shipped.flush()
sys.path.insert(0, shipped.name); sys.dont_write_bytecode = True
answer = importlib.import_module(request["package"] + ".entry").answer(request["request"], shipped.name)
sys.stdout.write("\\n%s%s\\n" % (request["mark"], json.dumps(answer)))
"""
MARK = "patchflow-answer:"


def run(
    endpoint: Endpoint,
    argv: Sequence[str],
    *,
    stdin: bytes | str = b"",
    timeout: float = 60,
    become: bool | None = None,
) -> Completed:
    """One command at the endpoint; see `ssh.run` and `local.run` for what is raised."""
    way = local.run if endpoint.kind == "local" else ssh.run
    return way(endpoint, argv, stdin=stdin, timeout=timeout, become=become)


def probe(endpoint: Endpoint, *, timeout: float = 15) -> ProbeResult:
    """A test of the connection, in words; never raises for what the host does."""
    way = local.probe if endpoint.kind == "local" else ssh.probe
    return way(endpoint, timeout=timeout)


def fetch_host_key(endpoint: Endpoint, *, timeout: float = 10) -> HostKey:
    """The key shown now, to be accepted by a person. Raises Unreachable."""
    way = local.fetch_host_key if endpoint.kind == "local" else ssh.fetch_host_key
    return way(endpoint, timeout=timeout)


def ask(
    endpoint: Endpoint, package: str, request: Mapping[str, Any], *, timeout: float = 60, become: bool | None = None
) -> Any:
    """Ships `package` (a package of ours whose `entry.answer(request, shipped)` returns JSON) and returns its answer.

    Needs python3 at the endpoint and leaves no file there by itself. Raises RemoteError; BadAnswer when the
    program broke or python3 is missing.
    """
    name = package.rsplit(".", 1)[-1]
    head = json.dumps({"package": name, "mark": MARK, "request": request}).encode() + b"\n"
    argv = ["python3", "-c", BOOTSTRAP]
    done = run(endpoint, argv, stdin=head + zipped(package), timeout=timeout, become=become)
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(MARK):
            try:
                return json.loads(line[len(MARK) :])
            except (ValueError, RecursionError) as error:
                raise BadAnswer(
                    english("%(endpoint)s: its answer is no JSON: %(error)s", endpoint=endpoint, error=error),
                    started=True,
                ) from error
    words = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.rc}").splitlines()[-1][:300]
    raise BadAnswer(
        english("%(endpoint)s: no answer from what was shipped: %(error)s", endpoint=endpoint, error=words),
        started=True,
    )


@cache
def zipped(package: str) -> bytes:
    """The package's modules as a zip, under its last name; the same bytes for the same sources."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"{package} is not a package")
    folder, buffer = Path(found.submodule_search_locations[0]), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("*.py")):
            archive.writestr(zipfile.ZipInfo(f"{folder.name}/{path.name}"), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
