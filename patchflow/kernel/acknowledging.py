"""What becomes of a message whose acknowledgement the broker did not take.

Celery writes that down and goes on; but the transport still counts the message as one at work, and a worker that waits for as
many as it has processes takes no other for as long as it lives (celery/celery#2415). Here it counts no longer. The broker
gives it out again after its visibility timeout, which costs nothing: a message only says "look at row N".
"""

from __future__ import annotations

from typing import Any

from celery import Task as CeleryTask
from celery.worker.request import Request as CeleryRequest
from kombu.transport import virtual


class Request(CeleryRequest):
    """A message at work, which ends for this worker also when the broker hears nothing of it."""

    def acknowledge(self) -> None:
        super().acknowledge()
        self._let_go()

    def reject(self, requeue: bool = False) -> None:
        super().reject(requeue)
        self._let_go()

    def _let_go(self) -> None:
        qos = getattr(self.message.channel, "qos", None)
        if not self.message.acknowledged and isinstance(qos, virtual.QoS):
            virtual.QoS.ack(qos, self.message.delivery_tag)


class Task(CeleryTask):
    """Every task of Patchflow."""

    abstract = True
    Request: Any = "patchflow.kernel.acknowledging:Request"
