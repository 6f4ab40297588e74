"""The Celery application. It carries one thing: "look at row N". What happened is in rows."""

import os
import signal
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, task_prerun, worker_process_init, worker_ready

from patchflow.kernel import embedded, garbage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "patchflow.settings")

app = Celery("patchflow", task_cls="patchflow.kernel.acknowledging:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def begin(**_: Any) -> None:
    """A worker's process is about to take its first task."""
    garbage.look_less_often()


@beat_embedded_init.connect
def end_with_worker(**_: Any) -> None:
    """A scheduler that a worker started (`--beat`) does not outlive it, however that ends."""
    embedded.die_with(os.getppid())


@worker_ready.connect
def end_with_scheduler(sender: Any, **_: Any) -> None:
    """Nor does the worker outlive the scheduler that it started: who supervises it starts both again."""
    if beat := getattr(sender.controller, "beat", None):
        threading.Thread(target=_end_after, args=(beat,), daemon=True).start()


def _end_after(process: Any) -> None:
    while process.is_alive():
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


@task_prerun.connect
def look_at_connections(**_: Any) -> None:
    """A database that was restarted has closed its connections: a task begins on one that works, as a request does."""
    from django.db import close_old_connections

    close_old_connections()
