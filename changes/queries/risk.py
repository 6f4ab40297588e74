"""What a change risks, and what waiting costs: figures from rows, integers only, since approval signs them.

Document 002 of the requirements asks to weigh the risk of the patch against the risk of not patching; both sides are
counted here. Points are a policy, kept in one table; the inputs are kept with the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from changes.enums import EvidenceKind, RiskLevel, WayBack
from changes.models import RFC, RiskAssessment, SoftwareUpdate
from changes.queries.rfcs import targets_seen
from cmdb.queries.hosts import TargetFacts, target_facts
from patchflow.kernel.blockers import english, english_n
from patchflow.kernel.models import User

RESTARTS_HOST = ("linux", "kernel", "glibc", "systemd", "dbus", "libc6")
"""Source packages whose update takes effect only after a restart of the host."""
RESTARTS_SERVICES = ("openssl", "gnutls", "nss", "zlib", "openssh", "curl", "krb5", "nginx", "apache2", "httpd",
                     "postgresql", "mariadb", "mysql", "docker", "containerd", "samba", "bind9")  # fmt: skip
LEVELS = ((17, RiskLevel.HIGH), (9, RiskLevel.MEDIUM), (0, RiskLevel.LOW))


@dataclass(frozen=True)
class Factor:
    """One input: its `value` as stated, its `points` `of` the most it can give, and why."""

    key: str
    value: str
    points: int
    of: int
    sentence: str

    def as_dict(self) -> dict[str, str | int]:
        return {"key": self.key, "value": self.value, "points": self.points, "of": self.of, "sentence": self.sentence}


@dataclass(frozen=True)
class Scored:
    factors: list[Factor]

    @property
    def score(self) -> int:
        return sum(f.points for f in self.factors)

    @property
    def maximum(self) -> int:
        return sum(f.of for f in self.factors)

    @property
    def level(self) -> RiskLevel:
        return next(level for least, level in LEVELS if self.score >= least)


def scored(rfc: RFC, *, at: datetime) -> Scored:
    """The risk of carrying out `rfc` as it stands: seven factors, 25 points at most."""
    rows = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True)
    facts = list(target_facts(rows.values_list("host_id", flat=True), at=at).values())
    return Scored(
        [
            _criticality(facts),
            _hosts(len(facts)),
            _environment(facts),
            _restart(list(rfc.updates.filter(removed_at__isnull=True).values_list("name", flat=True))),
            _way_back(rfc),
            _tests(rfc),
            _exposure(facts),
        ]
    )


COUNT_HOSTS = ("criticality", "hosts", "environment", "exposure")
"""Factors whose value and sentence count the hosts of a change."""


def factors_for(risk: RiskAssessment, *, whole: bool) -> list[dict[str, Any]]:
    """The factors as a reader may have them: who does not see every host of the change reads none that count them."""
    return [factor for factor in risk.factors if whole or factor["key"] not in COUNT_HOSTS]


def _criticality(facts: Sequence[TargetFacts]) -> Factor:
    if not facts:
        return Factor("criticality", "unknown", 5, 5, english("No target is known, so the worst is assumed."))
    highest = min(f.criticality for f in facts)
    count = sum(f.criticality == highest for f in facts)
    points = {1: 5, 2: 3, 3: 1, 4: 0}.get(highest, 5)
    return Factor(
        "criticality",
        str(highest),
        points,
        5,
        english_n(
            "%(n)s host of criticality %(highest)s (1 is the highest) is in scope.",
            "%(n)s hosts of criticality %(highest)s (1 is the highest) are in scope.",
            count,
            highest=highest,
        ),
    )


def _hosts(count: int) -> Factor:
    points = sum(count > limit for limit in (5, 20, 100, 500))
    return Factor(
        "hosts", str(count), points, 4, english_n("%(n)s host is reached.", "%(n)s hosts are reached.", count)
    )


def _environment(facts: Sequence[TargetFacts]) -> Factor:
    count = sum(f.environment == "production" for f in facts)
    if count:
        return Factor(
            "environment",
            "production",
            2,
            2,
            english_n(
                "%(count)s of %(n)s host is in production.",
                "%(count)s of %(n)s hosts are in production.",
                len(facts),
                count=count,
            ),
        )
    found = sorted({f.environment for f in facts}) or ["unknown"]
    return Factor(
        "environment",
        ", ".join(found),
        0 if facts else 2,
        2,
        english("No host is in production.") if facts else english("Not known."),
    )


def _restart(names: Sequence[str]) -> Factor:
    hosts = sorted(n for n in names if n.startswith(RESTARTS_HOST))
    if hosts:
        return Factor(
            "restart", "host", 3, 3, english("A restart of the host is needed for %(hosts)s.", hosts=", ".join(hosts))
        )
    services = sorted(n for n in names if n.startswith(RESTARTS_SERVICES))
    if services:
        return Factor(
            "restart",
            "services",
            1,
            3,
            english("Services that use %(services)s are restarted.", services=", ".join(services)),
        )
    if not names:
        return Factor("restart", "unknown", 2, 3, english("Nothing says whether a restart is needed."))
    return Factor("restart", "none", 0, 3, english("No restart is known to be needed."))


def newest_evidence(rfc: RFC, kind: str) -> bool | None:
    """Whether the newest evidence of `kind` passed; None if there is none, or it is no verdict."""
    newest = rfc.evidence.filter(kind=kind).order_by("-pk").first()
    return newest.passed if newest else None


def _way_back(rfc: RFC) -> Factor:
    if rfc.way_back == WayBack.NONE:
        return Factor("way_back", "none", 4, 4, english("There is no way back."))
    proven = newest_evidence(rfc, EvidenceKind.ROLLBACK_REHEARSAL)
    if proven:
        return Factor("way_back", "proven", 0, 4, english("The way back was rehearsed and held."))
    if proven is False:
        return Factor("way_back", "failed", 4, 4, english("The rehearsal of the way back failed."))
    return Factor(
        "way_back",
        "not proven",
        2,
        4,
        english("Its way back is not proven yet: the rehearsal follows the authorization."),
    )


def _tests(rfc: RFC) -> Factor:
    passed = newest_evidence(rfc, EvidenceKind.ACCEPTANCE)
    if passed:
        return Factor("tests", "passed", 0, 4, english("The acceptance test passed."))
    if passed is False:
        return Factor("tests", "failed", 4, 4, english("The acceptance test failed."))
    return Factor(
        "tests", "none yet", 2, 4, english("It is not tested yet: the acceptance test follows the authorization.")
    )


def _exposure(facts: Sequence[TargetFacts]) -> Factor:
    services = {pk for f in facts for pk in f.services}
    points = sum(len(services) > limit for limit in (0, 5, 20))
    return Factor(
        "exposure",
        str(len(services)),
        points,
        3,
        english_n("%(n)s service depends on these hosts.", "%(n)s services depend on these hosts.", len(services)),
    )


# --- the cost of waiting ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Waiting:
    """What starting at `at` costs: exposed hosts times days until then, and what the clock says."""

    at: datetime
    days: int
    host_days: int
    late_by: timedelta | None
    early_by: timedelta | None
    planned: bool = False


@dataclass(frozen=True)
class CostOfWaiting:
    hosts: int
    exploited: list[str]
    start_by: datetime | None
    rows: list[Waiting]

    @property
    def missed(self) -> bool:
        """Whether even the first date comes after the clock's end."""
        return bool(self.rows and self.rows[0].late_by)


