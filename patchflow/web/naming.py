"""What the admin site calls rows and their fields, in the reader's language.

Django names a field by its attribute, and shows a help text as it was written. Both stay as they are declared, so that no
migration rests on a language: the windows of the admin site replace what is shown, and `makemessages` collects it from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import CharField, Model, TextField
from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from patchflow.kernel.sentences import say

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


@dataclass(frozen=True)
class Kept:
    """A column whose sentences are said in the language of whoever reads; the admin site takes it for a function."""

    model: type[Model]
    name: str

    def __call__(self, row: Any) -> str:
        return say(getattr(row, self.name), mixed=KEPT[self.name] == "mixed")

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
    """The columns `names` of a window; those with kept sentences are said."""
    return [Kept(model, name) if name in kept_of(model) else name for name in names]


def kept_of(model: type[Model]) -> list[str]:
    """The columns of `model` with kept sentences: words, and no choices."""
    columns = model._meta.concrete_fields
    return [
        one.name for one in columns if one.name in KEPT and isinstance(one, CharField | TextField) and not one.choices
    ]
