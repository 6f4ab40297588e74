"""Who may write where over REST: address → roles, written by hand beside domain.md and roles.yaml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from changes.models import RFC, ChangeTask, Meeting
from patchflow.kernel.models import SavedFilter, SignOffRound, Substitution, User
from patchflow.notices.models import Delivery
from releases.models import AcceptanceRun, Amendment, DelayRequest, PeriodicAction, Representative

REQUESTER, MANAGER, CHAIR, MEMBER, SECURITY, RELEASE, READINESS, TESTER, OPERATOR, CONFIG, OWNER, AUDITOR, ADMIN = (
    "requester", "change_manager", "cab_chair", "cab_member", "security_officer", "release_manager", "readiness_approver",
    "tester", "operator", "configuration_manager", "service_owner", "auditor", "administrator",
)  # fmt: skip
EVERYBODY = {
    "post /login/", "post /logout/", "put /preferences/", "post /calendar/make-key/", "post /calendar/revoke-key/",
    "post /notices/read-all/", "post /notices/subscribe/", "post /filters/", "post /substitutes/", "post /host-groups/preview/",
}  # fmt: skip
"""What concerns oneself alone, or changes nothing: no role is asked for."""


def _posts(noun: str, *verbs: str, may: set[str]) -> dict[str, set[str]]:
    """Rows for verbs of an object; an empty verb is the list's own address."""
    return {f"post /{noun}/{{id}}/{verb}/" if verb else f"post /{noun}/": may for verb in verbs}


BY_RELATION: set[str] = set()
"""No role is enough: who may is a seat, a recipient or an owner (`RELATED`)."""

