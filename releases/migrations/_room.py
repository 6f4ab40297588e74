"""How PostgreSQL keeps what every host of a rollout writes.

A job is written a handful of times within seconds: with half of each page free its next version lies beside the last, and no
index is written where no indexed column changes. The answers of a host's gates are two kilobytes, compressed at every
INSERT: lz4, where the server was built with it, takes a fraction of what its own way takes.
"""

from typing import Any

JOBS, SLIPS = "releases_job", "releases_permissionslip"


def make_room(_apps: Any, editor: Any) -> None:
    if editor.connection.vendor != "postgresql":
        return
    with editor.connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {JOBS} SET (fillfactor = 50)")
        cursor.execute("SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'")
        row = cursor.fetchone()
        if row and row[0]:
            cursor.execute(f"ALTER TABLE {SLIPS} ALTER COLUMN gates SET COMPRESSION lz4")


def as_before(_apps: Any, editor: Any) -> None:
    if editor.connection.vendor != "postgresql":
        return
    with editor.connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {JOBS} RESET (fillfactor)")
        cursor.execute("SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression'")
        if cursor.fetchone():
            cursor.execute(f"ALTER TABLE {SLIPS} ALTER COLUMN gates SET COMPRESSION default")
