"""The column of sortable version keys: compared byte by byte, whatever the database's own collation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from cmdb.versions import KEY_MAX_LENGTH
from patchflow.kernel.blockers import english

COLLATIONS = {"postgresql": "C", "sqlite": "BINARY"}


class VersionKeyField(models.CharField):
    """A key of `cmdb.versions.key`: text of at most KEY_MAX_LENGTH characters under the vendor's bytewise collation.

    NULL means that the version could not be read (unknown), which is never "not affected". The collation is chosen by
    vendor when the column is made, so that one migration serves both databases.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", KEY_MAX_LENGTH)
        super().__init__(*args, **kwargs)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        return {**super().db_parameters(connection), "collation": COLLATIONS.get(connection.vendor)}


@register(Tags.database)
def check_collation(databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The columns of version keys put 'a' after 'B', as bytes do; a linguistic collation would put it before."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor not in COLLATIONS:
            problem = english("Patchflow has no bytewise collation for %(vendor)s.", vendor=connection.vendor)
            found.append(Error(problem, hint="Use PostgreSQL or SQLite.", id="cmdb.E001"))
        elif not _bytewise(connection):
            found.append(
                Error(
                    "The column of version keys does not compare byte by byte: versions would be ordered wrongly.",
                    hint="Run the migrations as they are; do not change the collation of cmdb_packageversion.key.",
                    id="cmdb.E002",
                )
            )
    return found


def _bytewise(connection: BaseDatabaseWrapper) -> bool:
    """Asks the column itself; a table that is not there yet has nothing to order wrongly, and `patchflow.E007` says it where
    the database does not answer."""
    try:
        connection.ensure_connection()
    except DatabaseError:
        return True
    if "cmdb_packageversion" not in connection.introspection.table_names():
        return True
    with connection.cursor() as cursor:
        # The collation of the column decides each comparison with a literal (SQL: implicit collation beats none).
        cursor.execute(
            "SELECT (SELECT CASE WHEN 'a' > max(key) THEN 1 ELSE 0 END FROM"
            " (SELECT key FROM cmdb_packageversion WHERE 1 = 0 UNION ALL SELECT 'B') AS probe)"
        )
        row = cursor.fetchone()
    return bool(row and row[0])