WRITES: dict[str, set[str]] = {
    # Assess: the estate, its baselines
    **_posts("hosts", "", "revise", "retire", "set-fact", "release-fact", "revise-connection", may={CONFIG}),
    **_posts("hosts", "show-key", "accept-key", "test-connection", "explain-above", may={CONFIG}),
    **_posts("hosts", "scan", may={CONFIG, OPERATOR}),
    **_posts("items", "", "revise", "link", "unlink", "enter-service", "retire", may={CONFIG}),
    **_posts("scan-runs", "", "cancel", may={CONFIG, OPERATOR}),
    **_posts("host-groups", "", "revise", "retire", "set-members", may={CONFIG}),
    **_posts("service-windows", "", "revise", "retire", "look-ahead", may={CONFIG}),
    **_posts("distribution-points", "", "revise", "retire", may={CONFIG}),
    **_posts("distribution-points", "check", may={CONFIG, OPERATOR}),
    "post /service-windows/preview/": {CONFIG},
    "post /service-windows/import-ics/": {CONFIG},
    **_posts("support-groups", "", may={CONFIG}),
    **_posts("baselines", "", "request-approval", may={CONFIG, RELEASE}),
    **_posts("baselines", "adopt", "retire", may={CONFIG}),
    **_posts("discrepancies", "settle", may={CONFIG}),
    **_posts("exemptions", "", may={CONFIG}),
    **_posts("exemptions", "grant", "refuse", "revoke", may={SECURITY}),
    # Identify: feeds, updates
    **_posts("feeds", "", "revise", "enable", "disable", "poll", may={SECURITY, ADMIN}),
    **_posts("feed-runs", "accept_loss", "refuse_loss", may={SECURITY, ADMIN}),
    **_posts("updates", "respond", "classify", may={MANAGER, SECURITY}),
    # Evaluate and plan: changes, their board, their cycle
    **_posts("rfcs", "", "copy", "ask_break_glass", may={REQUESTER, MANAGER}),
    **_posts("rfcs", "evaluate", "score", "request_approval", "send_back", "lapse", "stop", "close", may={MANAGER}),
    **_posts("rfcs", "hold", "resume", "move", "classify", may={MANAGER}),
    **_posts("rfcs", "submit", "revise", "cancel", "set_parent", "bring_owed", may={MANAGER}),  # and its requester
    **_posts("rfcs", "reject", may={MANAGER, CHAIR}),
    **_posts("rfcs", "break_glass", may={CHAIR}),
    **_posts("rfcs", "review_glass", may={MANAGER, CHAIR, MEMBER, SECURITY, OWNER}),
    **_posts("rfcs", "evidence", may={MANAGER, RELEASE, READINESS, TESTER}),
    **_posts("rfcs", "comments", may={
        REQUESTER, MANAGER, CHAIR, MEMBER, SECURITY, RELEASE, READINESS, TESTER, OPERATOR, CONFIG, OWNER,
    }),
    **_posts("rfcs", "references", "drop_reference", "attachments", "withdraw_attachment", may={
        REQUESTER, MANAGER, SECURITY, RELEASE, TESTER,
    }),
    **_posts("change-tasks", "", "revise", "give", "dismiss", "reopen", may={MANAGER}),  # and the change's requester
    **_posts("change-tasks", "begin", "finish", may={MANAGER}),  # and whom it is given to
    **_posts("rounds", "decide", may=BY_RELATION),
    **_posts("rounds", "withdraw", may={MANAGER}),
    **_posts("change-models", "", "revise", "propose", "withdraw", "retire", may={MANAGER}),
    **_posts("approval-routes", "", "revise", "retire", may={MANAGER}),
    **_posts("meetings", "", "fill", "add_topic", "arrange", "attend", "publish", "open", "begin", "begin_next",
             may={MANAGER, CHAIR}),
    **_posts("meetings", "carry_over", "withdraw", "conclude", "minute", "postpone", "cancel", may={MANAGER, CHAIR}),
    **_posts("meetings", "pull", "consent", may=BY_RELATION),
    **_posts("cycles", "", "assign_step", "complete_step", "waive_step", "set_decision_day", "close_unneeded",
             may={MANAGER}),
    **_posts("freezes", "", "lift", may={MANAGER}),
    "post /freezes/import-ics/": {MANAGER},
    # Releases
    **_posts("releases", "", "rings", "move_hosts", "windows", "profile", "way_back", "drop_host", "rehearse", "build",
             "seal", "deploy", "accept", "revise", "void", "cancel", may={RELEASE}),
    **_posts("releases", "hold", "resume", may={MANAGER}),
    **_posts("releases", "propose_amendment", "withdraw_amendment", may={RELEASE}),
    **_posts("releases", "propose_next", may={MANAGER, REQUESTER}),
    **_posts("releases", "stop", may={RELEASE, OPERATOR}),
    **_posts("releases", "plan_test", "drop_test", "test", "judge", may={TESTER}),
    **_posts("releases", "sign", "sign_amendment", may=BY_RELATION),
    **_posts("rehearsals", "", may={RELEASE}),
    **_posts("install-profiles", "", may={RELEASE}),
    **_posts("steps", "", may={RELEASE, OPERATOR}),
    **_posts("steps", "approve", "refuse", may={MANAGER, SECURITY}),
    **_posts("steps", "retire", may={MANAGER, SECURITY, RELEASE, OPERATOR}),
    # Deploy
    **_posts("rollouts", "pause", "resume", "halt", "stop", "cancel", "retry_ring", "skip_ring",
             may={RELEASE, OPERATOR}),
    **_posts("rollouts", "roll_back", may={RELEASE}),
    **_posts("rollouts", "propose_partial", may={RELEASE, OPERATOR, MANAGER, CHAIR, MEMBER}),
    **_posts("rollouts", "decide_partial", may={RELEASE, MANAGER, CHAIR, MEMBER}),  # no ring is asked about: who is, votes
    **_posts("jobs", "cancel", "look", may={OPERATOR}),
    **_posts("tasks", "begin", "finish", "give_up", may={OPERATOR}),
    **_posts("tasks", "attest", may={OPERATOR, CONFIG}),
    "post /kill-switch/set/": {RELEASE, OPERATOR, ADMIN},
    **_posts("representatives", "acknowledge", may=BY_RELATION),
    **_posts("delay-requests", "", "withdraw", may=BY_RELATION),
    **_posts("delay-requests", "grant", "refuse", may={MANAGER}),
    **_posts("reviews", "answer", "complete", may={MANAGER, RELEASE}),
    **_posts("periodic-reviews", "", "assign", "complete", "raise-action", "remark", "settle-action",
             may={MANAGER, RELEASE}),
    # The instance
    **_posts("review-slots", "", may={ADMIN}),
    "post /audit/verify/": {AUDITOR, ADMIN},
    "post /instance/enter-trial/": {ADMIN},
    "post /instance/leave-trial/": {ADMIN},
    **_posts("webhooks", "", "revise", "rotate", "switch", "test", may={ADMIN}),
    **_posts("webhook-messages", "send-again", may={ADMIN}),
    **_posts("people", "", "grant", "revoke", "deactivate", "reactivate", may={ADMIN}),
    **_posts("people", "give-token", "revoke-token", may={ADMIN}),
    "post /people/add-service/": {ADMIN},
    **_posts("undelivered", "send-again", may={OPERATOR, ADMIN}),
    **_posts("substitutes", "end", may={ADMIN}),  # and who named them
    **_posts("notices", "read", may=BY_RELATION),
    **_posts("filters", "begin", may={MANAGER}),  # with whom it is shared
    **_posts("filters", "rename", "remove", may=BY_RELATION),
}  # fmt: skip


# --- the objects in question, where the newest of the noun is not the one --------------------------------------------------
def _draft() -> int:
    return RFC.objects.filter(state="draft").latest("pk").pk


