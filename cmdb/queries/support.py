"""Who answers for items: owners and support groups, and the items that have none."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from cmdb.enums import ItemState
from cmdb.models import ConfigurationItem, SupportGroup
from patchflow.kernel.models import User

NO_OWNER = Q(owner__isnull=True)
NO_GROUP = Q(support_group="")
NOBODY = NO_OWNER & NO_GROUP
"""Nobody is told about these and nobody answers for them."""


def items_in_sight(actor: User) -> QuerySet[ConfigurationItem]:
    """Items that are not retired, of those that `actor` sees."""
    return ConfigurationItem.objects.all().visible_to(actor).exclude(state=ItemState.RETIRED)


def unpeopled(rows: QuerySet[ConfigurationItem]) -> QuerySet[ConfigurationItem]:
    """Items that name a support group in which nobody is, or which nobody defined."""
    peopled = SupportGroup.objects.filter(name=OuterRef("support_group")).filter(
        Q(lead__isnull=False) | Q(members__isnull=False)
    )
    return rows.exclude(NO_GROUP).exclude(Exists(peopled))


def gaps(actor: User) -> dict[str, int]:
    """How many items in sight have no owner, no support group, neither, or a group without people. Two queries."""
    rows = items_in_sight(actor)
    found = rows.aggregate(
        without_owner=Count("pk", filter=NO_OWNER),
        without_group=Count("pk", filter=NO_GROUP),
        without_both=Count("pk", filter=NOBODY),
    )
    counts: dict[str, int] = {name.removeprefix("without_"): count for name, count in found.items()}
    return {**counts, "unpeopled": unpeopled(rows).count()}


def items_by_group(names: Iterable[str], actor: User) -> dict[str, int]:
    """Name of a support group → items in sight that name it. One query."""
    rows = items_in_sight(actor).filter(support_group__in=list(names)).values("support_group")
    return dict(rows.annotate(n=Count("pk")).values_list("support_group", "n"))
