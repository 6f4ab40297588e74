"""Invented data for the style guide. Nothing here is a state or a rule of the product."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.safestring import mark_safe

from patchflow.kernel.blockers import Blocker
from patchflow.web import parts, states
from patchflow.web.verbs import Reach, Verb

MACHINE = "styleguide.machine"
states.register(
    MACHINE,
    {
        "pending": ("st-open", "pending"),
        "notified": ("st-wait", "notified"),
        "staged": ("st-run", "staged", "x-quarter"),
        "installing": ("st-run", "installing", "x-half"),
        "restarting": ("st-run", "restarting", "x-three"),
        "verifying": ("st-run", "verifying", "x-most"),
        "succeeded": ("st-good", "succeeded"),
        "not_needed": ("st-open", "not needed", "x-dash"),
        "deferred": ("st-wait", "deferred", "x-clock"),
        "refused": ("st-warn", "refused by a gate"),
        "failed": ("st-bad", "failed"),
        "lost": ("st-unk", "lost"),
    },
)
SEVEN = [
    ("st-open", "nothing due yet"),
    ("st-wait", "a person or a time must come"),
    ("st-run", "at work"),
    ("st-good", "proven"),
    ("st-warn", "goes on, but look"),
    ("st-bad", "broken or denied"),
    ("st-unk", "nobody knows"),
]


COURSE = [
    ("86.1", "93.0"),
    ("86.9", "93.5"),
    ("84.2", "91.8"),
    ("88.0", "94.1"),
    ("88.6", "94.4"),
    ("89.4", "95.0"),
    ("87.1", "94.2"),
    ("89.9", "95.6"),
    ("90.2", "95.9"),
    ("90.8", "96.2"),
    ("88.3", "94.9"),
    ("91.2", "96.8"),
]


def verbs() -> list[Verb]:
    return [
        Verb("remind", "Remind level 3", "#", primary=True, icon="send"),
        Verb("revise", "Revise", "form/", method="get", icon="pen"),
        Verb("hold", "Hold", "#", icon="pause"),
        Verb("halt", "Halt", "confirm/", dangerous=True, reach="24 running, 389 queued", icon="stop"),
        Verb(
            "approve",
            "Approve",
            allowed=False,
            blockers=[
                Blocker("four_eyes", "You requested this change. Who requests, builds or deploys does not approve it.")
            ],
        ),
        Verb(
            "authorize",
            "Authorize",
            allowed=False,
            blockers=[
                Blocker("round.open", "Level 3 has 1 of 2 signatures.", "#approvals", "wait"),
                Blocker(
                    "window.fit",
                    "41 of 588 targets do not fit their window; the board must accept the split or you revise.",
                ),
            ],
        ),
        Verb(
            "begin",
            "Begin",
            allowed=False,
            blockers=[
                Blocker(
                    "backup.age", "Backup age of 3 hosts is unknown; a gate without its input denies.", "", "unknown"
                ),
            ],
        ),
    ]


def phases() -> list[parts.Phase]:
    count = parts.Count
    return [
        parts.Phase(
            1,
            "hosts",
            1248,
            [
                count("audited in 24 h", 1161, "st-good", "#"),
                count("not reporting", 69, "st-unk", "#"),
                count("unmanaged, reason given", 18, "st-warn", "#"),
            ],
            "notification of an update",
        ),
        parts.Phase(
            2,
            "updates",
            14,
            [
                count("response undecided", 5, "st-wait", "#"),
                count("files being verified", 3, "st-run", "#"),
                count("watched", 6, "st-open", "#"),
            ],
            "submission of an RFC",
        ),
        parts.Phase(
            3,
            "changes",
            9,
            [
                count("awaiting approval", 4, "st-wait", "#"),
                count("in acceptance test", 3, "st-run", "#"),
                count("approval void", 1, "st-bad", "#"),
            ],
            "approval for production",
        ),
        parts.Phase(4, "releases", 0, [], "completion; then Assess again"),
    ]


def levels(now: datetime) -> list[parts.Level]:
    sign = parts.Signature
    return [
        parts.Level(
            "Level 1 · Service owners",
            "st-good",
            "passed",
            "all must sign",
            "3 of 3",
            [
                sign("st-good", "Payments: signed, “after 02:00 only”", now - timedelta(hours=4)),
                sign("st-good", "Platform: signed by substitute for the owner", now - timedelta(hours=3)),
            ],
        ),
        parts.Level(
            "Level 2 · CAB members",
            "st-wait",
            "waiting",
            "2 of 5, by 17:00",
            "1 of 2",
            [
                sign("st-good", "cal, chair: signed", now - timedelta(minutes=44)),
                sign("st-wait", "mia: asked, opened the evidence", word="waiting"),
            ],
            cannot="ann (requester), rex (builder), otto (deployer).",
        ),
        parts.Level("Authorized", "st-open", "", "fired by the passed round only", locked=True),
    ]


def facts(now: datetime) -> list[parts.Fact]:
    fact = parts.Fact
    return [
        fact("Platform", "Debian 12.12, amd64", "agent", now - timedelta(hours=6)),
        fact(
            "Running kernel", "6.1.0-40", "agent", now - timedelta(hours=6), mono=True, conflict="6.1.0-41 is installed"
        ),
        fact(
            "Role",
            "database, replica",
            "agent",
            now - timedelta(hours=6),
            conflict="directory says primary",
            conflict_url="#",
        ),
        fact(
            "Criticality",
            1,
            "configuration manager",
            now - timedelta(days=41),
            locked="set by a person, outranks discovery",
        ),
        fact("Last backup", "unknown, source silent", "backup system", now - timedelta(days=4), css="st-unk"),
        fact("Owner", "<b>not markup</b>", "directory", None),
    ]


def lanes() -> list[parts.Lane]:
    def cells(prefix: str, plan: list[tuple[str, int]]) -> list[parts.Cell]:
        made: list[parts.Cell] = []
        for state, count in plan:
            look = states.look(MACHINE, state)
            made += [
                parts.Cell(f"{prefix}-{len(made) + i + 1:03}", look.css, look.shape, str(look.label), "#why")
                for i in range(count)
            ]
        return made

    early = [
        ("succeeded", 50),
        ("failed", 1),
        ("not_needed", 3),
        ("lost", 1),
        ("succeeded", 40),
        ("verifying", 5),
        ("restarting", 4),
        ("installing", 9),
        ("staged", 6),
        ("refused", 3),
        ("deferred", 4),
    ]
    return [
        parts.Lane(
            "Ring 0 · test", "st-good", "passed", ["8 of 8 done", "soaked 24 h"], cells("lab", [("succeeded", 8)])
        ),
        parts.Lane(
            "Ring 1 · early",
            "st-run",
            "running",
            ["90 of 126 done", "3 bad of 158 · 1.9 %, stops at 3 %"],
            cells("web", early),
        ),
        parts.Lane(
            "Ring 2 · broad",
            "st-wait",
            "notified",
            ["0 of 90 done", "opens after ring 1 and 12 h soak"],
            cells("app", [("notified", 80), ("pending", 10)]),
        ),
    ]


def context(now: datetime) -> dict[str, Any]:
    """Everything the style guide shows."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    every = states.table(MACHINE)
    return {
        "seven": SEVEN,
        "machine": MACHINE,
        "every": list(every),
        "verbs": verbs(),
        "next": parts.Next(
            "One more board member must sign level 3, today by 17:00.",
            "mia or the CAB chair can. If nobody does, the chair’s substitute is asked at 17:00; silence never counts as yes.",
        ),
        "moments": [now - timedelta(seconds=3), now - 4 * hour, now - 40 * day, now - 400 * day, now + 2 * day],
        "clocks": [
            parts.Clock(now - 26 * hour, now - 2 * hour, "critical"),
            parts.Clock(now - 6 * day, now + 22 * hour, "high"),
            parts.Clock(now - 18 * day, now + 12 * day, "medium"),
            parts.Clock(now - 3 * day, now + 4 * day, "high", stopped_at=now - day),
        ],
        "interval": parts.Interval(
            1118,
            69,
            39,
            "hosts at or above their baseline",
            "at or above",
            "unknown",
            "below",
            "#",
            "#",
            "#",
            exempt=22,
            goal=95,
        ),
        "trend": parts.Trend(
            [
                parts.Point(now - timedelta(days=77 - 7 * n), Decimal(low), Decimal(high))
                for n, (low, high) in enumerate(COURSE)
            ],
            95,
        ),
        "trend_none": parts.Trend([]),
        "stats": [("171 of 600", "done, verified"), ("Fri 04:10", "forecast, P50"), (14, "minutes per target, P90")],
        "interval_none": parts.Interval(0, 0, 0, "hosts", "fixed", "unknown", "missing"),
        "phases": phases(),
        "levels": levels(now),
        "changes": [
            parts.Difference(
                "windows.payments", ["Wed 18 Nov 22:00–02:00 CET"], ["Sat 21 Nov 02:00–04:00 CET, one node at a time"]
            ),
            parts.Difference("targets", ["mx-03.example.org (retired)"]),
        ],
        "statements": [
            parts.Statement("st-good", "Acceptance test, 8 of 8 hosts", "today 04:51"),
            parts.Statement("st-warn", "2 services without a health check", "listed", "#"),
            parts.Statement("st-bad", "Known exploited", "since Mon 16 Nov", icon="flame"),
        ],
        "lanes": lanes(),
        "legend": [
            parts.Count(str(one.label), n * 7 + 1, one.css, "#", one.shape, n == 4)
            for n, one in enumerate(every.values())
        ],
        "five": [
            parts.Count("below", 3, "st-bad", "#", current=True),
            parts.Count("at", 406, "st-good", "#"),
            parts.Count("above", 1, "st-warn"),
            parts.Count("exempt", 1, "st-open"),
            parts.Count("unknown", 2, "st-unk"),
        ],
        "gates": [
            parts.Gate("st-good", "Release ready, digest unchanged", "4be7 … 90c2 signed Mon 14:10"),
            parts.Gate("st-good", "Inside the window", "needs 14 min (P90), 3 h 02 min left"),
            parts.Gate(
                "st-bad",
                "Redundancy rule would be broken",
                "Customer portal needs 6 of 8 nodes; this would leave 5",
                True,
            ),
        ],
        "facts": facts(now),
        "pairs": [
            ("Cycle", mark_safe('<a href="#">November 2026</a>')),
            ("Hosts", 20300),
            ("Digest", "9f2c41d077ae"),
        ],
        "digest": "9f2c41d077ae9c1be00d5b7c5a9f3d22a1b04c9f6f1e77e2d0c85b037be1aa01",
        "events": [
            parts.Event("Signed level 3", "cal", now - hour, "st-good"),
            parts.Event("Round 1 void", "Patchflow", now - 5 * hour, "st-warn", "windows revised"),
            parts.Event("Submitted with 588 targets", "ann", now - 5 * day),
        ],
        "lines": [
            parts.LogLine("22:56:41.210", "staged    ", "linux-image-6.1.0-41-amd64 6.1.158-1, 69.4 MB, sha256 ok"),
            parts.LogLine("22:58:52.655", "verifying ", "running kernel 6.1.0-41 equals installed", "ok"),
            parts.LogLine("22:58:53.120", "verifying ", "health check /ready: 503, attempt 2 of 6, next in 10 s", "er"),
        ],
        "todos": [
            parts.Todo(
                "st-bad",
                "Approval void",
                "RFC-2026-0412 · Nginx on the edge pair",
                "#",
                "Its window moved after level 1 signed.",
                "starts in 13 h",
                "See difference",
            ),
            parts.Todo(
                "st-wait",
                "Decide response",
                "DSA-6047-1 · bind9",
                "#",
                "High · 31 hosts missing it · nobody has decided.",
                "start by Sat 21 Nov",
                "Decide",
            ),
        ],
        "reach": [
            Reach(24, "running targets stop after their current step", css="st-run"),
            Reach(389, "queued targets are not started"),
            Reach(11, "services stay on the old version"),
        ],
    }