def _in_session() -> int:
    return Meeting.objects.filter(state="in_session").latest("pk").pk


def _asked(kind: str) -> SignOffRound:
    return SignOffRound.objects.filter(subject_type=kind, state="open").latest("pk")


def _task(state: str) -> int:
    return ChangeTask.objects.filter(state=state).latest("pk").pk


def _granted() -> int:
    return User.objects.get(username="tia").pk


OBJECTS: dict[str, Callable[[], int]] = {
    **{f"post /people/{{id}}/{verb}/": _granted for verb in ("grant", "revoke", "deactivate", "reactivate")},
    **{f"post /rfcs/{{id}}/{verb}/": _draft for verb in ("submit", "revise", "cancel", "set_parent")},
    "post /change-tasks/{id}/finish/": lambda: _task("in_progress"),
    "post /change-tasks/{id}/reopen/": lambda: _task("done"),
    "post /rounds/{id}/decide/": lambda: _asked("changes.rfc").pk,
    "post /rounds/{id}/withdraw/": lambda: _asked("changes.rfc").pk,
    "post /meetings/{id}/pull/": _in_session,
    "post /meetings/{id}/consent/": _in_session,
    "post /releases/{id}/sign/": lambda: _asked("releases.release").subject_id,
    "post /releases/{id}/sign_amendment/": lambda: Amendment.objects.latest("pk").release_id,
    "post /releases/{id}/withdraw_amendment/": lambda: Amendment.objects.latest("pk").release_id,
    "post /releases/{id}/judge/": lambda: AcceptanceRun.objects.latest("pk").plan.release_id,
    "post /periodic-reviews/{id}/settle-action/": lambda: PeriodicAction.objects.latest("pk").review_id,
    "post /delay-requests/{id}/withdraw/": lambda: DelayRequest.objects.latest("pk").pk,
    "post /representatives/{id}/acknowledge/": lambda: Representative.objects.latest("pk").pk,
    "post /notices/{id}/read/": lambda: Delivery.objects.latest("pk").pk,
    "post /filters/{id}/begin/": lambda: SavedFilter.objects.exclude(shared_with="").latest("pk").pk,
    "post /filters/{id}/rename/": lambda: SavedFilter.objects.exclude(shared_with="").latest("pk").pk,
    "post /filters/{id}/remove/": lambda: SavedFilter.objects.exclude(shared_with="").latest("pk").pk,
}


def _voter(round_: SignOffRound) -> User:
    return round_.levels.get(position=round_.position).voters.earliest("pk").user


def _requester(pk: Any) -> User:
    return RFC.objects.get(pk=pk).requested_by


def _given_to(pk: Any) -> User:
    found = ChangeTask.objects.get(pk=pk).assignee
    assert found is not None
    return found


def _requester_of_task(pk: Any) -> User:
    return ChangeTask.objects.get(pk=pk).rfc.requested_by


RELATED: dict[str, Callable[[Any], User]] = {
    **{f"post /change-tasks/{{id}}/{verb}/": _given_to for verb in ("begin", "finish")},
    **{f"post /change-tasks/{{id}}/{verb}/": _requester_of_task for verb in ("revise", "give", "reopen")},
    **{f"post /rfcs/{{id}}/{verb}/": _requester for verb in ("submit", "revise", "cancel", "set_parent")},
    "post /rounds/{id}/decide/": lambda pk: _voter(SignOffRound.objects.get(pk=pk)),
    "post /meetings/{id}/pull/": lambda pk: Meeting.objects.get(pk=pk).attendees.earliest("pk").user,
    "post /releases/{id}/sign/": lambda pk: _voter(_asked("releases.release")),
    "post /releases/{id}/sign_amendment/": lambda pk: _voter(_asked("releases.amendment")),
    "post /delay-requests/{id}/withdraw/": lambda pk: DelayRequest.objects.get(pk=pk).asked_by,
    "post /delay-requests/": lambda _pk: Representative.objects.latest("pk").user,
    "post /representatives/{id}/acknowledge/": lambda pk: Representative.objects.get(pk=pk).user,
    "post /notices/{id}/read/": lambda pk: Delivery.objects.get(pk=pk).user,
    "post /filters/{id}/rename/": lambda pk: SavedFilter.objects.get(pk=pk).owner,
    "post /filters/{id}/remove/": lambda pk: SavedFilter.objects.get(pk=pk).owner,
    "post /substitutes/{id}/end/": lambda pk: Substitution.objects.get(pk=pk).user,
    "post /periodic-reviews/{id}/settle-action/": lambda pk: PeriodicAction.objects.filter(review=pk).latest("pk").owner,
}  # fmt: skip
"""Who may by what they are to the object, whatever their role."""
