"""What the admin site calls rows and their fields, in the reader's language, and how it says what stands in them.

Django names a field by its attribute, and shows a help text as it was written. Both stay as they are declared, so that no
migration rests on a language: the windows of the admin site replace what is shown, and `makemessages` collects it from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import CharField, DateTimeField, JSONField, Model, TextField
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import pgettext_lazy

from patchflow.kernel.roles import title_of
from patchflow.kernel.sentences import say
from patchflow.web.words import exactly

WRITTEN: Final = {
    "arch": "architecture",
    "cve": "CVE",
    "cvss": "CVSS",
    "epss": "EPSS",
    "id": "ID",
    "rfc": "RFC",
    "rfcs": "RFCs",
    "sha256": "SHA-256",
    "url": "URL",
}
"""Parts of attributes that people write otherwise."""
SPOKEN: Final[set[tuple[str, str]]] = set()
"""(context, word) of all that was named: what the catalogue needs."""
KEPT: Final = {
    "statement": "",
    **dict.fromkeys(("cause", "error", "message", "problem", "reason", "sentence", "summary"), "mixed"),
    **dict.fromkeys(
        ("check_reason", "class_reason", "close_reason", "disabled_why", "left_reason", "release_reason"), "mixed"
    ),
}
"""Columns that hold sentences that Patchflow kept, and whether people write there too (docs/adr/0042)."""
ROLES: Final = frozenset({"role", "escalate_to", "via"})
"""Columns, and keys of JSON, that hold the name of a role."""
MOST: Final = 200
"""Sentences of one JSON text that are said: what is signed names thousands of hosts, and is no prose."""


def speak(model: type[Model]) -> None:
    """Names `model` and its fields, with what helps with them, in the language of whoever reads; what is already, stays."""
    meta: Any = model._meta
    if "verbose_name_plural" not in meta.original_attrs and not isinstance(meta.verbose_name, Promise):
        meta.verbose_name_plural = f"{meta.verbose_name}s"
    for attribute in ("verbose_name", "verbose_name_plural"):
        _translate(meta, attribute, "model", spelled=True)
    for field in (*meta.concrete_fields, *meta.many_to_many):
        _translate(field, "verbose_name", "field", spelled=True)
        _translate(field, "help_text", "help")


def _translate(owner: Any, attribute: str, context: str, *, spelled: bool = False) -> None:
    text = getattr(owner, attribute)
    if not text or isinstance(text, Promise):
        return
    if spelled:
        text = " ".join(WRITTEN.get(word, word) for word in text.split(" "))
    SPOKEN.add((context, text))
    setattr(owner, attribute, pgettext_lazy(context, text))


def laid_out(value: Any) -> str:
    """JSON as text, its sentences and roles in the language of whoever reads; keys and all else as they were kept."""
    left = iter(range(MOST))

    def again(one: Any, key: str = "") -> Any:
        if isinstance(one, dict):
            return {name: again(part, name) for name, part in one.items()}
        if isinstance(one, list):
            return [again(part, key.removesuffix("s")) for part in one]
        if not isinstance(one, str):
            return one
        if key in ROLES:
            return title_of(one)
        return say(one, mixed=True) if " " in one and next(left, None) is not None else one

    return json.dumps(again(value), indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Told:
    """A column that is said to whoever reads: kept sentences, moments with their zone, roles by their titles, JSON laid out. The
    admin site takes it for a function."""

    model: type[Model]
    name: str

    def __call__(self, row: Any) -> Any:
        value = getattr(row, self.name)
        column = self.model._meta.get_field(self.name)
        if value in (None, "", [], {}):
            return "–"
        if isinstance(column, DateTimeField):
            return exactly(value)
        if isinstance(column, JSONField):
            return format_html('<pre class="log">{}</pre>', laid_out(value))
        return title_of(value) if self.name in ROLES else say(value, mixed=KEPT[self.name] == "mixed")

    def __str__(self) -> str:
        return self.name

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def admin_order_field(self) -> str:
        return self.name

    @property
    def short_description(self) -> Any:
        field: Any = self.model._meta.get_field(self.name)
        return field.verbose_name


def told(model: type[Model], names: Iterable[Any]) -> list[Any]:
    """The columns `names` of a window; those that Django would show as they are kept are said."""
    columns = {one.name for one in model._meta.concrete_fields if _is_told(one)}
    return [Told(model, name) if name in columns else name for name in names]


def told_of(model: type[Model]) -> list[str]:
    """The columns of `model` that are said and would stand in a form, and those with kept sentences."""
    kept = kept_of(model)
    return [one.name for one in model._meta.concrete_fields if one.name in kept or (one.editable and _is_told(one))]


def kept_of(model: type[Model]) -> list[str]:
    """The columns of `model` with kept sentences: words, and no choices."""
    return [one.name for one in model._meta.concrete_fields if one.name in KEPT and _is_of_words(one)]


def _is_told(column: Any) -> bool:
    if isinstance(column, DateTimeField | JSONField):
        return True
    return (column.name in KEPT or column.name in ROLES) and _is_of_words(column)


def _is_of_words(column: Any) -> bool:
    return isinstance(column, CharField | TextField) and not column.choices
