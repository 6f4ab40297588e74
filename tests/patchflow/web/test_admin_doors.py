"""The third door: each verb of REST has its row at the admin site, or a reason why only a page can offer it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from tests.patchflow.board.write_duties import EVERYBODY, WRITES

WINDOWS = {
    "hosts": "cmdb.Host", "items": "cmdb.ConfigurationItem", "scan-runs": "cmdb.ScanRun", "host-groups": "cmdb.HostGroup",
    "service-windows": "cmdb.ServiceWindow", "support-groups": "cmdb.SupportGroup", "baselines": "cmdb.Baseline",
    "discrepancies": "cmdb.Discrepancy", "exemptions": "cmdb.Exemption",
    "feeds": "changes.Feed", "feed-runs": "changes.FeedRun", "updates": "changes.SoftwareUpdate", "rfcs": "changes.RFC",
    "change-models": "changes.ChangeModel", "approval-routes": "changes.ApprovalRoute", "meetings": "changes.Meeting",
    "cycles": "changes.Cycle", "freezes": "changes.FreezeWindow", "rounds": "kernel.SignOffRound",
    "releases": "releases.Release", "install-profiles": "releases.InstallProfile", "steps": "releases.HostStep",
    "rollouts": "releases.Rollout", "jobs": "releases.Job", "tasks": "releases.HandTask",
    "representatives": "releases.Representative", "delay-requests": "releases.DelayRequest",
    "reviews": "releases.PostImplementationReview", "periodic-reviews": "releases.PeriodicReview",
    "review-slots": "releases.ReviewDefinition", "webhooks": "notices.Webhook", "people": "kernel.User",
    "change-tasks": "changes.ChangeTask", "distribution-points": "cmdb.DistributionPoint",
    "undelivered": "notices.Delivery", "substitutes": "kernel.Substitution", "filters": "kernel.SavedFilter",
}  # fmt: skip
"""Noun of REST → the window on it. A verb of the same name stands there; what is made new is made there."""
ELSEWHERE = {
    "post /hosts/{id}/show-key/": "cmdb.Connection.show_key",
    "post /hosts/{id}/accept-key/": "cmdb.Connection.accept_key",
    "post /hosts/{id}/test-connection/": "cmdb.Connection.test",
    "post /hosts/{id}/revise-connection/": "cmdb.Connection.revise",
    "post /items/{id}/unlink/": "cmdb.Relation.unlink",
    "post /scan-runs/": "cmdb.Host.scan",
    "post /host-groups/{id}/set-members/": "cmdb.HostGroup.revise",
    "post /baselines/{id}/request-approval/": "cmdb.Baseline.ask",
    "post /discrepancies/{id}/settle/": "cmdb.Discrepancy.explain_it",
    "post /exemptions/": "cmdb.Host.exempt",
    "post /rfcs/{id}/set_parent/": "changes.RFC.parent",
    "post /change-tasks/": "changes.RFC.add_task",
    "post /rfcs/{id}/comments/": "changes.RFC.comment",
    "post /rfcs/{id}/references/": "changes.RFC.refer",
    "post /rfcs/{id}/drop_reference/": "changes.Reference.drop",
    "post /rfcs/{id}/withdraw_attachment/": "changes.Attachment.withdraw",
    "post /meetings/{id}/add_topic/": "changes.Meeting.topic",
    "post /meetings/{id}/attend/": "changes.Meeting.attendance",
    **{
        f"post /meetings/{{id}}/{verb}/": f"changes.AgendaItem.{verb}"
        for verb in ("begin", "carry_over", "withdraw", "conclude", "pull")
    },
    **{f"post /cycles/{{id}}/{verb}_step/": "changes.PhaseStep.settle" for verb in ("assign", "complete", "waive")},
    "post /releases/{id}/move_hosts/": "releases.PlannedHost.move",
    "post /releases/{id}/drop_test/": "releases.AcceptancePlan.drop",
    "post /releases/{id}/judge/": "releases.AcceptanceRun.judge",
    "post /releases/{id}/sign/": "kernel.SignOffRound.decide",
    "post /releases/{id}/sign_amendment/": "kernel.SignOffRound.decide",
    "post /releases/{id}/withdraw_amendment/": "releases.Amendment.withdraw",
    "post /rollouts/{id}/retry_ring/": "releases.Ring.retry",
    "post /rollouts/{id}/skip_ring/": "releases.Ring.skip",
    "post /rollouts/{id}/propose_partial/": "releases.Ring.propose_partial",
    "post /rollouts/{id}/decide_partial/": "kernel.SignOffRound.decide",
    "post /kill-switch/set/": "releases.KillSwitch.turn_on",
    "post /delay-requests/": "releases.Ring.ask_delay",
    "post /periodic-reviews/{id}/raise-action/": "releases.PeriodicReview.act",
    "post /periodic-reviews/{id}/settle-action/": "releases.PeriodicAction.settle",
    "post /webhooks/{id}/switch/": "notices.Webhook.switch_off",
    "post /people/{id}/revoke/": "kernel.RoleGrant.revoke",
}
"""Verbs that stand at the row which they are about, or under another name."""
A_FILE = "a file is sent with it"
SHOWN_ONCE = "it shows a secret once, on a page that is not kept"
DRAWN = "its answer is drawn, and nothing is kept"
ONE_OWN = "it concerns nobody but oneself"
REST_ALONE = "no form asks for it: programs say it"
NOT_THERE = {
    "post /hosts/{id}/set-fact/": REST_ALONE,
    "post /hosts/{id}/release-fact/": REST_ALONE,
    "post /cycles/": REST_ALONE,
    "post /cycles/{id}/set_decision_day/": REST_ALONE,
    "post /hosts/{id}/explain-above/": "it is about a host and a baseline: the page of both shows why it is above",
    "post /service-windows/{id}/look-ahead/": "each verb of a window shows it before",
    "post /service-windows/preview/": DRAWN,
    "post /service-windows/import-ics/": A_FILE,
    "post /freezes/import-ics/": A_FILE,
    "post /rfcs/{id}/attachments/": A_FILE,
    "post /releases/{id}/rehearse/": DRAWN,
    "post /rehearsals/": DRAWN,
    "post /audit/verify/": DRAWN,
    "post /instance/enter-trial/": "it turns the whole installation, on a page that says how",
    "post /instance/leave-trial/": "it turns the whole installation, on a page that says how",
    "post /webhooks/": SHOWN_ONCE,
    "post /webhooks/{id}/rotate/": SHOWN_ONCE,
    "post /webhook-messages/{id}/send-again/": "a message is looked at, with its tries, on the page of its webhook",
    "post /people/": SHOWN_ONCE,
    "post /people/add-service/": SHOWN_ONCE,
    "post /people/{id}/reactivate/": SHOWN_ONCE,
    "post /people/{id}/give-token/": SHOWN_ONCE,
    "post /people/{id}/revoke-token/": "tokens are no rows here: their window would be a second door",
    "post /notices/{id}/read/": ONE_OWN,
    "post /filters/{id}/begin/": ONE_OWN,
    "post /filters/{id}/rename/": ONE_OWN,
    **dict.fromkeys(EVERYBODY - {"post /substitutes/"}, ONE_OWN),
}
"""What no row of the admin site offers, and why."""


def offered() -> dict[str, Any]:
    """Every verb of the site, as `app.Model.name`; what is made new as `app.Model.`."""
    found: dict[str, Any] = {}
    for model, window in admin.site._registry.items():
        found |= {f"{model._meta.label}.{verb.name}": verb for verb in getattr(window, "verbs", ())}
        if getattr(window, "maker", None):
            found[f"{model._meta.label}."] = window.maker  # type: ignore[attr-defined]
    return found


def row_of(address: str) -> str:
    """The verb of the site that stands for an address of REST."""
    noun, _slash, verb = address.partition(" /")[2].strip("/").partition("/")
    name = verb.removeprefix("{id}").strip("/").replace("-", "_")
    return f"{WINDOWS[noun]}.{name}" if noun in WINDOWS else address


def test_every_verb_of_rest_has_its_row_or_a_reason() -> None:
    verbs = offered()
    missing = {
        address
        for address in {*WRITES, *EVERYBODY}
        if ELSEWHERE.get(address, row_of(address)) not in verbs and address not in NOT_THERE
    }
    assert missing == set()


def test_no_reason_is_given_for_what_is_there() -> None:
    verbs = offered()
    assert {*ELSEWHERE, *NOT_THERE} <= {*WRITES, *EVERYBODY}
    assert set(ELSEWHERE.values()) <= set(verbs)
    assert {address for address in NOT_THERE if row_of(address) in verbs} == set()
    assert not ELSEWHERE.keys() & NOT_THERE.keys()
