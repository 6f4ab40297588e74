"""What notices hear from the kernel: a receiver only queues what is to be told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.dispatch import receiver
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import Substitution
from patchflow.kernel.signals import substitute_named
from patchflow.notices.delivery import tell
from patchflow.notices.kinds import kind

kind(
    "substitute_named", _("You stand in for somebody"), duty=True,
    facts={"one.user": str, "one.starts_at": datetime, "one.ends_at": datetime, "one.reason": str, "one.named_by": str},
)  # fmt: skip


@receiver(substitute_named, dispatch_uid="patchflow.notices.substitute")
def tell_substitute(sender: Any, *, substitution_id: int, at: datetime, **_kwargs: Any) -> None:
    """Whoever was named learns for whom, from when, until when."""
    named = Substitution.objects.select_related("user", "substitute", "named_by").get(pk=substitution_id)
    tell(
        kind="substitute_named", people=[named.substitute], key=f"substitution:{named.pk}:named", at=at,
        url="/changes/substitutes/", one=named,
    )  # fmt: skip
