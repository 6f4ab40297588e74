"""What is done about an update: the response, and the class by which its clock runs."""

from __future__ import annotations

from datetime import date, datetime

from changes.enums_identify import Response, UpdateClass
from changes.models import SoftwareUpdate, UpdateResponse
from changes.rules import start_by
from changes.rules_identify import may_respond
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import failing

NEEDS_DATE = (Response.WAIT_FOR_ROLLUP, Response.DECLINE, Response.WORKAROUND)
"""Responses that leave hosts as they are: each names the day on which it is looked at again."""


@workflow.verb("change.update.responded", SoftwareUpdate, "update_id")
def respond(
    *, update_id: int, response: str, reason: str, actor: User, at: datetime, revisit_on: date | None = None
) -> UpdateResponse:
    """Decides what is done about an update: a new row, the one before stays. The clock runs on (it never waits for this).

    Raises NotAllowed; Invalid without a reason, or without a future day to revisit where the hosts stay as they are.
    """
    update = workflow.lock(SoftwareUpdate, update_id)
    if refused := failing([may_respond], update, actor):
        raise NotAllowed(refused)
    found = []
    if response not in Response.values:
        found.append(
            Blocker("update.response", english("The responses are: %(values)s.", values=", ".join(Response.values)))
        )
    if not reason.strip():
        found.append(Blocker("update.reason", "Say why: whoever looks at it later needs the reason."))
    if response in NEEDS_DATE and revisit_on is None:
        found.append(Blocker("update.revisit_on", "Name the day on which this is looked at again."))
    if revisit_on is not None and revisit_on <= at.date():
        found.append(Blocker("update.revisit_on", "The day to look at it again lies in the future."))
    if found:
        raise Invalid(found)
    before = update.response
    row = UpdateResponse.objects.create(
        update=update,
        response=response,
        reason=reason.strip(),
        revisit_on=revisit_on,
        decided_by=actor,
        decided_at=at,
    )
    update.response = response
    update.save(update_fields=["response"])
    detail = {"response": response, "reason": reason.strip(), "revisit_on": revisit_on}
    audit.record(update, "change.update.responded", actor=actor, at=at, before=before, after=response, detail=detail)
    return row


@workflow.verb("change.update.classified", SoftwareUpdate, "update_id")
def classify(*, update_id: int, update_class: str, reason: str, actor: User, at: datetime) -> SoftwareUpdate:
    """Sets the class by hand. The clock survives it: start-by still counts from the notification.

    Raises NotAllowed; Invalid (class, reason); Conflict where it has that class by hand already.
    """
    update = workflow.lock(SoftwareUpdate, update_id)
    if refused := failing([may_respond], update, actor):
        raise NotAllowed(refused)
    if update_class not in UpdateClass.values:
        raise Invalid(
            [
                Blocker(
                    "update.update_class", english("The classes are: %(values)s.", values=", ".join(UpdateClass.values))
                )
            ]
        )
    if not reason.strip():
        raise Invalid([Blocker("update.reason", "Say why the class is another one.")])
    if update.class_by_person and update.update_class == update_class:
        raise Conflict("It has this class already.", code="conflict.class")
    before = {"class": update.update_class, "start_by": update.start_by}
    update.update_class, update.class_by_person = update_class, True
    update.class_reason = reason.strip()[:400]
    if update.notified_at is not None:
        update.start_by = start_by(update_class, update.notified_at)
    update.save(update_fields=["update_class", "class_by_person", "class_reason", "start_by"])
    detail = {"before": before, "after": {"class": update_class, "start_by": update.start_by}, "reason": reason.strip()}
    audit.record(update, "change.update.classified", actor=actor, at=at, detail=detail)
    return update
