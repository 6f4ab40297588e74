"""Every declared kind has its words for each of its audiences, and they say nothing that is not among its facts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template import engines

from patchflow.notices.enums import Audience
from patchflow.notices.facts import take
from patchflow.notices.kinds import kinds
from patchflow.notices.wording import Voice, word

AT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
SAMPLES: dict[type, Any] = {str: "some words", int: 2, bool: True, datetime: AT, list: [["one", "two"]]}

FACTS = re.compile(r"some words|one|two|\bmin\b|https?://\S+|/there/|Patchflow")


def sample(facts: dict[str, type]) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for path, kind in facts.items():
        *heads, last = path.split(".")
        at = context
        for head in heads:
            at = at.setdefault(head, {})
        at[last] = SAMPLES[kind]
    return take(facts, context)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("name", list(kinds))
def test_the_words_say_only_declared_facts(name: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines["django"].engine, "string_if_invalid", "MISSING(%s)")
    kind = kinds[name]
    for audience in kind.audiences:
        voice = Voice(language, "Europe/Berlin", audience)
        text = word(kind=name, facts=sample(dict(kind.facts)), voice=voice, at=AT, url="/there/")
        assert text.title
        assert "MISSING" not in text.title + text.body


def test_every_wording_belongs_to_a_kind() -> None:
    files = list(Path(settings.BASE_DIR).glob("*/templates/notices/[a-z]*.txt"))
    stray = {p.name for p in files if p.name.split(".")[0] not in kinds}
    assert stray == set()
    audiences = {p.name: p.name.split(".")[1] for p in files if p.name.count(".") == 2}
    assert {n: a for n, a in audiences.items() if a not in kinds[n.split(".")[0]].audiences} == {}
    assert set(audiences.values()) <= set(Audience.values)


@pytest.mark.parametrize("name", list(kinds))
def test_no_line_is_the_same_in_german_but_for_facts(name: str) -> None:
    kind = kinds[name]
    for audience in kind.audiences:
        english, german = (
            word(
                kind=name, facts=sample(dict(kind.facts)), voice=Voice(language, "UTC", audience), at=AT, url="/there/"
            )
            for language in ("en", "de")
        )
        said = {line for text in (english.title, *english.body.splitlines()) for line in [FACTS.sub("", text)]}
        left = {line for text in (german.title, *german.body.splitlines()) for line in [FACTS.sub("", text)]}
        assert {line for line in said & left if re.search("[A-Za-z]{3}", line)} == set()


def test_a_german_is_told_in_german() -> None:
    kind = kinds["approval_requested"]
    voice = Voice("de", "Europe/Berlin", kind.audiences[0])
    text = word(kind="approval_requested", facts=sample(dict(kind.facts)), voice=voice, at=AT, url="/there/")
    assert "wartet auf Ihre Entscheidung" in text.title
    assert "Sie werden auf Stufe" in text.body
    assert "Schweigen ist nie ein Ja" in text.body
