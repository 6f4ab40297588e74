"""Reasons: why a verb is refused now, said the same way on the page, over REST and in the exception.

A sentence is English where it is kept (rows, the trail, REST, logs) and the reader's language where a person reads it
live: a page asks a blocker for `said`. Sentences with figures are made by `english`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from django.db.models import Model
from django.utils import translation
from django.utils.translation import gettext, ngettext, pgettext

from patchflow.kernel import moments
from patchflow.kernel.sentences import TYPED, say

Tone = Literal["wait", "bad", "unknown"]


class English(str):
    """An English sentence that still knows its template and values, so that it can be said in another language."""

    template: str
    plural: str
    context: str
    values: dict[str, Any]

    @classmethod
    def of(cls, template: str, *, plural: str = "", context: str = "", text: str = "", **values: Any) -> Self:
        """`text` is what it says in English where that is not the template itself; `n` decides for the plural."""
        values = {k: v if isinstance(v, English | int) else str(v) for k, v in values.items()}  # words, never rows
        form = plural if plural and values["n"] != 1 else template
        made = cls(text or (form % values if values else form))
        made.template, made.plural, made.context, made.values = template, plural, context, values
        return made

    def here(self) -> str:
        """The same in the language of whoever reads now."""
        if self.plural:
            form = ngettext(self.template, self.plural, self.values["n"])
        else:
            form = pgettext(self.context, self.template) if self.context else gettext(self.template)
        if not self.values:
            return form
        said = {k: here(v) if isinstance(v, English) else v for k, v in self.values.items()}
        return moments.filled(form, said, apart=TYPED)


def english(template: str, **values: Any) -> English:
    """A sentence with its figures, `english("It has %(n)s hosts.", n=3)`: a string that pages can translate.

    The template is a literal, so that it is collected; a value that is itself `english` is translated with it.
    """
    return English.of(template, **values)


def kept(template: str, **values: Any) -> str:
    """The same sentence for a row that is written for each of many hosts: a plain string, which takes a tenth of the time. It is
    read in another language by recognising it (`sentences`)."""
    return template % values


def english_n(singular: str, plural: str, n: int, **values: Any) -> English:
    """The same with a number: `english_n("%(n)s host waits.", "%(n)s hosts wait.", n)`."""
    return English.of(singular, plural=plural, n=n, **values)


def any_of(words: Sequence[English]) -> English:
    """ "a or b or c"."""
    first, *rest = words
    return english("%(one)s or %(others)s", one=first, others=any_of(rest)) if rest else first


def label_of(obj: Model, field: str = "state") -> English:
    """The word of a choice as part of such a sentence: `get_…_display` would freeze the reader's language into a row."""
    choices = dict(obj._meta.get_field(field).flatchoices)  # type: ignore[union-attr]
    value = getattr(obj, field)
    with translation.override("en"):
        return English.of(str(choices.get(value, value)))


def here(text: str, *, mixed: bool = False) -> str:
    """A sentence in the reader's language: from its template, or recognised where it was kept (`mixed` as in `sentences.say`);
    other words as they are."""
    return text.here() if isinstance(text, English) else say(text, mixed=mixed)


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason against a verb.

    `code` is stable and dotted (`rfc.plan_missing`); `sentence` is for people, with figures, in English; `where` is the
    address of the place that clears it, or empty; `tone` says whether time or a person clears it (wait), it was denied
    (bad), or the gate could not be evaluated (unknown: denies like the others, law 4).
    """

    code: str
    sentence: str
    where: str = ""
    tone: Tone = "bad"

    @property
    def said(self) -> str:
        """The sentence in the reader's language."""
        return here(self.sentence)

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "sentence": str(self.sentence), "where": self.where, "tone": self.tone}

    def __str__(self) -> str:
        return str(self.sentence)


def sentences(blockers: Iterable[Blocker]) -> str:
    """The reasons as one line, in English."""
    return " ".join(str(b.sentence) for b in blockers)


def said(blockers: Iterable[Blocker]) -> str:
    """The reasons as one line, in the reader's language."""
    return " ".join(b.said for b in blockers)
