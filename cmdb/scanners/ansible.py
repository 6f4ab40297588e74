"""Many hosts at once, by Ansible over SSH: the collector is Ansible's task, Ansible an external program.

Runner and ansible-core are found on `programs` (a folder, for a controller with an environment of its own) or beside
this Python. Runner's `cancel_callback` is always given: without one it would take over the worker's signal handlers.
"""

import base64
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmdb.remote import ssh, transport
from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import (
    AuthenticationFailed,
    BadAnswer,
    HostKeyChanged,
    RemoteError,
    SudoRefused,
    TimedOut,
    Unreachable,
)
from cmdb.scanners.base import HostReport
from cmdb.scanners.reading import COLLECTOR, report_from
from patchflow.kernel.blockers import english

TASK = "Collect"


@dataclass
class AnsibleScanner:
    """`forks` hosts at a time. `cancelled` is asked now and then; once true, the run stops (hosts are only read)."""

    programs: str = ""
    forks: int = 10
    cancelled: Callable[[], bool] = field(default=lambda: False)

    name = "ansible"

    def scan(self, endpoint: Endpoint, *, timeout: float = 300, refresh: bool = False) -> HostReport:
        """Raises RemoteError when the host could not be asked."""
        _, found = next(self.scan_many([endpoint], timeout=timeout, refresh=refresh))
        if isinstance(found, RemoteError):
            raise found
        return found

    def scan_many(
        self, endpoints: Sequence[Endpoint], *, timeout: float = 300, refresh: bool = False
    ) -> Iterator[tuple[Endpoint, HostReport | RemoteError]]:
        """Every endpoint once, in the given order, with its report or the reason why there is none."""
        said = self._run(endpoints, timeout=timeout, refresh=refresh) if endpoints else {}
        for number, endpoint in enumerate(endpoints):
            yield endpoint, _outcome(endpoint, said.get(_alias(number)), self.name)

    def _run(self, endpoints: Sequence[Endpoint], *, timeout: float, refresh: bool) -> dict[str, dict[str, Any]]:
        import ansible_runner  # heavy, and only needed here

        said: dict[str, dict[str, Any]] = {}
        words: list[str] = []

        def heard(event: dict[str, Any]) -> bool:
            data = event.get("event_data", {})
            if event["event"] in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
                said[data["host"]] = {"event": event["event"], **data.get("res", {})}
            elif event.get("stdout"):
                words.append(event["stdout"])
            return False  # the event is not kept as a file

        with tempfile.TemporaryDirectory(prefix="patchflow-ansible-") as name, ExitStack() as stack:
            folder = Path(name)
            (folder / "ansible.cfg").write_text("[defaults]\n")  # no setting of this machine counts
            hosts = {_alias(number): self._host(e, stack) for number, e in enumerate(endpoints)}
            deadline = time.monotonic() + timeout
            run = ansible_runner.run(
                private_data_dir=str(folder),
                inventory={"all": {"hosts": hosts}},
                playbook=[_play(_collector(folder, refresh))],
                forks=self.forks,
                envvars=self._environment(folder, Path(self._program()).parent),
                event_handler=heard,
                cancel_callback=lambda: self.cancelled() or time.monotonic() > deadline,
                quiet=True,
                ignore_logging=True,
                settings={"pexpect_timeout": 1, "suppress_ansible_output": True},
            )
        if not said and run.status not in ("canceled", "timeout"):
            raise BadAnswer(
                english(
                    "Ansible did not run: status %(status)s, exit %(code)s: %(error)s",
                    status=run.status,
                    code=run.rc,
                    error=" ".join(words[-3:])[-300:],
                )
            )
        return said

    def _program(self) -> str:
        places = [self.programs] if self.programs else [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        found = shutil.which("ansible-playbook", path=os.pathsep.join(places))
        if found is None:
            raise BadAnswer(
                english("ansible-playbook is not installed here; install the ansible extra or set its folder")
            )
        return found

    def _environment(self, folder: Path, programs: Path) -> dict[str, str]:
        return {
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_TIMEOUT": str(ssh.CONNECT_TIMEOUT),
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",
        }

    def _host(self, endpoint: Endpoint, stack: ExitStack) -> dict[str, Any]:
        own = {"ansible_become": endpoint.become, "ansible_become_flags": "-n", "ansible_python_interpreter": "python3"}
        if endpoint.kind == "local":
            return own | {"ansible_connection": "local"}
        try:
            opts = stack.enter_context(ssh.options(endpoint))
        except HostKeyChanged:
            # Nothing is pinned: nothing may connect. Ansible says so for this host like for any other.
            opts = ["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=/dev/null"]
        return own | {
            "ansible_host": endpoint.address,
            "ansible_port": endpoint.port,
            "ansible_user": endpoint.user,
            "ansible_ssh_common_args": " ".join(_quoted(word) for word in opts),
        }


def _collector(folder: Path, refresh: bool) -> Path:
    """One file that is the whole program: the packed collector and a line that starts it."""
    packed = base64.b64encode(transport.zipped(COLLECTOR)).decode()
    path = folder / "collect.py"
    path.write_text(
        "import base64, json, sys, tempfile\n"
        f"shipped = tempfile.NamedTemporaryFile(suffix='.zip'); shipped.write(base64.b64decode('{packed}')); shipped.flush()\n"
        "sys.path.insert(0, shipped.name); sys.dont_write_bytecode = True\n"
        "from collector import entry\n"
        f"print({transport.MARK!r} + json.dumps(entry.answer({{'refresh': {refresh}}}, shipped.name)))\n"
    )
    return path


def _play(collector: Path) -> dict[str, Any]:
    return {
        "name": "Collect facts, read-only",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "name": TASK,
                "ansible.builtin.script": {"cmd": str(collector), "executable": "python3"},
                "changed_when": False,
            }
        ],
    }


