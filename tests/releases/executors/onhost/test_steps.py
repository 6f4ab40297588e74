"""Steps as a host carries them out: each in a process of its own, ended at its limit, without a secret in its words."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from releases.executors.onhost.ledger import Ledger
from releases.executors.onhost.packaging import Manager
from releases.executors.onhost.steps import StepFailed, Steps, limited

USUAL = {
    "name": "Step", "revision": 1, "moment": "before", "kind": "command", "target": "", "body": "", "secret_file": "", "amount": 0,
    "expect": "", "limit": 10, "on_failure": "stop", "runs": "success",
}  # fmt: skip


def step(**given: Any) -> dict[str, Any]:
    return {**USUAL, **given}


class Waiting(Manager):
    """A host that waits for a restart."""

    def restart_needed(self) -> bool:
        return True


def ill(**given: Any) -> str:
    return limited(step(**given), Waiting(), "JOB-1.1")


def test_a_command_runs_without_a_shell_and_with_an_environment_of_its_own(tmp_path: Path) -> None:
    os.environ["PATCHFLOW_PLANTED"] = "secret"
    script = tmp_path / "told"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/argument\nenv > {tmp_path}/environment\n')
    script.chmod(0o700)

    assert ill(target=f"{script} 'a; touch {tmp_path}/injected'") == ""
    assert (tmp_path / "argument").read_text() == f"a; touch {tmp_path}/injected\n"
    assert not (tmp_path / "injected").exists()
    found = (tmp_path / "environment").read_text()
    assert "PLANTED" not in found
    assert "PATCHFLOW_JOB=JOB-1.1" in found


def test_a_command_that_fails_is_quoted_without_its_secrets(tmp_path: Path) -> None:
    script = tmp_path / "fails"
    script.write_text("#!/bin/sh\necho cannot log in, password=hunter2 refused\nexit 3\n")
    script.chmod(0o700)

    said = ill(target=str(script))
    assert said == "it ended with 3: cannot log in, password=[hidden] refused"


def test_a_hanging_step_is_ended_at_its_limit_with_what_it_started(tmp_path: Path) -> None:
    script = tmp_path / "hangs"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 60 & echo $! > {tmp_path}/child\nwait\nsleep 60\n")
    script.chmod(0o700)
    begun = time.monotonic()

    assert ill(target=str(script), limit=1) == "it was ended at its limit of 1 s"
    assert time.monotonic() - begun < 8
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "what it started still runs"
        time.sleep(0.1)


def test_a_daemon_that_a_command_leaves_does_not_hold_it_up(tmp_path: Path) -> None:
    script = tmp_path / "leaves"
    script.write_text("#!/bin/sh\nsleep 5 &\nexit 0\n")
    script.chmod(0o700)
    begun = time.monotonic()

    assert ill(target=str(script)) == ""
    assert time.monotonic() - begun < 4


def test_checks_say_what_they_found(tmp_path: Path) -> None:
    old = tmp_path / "dump.sql"
    old.write_text("data")
    os.utime(old, (time.time() - 50 * 3600,) * 2)

    assert ill(kind="space", target="/", amount=1) == ""
    assert ill(kind="space", target="/", amount=10**9).endswith("1000000000 are asked for")
    assert ill(kind="backup", target=str(tmp_path), amount=24).endswith("is 50 hours old, 24 are allowed")
    assert ill(kind="backup", target=str(tmp_path), amount=72) == ""
    assert ill(kind="backup", target=str(tmp_path / "none"), amount=24).startswith("there is no backup in ")
    assert ill(kind="no_restart") == "the host waits for a restart since an earlier change"
    assert ill(kind="dance") == "a step of kind dance is not known here"


@pytest.fixture
def monitor() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A server that keeps what it was asked: (path, authorization, body); /refuse answers 403 and repeats the token."""
    heard: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            token = self.headers.get("Authorization", "")
            heard.append((self.path, token, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(403 if self.path == "/refuse" else 201)
            self.end_headers()
            self.wfile.write(f"no: {token.rpartition(' ')[2]}".encode())

        def log_message(self, *_args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()


def test_a_call_reads_its_token_from_a_file_and_keeps_it_to_itself(tmp_path: Path, monitor: Any) -> None:
    address, heard = monitor
    (tmp_path / "token").write_text("s3cr3t-t0ken\n")
    given = {
        "kind": "silence",
        "body": '{"host": "{host}", "endsAt": "{until}"}',
        "secret_file": str(tmp_path / "token"),
    }

    assert ill(target=f"{address}/silences?job={{job}}", amount=60, **given) == ""
    path, token, body = heard[0]
    assert (path, token) == ("/silences?job=JOB-1.1", "Bearer s3cr3t-t0ken")
    assert os.uname().nodename in body
    assert "{until}" not in body

    said = ill(target=f"{address}/refuse", **given)
    assert said == "it answers 403: no: [hidden]"


# --- in their order -----------------------------------------------------------------------------------------------------
@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(str(tmp_path / "root"), "JOB-1.1")
    found.make()
    found.append("staged", "files are there")
    return found


def touches(tmp_path: Path, name: str, **given: Any) -> dict[str, Any]:
    return step(name=name, target=f"/bin/sh -c 'echo {name} >> {tmp_path}/order'", **given)


def order_of(tmp_path: Path) -> list[str]:
    return (tmp_path / "order").read_text().split() if (tmp_path / "order").exists() else []


def test_the_first_failure_before_stops_the_rest_and_what_was_taken_is_put_back(ledger: Ledger, tmp_path: Path) -> None:
    steps = Steps(ledger, [
        touches(tmp_path, "one"), step(name="noted", target="/bin/false", on_failure="note"), step(name="bad", target="/bin/false"),
        touches(tmp_path, "never"),
        touches(tmp_path, "verified-only", moment="after"), touches(tmp_path, "intact", moment="after", runs="intact"),
        touches(tmp_path, "always", moment="after", runs="always"),
    ], Waiting())  # fmt: skip

    with pytest.raises(StepFailed, match=r"because of a step before it: bad \(revision 1\): it ended with 1"):
        steps.before(lambda: None)
    assert steps.give_back(intact=True) == ""

    assert order_of(tmp_path) == ["one", "intact", "always"]
    assert {event["stage"] for event in ledger.events()} == {"staged"}
    assert steps.notes()[0] == "noted (revision 1): it ended with 1; it was only to be noted"


def test_no_step_is_carried_out_twice_whoever_goes_on(ledger: Ledger, tmp_path: Path) -> None:
    wanted = [
        touches(tmp_path, "one"),
        touches(tmp_path, "two"),
        touches(tmp_path, "back", moment="after", runs="always"),
    ]
    Steps(ledger, wanted[:1], Waiting()).before(lambda: None)

    again = Steps(ledger, wanted, Waiting())
    again.before(lambda: None)
    assert again.after() == ""
    assert again.give_back(intact=False) == ""

    assert order_of(tmp_path) == ["one", "two", "back"]


def test_nothing_follows_where_nothing_had_begun(ledger: Ledger, tmp_path: Path) -> None:
    steps = Steps(ledger, [touches(tmp_path, "back", moment="after", runs="always")], Waiting())
    assert steps.give_back(intact=True) == ""
    assert order_of(tmp_path) == []
    steps.give_back(intact=False)
    assert order_of(tmp_path) == ["back"]


def test_a_failure_after_it_ends_there_and_what_is_for_every_end_still_follows(ledger: Ledger, tmp_path: Path) -> None:
    steps = Steps(ledger, [
        step(name="bad", moment="after", target="/bin/false"), touches(tmp_path, "verified-only", moment="after"),
        step(name="unheard", moment="after", runs="always", target="/bin/false"),
        touches(tmp_path, "always", moment="after", runs="always"),
    ], Waiting())  # fmt: skip

    assert steps.after() == "bad (revision 1): it ended with 1"
    assert steps.give_back(intact=False) == "; and after it unheard (revision 1): it ended with 1"
    assert order_of(tmp_path) == ["always"]
