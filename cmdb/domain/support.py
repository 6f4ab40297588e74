"""Who stands behind the name of a support group."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cmdb.domain.permission import demand, said
from cmdb.models import SupportGroup
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User
from patchflow.kernel.people import persons


@workflow.verb("cmdb.support_group.defined")
def define(*, name: str, actor: User, at: datetime, lead: str = "", members: Iterable[str] = ()) -> SupportGroup:
    """Says who is in the support group `name`, by user name, and who leads it; makes it where there is none of that name.
    Needs group.edit."""
    demand("group.edit", None, actor)
    name = said("name", name, what="A name", limit=80)
    wanted = sorted({lead, *members} - {""})
    people = {u.get_username(): u for u in persons().filter(username__in=wanted)}
    if unknown := [one for one in wanted if one not in people]:
        raise Invalid(
            [Blocker("invalid.members", english("There is nobody named %(one)s.", one=one)) for one in unknown]
        )
    group, _made = SupportGroup.objects.select_for_update().get_or_create(name=name)
    group.lead = people.get(lead)
    group.save(update_fields=["lead"])
    group.members.set(people.values())
    audit.record(
        group, "cmdb.support_group.defined", actor=actor, at=at, detail={"lead": lead, "members": list(people)}
    )
    return group
