"""What is true of a package version is kept once, not once per host. A finding is a view over this and installations."""

from __future__ import annotations

from django.db import models
from django.db.models import CompositePrimaryKey

from changes.enums_identify import AppliesVerdict, Basis
from patchflow.kernel.models import DueWork


class VersionFix(models.Model):
    """A package version that is not known to be beyond a fix: the verdict, and the rule that decided it.

    No row means fixed or not concerned. Written by one SQL statement (`changes.queries.matching`); the references have
    no constraint in the database, as both sides are checked by the statement that writes them.
    """

    pk = CompositePrimaryKey("package_version_id", "fix_id")
    package_version = models.ForeignKey(
        "cmdb.PackageVersion", models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    fix = models.ForeignKey("changes.Fix", models.CASCADE, related_name="+", db_constraint=False)
    verdict = models.CharField(max_length=24, choices=AppliesVerdict)
    basis = models.CharField(max_length=24, choices=Basis)
    low_confidence = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.package_version_id} × {self.fix_id}: {self.verdict}"


class EvaluationOrder(DueWork):
    """A host reported changed packages: these versions are due to be evaluated. The row goes when that is done."""

    host = models.ForeignKey("cmdb.Host", models.CASCADE, related_name="+")
    version_ids = models.JSONField(default=list)
    ordered_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.host_id}: {len(self.version_ids)} versions"
