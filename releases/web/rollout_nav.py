"""The place of rollouts in the rail, and what they show on pages of the apps below."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cmdb.models import Host
from patchflow.web import panels
from patchflow.web.navigation import FootLine, nav
from releases.domain.waiting import Waiting
from releases.models import HandTask, Job, KillSwitch, Release, Rollout
from releases.web import rollout_looks  # noqa: F401  registers how states look


def sees_rollouts(request: HttpRequest) -> bool:
    return request.user.holds_somewhere("rollout.view")  # type: ignore[union-attr]


def running(request: HttpRequest) -> int | None:
    """Rollouts that somebody should watch."""
    rows = Rollout.objects.all().visible_to(request.user)  # type: ignore[arg-type]
    return rows.filter(state__in=["running", "paused", "halted", "stopping"]).count() or None


def tasks_open(request: HttpRequest) -> int | None:
    """Hosts that wait for a person, or at which one is at work."""
    return HandTask.objects.open().visible_to(request.user).count() or None  # type: ignore[arg-type]


def kill_switch_line(request: HttpRequest) -> FootLine | None:
    """Everybody sees that nothing starts."""
    switch = KillSwitch.objects.filter(name="all", is_on=True).first()
    return FootLine("st-bad", gettext("Kill switch on: nothing starts"), "/rollouts/") if switch else None


def jobs_of_host(request: HttpRequest, host: Any) -> SafeString | None:
    """What rollouts did and will do on this host, newest first."""
    assert isinstance(host, Host)  # noqa: S101  the slot is the host's
    actor: Any = request.user
    rows = (
        Job.objects.filter(host=host).visible_to(actor).select_related("rollout__release", "ring").order_by("-pk")[:8]
    )
    if not rows:
        return None
    waiting = Waiting(timezone.now())
    context = {"jobs": [(job, waiting.of_job(job)) for job in rows]}
    return mark_safe(render_to_string("releases/_jobs_of_host.html", context, request))  # noqa: S308  a template escapes


def rollouts_of_release(request: HttpRequest, release: Any) -> SafeString | None:
    """The rollouts of a release, newest first."""
    assert isinstance(release, Release)  # noqa: S101
    actor: Any = request.user
    rows = Rollout.objects.filter(release=release).visible_to(actor).order_by("-pk")[:5]
    if not rows:
        return None
    waiting = Waiting(timezone.now())
    context = {"rollouts": [(rollout, waiting.of_rollout(rollout) or rollout.reason) for rollout in rows]}
    return mark_safe(render_to_string("releases/_rollouts_of_release.html", context, request))  # noqa: S308


nav.add(
    "deploy",
    _("Rollouts"),
    "releases:rollout-list",
    "rollout",
    10,
    badge=running,
    permission=sees_rollouts,
    under=("releases:rollout-", "releases:ring-", "releases:job-", "releases:delay-"),
)
nav.add(
    "deploy",
    _("Tasks by hand"),
    "releases:task-list",
    "tool",
    20,
    badge=tasks_open,
    permission=sees_rollouts,
    under=("releases:task-",),
)
nav.foot(kill_switch_line, order=5)
panels.register("cmdb.host", jobs_of_host, order=30)
panels.register("releases.release", rollouts_of_release, order=10)
