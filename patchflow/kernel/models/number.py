"""Numbers that people quote: RFC-2026-00042."""

from __future__ import annotations

from django.db import models


class Number(models.Model):
    """The last number given in a series and year; taken under its row lock, so that none is given twice."""

    series = models.CharField(max_length=12)
    year = models.PositiveIntegerField()
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "year"], name="kernel_number_series")]

    def __str__(self) -> str:
        return f"{self.series}-{self.year}-{self.last:05d}"
