"""A task that takes as long as it is told to."""

from __future__ import annotations

import time
from pathlib import Path

from celery import shared_task

QUEUE = "toys"


@shared_task
def nap(*, folder: str, name: str, seconds: float) -> None:
    """Leaves a file when it begins."""
    (Path(folder) / name).touch()
    time.sleep(seconds)
