"""Forms of releases: they check shapes and resolve ids; verbs decide and write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.enums import WayBack
from changes.models import RFC, SoftwareUpdate
from changes.web.rfc_forms import Area, Moment, ReasonForm, refuse
from cmdb.enums import MachineKind
from cmdb.models import Host, ServiceWindow
from patchflow.kernel.enums import Verdict
from releases.domain.profiles import STAGED_AT_MOST
from releases.enums import OfflineRule, ReleaseOutcome, RestartMode
from releases.models import InstallProfile
from releases.web.step_forms import StepsField

__all__ = ["ReasonForm", "refuse"]


class ComposeForm(forms.Form):
    rfc_ids = forms.TypedMultipleChoiceField(
        label=_("Authorized changes"),
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("A change has at most one open release. All of them must promise the same way back."),
    )
    title = forms.CharField(
        label=_("Title"), max_length=200, required=False, help_text=_("Empty: the titles of the changes.")
    )

    def offer(self, rfcs: Sequence[RFC]) -> None:
        self.fields["rfc_ids"].choices = [(r.pk, str(r)) for r in rfcs]  # type: ignore[attr-defined]


class ReviseForm(ReasonForm):
    """Why it goes back to planning."""


class WindowsForm(forms.Form):
    window_ids = forms.TypedMultipleChoiceField(
        label=_("Service windows"), coerce=int, widget=forms.CheckboxSelectMultiple
    )
    earliest_at = forms.DateTimeField(
        label=_("Earliest start"), required=False, widget=Moment(), help_text=_("In your time zone.")
    )
    latest_at = forms.DateTimeField(
        label=_("Latest start"),
        required=False,
        widget=Moment(),
        help_text=_("In your time zone. A host whose turn comes at or after it is refused, with that reason."),
    )

    without = 0
    """Hosts of the release that have no window."""

    def offer(self, windows: Sequence[ServiceWindow]) -> None:
        self.fields["window_ids"].choices = [(w.pk, w.name) for w in windows]  # type: ignore[attr-defined]


class ProfileForm(forms.Form):
    profile_id = forms.TypedChoiceField(label=_("Install profile"), coerce=int, widget=forms.RadioSelect)

    def offer(self, profiles: Sequence[InstallProfile]) -> None:
        self.fields["profile_id"].choices = [(p.pk, _offered(p)) for p in profiles]  # type: ignore[attr-defined]


def _offered(profile: InstallProfile) -> str:
    return gettext("%(profile)s: restarts %(when)s, at most %(minutes)d min in all") % {
        "profile": profile, "when": profile.get_restart_display(), "minutes": profile.max_minutes_total,
    }  # fmt: skip


class WayBackForm(forms.Form):
    kind = forms.ChoiceField(label=_("Way back"), choices=WayBack.choices, widget=forms.RadioSelect)

    def hold_to(self, promised: str) -> None:
        """Offers only what keeps the way back that the changes were approved with."""
        if promised != WayBack.NONE:
            kept = [(value, label) for value, label in WayBack.choices if value == promised]
            self.fields["kind"].choices = kept  # type: ignore[attr-defined]


class ChecksField(forms.CharField):
    """Health checks, one a line: name | kind | target | expected."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Checks"),
            required=False,
            widget=Area(4),
            help_text=_("One a line: name | http, tcp, service or command | target | expected (optional)."),
        )

    def clean(self, value: Any) -> list[dict[str, str]]:
        rows = []
        for line in super().clean(value).splitlines():
            parts = [part.strip() for part in line.split("|")]
            if not line.strip():
                continue
            if len(parts) not in (3, 4):
                raise forms.ValidationError(_("“%(line)s” is not name | kind | target.") % {"line": line[:60]})
            rows.append(dict(zip(("name", "kind", "target", "expect"), [*parts, ""], strict=False)))
        return rows


class TestForm(forms.Form):
    update_id = forms.TypedChoiceField(label=_("Update"), coerce=int)
    host_id = forms.TypedChoiceField(
        label=_("Test host"),
        coerce=int,
        help_text=_("A host outside production; one in production only if this release updates it anyway."),
    )
    checks = ChecksField()
    walk_back = forms.BooleanField(
        label=_("Go back to the previous version, and forward again"), required=False, initial=True
    )

    def offer(self, updates: Sequence[SoftwareUpdate], hosts: Sequence[Host]) -> None:
        self.fields["update_id"].choices = [(u.pk, str(u)) for u in updates]  # type: ignore[attr-defined]
        self.fields["host_id"].choices = [(h.pk, h.name) for h in hosts]  # type: ignore[attr-defined]


