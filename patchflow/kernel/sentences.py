"""Saying a kept sentence again: English where it is kept, the reader's language where a person reads it (docs/adr/0021).

A row keeps no template, so the sentence is recognised: the house's own catalogue has every template, and the one with the
most literal letters that the whole text matches is taken. Its values are said again in turn, save those in quotation marks and
those that a person typed (`TYPED`); times that are written in UTC are told in the reader's zone. What is not recognised
stays as it is. It is asked of sentences that Patchflow wrote; a field that holds a person's words is never asked.
"""

from __future__ import annotations

import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import structlog
from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_language, gettext, ngettext, pgettext

from patchflow.kernel.moments import has_time, is_time, retold

log = structlog.get_logger(__name__)
TYPED = frozenset({"reason", "comment", "remark", "title", "summary", "text", "error"})
"""Values of these names are a person's or a host's own words; they are never said again."""
NAMES = frozenset(
    {
        "name",
        "number",
        "release",
        "rfc",
        "rollout",
        "change",
        "plan",
        "ring",
        "host",
        "window",
        "package",
        "update",
        "point",
        "actor",
        "person",
    }
)
"""Values of these names are names of things and people; nor are they."""
MIXED = frozenset({"because"})
"""Values of these names are now a person's words and now the system's: as a field that is `mixed`."""
PLAINLY = 16
"""Letters that must be recognised of what may be a person's words: a word of a choice is none of the system's sentences."""
STRONG = 8
"""Letters of its own that a template has at least, unless it begins with two words, or knows all of its values."""
LONGEST, DEEPEST, NEAR = 1000, 30, 6
"""Beyond so many characters a text is not read; nor a part in a part in a part; a sentence ends after so many ends at most."""
MOST, FILLING = 16000, 8
"""Attempts that one reading has, 50 ms or so: a text that asks for more stays as it is; a long sentence takes seven thousand.
A template that matches is as dear as eight that do not."""
NAMED = re.compile(r"\S*[\d.-]\S*")
"""A label that is plainly the name of a machine or a change, and no word of a person."""
WORDS = ("role", "verb")
"""Contexts of the words that sentences name."""
Message = tuple[str, str, str]
"""Context or empty, msgid, plural or empty."""
SLOT = re.compile(r"%\((\w+)\)[sd]")
WORD = re.compile(r"[^\W_]+")
BOUNDS = re.compile(r"(?<=[.!?…])\s+|(?<=;) |(?<=[a-z]) (?=A [a-z])")


@dataclass(frozen=True)
class Template:
    """A message of the catalogue, or one of its two forms: literal text with slots between, of which `figures` are numbers."""

    msgid: str
    msgid_plural: str
    literals: tuple[str, ...]
    names: tuple[str, ...]
    figures: frozenset[str]

    @cached_property
    def letters(self) -> int:
        return sum(letters(one) for one in self.literals)

    @cached_property
    def key_words(self) -> list[str]:
        """Whole words that every text of this template has."""
        last = len(self.literals) - 1
        found = []
        for n, literal in enumerate(self.literals):
            for word in WORD.finditer(literal):
                inside = (n == 0 or word.start() > 0) and (n == last or word.end() < len(literal))
                if inside:
                    found.append(word[0])
        return found

    def values(self, text: str) -> dict[str, str] | None:
        """What stands in the slots if the whole of `text` matches; each as short as it can be, empty only where it must be."""
        first, *middle, last = self.literals
        if not text.startswith(first) or not text.endswith(last):
            return None
        found: dict[str, str] = {}
        at, end = len(first), len(text) - len(last)
        for name, literal in zip(self.names, [*middle, None], strict=True):
            until = (
                end
                if literal is None
                else max(text.find(literal, at + 1, end), text.find(literal, at, at + len(literal)))
            )
            if until < at or found.setdefault(name, text[at:until]) != text[at:until]:
                return None
            at = until + len(literal or "")
        return found if all(found[name].isdecimal() for name in self.figures) else None

    @cached_property
    def is_plain(self) -> bool:
        """Whether its own letters are enough to know it by; else all of its values must be known."""
        first = self.literals[0]
        return self.letters >= STRONG or first.endswith(": ") or len(WORD.findall(first)) > 1

    @cached_property
    def is_of_a_person(self) -> bool:
        """Whether it says in its own words that a person's follow: no template that begins with a value knows that better."""
        return self.is_plain and letters(self.literals[0]) > 0 and not TYPED.isdisjoint(self.names)

    def is_quoted(self, name: str) -> bool:
        n = self.names.index(name)
        return self.literals[n].endswith("“") and self.literals[n + 1].startswith("”")


