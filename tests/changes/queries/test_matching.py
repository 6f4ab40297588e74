"""The SQL comparison against a slow one in Python, on random data; the rules of matching one by one; full = incremental."""

from __future__ import annotations

import functools
import random
import shutil
import subprocess
from datetime import datetime

import pytest
from django.db import connection

from changes.domain import applicability
from changes.domain.statements import key_of
from changes.models import Fix, VersionFix
from changes.queries import matching
from cmdb.models import PackageVersion
from tests.factories import identify as make

pytestmark = pytest.mark.django_db

Row = tuple[int, int, str, str, bool]


def fix(at: datetime, **columns: object) -> Fix:
    """A statement of an advisory (that of the test's feed), with its keys."""
    given: dict[str, object] = {
        "ecosystem": "deb",
        "distribution": "debian",
        "release": "12",
        "name_kind": "source",
        "state": "fixed",
        "fixed_version": "",
        "introduced": "0",
        **columns,
    }
    state, ecosystem = str(given["state"]), str(given["ecosystem"])
    if "fixed_key" not in given:
        sentinel = {"not_affected": "", "fixed": key_of(ecosystem, str(given["fixed_version"]))}
        given["fixed_key"] = sentinel.get(state, "~")
    given.setdefault("introduced_key", key_of(ecosystem, str(given["introduced"])) or "")
    return Fix(known_at=at, **given)


@pytest.fixture
def advisory(cast: object, now: datetime) -> int:
    """An advisory that statements can refer to: without one they count as reported by hosts."""
    feed = make.make_feed(cast.sam, at=now)  # type: ignore[attr-defined]
    make.poll(feed, [make.record("DSA-1-1", [("unrelated", "1")])], actor=cast.sam, at=now)  # type: ignore[attr-defined]
    Fix.objects.all().update(withdrawn_at=now)
    return feed.advisories.get().pk


def evaluated() -> set[Row]:
    with connection.cursor() as cursor:
        cursor.execute(matching.select())
        return {(a, b, c, d, bool(e)) for a, b, c, d, e in cursor.fetchall()}


def verdict_of(version: PackageVersion, statement: Fix) -> tuple[str, str, bool]:
    statement.save()
    found = [row[2:] for row in evaluated() if row[:2] == (version.pk, statement.pk)]
    return found[0] if found else ("", "", False)


# --- rule by rule -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("installed", "columns", "expected"),
    [
        ("1.0-1", {"fixed_version": "1.0-2"}, ("applicable", "below", False)),
        ("1.0-2", {"fixed_version": "1.0-2"}, ("", "", False)),
        ("1.0-2", {"fixed_version": "1.0-2~deb12u1"}, ("", "", False)),
        ("1.0-2~rc1", {"fixed_version": "1.0-2"}, ("applicable", "below", False)),
        ("1:0.1-1", {"fixed_version": "9.0-1"}, ("", "", False)),
        ("1.0-1", {"fixed_version": "1.0-2", "release": "11"}, ("", "", False)),
        ("1.0-1", {"fixed_version": "1.0-2", "distribution": "ubuntu"}, ("", "", False)),
        ("1.0-1", {"fixed_version": "1.0-2", "introduced": "1.0-2~"}, ("", "", False)),
        ("1.0-1", {"state": "not_affected"}, ("", "", False)),
        ("1.0-1", {"state": "no_fix"}, ("no_fix", "no_fix", False)),
        ("1.0-1", {"state": "will_not_fix"}, ("no_fix", "no_fix", False)),
        ("1.0-1", {"state": "under_investigation"}, ("unknown", "investigated", False)),
        (
            "1.0-1",
            {"state": "unparsable", "fixed_version": "?", "fixed_key": None},
            ("unknown", "fix_unreadable", False),
        ),
        ("not a version", {"fixed_version": "1.0-2"}, ("unknown", "installed_unreadable", False)),
        ("not a version", {"state": "no_fix"}, ("unknown", "installed_unreadable", False)),
        ("1.0-1", {"fixed_version": "1.0-2", "arch": "arm64"}, ("", "", False)),
        ("1.0-1", {"fixed_version": "1.0-2", "arch": "all"}, ("applicable", "below", False)),
        ("1.0-1~bpo12+1", {"fixed_version": "1.0-2"}, ("unknown", "rebuilt", False)),
        ("2.0-1~bpo12+1", {"fixed_version": "1.0-2"}, ("unknown", "rebuilt", False)),
        ("1.0-1", {"fixed_version": "1.0-1+esm1", "flavour": "esm"}, ("applicable_after_channel", "channel", False)),
        ("1.0-1+esm0", {"fixed_version": "1.0-1+esm1", "flavour": "esm"}, ("applicable", "below", False)),
        ("1.0-1", {"fixed_version": "1.0-1fips2", "flavour": "fips"}, ("", "", False)),
    ],
)
def test_select_deb_source(
    installed: str, columns: dict[str, object], expected: tuple[str, str, bool], advisory: int, now: datetime
) -> None:
    version = make.make_version(make.make_platform(), "libfoo1", installed, source=("foo", installed))

    assert verdict_of(version, fix(now, name="foo", advisory_id=advisory, **columns)) == expected


