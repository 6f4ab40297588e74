"""What the live page says of files that are laid ready before the window: of all hosts in a line, and of one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.web import states
from releases.domain.profiles import stage_hours
from releases.enums_staging import StagingState
from releases.models import Job, PermissionSlip, Rollout, Staging
from releases.web.causes import cause_words
from releases.web.rollout_parts import GATES


def is_asked(rollout: Rollout) -> bool:
    """Whether what was signed wants files laid ready. A way back installs at once."""
    return not rollout.is_way_back and stage_hours(rollout.manifest.document["profile"]) > 0


def lines(rollout: Rollout, actor: User) -> list[Any]:
    """How many of the hosts in the person's scope have their files, and what keeps the others from it. One query; none where
    nobody asks for it."""
    if not is_asked(rollout):
        return []
    rows = Staging.objects.filter(rollout=rollout).visible_to(actor).order_by().values_list("state", "code")
    found = list(rows.annotate(n=Count("pk")))
    total = sum(n for _state, _code, n in found)
    if not total:
        return [_("Files are laid ready before the windows; nothing was asked for yet.")]
    ready = sum(n for state, _code, n in found if state == StagingState.STAGED)
    said: list[Any] = [
        ngettext("Laid ready on %(ready)d of %(n)d host", "Laid ready on %(ready)d of %(n)d hosts", total)
        % {"ready": ready, "n": total}
    ]
    order = list(StagingState)
    for state, code, number in sorted(found, key=lambda one: (-order.index(StagingState(one[0])), -one[2], one[1])):
        if state == StagingState.STAGED:
            continue
        words = f"{number} {states.look('releases.staging', state).label}"
        if code:
            words = _("%(what)s: %(cause)s") % {"what": words, "cause": cause_words(code, GATES)}
        asked = urlencode({"staging": state})
        said.append(
            format_html('<a href="{}?{}">{}</a>', reverse("releases:rollout-hosts", args=[rollout.pk]), asked, words)
        )
    return said


def said_of(job: Job) -> str:
    """What became of the files of a host, in a word; with the cause where they are not there."""
    row: Staging | None = getattr(job, "staging", None)
    if row is None:
        return ""
    word = str(states.look("releases.staging", row.state).label)
    return _("%(what)s: %(cause)s") % {"what": word, "cause": cause_words(row.code, GATES)} if row.code else word


def slips_of(job: Job) -> list[PermissionSlip]:
    """Every verdict about laying the files of a chosen host ready, newest first. One query, none where nobody asks for it."""
    return list(job.slips.about_files().order_by("-pk")[:20]) if is_asked(job.rollout) else []


def row_of(job: Job) -> Staging | None:
    """The files of a chosen host. One query, none where nobody asks for it."""
    return Staging.objects.filter(job=job).first() if is_asked(job.rollout) else None


def unheard(row: Staging | None) -> str:
    """Why nobody knows how far a host is that was ordered to lay its files ready: it stands beside the slip that let it through."""
    return row.statement if row and row.code and row.state in (StagingState.ORDERED, StagingState.UNKNOWN) else ""


def facts_of(job: Job, row: Staging | None) -> list[tuple[str, str]]:
    """The line of a chosen host."""
    if not is_asked(job.rollout):
        return []
    return [(_("Files"), say(row.statement, mixed=True) if row else _("not asked for yet"))]
