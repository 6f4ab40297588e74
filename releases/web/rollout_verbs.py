"""What people do with rollouts, rings, targets and the kill switch: each verb with its reach in numbers, its reasons, one POST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.sentences import say
from patchflow.web import parts
from patchflow.web.verbs import Reach, Verb
from releases.domain import jobs, rings, rollbacks, rollouts, switches
from releases.enums_rollout import LIVE, TOUCHED, JobState, RingState, RolloutState
from releases.enums_tasks import TaskState
from releases.models import HandTask, Job, KillSwitch, Ring, Rollout
from releases.web.rollout_forms import NothingForm, ReasonForm
from releases.web.rollout_offers import back_verb
from releases.web.rollout_parts import Tally, not_begun, summed, tallies

NAMED = 8
"""Failed hosts that the page before their retry names."""


def _actor(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  login_required has looked
    return request.user


def _confirmed(
    request: HttpRequest,
    *,
    title: str,
    verb: str,
    back: str,
    act: Callable[[str], Any],
    reach: Sequence[Reach] = (),
    then: Sequence[str] = (),
    against: Sequence[Blocker] = (),
    needs_reason: bool = True,
    harmless: bool = False,
) -> HttpResponse:
    """Shows the reach, takes the reason, runs the verb once, goes back; a refusal is shown with what was typed. `against`: why
    it cannot be done now, said in place of the form. `harmless`: it takes nothing away and touches no host by itself."""
    kind = ReasonForm if needs_reason else NothingForm
    form = kind(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            act(form.cleaned_data["reason"])
        except Refusal as refusal:
            form.refused(refusal)
        else:
            return redirect(back)
    context = {
        "title": title,
        "phase": 4,
        "verb": Verb("act", verb, allowed=not against, blockers=against),
        "reach": reach,
        "consequences": then,
        "form": form,
        "harmless": harmless,
        "cancel_url": back,
        "crumbs": [parts.Crumb(_("Rollouts"), reverse("releases:rollout-list")), parts.Crumb(title)],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)


def _waiting(n: int) -> Reach:
    return Reach(n, ngettext("host goes on waiting", "hosts go on waiting", n))


def _at_work(n: int) -> Reach:
    return Reach(n, ngettext("host at work goes on", "hosts at work go on", n))


def _out_of_sight(n: int) -> list[Reach]:
    """The hosts of which nobody knows whether they are at work; nothing where there are none."""
    noun = ngettext(
        "host out of sight is looked at until it is known", "hosts out of sight are looked at until it is known", n
    )
    return [Reach(n, noun, css="st-unk")] if n else []


def _by_hand(n: int, on: bool) -> list[Reach]:
    """The hosts that a person has not begun with: while the switch is on, or the rollout stands, nobody may. Nothing where
    there are none."""
    held = ngettext("host waits for a person, who may not begin", "hosts wait for a person, who may not begin", n)
    freed = ngettext("host waits for a person, who may begin", "hosts wait for a person, who may begin", n)
    return [Reach(n, held if on else freed)] if n else []


def _reach(tally: Tally) -> list[Reach]:
    """Whom it reaches that a rollout lets nobody new begin."""
    return [
        _waiting(tally.pending),
        _at_work(tally.at_work),
        *_by_hand(tally.by_hand, on=True),
        *_out_of_sight(tally.out_of_sight),
    ]


def _still_to_do(n: int) -> Reach:
    noun = ngettext(
        "host will not be changed, and is still to be updated",
        "hosts will not be changed, and are still to be updated",
        n,
    )
    return Reach(n, noun, css="st-warn")


def _rollout(request: HttpRequest, pk: int) -> tuple[Rollout, Tally, str]:
    actor = _actor(request)
    rollout = get_object_or_404(Rollout.objects.all().visible_to(actor).select_related("release"), pk=pk)
    tally = replace(summed(tallies(rollout, actor)), by_hand=not_begun(rollout, actor))
    return rollout, tally, reverse("releases:rollout-detail", args=[pk])


@login_required
def rollout_pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Lets nobody new through."""
    rollout, tally, back = _rollout(request, pk)
    return _confirmed(
        request,
        title=_("Pause %(rollout)s") % {"rollout": rollout.number},
        verb=_("Pause"),
        back=back,
        against=_against(rollout, "pause", request),
        reach=_reach(tally),
        then=[_("Nothing is wrong: it goes on when somebody resumes it.")],
        act=lambda reason: rollouts.pause(rollout_id=pk, reason=reason, actor=_actor(request), at=timezone.now()),
    )


