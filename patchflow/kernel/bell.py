"""The bell: a message that says "look at row N". A broker that is away or frozen costs
whoever rings a quarter of a second, once in a while.

Rows are the truth (law 5): a bell that nobody heard is rung again by the sweep.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from celery import current_app
from django.conf import settings

log = structlog.get_logger(__name__)
PATIENCE = 0.25
"""Seconds until the broker must have answered."""


class Bell:
    """One connection of this process to the broker, with little patience. After a failure it stays silent for one period of
    the sweep, so that nobody waits for the same broker again and again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent_until = 0.0
        self._key: tuple[int, str] = (0, "")
        self._producer: Any = None

    def ring(self, task: str, ids: Mapping[str, Any]) -> bool:
        """Sends the message; False if the broker did not take it."""

        def send(producer: Any) -> bool:
            # Without ignore_result the client would listen for an answer, and wait for it where the broker is away.
            current_app.send_task(task, kwargs=dict(ids), retry=False, ignore_result=True, producer=producer)
            return True

        return self._ask(send, task=task, **ids)

    def rung_in(self, queues: Iterable[str]) -> bool:
        """Whether a message waits in one of these queues for a worker; False as well where the broker does not say."""

        def count(producer: Any) -> bool:
            declare = producer.channel.queue_declare
            return any(declare(queue=name, durable=True, auto_delete=False).message_count for name in queues)

        return self._ask(count)

    def _ask(self, act: Callable[[Any], bool], **said: Any) -> bool:
        with self._lock:
            if self._key != self._line():
                self._hang_up()  # another broker, or a forked process: the line was not ours
                self._silent_until = 0.0
            if time.monotonic() < self._silent_until:
                return False
            try:
                return act(self._open())
            except Exception as error:  # the client of each kind of broker raises its own
                self._hang_up()
                self._silent_until = time.monotonic() + settings.PATCHFLOW["SWEEP_SECONDS"]
                log.warning("queue.broker_away", error=type(error).__name__, **said)
                return False

    def _line(self) -> tuple[int, str]:
        return os.getpid(), str(current_app.conf.broker_url)

    def _open(self) -> Any:
        if self._producer is None:
            connection = current_app.connection_for_write(connect_timeout=PATIENCE)
            patience = {
                "socket_timeout": PATIENCE,
                "socket_connect_timeout": PATIENCE,
                "max_retries": 1,
                "interval_start": 0,
            }
            connection.transport_options = {**(connection.transport_options or {}), **patience}
            self._producer = current_app.amqp.Producer(connection, auto_declare=False)
            self._key = self._line()
        return self._producer

    def _hang_up(self) -> None:
        if self._producer is not None and self._key[0] == os.getpid():
            with contextlib.suppress(Exception):  # it is broken already
                self._producer.connection.release()
        self._producer, self._key = None, self._line()


_bell = Bell()
ring, rung_in = _bell.ring, _bell.rung_in
