"""Text lookups that mean the same on both databases.

SQLite's LIKE knows no difference between a and A, also where the lookup is to know it (`startswith`), and sees none between
other letters where it is not to (`icontains` with "Ä"); PostgreSQL goes by the lookup. Here SQLite does too.
"""

from __future__ import annotations

import re
from typing import Any

from django.db.backends.signals import connection_created
from django.db.models import Field, lookups

FOLD = "PATCHFLOW_FOLD"


def fold(text: Any) -> Any:
    """Text in capitals, letter by letter as PostgreSQL's UPPER does it: none of them becomes two."""
    if not isinstance(text, str) or text.isascii():
        return text.upper() if isinstance(text, str) else text
    return "".join(capital if len(capital := one.upper()) == 1 else one for one in text)


def glob(text: str) -> str:
    """The text as GLOB reads it as itself."""
    return re.sub(r"([\[*?])", r"[\1]", text)


class _OnSQLite(lookups.PatternLookup):
    """`before`, `after`: what may stand around the text; `folded`: whether capitals are alike."""

    before = after = ""
    folded = False

    def as_sqlite(self, compiler: Any, connection: Any) -> Any:
        if not self.rhs_is_direct_value() or (self.folded and str(self.rhs).isascii()):
            return self.as_sql(compiler, connection)
        left, params = self.process_lhs(compiler, connection)
        text = glob(fold(str(self.rhs)) if self.folded else str(self.rhs))
        left = f"{FOLD}({left})" if self.folded else left
        return f"{left} GLOB %s", [*params, f"{self.before}{text}{self.after}"]


@Field.register_lookup
class StartsWith(_OnSQLite, lookups.StartsWith):
    after = "*"


@Field.register_lookup
class EndsWith(_OnSQLite, lookups.EndsWith):
    before = "*"


@Field.register_lookup
class Contains(_OnSQLite, lookups.Contains):
    before = after = "*"


@Field.register_lookup
class IStartsWith(_OnSQLite, lookups.IStartsWith):
    after, folded = "*", True


@Field.register_lookup
class IEndsWith(_OnSQLite, lookups.IEndsWith):
    before, folded = "*", True


@Field.register_lookup
class IContains(_OnSQLite, lookups.IContains):
    before, after, folded = "*", "*", True


@Field.register_lookup
class IExact(lookups.IExact):
    def as_sqlite(self, compiler: Any, connection: Any) -> Any:
        if not self.rhs_is_direct_value() or self.rhs is None or str(self.rhs).isascii():
            return self.as_sql(compiler, connection)
        left, params = self.process_lhs(compiler, connection)
        return f"{FOLD}({left}) = %s", [*params, fold(str(self.rhs))]


def _teach(sender: Any, connection: Any, **_: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function(FOLD, 1, fold, deterministic=True)


connection_created.connect(_teach, dispatch_uid="patchflow.kernel.alike")