@login_required
def rollout_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Goes on after a pause or a halt."""
    rollout, tally, back = _rollout(request, pk)
    return _confirmed(
        request,
        title=_("Resume %(rollout)s") % {"rollout": rollout.number},
        verb=_("Resume"),
        back=back,
        needs_reason=False,
        against=_against(rollout, "resume", request),
        reach=[
            Reach(
                tally.pending,
                ngettext(
                    "host will be let through as its gates open",
                    "hosts will be let through as their gates open",
                    tally.pending,
                ),
            )
        ],
        harmless=True,
        act=lambda _reason: rollouts.resume(rollout_id=pk, actor=_actor(request), at=timezone.now()),
    )


@login_required
def rollout_halt(request: HttpRequest, pk: int) -> HttpResponse:
    """Stands still until somebody has looked."""
    rollout, tally, back = _rollout(request, pk)
    return _confirmed(
        request,
        title=_("Halt %(rollout)s") % {"rollout": rollout.number},
        verb=_("Halt"),
        back=back,
        against=_against(rollout, "halt", request),
        reach=_reach(tally),
        then=[_("Something is wrong: it stands with this cause until somebody has looked and resumes it.")],
        act=lambda reason: rollouts.halt(rollout_id=pk, cause=reason, actor=_actor(request), at=timezone.now()),
    )


@login_required
def rollout_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Ends it short of its goal."""
    rollout, tally, back = _rollout(request, pk)
    return _confirmed(
        request,
        title=_("Stop %(rollout)s") % {"rollout": rollout.number},
        verb=_("Stop"),
        back=back,
        against=_against(rollout, "stop", request),
        reach=[
            _still_to_do(tally.pending),
            Reach(
                tally.at_work,
                ngettext(
                    "host at work is asked to stop; what installs already runs on, and is looked at",
                    "hosts at work are asked to stop; what installs already runs on, and is looked at",
                    tally.at_work,
                ),
            ),
            *_by_hand(tally.by_hand, on=True),
            *_out_of_sight(tally.out_of_sight),
            Reach(tally.ended, ngettext("host stays as it is now", "hosts stay as they are now", tally.ended)),
        ],
        then=[_("A stopped rollout does not go on. The release is then deployed in part, or failed.")],
        act=lambda reason: rollouts.stop(rollout_id=pk, reason=reason, actor=_actor(request), at=timezone.now()),
    )


@login_required
def rollout_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Withdraws a planned rollout."""
    rollout, tally, back = _rollout(request, pk)
    return _confirmed(
        request,
        title=_("Cancel %(rollout)s") % {"rollout": rollout.number},
        verb=_("Cancel the rollout"),
        back=back,
        against=_against(rollout, "cancel", request),
        reach=[Reach(tally.pending, ngettext("host will not be changed", "hosts will not be changed", tally.pending))],
        act=lambda reason: rollouts.cancel(rollout_id=pk, reason=reason, actor=_actor(request), at=timezone.now()),
    )


@login_required
def rollout_roll_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes every changed host back to what it had."""
    rollout, tally, _page = _rollout(request, pk)
    touched = tally.number(*TOUCHED)

    def act(reason: str) -> None:
        rollbacks.roll_back(
            release_id=rollout.release_id, rollout_id=rollout.pk, reason=reason, actor=_actor(request), at=timezone.now()
        )  # fmt: skip

    return _confirmed(
        request,
        title=_("Roll back %(release)s") % {"release": rollout.release.number},
        verb=_("Roll back"),
        back=reverse("releases:rollout-list"),
        act=act,
        against=()
        if request.method == "POST"
        else back_verb(rollout, replace(tally, by_hand=0), _actor(request)).blockers,
        reach=[
            Reach(
                touched,
                ngettext(
                    "changed host goes back to the versions it had",
                    "changed hosts go back to the versions they had",
                    touched,
                ),
                css="st-bad",
            ),
            Reach(
                tally.pending,
                ngettext("host not begun is withdrawn", "hosts not begun are withdrawn", tally.pending),
            ),
        ],
        then=[_("It begins at once, ring by ring, and does not wait for a service window.")],
    )


