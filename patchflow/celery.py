"""The Celery application. It carries one thing: "look at row N". What happened is in rows."""

import os
from typing import Any

from celery import Celery
from celery.signals import task_prerun, worker_process_init

from patchflow.kernel import garbage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "patchflow.settings")

app = Celery("patchflow", task_cls="patchflow.kernel.acknowledging:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def begin(**_: Any) -> None:
    """A worker's process is about to take its first task."""
    garbage.look_less_often()


@task_prerun.connect
def look_at_connections(**_: Any) -> None:
    """A database that was restarted has closed its connections: a task begins on one that works, as a request does."""
    from django.db import close_old_connections

    close_old_connections()
