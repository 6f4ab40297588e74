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
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from cmdb.remote.errors import Unreachable
from releases.executors.base import Batch, Stage, StartAnswer
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
def process(where: str, journal: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "manage.py", "simulator", "--socket", where, "--ledger", str(journal)]
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