class DropHostForm(ReasonForm):
    host_id = forms.TypedChoiceField(label=_("Host"), coerce=int)

    field_order = ("host_id", "reason")

    def offer(self, hosts: Sequence[Host]) -> None:
        self.fields["host_id"].choices = [(h.pk, h.name) for h in hosts]  # type: ignore[attr-defined]


class JudgeForm(ReasonForm):
    verdict = forms.ChoiceField(
        label=_("Verdict"),
        choices=[("failed", _("failed")), ("inconclusive", _("inconclusive"))],
        widget=forms.RadioSelect,
        help_text=_("A run passes by its steps alone."),
    )
    field_order = ("verdict", "reason")


class StopForm(ReasonForm):
    outcome = forms.ChoiceField(
        label=_("Outcome"), choices=[(o.value, o.label) for o in (ReleaseOutcome.PARTIAL, ReleaseOutcome.FAILED)]
    )


class SignForm(forms.Form):
    """A decision over the manifest that was shown."""

    verdict = forms.ChoiceField(label=_("Decision"), choices=Verdict.choices, widget=forms.HiddenInput)
    comment = forms.CharField(
        label=_("Reason"), required=False, widget=Area(2), max_length=4000, help_text=_("Needed for a no-go.")
    )
    digest_seen = forms.CharField(widget=forms.HiddenInput)


class DefineProfileForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), max_length=60, help_text=_("The name of an existing profile makes its next revision.")
    )
    restart = forms.ChoiceField(label=_("Restart"), choices=RestartMode.choices, initial=RestartMode.IF_NEEDED)
    max_minutes_each = forms.IntegerField(label=_("Run time per update, minutes"), min_value=1, initial=30)
    max_minutes_total = forms.IntegerField(label=_("Run time in all, minutes"), min_value=1, initial=120)
    restart_kinds = forms.MultipleChoiceField(
        label=_("Machines that may be restarted"),
        choices=MachineKind.choices,
        initial=list(MachineKind.values),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("A machine of which nobody knows what it is, is not restarted."),
    )
    countdown_seconds = forms.IntegerField(label=_("Notice before a restart, seconds"), min_value=0, initial=0)
    min_alive = forms.IntegerField(label=_("Hosts of each service that stay up"), min_value=1, initial=1)
    min_alive_percent = forms.IntegerField(
        label=_("And at least this share of its hosts, %"),
        min_value=0,
        max_value=99,
        initial=0,
        help_text=_(
            "So many stay up while others are updated; 0: no share is asked. A service with only one host is not held back."
        ),
    )
    offline = forms.ChoiceField(
        label=_("A host that does not answer at its turn is"),
        choices=OfflineRule.choices,
        initial=OfflineRule.CATCH_UP,
        required=False,
    )
    catch_up_minutes = forms.IntegerField(
        label=_("Tried again for so many minutes"),
        min_value=0,
        max_value=10080,
        initial=0,
        required=False,
        help_text=_("Then it is put off to its next window; 0: as long as its window is open."),
    )
    stage_hours = forms.IntegerField(
        label=_("Lay files ready so many hours before the window"),
        min_value=0,
        max_value=STAGED_AT_MOST,
        initial=0,
        required=False,
        help_text=_("Nothing is installed before the window opens; 0: files are fetched in the window."),
    )
    notice_hours = forms.IntegerField(
        label=_("Hours of notice before a ring starts"),
        min_value=0,
        max_value=720,
        initial=0,
        help_text=_("Owners and support groups are told so long before; 0: the ring starts at its turn."),
    )
    acknowledge = forms.BooleanField(
        label=_("A ring waits until everybody who was told has acknowledged"), required=False
    )
    notify = forms.BooleanField(
        label=_("Tell the owners of the hosts before their ring starts"), initial=True, required=False
    )
    inventory_after = forms.BooleanField(
        label=_("Read the packages of a host after success (after a failure they are always read)"),
        initial=True,
        required=False,
    )
    checks = ChecksField()
    steps = StepsField()

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        given["offline"] = given.get("offline") or OfflineRule.CATCH_UP
        given["catch_up_minutes"] = given.get("catch_up_minutes") or 0
        given["stage_hours"] = given.get("stage_hours") or 0
        return given


class CompleteForm(forms.Form):
    lessons = forms.CharField(label=_("Lessons"), required=False, widget=Area(4), max_length=8000)
    actions = forms.CharField(
        label=_("Actions"),
        required=False,
        widget=Area(4),
        max_length=8000,
        help_text=_("What will be done, one a line."),
    )