def _against(obj: Any, name: str, request: HttpRequest) -> list[Blocker]:
    """Why the verb is not possible now, for the page that asks before it; what was sent gets its reasons from the verb."""
    return [] if request.method == "POST" else workflow.why_not(obj, name, actor=_actor(request), at=timezone.now())


def _ring(request: HttpRequest, pk: int) -> tuple[Ring, str]:
    rows = Ring.objects.filter(rollout__in=Rollout.objects.all().visible_to(_actor(request))).select_related("rollout")
    ring = get_object_or_404(rows, pk=pk)
    return ring, reverse("releases:rollout-detail", args=[ring.rollout_id])


@login_required
def ring_retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Tries the failed hosts of a ring again, and no others."""
    ring, back = _ring(request, pk)
    jobs = Job.objects.filter(ring=ring, state__in=[JobState.FAILED, JobState.UNDONE])
    failed = jobs.count()
    untouched = Job.objects.filter(ring=ring).count() - failed
    return _confirmed(
        request,
        title=_("Retry the failed hosts of ring “%(ring)s”") % {"ring": ring.name},
        verb=_("Retry"),
        back=back,
        needs_reason=False,
        against=_against_retry(ring, failed, request),
        reach=[
            Reach(failed, ngettext("failed host is tried again", "failed hosts are tried again", failed)),
            Reach(untouched, ngettext("other host stays as it is", "other hosts stay as they are", untouched)),
        ],
        then=[
            *_named_with_reason(jobs, _actor(request)),
            _("Each is let through again by its gates: not before its window is open."),
        ],
        act=lambda _reason: rings.retry_ring(ring_id=pk, actor=_actor(request), at=timezone.now()),
    )


def _named_with_reason(jobs: QuerySet[Job], actor: User) -> list[str]:
    """The first of these hosts that the person may see, each with what became of it."""
    rows = jobs.visible_to(actor).select_related("host").order_by("host__name")[:NAMED]  # type: ignore[attr-defined]
    return [f"{job.host.name}: {say(job.reason or job.statement, mixed=True)}" for job in rows]


def _against_retry(ring: Ring, failed: int, request: HttpRequest) -> list[Blocker]:
    """As `_against`; in a ring that runs its failed hosts are tried again without the ring's own transition."""
    if request.method == "POST":
        return []
    if ring.state != RingState.RUNNING:
        return _against(ring, "retry", request)
    refused = failing([capability("rollout.retry")], ring, _actor(request))
    return refused or ([] if failed else [Blocker("ring.nothing_failed", "No host of this ring has failed.")])


@login_required
def ring_skip(request: HttpRequest, pk: int) -> HttpResponse:
    """Leaves a ring out that has not begun."""
    ring, back = _ring(request, pk)
    return _confirmed(
        request,
        title=_("Leave ring “%(ring)s” out") % {"ring": ring.name},
        verb=_("Leave out"),
        back=back,
        against=_against(ring, "skip", request),
        reach=[_still_to_do(Job.objects.filter(ring=ring, state=JobState.PENDING).count())],
        act=lambda reason: rings.skip(ring_id=pk, reason=reason, actor=_actor(request), at=timezone.now()),
    )


def _job(request: HttpRequest, pk: int) -> tuple[Job, str]:
    job = get_object_or_404(Job.objects.all().visible_to(_actor(request)).select_related("host"), pk=pk)
    return job, f"{reverse('releases:rollout-detail', args=[job.rollout_id])}?target={pk}"


