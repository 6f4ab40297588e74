"""Which baselines a release brought: proposed from its manifests, and what became of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from cmdb.models import Baseline
from patchflow.kernel.models import User
from releases.models import Manifest


def baselines_of(release_ids: Collection[int], *, actor: User) -> dict[int, list[Baseline]]:
    """Release → the baselines taken from its manifests that `actor` sees, the newest first. Two queries."""
    digests: dict[str, int] = dict(
        Manifest.objects.filter(release_id__in=release_ids).values_list("digest", "release_id")
    )
    found: dict[int, list[Baseline]] = defaultdict(list)
    rows = Baseline.objects.all().visible_to(actor).filter(source_digest__in=list(digests))
    for row in rows.select_related("platform", "group", "proposed_by").order_by("-pk"):
        found[digests[row.source_digest]].append(row)
    return dict(found)