def _outcome(endpoint: Endpoint, said: dict[str, Any] | None, scanner: str) -> HostReport | RemoteError:
    if said is None:
        return TimedOut(
            english("%(endpoint)s: Ansible ended without a word about this host", endpoint=endpoint), started=True
        )
    words = f"{said.get('msg', '')} {said.get('stderr', '')} {said.get('module_stderr', '')}".strip()
    if said["event"] == "runner_on_unreachable":
        return _unreachable(endpoint, words)
    for line in reversed(str(said.get("stdout", "")).splitlines()):
        if line.startswith(transport.MARK):
            try:
                return report_from(json.loads(line[len(transport.MARK) :]), endpoint=endpoint, scanner=scanner)
            except BadAnswer as error:
                return error
    if "sudo" in words.lower() or "privilege" in words.lower() or "password is required" in words.lower():
        return SudoRefused(
            english(
                "%(user)s may not become root on %(address)s: %(error)s",
                user=endpoint.user,
                address=endpoint.address,
                error=words[-300:],
            )
        )
    return BadAnswer(f"{endpoint}: {words[-300:] or 'no report'}", started=True)


def _unreachable(endpoint: Endpoint, words: str) -> RemoteError:
    if not endpoint.host_key:
        return HostKeyChanged(english("no host key of %(endpoint)s has been accepted yet", endpoint=endpoint))
    if "verification failed" in words or "IDENTIFICATION HAS CHANGED" in words or "no matching host key" in words:
        return HostKeyChanged(
            english("%(endpoint)s does not show the pinned host key: %(error)s", endpoint=endpoint, error=words[-300:])
        )
    if "Permission denied" in words:
        return AuthenticationFailed(
            english("%(endpoint)s does not let us in: %(error)s", endpoint=endpoint, error=words[-300:])
        )
    return Unreachable(english("%(endpoint)s cannot be reached: %(error)s", endpoint=endpoint, error=words[-300:]))


def _alias(number: int) -> str:
    return f"host{number}"


def _quoted(word: str) -> str:
    return shlex.quote(word)
