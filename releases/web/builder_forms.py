"""The builder's forms as somebody finds them: what this person may choose for this release. Pages and admin make them here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.forms import formset_factory

from changes.models import RFC
from changes.queries.rfcs import authorized
from cmdb.enums import Environment
from cmdb.models import Host
from cmdb.queries.windows import windows_of
from patchflow.kernel.models import User
from releases.domain import plans
from releases.models import InstallProfile, Release, ReleaseRFC
from releases.queries.builds import updates_of
from releases.web import release_forms as shapes
from releases.web import ring_forms

CHOICES = 300
"""Hosts offered in one list; more are chosen over REST."""


def free_changes(actor: User) -> list[RFC]:
    """Authorized changes that are in no open release."""
    taken = set(ReleaseRFC.objects.filter(left_at__isnull=True).values_list("rfc_id", flat=True))
    return [rfc for rfc in authorized(actor) if rfc.pk not in taken]


def compose_form(data: Any, chosen: Collection[Any], free: Sequence[RFC]) -> shapes.ComposeForm:
    form = shapes.ComposeForm(data, initial={"rfc_ids": list(chosen)})
    form.offer(free)
    return form


def windows_form(data: Any, release: Release, actor: User) -> shapes.WindowsForm:
    found = windows_of(release.planned_hosts.values_list("host_id", flat=True))
    windows = sorted({w.pk: w for ws in found.values() for w in ws}.values(), key=lambda w: w.name)
    initial = {
        "window_ids": list(release.planned_windows.values_list("window_id", flat=True)) or [w.pk for w in windows],
        "earliest_at": release.earliest_at,
        "latest_at": release.latest_at,
    }
    form = shapes.WindowsForm(data, initial=initial)
    form.offer(windows)
    form.without = release.planned_hosts.exclude(host_id__in=found).count()
    return form


def newest_profiles() -> list[InstallProfile]:
    """The newest revision of each profile."""
    newest: dict[str, InstallProfile] = {}
    for profile in InstallProfile.objects.order_by("name", "revision"):
        newest[profile.name] = profile
    return list(newest.values())


def profile_form(data: Any, release: Release, actor: User) -> shapes.ProfileForm:
    form = shapes.ProfileForm(data, initial={"profile_id": release.profile_id})
    form.offer(newest_profiles())
    return form


def way_back_form(data: Any, release: Release, actor: User) -> shapes.WayBackForm:
    form = shapes.WayBackForm(data, initial={"kind": release.way_back})
    if not form.is_bound:
        form.hold_to(plans.promised_way_back(release))
    return form


def drop_host_form(data: Any, release: Release, actor: User) -> shapes.DropHostForm:
    form = shapes.DropHostForm(data)
    seen = Host.objects.within(actor, "release.view").filter(planned_in__release=release)
    form.offer(list(seen.order_by("name")[:CHOICES]))
    return form


def plan_test_form(data: Any, release: Release, actor: User) -> shapes.TestForm:
    visible = Host.objects.visible_to(actor).filter(retired_at__isnull=True).order_by("name")
    test = visible.exclude(ci__environment=Environment.PRODUCTION)
    own = visible.filter(planned_in__release=release, ci__environment=Environment.PRODUCTION)
    form = shapes.TestForm(data)
    form.offer(updates_of(release), [*test[:CHOICES], *own[:CHOICES]])
    return form


def rings_form(data: Any, release: Release, actor: User) -> ring_forms.Rings:
    """One form per ring, as they are planned or usual, and room for more."""
    planned = release.planned_rings.all()
    initial = [ring_forms.initial_ring(r) for r in planned] or [
        ring_forms.initial_plan(r) for r in plans.usual_rings(release)
    ]
    extra = max(ring_forms.RINGS - len(initial), 1)
    made = formset_factory(ring_forms.RingForm, ring_forms.Rings, extra=extra, max_num=20)
    rings: Any = made(data, initial=initial)
    groups = ring_forms.groups_of(release, actor)
    for row in rings:
        row.release = release
        row.offer(groups)
    found: ring_forms.Rings = rings
    return found
