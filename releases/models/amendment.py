"""Late-comers of a release: the next revision of its manifest, in which hosts join and nothing else changes.

proposed → adopted (signed by its own round) | refused | withdrawn.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cmdb.queries.groups import scope_keys_of
from patchflow.kernel.blockers import kept
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability
from releases.amending import joined
from releases.enums import AmendmentState
from releases.models.build import OfReleaseQuerySet
from releases.rules import any_of, system

S = AmendmentState
decided = any_of(capability("release.sign"), system)
taken_back = any_of(capability("release.seal"), capability("release.revise"), system)


class Amendment(Audited):
    """Hosts that want to join a sealed release. `document`: the whole next revision; `manifest`: what it became."""

    release = models.ForeignKey("releases.Release", models.PROTECT, related_name="amendments")
    base = models.ForeignKey("releases.Manifest", models.PROTECT, related_name="amendments")
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    hosts = models.PositiveIntegerField(help_text="How many join.")
    state = state_field(AmendmentState)
    reason = models.TextField(help_text="Why they join now.")
    outcome = models.TextField(blank=True, default="", help_text="Why it was refused or withdrawn.")
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    manifest = models.OneToOneField(
        "releases.Manifest", models.PROTECT, null=True, blank=True, related_name="amendment"
    )

    objects = OfReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("amendment")
        constraints = [
            models.UniqueConstraint(
                fields=["release"], condition=Q(state="proposed"), name="releases_amendment_one_open"
            ),
            models.CheckConstraint(condition=Q(state__in=AmendmentState.values), name="releases_amendment_state"),
            models.CheckConstraint(
                condition=Q(state="adopted", manifest__isnull=False) | (~Q(state="adopted") & Q(manifest__isnull=True)),
                name="releases_amendment_manifest",
            ),
        ]

    def __str__(self) -> str:
        return kept("%(release)s amendment of manifest %(number)s", release=self.release, number=self.base.revision)

    @property
    def labelled(self) -> str:
        """What they join, and that it is simulated."""
        return self.release.labelled

    def get_absolute_url(self) -> str:
        return reverse("releases:release-amend", args=[self.release_id])

    def scope_keys(self) -> list[frozenset[str]]:
        """Those of the release and of the hosts that join: who decides holds the right for all of them."""
        late = [host["host"] for host in joined(self.base.document, self.document)]
        return [*self.release.scope_keys(), *scope_keys_of(late).values()]

    def _closed(self, at: datetime, outcome: str = "") -> None:
        self.closed_at, self.outcome = at, outcome

    @transition(field=state, source=S.PROPOSED, target=S.ADOPTED, verb="release.amendment.adopted", allowed=[decided],
                gated=True, by_system=True)  # fmt: skip
    def adopt(self, *, actor: User, at: datetime, manifest_id: int, **facts: Any) -> None:
        self._closed(at)
        self.manifest_id = manifest_id

    @transition(field=state, source=S.PROPOSED, target=S.REFUSED, verb="release.amendment.refused", allowed=[decided],
                by_system=True)  # fmt: skip
    def refuse(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._closed(at, reason)

    @transition(field=state, source=S.PROPOSED, target=S.WITHDRAWN, verb="release.amendment.withdrawn",
                allowed=[taken_back])  # fmt: skip
    def withdraw(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._closed(at, reason)
