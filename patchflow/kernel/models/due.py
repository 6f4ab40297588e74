"""Due work lives on the unit of work itself: when it is due, who holds it until when, and the fence that shuts out a late holder."""

from __future__ import annotations

from django.db import models

from patchflow.kernel.fsm import Stateful


class DueWork(Stateful):
    """Mixin of jobs, scan runs, feed runs, deliveries, rounds. A claim raises `fence`; every later write names its fence."""

    not_before = models.DateTimeField(null=True, blank=True, db_index=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=80, blank=True, default="")
    fence = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True
