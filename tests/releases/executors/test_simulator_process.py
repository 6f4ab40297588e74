"""The simulator's process: killed at any moment it goes on from its journal, which tells what was ordered and done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cmdb.remote.errors import RemoteError, Unreachable
from releases.executors.base import Batch, Observed, ObserveSpec, PackageState, Stage, StartAnswer
from releases.executors.simulator_client import SimulatorClient
from releases.executors.simulator_journal import JournalLedger, read_journal
from tests.fakes.simulator import served
from tests.releases.executors.test_simulator import CHANGE, START, Clock, order

ROOT = Path(__file__).resolve().parents[3]


def test_what_a_torn_line_told_was_never_answered(tmp_path: Path) -> None:
    """The file cut at every byte: what is left is read, what was half written is forgotten, and it goes on."""
    clock, path = Clock(), tmp_path / "hosts.journal"
    with served(JournalLedger(path), clock) as where:
        client = SimulatorClient(where)
        client.start(Batch(orders=tuple(order(f"JOB-{n}.1", host=f"h{n}") for n in range(3))))
        clock.forward(60)
        assert len(client.effects()) == 3
    whole = path.read_bytes()
    for cut in {*random.Random(7).sample(range(len(whole)), 60), len(whole)}:
        torn = tmp_path / f"cut-{cut}"
        torn.write_bytes(whole[:cut])
        ledger = JournalLedger(torn)
        with ledger.at(START + timedelta(hours=1)) as moment:
            done = [effect.address for effect in moment.effects("")]
        ordered = {line[1] for line in read_journal(torn) if line[0] == "order"}
        assert len(done) == len(set(done)) == len(ordered), cut
        ledger.close()
        again = JournalLedger(torn)
        assert again.effects == ledger.effects
        assert not again.due
        again.close()


def test_nobody_listens(tmp_path: Path) -> None:
    client = SimulatorClient(str(tmp_path / "nowhere.sock"))
    handle = client.start(Batch(orders=(order(),)))
    assert (handle.jobs[0].answer.word, handle.jobs[0].answer.unknown) == ("unreachable", False)
    assert client.events(handle)[0].reachable is False
    assert [answer.word for answer in client.cancel(handle)] == ["unreachable"]
    with pytest.raises(Unreachable, match="nobody listens"):
        client.dry_run(order().endpoint, [("openssl", "3.0.22")])


def test_what_it_cannot_read_is_said_and_the_line_stays_open(tmp_path: Path) -> None:
    with served(JournalLedger(tmp_path / "j"), Clock()) as where:
        client = SimulatorClient(where)
        with pytest.raises(Exception, match="KeyError"):
            client._ask("fly")
        assert client.effects() == []


@contextmanager
def process(where: str, journal: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "manage.py", "simulator", "--socket", where, "--ledger", str(journal), *options]
    for stage in ("staging", "installing", "verifying"):
        command += [f"--{stage}", "0.01-0.05"]
    started = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert started.stdout is not None
        assert "listens at" in started.stdout.readline()
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.mark.integration
@pytest.mark.native
def test_killed_in_the_middle_it_has_lost_and_doubled_nothing(tmp_path: Path) -> None:
    """Kill -9 while orders come in: whoever asks again gets "already" or "accepted", and each host is changed once."""
    where, journal, chance = str(tmp_path / "s"), tmp_path / "hosts.journal", random.Random(3)
    orders = [order(f"JOB-{n}.1", host=f"h{n}") for n in range(400)]
    left = {o.job_key: o for o in orders}
    words: Counter[str] = Counter()
    for _life in range(2):
        with process(where, journal) as running:
            client, end = SimulatorClient(where), time.monotonic() + chance.uniform(0.02, 0.2)
            while left and time.monotonic() < end:
                some = tuple(left.values())[:7]
                for o, answer in zip(some, _answers(client, some), strict=True):
                    words[answer.word] += 1
                    if answer.has_it and chance.random() < 0.8:  # else its answer is lost, and it is given again
                        del left[o.job_key]
            os.kill(running.pid, signal.SIGKILL)
    with process(where, journal):
        client = SimulatorClient(where)
        client.start(Batch(orders=tuple(orders)))
        handle = client.attach(orders)
        end = time.monotonic() + 30
        while not all(p.result for p in client.events(handle)):
            assert time.monotonic() < end
        assert {p.result.outcome for p in client.events(handle) if p.result} == {Stage.SUCCEEDED}
        effects = client.effects()
    assert sorted(e.address for e in effects) == sorted(o.endpoint.address for o in orders)
    assert {e.to_version for e in effects} == {CHANGE.to_version}
    assert words["already"] > 0


def _answers(client: SimulatorClient, some: tuple[object, ...]) -> list[StartAnswer]:
    return [job.answer for job in client.start(Batch(orders=some)).jobs]  # type: ignore[arg-type]


@pytest.mark.integration
@pytest.mark.native
def test_hosts_that_answer_late_are_waited_for_beside_one_another(tmp_path: Path) -> None:
    """Each answer takes as long as was said, however many hosts it speaks of; who asks meanwhile does not stand in a line."""
    where, orders = str(tmp_path / "s"), [order(f"JOB-{n}.1", host=f"h{n}") for n in range(50)]
    with process(where, tmp_path / "hosts.journal", "--latency", "0.5-0.6"):
        begun = time.monotonic()
        assert {answer.word for answer in _answers(SimulatorClient(where), tuple(orders))} == {"accepted"}
        assert time.monotonic() - begun >= 0.5
        begun, handle = time.monotonic(), SimulatorClient(where).attach(orders)
        with ThreadPoolExecutor(10) as crowd:
            seen = list(crowd.map(lambda _n: len(SimulatorClient(where).events(handle)), range(10)))
        assert (seen, 0.5 <= time.monotonic() - begun < 10 * 0.5) == ([50] * 10, True)


def seen_there(seen: Observed | RemoteError) -> str:
    return seen.code if isinstance(seen, RemoteError) else str(seen.verdict)


def switch(where: str, *habits: str) -> subprocess.CompletedProcess[str]:
    """Changes how hosts of the running process behave, as somebody at a terminal would."""
    command = [sys.executable, "manage.py", "simulator", "--socket", where]
    return subprocess.run(
        [*command, *(word for habit in habits for word in ("--switch", habit))],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )


@pytest.mark.integration
@pytest.mark.native
def test_hosts_of_the_running_process_are_switched_and_back(tmp_path: Path) -> None:
    """One fails, one lies, one keeps no ledger and does again what comes again, one is away; switched back all do as ordered."""
    where = str(tmp_path / "s")
    hosts = {"failing": "fail", "lying": "lie", "forgetting": "forget", "away": "unreachable"}
    with process(where, tmp_path / "hosts.journal"):
        client = SimulatorClient(where)

        def ordered(number: int, *there: str) -> dict[str, tuple[str, str]]:
            """Host → what it told of its job, and what it was found to have done."""
            batch = [order(f"JOB-{number}.{host}", host=host) for host in there]
            handle, end = client.start(Batch(orders=tuple(batch))), time.monotonic() + 20
            specs = [
                ObserveSpec(job_key=o.job_key, endpoint=o.endpoint, action=o.action, packages=o.packages) for o in batch
            ]
            while "running" in (seen := [seen_there(one) for one in client.observe_all(specs)]):
                assert time.monotonic() < end
                time.sleep(0.05)
            told = [str(job.result.outcome) if job.result else "nothing" for job in client.events(handle)]
            return dict(zip(there, zip(told, seen, strict=True), strict=True))

        assert switch(where, *(f"{host}={habit}" for host, habit in hosts.items())).returncode == 0
        assert _answers(client, (order("JOB-1.away", host="away"),))[0].word == "unreachable"
        assert ordered(1, "failing", "lying", "forgetting", "else") == {
            "failing": ("failed", "failed"), "lying": ("succeeded", "failed"), "forgetting": ("nothing", "succeeded"),
            "else": ("succeeded", "succeeded"),
        }  # fmt: skip
        assert _answers(client, (order("JOB-1.else", host="else"),))[0].word == "already"
        client.furnish("forgetting", [PackageState(name="openssl", arch="amd64", version="3.0.20", status="installed")])
        assert ordered(1, "forgetting") == {"forgetting": ("nothing", "succeeded")}
        assert switch(where, *(f"{host}=" for host in hosts)).returncode == 0
        assert ordered(2, "failing", "lying", "away") == dict.fromkeys(
            ("failing", "lying", "away"), ("succeeded", "succeeded")
        )
        assert ordered(2, "forgetting") == {"forgetting": ("not_needed", "succeeded")}
        done = Counter(effect.address for effect in client.effects())
    assert done == {"failing": 2, "lying": 1, "forgetting": 2, "else": 1, "away": 1}


def test_what_cannot_be_switched_is_said(tmp_path: Path) -> None:
    where = str(tmp_path / "nowhere")
    for asked, said in (("web01=dance", "There is no habit 'dance'"), ("web01=fail", "nobody listens")):
        with pytest.raises(CommandError, match=said):
            call_command("simulator", "--socket", where, "--switch", asked)
