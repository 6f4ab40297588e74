"""What a person chooses for themselves: language and time zone of pages and notices."""

from __future__ import annotations

import zoneinfo
from datetime import datetime

from django.conf import settings

from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User
from patchflow.kernel.registry import verbs
from patchflow.kernel.workflow import lock, verb

verbs(access__user={"preferences_set": "Language and time zone chosen"})


@verb("access.user.preferences_set")
def set_preferences(*, language: str, time_zone: str, actor: User, at: datetime) -> User:
    """Sets the language and the time zone of `actor`. Raises Invalid where Patchflow does not know one of them."""
    wrong = []
    if language not in dict(settings.LANGUAGES):
        wrong.append(
            Blocker("preferences.language", english("Patchflow does not speak %(language)s.", language=repr(language)))
        )
    if time_zone not in zoneinfo.available_timezones():
        wrong.append(
            Blocker(
                "preferences.time_zone",
                english("%(time_zone)s is no time zone: choose one as Europe/Berlin.", time_zone=repr(time_zone)),
            )
        )
    if wrong:
        raise Invalid(wrong)
    user = lock(User, actor.pk)
    if (user.language, user.time_zone) != (language, time_zone):
        user.language, user.time_zone = language, time_zone
        user.save(update_fields=["language", "time_zone"])
        detail = {"language": language, "time_zone": time_zone}
        audit.record(user, "access.user.preferences_set", actor=actor, at=at, detail=detail)
    return user