def _against_job(job: Job, name: str, where: Sequence[str], said: str, request: HttpRequest) -> list[Blocker]:
    """As `_against`, for a verb of one host that needs capability `name` and one of the states `where`; `said`: that it is in
    another."""
    if request.method == "POST":
        return []
    refused = failing([capability(name)], job, _actor(request))
    if refused or job.state in where:
        return refused
    return [Blocker("conflict.state", said)]


@login_required
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Leaves one host out."""
    job, back = _job(request, pk)
    return _confirmed(
        request,
        title=_("Leave %(host)s out") % {"host": job.host},
        verb=_("Leave out"),
        back=back,
        against=_against_job(
            job,
            "job.cancel",
            (JobState.PENDING, *LIVE),
            english("It has ended: %(state)s.", state=label_of(job)),
            request,
        ),
        reach=[Reach(1, _("host is left out, and is still to be updated"), css="st-warn")],
        then=[_("If the installation has begun there, it goes on, and the host is looked at afterwards.")],
        act=lambda reason: jobs.cancel(job_id=pk, reason=reason, actor=_actor(request), at=timezone.now()),
    )


@login_required
def job_look(request: HttpRequest, pk: int) -> HttpResponse:
    """Looks at a host that is out of sight or lost."""
    job, back = _job(request, pk)
    return _confirmed(
        request,
        title=_("Look at %(host)s again") % {"host": job.host},
        verb=_("Look again"),
        back=back,
        needs_reason=False,
        against=_against_job(
            job,
            "job.observe",
            (JobState.UNKNOWN, JobState.LOST),
            english("It is %(state)s: there is nothing to find out.", state=label_of(job)),
            request,
        ),
        then=[_("The host is asked what became of it. Nothing is changed there.")],
        harmless=True,
        act=lambda _reason: jobs.look_again(job_id=pk, actor=_actor(request), at=timezone.now()),
    )


@login_required
@require_safe
def kill_switch_now(request: HttpRequest) -> HttpResponse:
    """Leads to what can be done with the switch as it stands."""
    is_on = KillSwitch.objects.filter(name="all", is_on=True).exists()
    return redirect(f"releases:rollout-kill-switch-{'off' if is_on else 'on'}")


@login_required
def kill_switch(request: HttpRequest, on: bool) -> HttpResponse:
    """Turns the kill switch on, or off, as the address says: a form that was opened to turn it on never turns it off because
    somebody else was faster."""
    waiting = Job.objects.filter(state=JobState.PENDING, rollout__state=RolloutState.RUNNING).count()
    live = Job.objects.live()
    by_hand = HandTask.objects.filter(state=TaskState.WAITING, job__in=live.exclude(state=JobState.UNKNOWN)).count()
    unseen = live.filter(state=JobState.UNKNOWN).count()
    held = ngettext(
        "waiting host is held back, in all rollouts", "waiting hosts are held back, in all rollouts", waiting
    )
    freed = ngettext("waiting host may go on as its gates open", "waiting hosts may go on as their gates open", waiting)
    return _confirmed(
        request,
        title=_("Turn the kill switch on") if on else _("Turn the kill switch off"),
        verb=_("Turn it on") if on else _("Turn it off"),
        back=reverse("releases:rollout-list"),
        against=_against_switch(on, request),
        reach=[
            Reach(waiting, held if on else freed),
            _at_work(live.count() - unseen - by_hand),
            *_out_of_sight(unseen),
            *_by_hand(by_hand, on),
        ],
        then=[_("No rollout lets another host begin until somebody turns the switch off again.")]
        if on
        else [_("Rollouts that run let hosts begin again. What was paused or halted stays so.")],
        act=lambda reason: switches.set_kill_switch(on=on, reason=reason, actor=_actor(request), at=timezone.now()),
    )


def _against_switch(on: bool, request: HttpRequest) -> list[Blocker]:
    if request.method == "POST":
        return []
    refused = failing([capability("kill_switch.set")], None, _actor(request))
    if refused or KillSwitch.objects.filter(name="all", is_on=True).exists() != on:
        return refused
    if on:
        return [Blocker("conflict.state", "The kill switch is on already: there is nothing to turn on.")]
    return [Blocker("conflict.state", "The kill switch is off: there is nothing to turn off.")]
