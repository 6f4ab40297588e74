"""Who may do what to a release, and what a manifest may say. Pure predicates; four eyes ask who did what to *this* change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchflow.kernel.blockers import english
from patchflow.kernel.hands import acted, acts_for
from patchflow.kernel.rules import Rule, capability, rule
from patchflow.kernel.signoffs import signers_of
from releases.containment import consistent, contained

if TYPE_CHECKING:
    from patchflow.kernel.models import User
    from releases.models import PostImplementationReview, Release

__all__ = ["any_of", "consistent", "contained", "not_carrier", "not_signer", "signed_before", "system"]


def any_of(*rules: Rule) -> Rule:
    """At least one of the rules holds (a transition that a person and the system may cause)."""
    return Rule(rules[0].code, rules[0].sentence, lambda obj, actor: any(r(obj, actor) for r in rules))


@rule(
    "release.four_eyes",
    "You signed this change or its manifest, or somebody did in your place: who signed it neither builds nor starts it.",
    of_program=english(
        "Somebody who was given a token of this program signed this change or its manifest: it neither builds nor starts it."
    ),
)
def not_signer(release: Release, actor: User) -> bool:
    """Law 1, the other way round: signatures on any round of the release and of each of its RFCs count."""
    return acts_for(actor).isdisjoint(release.signer_ids())


@rule("release.signed_by", "Only a person who signed the manifest, or the system, ends its review.")
def signed_before(release: Release, actor: User) -> bool:
    """Ending a readiness review is part of signing it: nobody fires it by hand."""
    return actor.is_bot or actor.pk in signers_of(release)


@rule(
    "review.four_eyes",
    "You carried out, ended or stopped a part of this deployment or of one of its changes: another person completes its review.",
)
def not_carrier(review: PostImplementationReview, actor: User) -> bool:
    """The same hands as for the review of each of its changes (law 1): who began or ended it, its rollouts and its changes, and
    who did a task of their implementation. A fixed number of queries."""
    return not acted(actor, [review.release.started_by_id, *review.release.carrier_ids()])


system = capability("release.advance")