def letters(text: str) -> int:
    return sum(one.isalpha() for one in text)


def template_of(msgid: str, msgid_plural: str, form: str) -> Template | None:
    slots = list(SLOT.finditer(form))
    if not slots:
        return None
    ends = [0, *(s.end() for s in slots)]
    starts = [*(s.start() for s in slots), len(form)]
    literals = tuple(form[a:b].replace("%%", "%") for a, b in zip(ends, starts, strict=True))
    if any(not one for one in literals[1:-1]):
        return None  # two values side by side: nobody can tell where one ends
    figures = {s[1] for s in slots if s[0].endswith("d") or (msgid_plural and s[1] == "n")}
    return Template(msgid, msgid_plural, literals, tuple(s[1] for s in slots), frozenset(figures))


class Book:
    """Every message of the house's catalogues: templates by a word that their texts have, and plain ones."""

    def __init__(self, messages: set[Message]) -> None:
        self.plain = {msgid for context, msgid, plural in messages if not (context or plural or SLOT.search(msgid))}
        self.words = {msgid: context for context, msgid, _plural in sorted(messages) if context in WORDS}
        found = [
            template
            for context, msgid, plural in messages
            if not context
            for form in ((msgid, plural) if plural else (msgid,))
            if (template := template_of(msgid, plural, form))
        ]
        common = Counter(word for one in found for word in set(one.key_words))
        self.by_word: dict[str, list[Template]] = defaultdict(list)
        for one in sorted(found, key=lambda t: (-t.letters, t.msgid)):
            self.by_word[min(one.key_words, key=lambda w: (common[w], w), default="")].append(one)

    def candidates(self, text: str) -> Iterator[Template]:
        for word in {"", *WORD.findall(text)}:
            yield from self.by_word.get(word, ())


def catalogued(mo: bytes) -> Iterator[Message]:
    """The messages of a compiled catalogue. The framework reads the same file, but forgets the plurals."""
    order = "<" if mo[:4] == b"\xde\x12\x04\x95" else ">"
    count, start = struct.unpack_from(f"{order}II", mo, 8)
    for n in range(count):
        length, offset = struct.unpack_from(f"{order}II", mo, start + 8 * n)
        msgid, _nul, plural = mo[offset : offset + length].decode().partition("\0")
        context, _eot, msgid = msgid.rpartition("\x04")
        if msgid:
            yield context, msgid, plural


@lru_cache(maxsize=4)
def _book(folders: tuple[str, ...]) -> Book:
    files = [mo for folder in folders for mo in sorted(Path(folder).glob("*/LC_MESSAGES/django.mo"))]
    return Book({message for mo in files for message in catalogued(mo.read_bytes())})


def say(text: str, *, mixed: bool = False) -> str:
    """`text`, a sentence that Patchflow kept, in the language and the zone of whoever reads now; as it is where nothing knows it.

    `mixed`: of a field that now the system writes and now a person: only what is plainly the system's own is said again.
    """
    zone = timezone.get_current_timezone_name()
    language = get_language() or settings.LANGUAGE_CODE
    if (
        not text
        or len(text) > LONGEST
        or (language == settings.LANGUAGE_CODE and (zone == "UTC" or not has_time(text)))
    ):
        return text
    return _said(language, zone, text, mixed, tuple(str(one) for one in settings.LOCALE_PATHS))