def test_select_never_compares_a_binary_with_a_sources_fix(advisory: int, now: datetime) -> None:
    """postgresql 15+248 is built from postgresql-common 248: by its own number it would be vulnerable for ever."""
    version = make.make_version(
        make.make_platform(), "postgresql", "15+248+deb12u1", source=("postgresql-common", "248+deb12u1")
    )

    assert verdict_of(version, fix(now, name="postgresql", fixed_version="248", advisory_id=advisory))[0] == ""
    assert verdict_of(version, fix(now, name="postgresql-common", fixed_version="248", advisory_id=advisory))[0] == ""
    missing = fix(now, name="postgresql-common", fixed_version="249", advisory_id=advisory)
    assert verdict_of(version, missing)[0] == "applicable"


@pytest.mark.parametrize("origin", ["third_party", "unknown"])
def test_select_origin_that_is_not_the_distributions(origin: str, advisory: int, now: datetime) -> None:
    version = make.make_version(make.make_platform(), "foo", "1.0-1", origin_class=origin)
    newer = make.make_version(make.make_platform(), "foo", "3.0-1", origin_class=origin)
    statement = fix(now, name="foo", fixed_version="2.0-1", advisory_id=advisory)

    told = {"third_party": ("unknown", "origin", False), "unknown": ("applicable", "below", True)}
    assert verdict_of(version, statement) == told[origin]
    assert (newer.pk, statement.pk) in {row[:2] for row in evaluated()} or origin == "unknown"


@pytest.mark.parametrize(
    ("installed", "fixed", "expected"),
    [
        ("1:2.0-1.el9", "1:2.0-2.el9", ("applicable", "below", False)),
        ("2.0-1.el9", "1:1.0-1.el9", ("applicable", "below", True)),
        ("1.0-1.el9", "1:2.0-1.el9", ("applicable", "below", False)),
        ("1:1.0-1.el9", "2.0-1.el9", ("unknown", "epoch", True)),
        ("1:3.0-1.el9", "2.0-1.el9", ("", "", False)),
        ("32:9.11-1.el9", "9.16-1.el9", ("unknown", "epoch", True)),
        ("12345678901:1-1", "2-1.el9", ("unknown", "installed_unreadable", False)),
        ("4294967295:1.0-1", "2-1.el9", ("", "", False)),
    ],
)
def test_select_epoch_on_one_side(
    installed: str, fixed: str, expected: tuple[str, str, bool], advisory: int, now: datetime
) -> None:
    platform = make.make_platform("almalinux", "9.4", ecosystem="rpm", arch="x86_64")
    version = make.make_version(platform, "bind", installed)
    statement = fix(
        now,
        ecosystem="rpm",
        distribution="almalinux",
        release="9",
        name="bind",
        name_kind="binary",
        fixed_version=fixed,
        advisory_id=advisory,
    )

    assert verdict_of(version, statement) == expected


