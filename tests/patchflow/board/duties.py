"""Who sees what at the addresses of the API, and what needs no role there: written by hand beside roles.yaml."""

from __future__ import annotations

from patchflow.kernel.roles import grantable

SECURITY, OPERATOR, AUDITOR, ADMIN = "security_officer", "operator", "auditor", "administrator"
WITH_A_ROLE = {role.name for role in grantable()}

FREE = {"post /login/": "log-in"}
"""Addresses that ask for no token."""

OWN_AFFAIRS = {
    "post /logout/", "put /preferences/", "post /calendar/make-key/", "post /calendar/revoke-key/", "post /notices/read-all/",
    "post /notices/subscribe/", "post /notices/{id}/read/", "post /filters/", "post /filters/{id}/begin/",
    "post /filters/{id}/remove/", "post /filters/{id}/rename/", "post /substitutes/", "post /service-windows/preview/",
    "post /host-groups/preview/",
}  # fmt: skip
"""What concerns oneself alone, or changes nothing: for everybody who is logged in."""

MAY = {("auditor", "post /audit/verify/")}
"""(role, address): the one thing that somebody who only looks may set going."""

READS: dict[str, set[str] | None] = {
    **dict.fromkeys(
        (
            "approval-routes",
            "baselines",
            "change-models",
            "change-tasks",
            "cycles",
            "delay-requests",
            "discrepancies",
            "distribution-points",
            "exemptions",
            "feed-runs",
            "feeds",
            "freezes",
            "host-groups",
            "hosts",
            "install-profiles",
            "items",
            "jobs",
            "meetings",
            "platforms",
            "rehearsals",
            "releases",
            "representatives",
            "reviews",
            "rfcs",
            "rollouts",
            "rounds",
            "scan-runs",
            "service-windows",
            "slots",
            "steps",
            "tasks",
            "periodic-reviews",
            "review-slots",
            "support-groups",
            "updates",
        ),
        WITH_A_ROLE,
    ),
    **dict.fromkeys(("calendar", "filters", "instance", "kill-switch", "notices", "preferences", "search"), None),
    "audit": {SECURITY, AUDITOR, ADMIN},
    "substitutes": {SECURITY, AUDITOR, ADMIN},
    "undelivered": {OPERATOR, ADMIN},
    "people": {ADMIN},
    "webhooks": {ADMIN},
    "webhook-messages": {ADMIN},
}
"""First part of an address → who finds anything there; None where it shows everybody their own."""
