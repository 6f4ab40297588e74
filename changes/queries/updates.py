"""Questions about one update and about the catalogue: how it stands on the hosts, what it mends, where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value, When

from changes.enums import TERMINAL, RFCState
from changes.enums_identify import AppliesVerdict, NameKind, Response
from changes.models import Advisory, Fix, RFCUpdate, SoftwareUpdate, Vulnerability
from changes.models.update import UpdateQuerySet
from changes.queries import findings
from changes.queries.applicability import MISSING, MissingHost, hosts_concerned
from changes.queries.coverage import Coverage, coverage_of
from cmdb.models import Host, Installation

if TYPE_CHECKING:
    from patchflow.kernel.models import User

BEHIND = (*TERMINAL, RFCState.IN_REVIEW)
"""Where a change brings nothing to a host any more."""

V = AppliesVerdict


@dataclass(frozen=True, slots=True)
class FixedHost:
    """A host on which every package of an update is at the fixed version or later."""

    host_id: int
    host_name: str
    package: str
    installed_version: str
    audited_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an update stands on the hosts that have its packages and that the asker may see.

    `concerned` holds every host that is not fixed, with its verdict; `fixed` those that are. Hosts without the package
    are not counted. Nobody is fixed on a platform that no fresh feed speaks of, and no host whose facts are stale:
    those are unknown.
    """

    concerned: list[MissingHost]
    fixed: list[FixedHost]
    unheard: list[FixedHost]
    coverage: Coverage
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        return sum(self.counts.get(verdict, 0) for verdict in MISSING)

    @property
    def unknown(self) -> int:
        return self.counts.get(V.UNKNOWN, 0)

    @property
    def exempt(self) -> int:
        return self.counts.get("exempt", 0)


def relevant(actor: User) -> UpdateQuerySet:
    """The updates that were found to apply here, that stand, and that no newer one replaces."""
    rows = SoftwareUpdate.objects.visible_to(actor).notified()
    return rows.filter(withdrawn_at__isnull=True, superseded_by__isnull=True)


def counted(rows: UpdateQuerySet, actor: User) -> Any:
    """`rows` with `missed`: how many hosts that the actor may see miss it. Who sees every host reads the column; for a
    scope it is counted now, in one query."""
    if actor.scopes_for("host.view") is None:
        return rows.annotate(missed=F("reach"))
    by_count: dict[int, list[int]] = {}
    for update_id, hosts in findings.reach(actor=actor).items():
        by_count.setdefault(hosts, []).append(update_id)
    whens = [When(pk__among=ids, then=Value(hosts)) for hosts, ids in by_count.items()]
    return rows.annotate(missed=Case(*whens, default=Value(0), output_field=IntegerField()))


def carried() -> Exists:
    """Of a row of updates: whether a change carries it that is still to bring it to a host."""
    rows = RFCUpdate.objects.filter(update=OuterRef("pk"), removed_at__isnull=True)
    return Exists(rows.exclude(rfc__state__in=BEHIND))


def undecided(actor: User) -> UpdateQuerySet:
    """The updates that hosts in sight miss, of which nobody has decided what is done and which no change carries either."""
    rows = counted(relevant(actor).filter(response=Response.UNDECIDED), actor)
    found: UpdateQuerySet = rows.filter(~carried(), missed__gt=0)
    return found


def standing(update: SoftwareUpdate, *, actor: User | None, at: datetime) -> Standing:
    """How the update stands at that moment; see `Standing`."""
    concerned = hosts_concerned(update.pk, actor=actor, at=at)
    line = coverage_of(update.distribution, update.release, at=at, actor=actor)
    open_ids = {host.host_id for host in concerned}
    having = [host for host in _having(update, actor=actor) if host.host_id not in open_ids]
    limit: timedelta = settings.PATCHFLOW["FACTS_STALE_AFTER"]
    believed = line.fresh or update.origin == "reported"
    fixed = [h for h in having if believed and h.audited_at is not None and at - h.audited_at <= limit]
    known = {host.host_id for host in fixed}
    unheard = [host for host in having if host.host_id not in known]
    counts: dict[str, int] = {V.FIXED: len(fixed), V.UNKNOWN: len(unheard)}
    for each in concerned:
        verdict = "exempt" if each.exempt else each.verdict
        counts[verdict] = counts.get(verdict, 0) + 1
    return Standing(concerned, fixed, unheard, line, counts)


def _having(update: SoftwareUpdate, *, actor: User | None) -> list[FixedHost]:
    """Hosts that have a package which the update's statements are about, each once."""
    fixes = Fix.objects.filter(update=update, withdrawn_at__isnull=True).values_list("name", "name_kind", "is_kernel")
    sources = {name for name, kind, _ in fixes if kind == NameKind.SOURCE}
    binaries = {name for name, kind, _ in fixes if kind == NameKind.BINARY}
    of_package = Q(package_version__source_name__in=sources) | Q(package_version__name__in=binaries)
    if any(kernel for _, _, kernel in fixes):
        of_package = Q(package_version__name__in=binaries) | Q(
            Q(package_version__source_name__in=sources) | Q(package_version__source_name__startswith="linux-signed"),
            package_version__name__startswith="linux-image-",
        )
    release = Q(package_version__platform__release=update.release)
    if update.ecosystem == "rpm":
        release |= Q(package_version__platform__release__startswith=f"{update.release}.")
    rows = Installation.objects.open().filter(
        of_package, release, package_version__platform__distribution=update.distribution, host__retired_at__isnull=True
    )
    if update.module:
        named = Q(package_version__module=update.module)
        rows = rows.filter(named | Q(package_version__module__startswith=f"{update.module}:"))
    if actor is not None:
        rows = rows.filter(host__in=Host.objects.visible_to(actor))
    found: dict[int, FixedHost] = {}
    columns = ("host_id", "host__name", "package_version__name", "package_version__version", "host__audited_at")
    for row in rows.order_by("host__name", "host_id", "package_version__name").values_list(*columns):
        found.setdefault(row[0], FixedHost(*row))
    return list(found.values())


def vulnerabilities_of(update: SoftwareUpdate) -> QuerySet[Vulnerability]:
    """What the update mends, the known exploited first."""
    named = Q(named_by__advisory__announces__update=update, named_by__fixes=True)
    rows = Vulnerability.objects.filter(pk__in=Vulnerability.objects.filter(named).values("pk"))
    return rows.order_by(F("exploited_since_on").desc(nulls_last=True), F("epss").desc(nulls_last=True), "cve")


def advisories_of(update: SoftwareUpdate) -> QuerySet[Advisory]:
    """The notices that announce the update, the newest first."""
    return update.advisories.select_related("feed").order_by("-modified_at", "-pk")


def replaced_by(update: SoftwareUpdate) -> QuerySet[SoftwareUpdate]:
    """The updates that this one contains, the newest first."""
    return SoftwareUpdate.objects.filter(superseded_by=update).order_by("-fixed_key")