@pytest.mark.parametrize(
    ("label", "installed", "columns", "expected"),
    [
        ("nodejs:18", "1:18.1-1.module_el9", {"module": "nodejs:18"}, "applicable"),
        ("nodejs:18:8090020:a1b2", "1:18.1-1.module_el9", {"module": "nodejs:18"}, "applicable"),
        ("nodejs:20", "1:18.1-1.module_el9", {"module": "nodejs:18"}, ""),
        ("nodejs:180", "1:18.1-1.module_el9", {"module": "nodejs:18"}, ""),
        ("", "1:18.1-1.module_el9", {"module": "nodejs:18"}, "unknown"),
        ("", "1:18.1-1.el9", {"module": "nodejs:18"}, ""),
        ("nodejs:18", "1:18.1-1.module_el9", {"module": "", "module_sure": False}, "unknown"),
        ("nodejs:18", "1:18.1-1.module_el9", {"modular": False}, ""),
        ("", "1:18.1-1.el9", {"modular": False}, "applicable"),
    ],
)
def test_select_module_streams(
    label: str, installed: str, columns: dict[str, object], expected: str, advisory: int, now: datetime
) -> None:
    platform = make.make_platform("almalinux", "9", ecosystem="rpm", arch="x86_64")
    version = make.make_version(platform, "nodejs", installed, module=label)
    given: dict[str, object] = {"modular": True, **columns}
    statement = fix(
        now,
        ecosystem="rpm",
        distribution="almalinux",
        release="9",
        name="nodejs",
        name_kind="binary",
        fixed_version="1:18.2-1.module_el9",
        advisory_id=advisory,
        **given,
    )

    assert verdict_of(version, statement)[0] == expected


def test_select_signed_kernel_is_judged_by_the_kernels_source(advisory: int, now: datetime) -> None:
    platform = make.make_platform()
    image = make.make_version(
        platform, "linux-image-6.1.0-18-amd64", "6.1.76-1", source=("linux-signed-amd64", "6.1.76+1")
    )
    headers = make.make_version(platform, "linux-headers-6.1.0-18-amd64", "6.1.76-1", source=("linux", "6.1.76-1"))
    statement = fix(now, name="linux", fixed_version="6.1.85-1", is_kernel=True, advisory_id=advisory)

    assert verdict_of(image, statement)[0] == "applicable"
    assert verdict_of(headers, statement)[0] == ""


def test_select_vanished_statement_is_unknown(advisory: int, now: datetime) -> None:
    version = make.make_version(make.make_platform(), "foo", "1.0-1")

    found = verdict_of(version, fix(now, name="foo", fixed_version="2", advisory_id=advisory, vanished_at=now))

    assert found[:2] == ("unknown", "vanished")


# --- against brute force ------------------------------------------------------------------------------------------------
VERSIONS = [
    "1.0-1",
    "1.0-1+b1",
    "1.0-1+deb12u1",
    "1.0-2~rc1",
    "1.0-2",
    "1.1~beta-1",
    "1.1-1",
    "1:0.9-1",
    "2.0-1",
    "10.0-1",
]
FIXED = ["1.0-2", "1.0-1+deb12u1", "1.1-1", "1:0.9-2", "2.0-1", "10.0-1"]


@functools.cache
def dpkg_below(left: str, right: str) -> bool:
    """Asks dpkg itself."""
    return subprocess.run(["dpkg", "--compare-versions", left, "lt", right], check=False).returncode == 0


