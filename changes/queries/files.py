"""What is known of source files: which are verified, and where a package's file is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce

from changes.enums_identify import VerificationOutcome
from changes.models import Artifact, RepositoryIndex, Verification


def verified(artifact_ids: Iterable[int], *, at: datetime) -> dict[int, bool]:
    """Artifact → whether its latest verification by `at` passed: its own, else that of the index that lists it.

    An id without a verification is False; so is one that does not exist.
    """
    ids = list(artifact_ids)
    own = Verification.objects.filter(artifact=OuterRef("pk"), verified_at__lte=at).order_by("-verified_at", "-pk")
    of_index = Verification.objects.filter(
        index=OuterRef("index"), artifact__isnull=True, verified_at__lte=at
    ).order_by("-verified_at", "-pk")
    latest = Coalesce(Subquery(own.values("outcome")[:1]), Subquery(of_index.values("outcome")[:1]))
    rows = Artifact.objects.filter(pk__in=ids).annotate(latest=latest).values_list("pk", "latest")
    passed = {pk: outcome == VerificationOutcome.PASSED for pk, outcome in rows}
    return {pk: passed.get(pk, False) for pk in ids}


def find(package: str, version: str, arch: str) -> list[Artifact]:
    """The files that carry this package version, the one of the latest index first."""
    rows = Artifact.objects.filter(package=package, version=version, arch=arch)
    return list(rows.select_related("index").order_by(F("index__dated_at").desc(nulls_last=True), "-pk"))


def last_seen(uri: str, suite: str) -> datetime | None:
    """The date of the newest index that was accepted from there: an older one is a replay."""
    rows = RepositoryIndex.objects.filter(uri=uri, suite=suite, dated_at__isnull=False)
    newest = rows.order_by("-dated_at").first()
    return newest.dated_at if newest else None
