"""The one comparison: package versions × fixes, as one SELECT for PostgreSQL and SQLite.

There is no second matcher: the full evaluation, the incremental one and `manage.py evaluate` run this text. It gives
(package_version_id, fix_id, verdict, basis, low_confidence) for every pair that is not known to be fixed.

The rules R1 … R17 are those of docs/matching.md. A package whose origin nobody knows is judged, with low confidence;
one that is known not to be the distribution's own is not (R2: unknown).
"""

from __future__ import annotations

from collections.abc import Collection

RUNNABLE_KERNELS = (
    "kernel",
    "kernel-core",
    "kernel-rt-core",
    "kernel-64k-core",
    "kernel-debug-core",
    "kernel-uek",
    "kernel-uek-core",
)
"""RPM packages that hold a kernel which can run; headers, tools and documentation are no exposure."""

# The part of a key after its epoch: the epoch's code is one character that says how many digits follow.
_REST = (
    "CASE WHEN substr({key}, 1, 1) BETWEEN '0' AND '9'"
    " THEN substr({key}, 2 + CAST(substr({key}, 1, 1) AS integer)) ELSE {key} END"
)
# R1: the exact release; RPM distributions publish by major release, and their hosts name the minor one too (9.4).
_PLATFORMS = """(
    SELECT id, ecosystem, distribution, release FROM cmdb_platform
    UNION SELECT id, ecosystem, distribution, rtrim(rtrim(release, '0123456789'), '.') FROM cmdb_platform
    WHERE ecosystem = 'rpm' AND release LIKE '%.%')"""

_COLUMNS = """
    pv.id AS package_version_id, f.id AS fix_id, pv.version, pv.module AS pv_module, pv.origin_class,
    f.ecosystem, f.fixed_key, f.introduced_key, f.state, f.flavour, f.modular, f.module_sure,
    f.advisory_id IS NULL AS reported, f.vanished_at"""

# R1 platform, R7 architecture, R8 modules, R10 only what can run; "not affected" is never below anything (R5).
_COMMON = f"""
    f.withdrawn_at IS NULL AND f.state <> 'not_affected'
    AND f.ecosystem = p.ecosystem AND f.distribution = p.distribution AND f.release = p.release
    AND (f.arch = 'any' OR f.arch = pv.arch OR f.arch IN ('all', 'noarch') OR pv.arch IN ('all', 'noarch'))
    AND (NOT f.is_kernel OR pv.name LIKE 'linux-image-%'
         OR pv.name IN ({", ".join(f"'{name}'" for name in RUNNABLE_KERNELS)}))
    AND (f.ecosystem <> 'rpm' OR f.advisory_id IS NULL
         OR CASE WHEN f.modular THEN
              CASE WHEN pv.module = '' THEN pv.version LIKE '%.module%'
                   ELSE f.module IN ('', pv.module) OR pv.module LIKE f.module || ':%' END
            ELSE pv.module = '' AND pv.version NOT LIKE '%.module%' END)"""

# R3: a binary's version is never compared with a source's fix. Debian and Ubuntu sign kernels in a source package of
# its own (linux-signed-amd64), whose binaries carry the version of the source that the statements are about (R10).
_SIGNED_NAME = "replace(replace(replace(replace(pv.source_name, 'linux-signed', 'linux'), '-amd64', ''), '-arm64', ''), '-i386', '')"
_BRANCHES = (
    ("pv.source_key", "f.name_kind = 'source' AND f.name = pv.source_name"),
    ("pv.key", "f.name_kind = 'binary' AND f.name = pv.name"),
    (
        "pv.key",
        f"pv.source_name LIKE 'linux-signed%' AND f.is_kernel AND f.name_kind = 'source' AND f.name = {_SIGNED_NAME}",
    ),
)

_EPOCHS_DIFFER = "(c.key >= '1') <> (c.fixed_key >= '1' AND c.fixed_key < '~')"
_BELOW_WITHOUT_EPOCH = f"({_REST.format(key='c.key')}) < ({_REST.format(key='c.fixed_key')})"
_BACKPORT = "(c.ecosystem = 'deb' AND c.version LIKE '%~bpo%')"

