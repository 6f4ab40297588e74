"""This Patchflow among others: what it signs with where several leave their marks, as on a host that two of them manage."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Instance(models.Model):
    """The one row that names this installation; made at first use, never changed. It goes wherever the database goes."""

    key = models.CharField(max_length=8)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="kernel_instance_one")]

    def __str__(self) -> str:
        return self.key
