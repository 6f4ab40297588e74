"""A transition with gates, authorization and audit over HTTP against a bare view that locks and updates one row.

Goal: at most 3 × the bare view, medians of one run, the two interleaved request by request on one keep-alive connection,
two gunicorn workers, PostgreSQL.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection
from knox.models import AuthToken

from tests.factories.changes import draft, make_world
from tests.factories.people import make_cast

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 150
LIMIT = 3.0
pytestmark = [pytest.mark.pg, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def port() -> Iterator[int]:
    """A gunicorn with two workers on the test's own database."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    base, _slash, _name = os.environ["PATCHFLOW_DATABASE_URL"].rpartition("/")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
        "PATCHFLOW_DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}",
        "PATCHFLOW_LOG_LEVEL": "ERROR",
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "patchflow.wsgi",
        "--bind",
        f"127.0.0.1:{number}",
        "--workers",
        "2",
        "--worker-class",
        "gthread",
    ]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.1)
        yield number
    finally:
        server.terminate()
        server.wait(10)


class Caller:
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def post(self, path: str, token: str = "", body: object = None) -> tuple[float, int, bytes]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
        began = time.perf_counter()
        self.connection.request("POST", path, json.dumps(body or {}), headers)
        answer = self.connection.getresponse()
        content = answer.read()
        return (time.perf_counter() - began) * 1000, answer.status, content


def test_a_transition_costs_at_most_three_bare_ones(port: int) -> None:
    cast = make_cast()
    rfc = draft(make_world(cast, datetime.now(UTC)))
    ann, che = AuthToken.objects.create(cast.ann)[1], AuthToken.objects.create(cast.che)[1]
    caller = Caller(port)
    ours: list[float] = []
    bare: list[float] = []
    for turn in range(ROUNDS):
        _warm, status, said = caller.post(f"/bare/{rfc.pk}/")
        assert status == 200, said
        took, status, said = caller.post(f"/api/v1/rfcs/{rfc.pk}/submit/", ann)
        assert status == 200, said
        ours.append(took)
        took, status, said = caller.post(f"/bare/{rfc.pk}/")
        assert status == 200, said
        bare.append(took)
        took, status, said = caller.post(f"/api/v1/rfcs/{rfc.pk}/send_back/", che, {"reason": f"turn {turn}"})
        assert status == 200, said
        ours.append(took)
        bare.append(caller.post(f"/bare/{rfc.pk}/")[0])
    ours, bare = sorted(ours[20:]), sorted(bare[20:])
    p50, floor = statistics.median(ours), statistics.median(bare)
    p95 = ours[int(len(ours) * 0.95)]
    print(
        f"\ntransition over HTTP: p50 {p50:.1f} ms, p95 {p95:.1f} ms; bare view p50 {floor:.1f} ms; ratio {p50 / floor:.2f} (limit {LIMIT})"
    )
    assert p50 / floor <= LIMIT