@lru_cache(maxsize=8192)
def _said(language: str, zone: str, text: str, mixed: bool, folders: tuple[str, ...]) -> str:
    """Kept by language and zone, which are those that are active now. No text takes the page with it."""
    try:
        return Reader(_book(folders)).read(text, mixed)
    except Exception as error:
        log.debug("sentences.not_read", length=len(text), why=repr(error))
        return text


class Found(NamedTuple):
    """What was recognised of a text."""

    score: int
    """Letters that are known; 0: nothing is."""
    said: str
    """The text said again."""
    open_end: bool = False
    """Whether it ends with words of a person: then nobody knows where those end, and what follows is theirs too."""
    covers: bool = True
    """Whether all of the text is the system's, but for values and names."""


def most(*found: Found) -> Found:
    """That of which most was recognised; the first of equals."""
    return max(found, key=lambda one: one.score)


class TooMuch(Exception):
    """A text that asks for more attempts than one reading has."""


class Reader:
    """One reading of one text, in at most `MOST` attempts."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.apart: list[str] = []
        self.known: dict[str, Found] = {}
        self.fitting: dict[str, list[tuple[Template, dict[str, str]]]] = {}
        self.depth = 0
        self.attempts = 0

    def read(self, text: str, mixed: bool) -> str:
        found = self.best(text, part=False)
        if not found.score or (mixed and not self._is_plainly_ours(found)):
            return text
        return re.sub("\0(\\d+)\0", lambda match: self.apart[int(match[1])], retold(found.said))

    def _is_plainly_ours(self, found: Found) -> bool:
        return found.covers and found.score >= PLAINLY

    def _attempt(self, cost: int = 1) -> None:
        self.attempts += cost
        if self.attempts > MOST:
            raise TooMuch

    def best(self, text: str, *, part: bool = True) -> Found:
        if text not in self.known:
            self._attempt()
            core = text.strip()
            if not core or self.depth > DEEPEST:
                return Found(0, text)
            self.known[text] = Found(0, text)
            self.depth += 1
            found = self._read(core, part)
            if not found.score:
                found = Found(0, core)
            if core != text:
                start = text.index(core)
                spaced = f"{text[:start]}{found.said}{text[start + len(core) :]}"
                found = most(self._whole(text), found._replace(said=spaced))
            self.depth -= 1
            self.known[text] = found
        return self.known[text]

    def _read(self, text: str, part: bool) -> Found:
        whole = self._whole(text, part)
        if whole.open_end or whole.score >= letters(text):
            return whole  # all of it is known: cut in parts no more can be
        found = most(self._parts(text), whole)
        return found if found.score else most(self._as_part(text), self._labelled(text))

    def _whole(self, text: str, part: bool = False) -> Found:
        best = Found(0, text)
        if text in self.book.plain:
            best = Found(letters(text), gettext(text))
        elif part and text in self.book.words:
            best = Found(letters(text), pgettext(self.book.words[text], text))
        own = best.score
        for template, values in sorted(self._fitting(text), key=lambda one: -one[0].letters):
            if best.score >= letters(text):
                break  # nothing can be known of it beyond its letters
            self._attempt(FILLING)
            found = self._filled(template, values)
            if found.score and (found.score, template.letters) > (best.score, own):
                best, own = found, template.letters
        return best

    def _fitting(self, text: str) -> list[tuple[Template, dict[str, str]]]:
        """Templates that the whole text matches; where one says that a person's words follow, none that begins with a value."""
        if text not in self.fitting:
            fitting = self.fitting[text] = []
            for template in self.book.candidates(text):
                self._attempt()
                if (values := template.values(text)) is not None:
                    fitting.append((template, values))
            if any(template.is_of_a_person for template, _values in fitting):
                self.fitting[text] = [one for one in fitting if letters(one[0].literals[0])]
        return self.fitting[text]

    def _filled(self, template: Template, values: dict[str, str]) -> Found:
        parts = {name: self._value(template, name, value) for name, value in values.items()}
        if not template.is_plain and not all(
            self._is_known(template, name, value, parts[name].score) for name, value in values.items()
        ):
            return Found(0, "")
        if "state" in values and not self._is_state(values["state"], parts["state"].score):
            return Found(0, "")
        said = {name: found.said for name, found in parts.items()}
        score = template.letters + sum(found.score for found in parts.values())
        name, last, end = template.names[-1], template.literals[-1], ""
        if not last and said[name] == values[name] and values[name].endswith("."):
            said[name], end = said[name].removesuffix("."), "."  # the end of the sentence, and no part of a name
        n = int(values.get("n", 1)) if template.msgid_plural else 0
        form = ngettext(template.msgid, template.msgid_plural, n) if template.msgid_plural else gettext(template.msgid)
        filled = SLOT.sub(lambda slot: said.get(slot[1], slot[0]), form).replace("%%", "%") + end
        covers = template.is_plain or all(
            parts[name].score or name not in NAMES or NAMED.fullmatch(value) for name, value in values.items()
        )
        return Found(score, filled, parts[name].open_end and not letters(last), covers)

    def _value(self, template: Template, name: str, value: str) -> Found:
        if template.is_quoted(name):
            return Found(0, self._apart(value))
        if name in TYPED:
            return Found(0, self._apart(value), open_end=True)
        if name in NAMES:
            return Found(0, value if value.endswith(".") else self._apart(value))
        found = self.best(value)
        return (
            Found(0, self._apart(value), open_end=True) if name in MIXED and not self._is_plainly_ours(found) else found
        )

    @staticmethod
    def _is_state(value: str, known: int) -> bool:
        """Whether this is a word of a choice: its label, or how it is kept."""
        return known >= letters(value) > 0 or re.fullmatch("[a-z]+(_[a-z]+)+", value) is not None

    def _is_known(self, template: Template, name: str, value: str, known: int) -> bool:
        """Whether a value is all known, a time, a name or no word at all: what a template with few words of its own asks."""
        if name in TYPED or template.is_quoted(name):
            return True
        return known >= letters(value) or is_time(value) or (name in NAMES and " " not in value)

    def _apart(self, words: str) -> str:
        """Somebody's words, put aside while the rest is read."""
        self.apart.append(words)
        return f"\0{len(self.apart) - 1}\0"

    def _parts(self, text: str) -> Found:
        """Sentences one after another, cut where most is known; what is not known stays. Behind a person's words nothing is cut."""
        best = Found(0, text)
        for bound in islice(BOUNDS.finditer(text), NEAR):
            head, end = text[: bound.start()], ";" if text[bound.start() - 1] == ";" else ""
            first = self._one(head.removesuffix(end))
            if first.open_end:
                break
            rest = self.best(text[bound.end() :])
            if first.score + rest.score > best.score:
                said = f"{first.said}{end}{bound[0]}{rest.said}"
                covers = all(one.score and one.covers for one in (first, rest))
                best = Found(first.score + rest.score, said, rest.open_end, covers)
        return best

    def _one(self, text: str) -> Found:
        found = self._whole(text)
        return found if found.score else most(self._as_part(text), self._labelled(text))

    def _labelled(self, text: str) -> Found:
        """A sentence behind what it is about: “simulator: the host does not answer”."""
        label, _colon, rest = text.partition(": ")
        found = self.best(rest) if rest and not BOUNDS.search(label) else Found(0, "")
        covers = found.covers and NAMED.fullmatch(label) is not None
        return found._replace(said=f"{label}: {found.said}", covers=covers) if found.score else Found(0, text)

    def _as_part(self, text: str) -> Found:
        """A sentence that stands inside another one (without its capital and its point), or the other way round."""
        capital, small = f"{text[:1].upper()}{text[1:]}", f"{text[:1].lower()}{text[1:]}"
        if text.count(" ") < 2:
            known = capital in self.book.words or capital in self.book.plain
            return self._whole(capital, part=True) if known else Found(0, text)
        if text.endswith("."):
            found = self._whole(small.removesuffix("."))
            return most(self._whole(capital), found._replace(said=f"{found.said[:1].upper()}{found.said[1:]}."))
        found = most(self._whole(f"{capital}."), self._whole(f"{text}."))
        return most(found._replace(said=found.said.removesuffix(".")), self._whole(capital), self._whole(small))