def brute_force(version: PackageVersion, statement: Fix) -> tuple[str, str] | None:
    """The rules once more, in Python, for Debian's plain statements; versions are compared by dpkg."""
    if statement.withdrawn_at or statement.release != version.platform.release:
        return None
    own = version.source_name if statement.name_kind == "source" else version.name
    if own != statement.name or statement.arch not in ("any", "all", version.arch):
        return None
    compared = version.source_version if statement.name_kind == "source" else version.version
    if statement.state == "not_affected":
        return None
    if version.origin_class == "third_party":
        return "unknown", "origin"
    if compared == "no version":
        return "unknown", "installed_unreadable"
    if statement.state == "unparsable":
        return "unknown", "fix_unreadable"
    if statement.introduced != "0" and dpkg_below(compared, statement.introduced):
        return None
    if statement.state == "no_fix":
        return "no_fix", "no_fix"
    return ("applicable", "below") if dpkg_below(compared, statement.fixed_version) else None


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(8))
def test_select_equals_brute_force_with_dpkg(seed: int, advisory: int, now: datetime) -> None:
    if shutil.which("dpkg") is None:
        pytest.skip("needs dpkg to compare with")
    chance = random.Random(seed)
    platforms = [make.make_platform(release=release) for release in ("11", "12")]
    for _ in range(60):
        binary, source = f"lib{chance.randint(1, 6)}", f"src{chance.randint(1, 4)}"
        own, built = (chance.choice([*VERSIONS, "no version"]) for _ in range(2))
        make.make_version(
            chance.choice(platforms),
            binary,
            own,
            source=(source, built),
            origin_class=chance.choices(["distribution", "third_party"], [9, 1])[0],
        )
    statements = []
    for _ in range(60):
        kind = chance.choice(["source", "binary"])
        state = chance.choices(["fixed", "no_fix", "not_affected", "unparsable"], [6, 1, 1, 1])[0]
        columns: dict[str, object] = {"fixed_version": chance.choice(FIXED) if state == "fixed" else ""}
        if state == "unparsable":
            columns["fixed_key"] = None
        name = f"src{chance.randint(1, 4)}" if kind == "source" else f"lib{chance.randint(1, 6)}"
        statements.append(
            fix(
                now,
                name=name,
                name_kind=kind,
                state=state,
                release=chance.choice(["11", "12"]),
                advisory_id=advisory,
                arch=chance.choice(["any", "any", "amd64", "arm64"]),
                introduced=chance.choice(["0", "0", "1.0-2"]),
                withdrawn_at=now if chance.random() < 0.1 else None,
                **columns,
            )
        )
    statements = Fix.objects.bulk_create(statements)
    versions = list(PackageVersion.objects.select_related("platform"))

    expected = {
        (version.pk, statement.pk, *found)
        for version in versions
        for statement in statements
        if (found := brute_force(version, statement))
    }

    assert {row[:4] for row in evaluated()} == expected
    assert len(expected) > 20


@pytest.mark.parametrize("seed", range(4))
def test_evaluate_incremental_equals_full(seed: int, advisory: int, now: datetime) -> None:
    chance = random.Random(seed)
    platform = make.make_platform()

    def more_versions() -> list[int]:
        return [
            make.make_version(
                platform, "p", chance.choice(VERSIONS), source=(f"s{chance.randint(1, 3)}", chance.choice(VERSIONS))
            ).pk
            for _ in range(10)
        ]

    def more_fixes() -> list[int]:
        rows = [
            fix(now, name=f"s{chance.randint(1, 3)}", fixed_version=chance.choice(FIXED), advisory_id=advisory)
            for _ in range(8)
        ]
        return [row.pk for row in Fix.objects.bulk_create(rows)]

    more_versions()
    more_fixes()
    applicability.evaluate_all()
    applicability.evaluate_versions(more_versions())
    applicability.evaluate_fixes(more_fixes())
    ended = chance.choice(Fix.objects.values_list("pk", flat=True).filter(withdrawn_at=None))
    Fix.objects.filter(pk=ended).update(withdrawn_at=now)
    applicability.evaluate_fixes([ended])
    incremental = set(
        VersionFix.objects.values_list("package_version_id", "fix_id", "verdict", "basis", "low_confidence")
    )

    applicability.evaluate_all()

    full = set(VersionFix.objects.values_list("package_version_id", "fix_id", "verdict", "basis", "low_confidence"))
    assert incremental == full
    assert full
