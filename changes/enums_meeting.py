"""Choice sets and audited verbs of meetings."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from patchflow.kernel.registry import verbs

verbs(
    change__meeting={
        "planned": "Meeting planned",
        "arranged": "Agenda arranged",
        "item_added": "Item added",
        "agenda_published": "Agenda published",
        "opened": "Session opened",
        "item_begun": "Item begun",
        "attendance_recorded": "Attendance recorded",
        "consented": "Consent given",
        "item_pulled": "Pulled out of the consent block",
        "item_decided": "Item decided",
        "item_carried_over": "Item carried over",
        "item_withdrawn": "Item withdrawn",
        "postponed": "Meeting postponed",
        "cancelled": "Meeting cancelled",
        "minuted": "Minutes sealed",
    }
)


class MeetingKind(models.TextChoices):
    CAB = "cab", _("CAB")
    ECAB = "ecab", _("emergency CAB")


class MeetingState(models.TextChoices):
    PLANNED = "planned", _("planned")
    AGENDA_PUBLISHED = "agenda_published", _("agenda published")
    IN_SESSION = "in_session", _("in session")
    MINUTED = "minuted", _("minuted")
    POSTPONED = "postponed", _("postponed")
    CANCELLED = "cancelled", pgettext_lazy("meeting", "cancelled")


class AgendaItemState(models.TextChoices):
    OPEN = "open", _("open")
    DECIDED = "decided", _("decided")
    CARRIED_OVER = "carried_over", _("carried over")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Presence(models.TextChoices):
    INVITED = "invited", _("invited")
    PRESENT = "present", _("present")
    EXCUSED = "excused", _("excused")
    ABSENT = "absent", _("absent")
