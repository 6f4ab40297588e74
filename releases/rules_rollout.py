"""Who may move a rollout, its rings and its jobs. Pure predicates; four eyes ask who did what to *this* release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchflow.kernel.blockers import english
from patchflow.kernel.hands import acted, acts_for
from patchflow.kernel.rules import Rule, capability, rule

if TYPE_CHECKING:
    from patchflow.kernel.models import User
    from releases.models import Ring, Rollout


def either(*rules: Rule) -> Rule:
    """At least one of the rules holds (what a person and the system may cause); the first gives the reason."""
    return Rule(rules[0].code, rules[0].sentence, lambda obj, actor: any(r(obj, actor) for r in rules))


@rule(
    "rollout.four_eyes",
    "You signed this change or its manifest, or somebody did in your place: who signed it does not start it.",
    of_program=english(
        "Somebody who was given a token of this program signed this change or its manifest: it does not start it."
    ),
)
def not_signer(rollout: Rollout, actor: User) -> bool:
    """Law 1, the other way round. The bot signs nothing and starts nothing by itself."""
    return acts_for(actor).isdisjoint(rollout.release.signer_ids())


@rule("ring.four_eyes", "You started this rollout: another person accepts an incomplete ring.")
def not_starter(ring: Ring, actor: User) -> bool:
    return not acted(actor, [ring.rollout.started_by_id])


advances = capability("rollout.advance")
runs = capability("job.run")
