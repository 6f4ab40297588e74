"""Who may send the forms of the pages: each address of a page stands for one of REST, whose row of duties holds for it too."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from tests.patchflow.board.write_duties import WRITES

NOUNS = {
    "item": "items", "point": "distribution-points",
    "host": "hosts", "group": "host-groups", "window": "service-windows", "support": "support-groups", "baseline": "baselines",
    "scan": "scan-runs", "discrepancy": "discrepancies",
    "exemption": "exemptions", "feed": "feeds", "feedrun": "feed-runs", "update": "updates",
    "changetask": "change-tasks",
    "rfc": "rfcs", "model": "change-models", "route": "approval-routes", "meeting": "meetings", "cycle": "cycles", "freeze": "freezes",
    "release": "releases", "profile": "install-profiles", "step": "steps", "rollout": "rollouts", "job": "jobs", "task": "tasks",
    "periodic": "periodic-reviews", "delay": "delay-requests", "review": "reviews", "slot": "review-slots",
    "webhook": "webhooks", "undelivered": "undelivered", "substitute": "substitutes", "person": "people",
}  # fmt: skip
"""Noun of a page's address → REST's."""
NEW = {"add", "declare", "draft", "raise", "plan", "compose", "define", "write", "open", "propose", "configure"}
"""Verbs by which something new is made: REST posts to the list, where it has no verb of that name."""
OTHERWISE = {
    "cmdb:host-test": "post /hosts/{id}/test-connection/",
    "cmdb:host-reach": "post /hosts/{id}/revise-connection/",
    "cmdb:host-exempt": "post /exemptions/",
    "cmdb:host-explain": "post /hosts/{id}/explain-above/",
    "cmdb:item-enter": "post /items/{id}/enter-service/",
    "cmdb:support-revise": "post /support-groups/",
    "cmdb:window-import": "post /service-windows/import-ics/",
    "cmdb:baseline-ask": "post /baselines/{id}/request-approval/",
    "cmdb:discrepancy-detail": "post /discrepancies/{id}/settle/",
    "changes:rfc-comment": "post /rfcs/{id}/comments/",
    "changes:rfc-attach": "post /rfcs/{id}/attachments/",
    "changes:rfc-withdraw-file": "post /rfcs/{id}/withdraw_attachment/",
    "changes:rfc-parent": "post /rfcs/{id}/set_parent/",
    "changes:model-take-back": "post /change-models/{id}/retire/",
    "releases:release-amend": "post /releases/{id}/propose_amendment/",
    "reports:person-add-service": "post /people/add-service/",
    "releases:rfc-rehearse": "post /rehearsals/",
    "reports:trial": "post /instance/enter-trial/",
    "changes:rfc-add-task": "post /change-tasks/",
    "changes:rfc-refer": "post /rfcs/{id}/references/",
    "changes:meeting-attendance": "post /meetings/{id}/attend/",
    "changes:meeting-topic": "post /meetings/{id}/add_topic/",
    "changes:cycle-step": "post /cycles/{id}/complete_step/",
    "changes:freeze-import": "post /freezes/import-ics/",
    "releases:release-roll-back": "post /rollouts/{id}/roll_back/",
    "releases:periodic-detail": "post /periodic-reviews/{id}/remark/",
    "releases:periodic-act": "post /periodic-reviews/{id}/raise-action/",
    "releases:periodic-settle": "post /periodic-reviews/{id}/settle-action/",
    "releases:rollout-kill-switch-on": "post /kill-switch/set/",
    "releases:rollout-kill-switch-off": "post /kill-switch/set/",
    "releases:ring-retry": "post /rollouts/{id}/retry_ring/",
    "releases:ring-skip": "post /rollouts/{id}/skip_ring/",
    "reports:webhook-switch-off": "post /webhooks/{id}/switch/",
    "reports:webhook-switch-on": "post /webhooks/{id}/switch/",
    "reports:webhook-again": "post /webhook-messages/{id}/send-again/",
    "reports:audit-verify": "post /audit/verify/",
}
"""Where the two doors use other words."""
BY_RELATION = {
    "changes:board-item", "changes:meeting-item", "changes:meeting-consent", "changes:meeting-pull", "cmdb:baseline-decide",
    "releases:ring-acknowledge", "releases:ring-ask-delay", "releases:delay-withdraw", "releases:ring-accept-partial",
}  # fmt: skip
"""Who may is a seat, a recipient or an owner: no role is enough."""
LOOKED_AT_FIRST = {
    "cmdb:host-accept-key": "the fingerprint is compared with one that the host shows",
    "changes:rfc-parent": "a parent is found by its number among what the person sees",
    "changes:rfc-revise": "its requester may, whom the object names",
    "changes:rfc-submit": "its requester may, whom the object names",
    "releases:release-amend": "the form belongs to who proposed it",
    "releases:release-rings": "rings are many forms, checked together",
}
"""Forms that say first what is wrong with what was sent; whoever may not changes nothing, and is told so only then."""
FILLED: dict[str, dict[str, Any]] = {
    "changes:rfc-raise": {"not_after": "2026-11-28T10:00"},
    "changes:rfc-add-task": {"assignee_id": "", "group_id": ""},
    "changes:changetask-give": {"assignee_id": "", "group_id": ""},
    "changes:rfc-attach": {"file": SimpleUploadedFile("note.txt", b"Read me.")},
    "changes:rfc-evidence": {"digest": ""},
    "changes:rfc-refer": {"url": "https://example.org/1"},
    "changes:route-write": {"level_roles": ["cab_chair"]},
    "changes:route-revise": {"level_roles": ["cab_chair"]},
    "cmdb:host-explain": {"how": "explain", "reason": "Because."},
    "cmdb:point-add": {"address": "http://192.0.2.30:3142", "site_id": "", "throttle_kib": ""},
    "cmdb:point-revise": {"name": "dp-other", "site_id": ""},
    "changes:freeze-declare": {"ends_at": "2026-11-28T10:00"},
    "changes:update-respond": {"response": "deploy", "reason": "Because."},
    "reports:person-add": {"email": "because@example.org"},
    "releases:profile-define": {"checks": "", "steps": ""},
    "releases:release-plan-test": {"checks": ""},
    "releases:job-cancel": {"reason": "Because."},
    "releases:ring-skip": {"reason": "Because."},
    "releases:rollout-cancel": {"reason": "Because."},
    "releases:rollout-kill-switch-off": {"reason": "Because."},
    "releases:rollout-roll-back": {"reason": "Because."},
}
"""What a form needs that filling its fields with anything does not give; the last have none where the act is not possible."""


def row_of(name: str) -> set[str]:
    """The roles that may send the form at this address."""
    if name in OTHERWISE:
        return WRITES[OTHERWISE[name]]
    noun, _dash, verb = name.partition(":")[2].partition("-")
    of_object = f"post /{NOUNS[noun]}/{{id}}/"
    for candidate in (f"{of_object}{verb}/", f"{of_object}{verb.replace('-', '_')}/"):
        if candidate in WRITES:
            return WRITES[candidate]
    assert verb in NEW, f"{name}: no row of REST is known for it"
    return WRITES[f"post /{NOUNS[noun]}/"]