STEPS_AHEAD = (timedelta(0), timedelta(days=2), timedelta(days=7), timedelta(days=20))


def cost_of_waiting(
    rfc: RFC, *, at: datetime, dates: Sequence[datetime] = (), actor: User | None = None
) -> CostOfWaiting:
    """The cost by date; a host counts for each day that it stays exposed, the first one included. The plan's own date is marked.

    Of the hosts that `actor` may see (None: all).
    """
    hosts = targets_seen(rfc, actor).filter(outcome="planned").count()
    updates = SoftwareUpdate.objects.filter(rfc_rows__rfc=rfc, rfc_rows__removed_at__isnull=True)
    plan = max(rfc.not_before, at) if rfc.not_before else None
    asked = sorted({*(dates or [at + step for step in STEPS_AHEAD]), *([plan] if plan else [])})
    rows = []
    for date in asked:
        days = (date - at) // timedelta(days=1) + 1
        gap = date - rfc.start_by if rfc.start_by else None
        rows.append(
            Waiting(
                at=date,
                days=days,
                host_days=hosts * days,
                late_by=gap if gap is not None and gap > timedelta(0) else None,
                early_by=-gap if gap is not None and gap <= timedelta(0) else None,
                planned=date == plan,
            )
        )
    return CostOfWaiting(
        hosts, sorted(updates.filter(exploited=True).values_list("name", flat=True)), rfc.start_by, rows
    )