_BASIS = f"""
  CASE
    WHEN c.reported THEN
      CASE WHEN c.key IS NULL THEN 'installed_unreadable'
           WHEN c.fixed_key IS NULL THEN 'fix_unreadable'
           WHEN c.key < c.fixed_key THEN 'reported' END
    WHEN c.origin_class = 'third_party' THEN 'origin'
    WHEN {_BACKPORT} THEN 'rebuilt'
    WHEN c.key IS NULL THEN 'installed_unreadable'
    WHEN c.fixed_key IS NULL THEN 'fix_unreadable'
    WHEN c.key < c.introduced_key THEN NULL
    WHEN c.key < c.fixed_key THEN
      CASE WHEN c.flavour IN ('fips', 'ksplice') AND c.version NOT LIKE '%' || c.flavour || '%' THEN NULL
           WHEN c.flavour = 'plain' AND (c.version LIKE '%ksplice%' OR c.version LIKE '%fips%') THEN NULL
           WHEN c.vanished_at IS NOT NULL THEN 'vanished'
           WHEN c.modular AND (NOT c.module_sure OR c.pv_module = '') THEN 'module'
           WHEN c.state = 'under_investigation' THEN 'investigated'
           WHEN c.state <> 'fixed' THEN 'no_fix'
           WHEN c.flavour = 'esm' AND c.version NOT LIKE '%esm%' THEN 'channel'
           ELSE 'below' END
    WHEN c.ecosystem = 'rpm' AND {_EPOCHS_DIFFER} AND {_BELOW_WITHOUT_EPOCH} THEN 'epoch'
  END"""

# Most candidates are fixed: these few tests leave them out before the basis is worked out.
_NOT_PLAINLY_FIXED = f"""
    c.key < c.fixed_key OR c.key IS NULL OR c.fixed_key IS NULL OR c.origin_class = 'third_party'
    OR {_BACKPORT} OR (c.ecosystem = 'rpm' AND {_EPOCHS_DIFFER})"""


_UNSURE = f"""(basis = 'epoch' OR (basis = 'below' AND origin_class = 'unknown')
   OR (basis = 'below' AND ecosystem = 'rpm'
       AND {_EPOCHS_DIFFER.replace("c.", "e.")} AND NOT {_BELOW_WITHOUT_EPOCH.replace("c.", "e.")}))"""


def select(*, versions: Collection[int] | None = None, fixes: Collection[int] | None = None) -> str:
    """The SELECT for all pairs, or only for those of these package versions, or of these fixes (ids).

    No parameters and no `%s`: execute it without any. An empty collection selects nothing.
    """
    only = _among("pv.id", versions) + _among("f.id", fixes)
    branches = "\n  UNION ALL\n".join(
        f"  SELECT {key} AS key, {_COLUMNS}\n  FROM cmdb_packageversion pv\n"  # noqa: S608
        f"  JOIN {_PLATFORMS} p ON p.id = pv.platform_id\n  JOIN changes_fix f ON {name}\n"
        f"  WHERE {_COMMON}{only}"
        for key, name in _BRANCHES
    )
    return f"""
SELECT package_version_id, fix_id,
  CASE basis WHEN 'below' THEN 'applicable' WHEN 'reported' THEN 'applicable'
             WHEN 'channel' THEN 'applicable_after_channel' WHEN 'no_fix' THEN 'no_fix' ELSE 'unknown' END AS verdict,
  basis,
  {_UNSURE} AS low_confidence
FROM (
 SELECT c.package_version_id, c.fix_id, c.key, c.fixed_key, c.ecosystem, c.origin_class, {_BASIS} AS basis
 FROM (
{branches}
 ) c
 WHERE {_NOT_PLAINLY_FIXED}
) e
WHERE basis IS NOT NULL"""  # noqa: S608


def _among(column: str, ids: Collection[int] | None) -> str:
    if ids is None:
        return ""
    return f" AND {column} IN ({', '.join(str(int(each)) for each in ids)})" if ids else " AND 1 = 0"
