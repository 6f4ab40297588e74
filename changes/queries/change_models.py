"""What a change model has behind it: the changes that ran under it, and how they ended."""

from __future__ import annotations

from django.db.models import Count, F, Q, QuerySet

from changes.enums import CloseCode, RFCState
from changes.models import RFC, ChangeModel
from patchflow.kernel.models import User

FAILED = (CloseCode.FAILED, CloseCode.BACKED_OUT)


def changes_of(model: ChangeModel, *, actor: User) -> QuerySet[RFC]:
    """The RFCs of the model that the actor may see, newest first."""
    return RFC.objects.visible_to(actor).filter(change_model=model).select_related("requested_by").order_by("-pk")


def with_record(models: QuerySet[ChangeModel]) -> QuerySet[ChangeModel]:
    """The models with `used` and `failed`: closed changes under each, and those that failed or were backed out."""
    closed = Q(rfcs__state=RFCState.CLOSED)
    return models.annotate(
        used=Count("rfcs", filter=closed),
        failed=Count("rfcs", filter=closed & Q(rfcs__close_code__in=FAILED)),
        worked=F("used") - F("failed"),
    )
