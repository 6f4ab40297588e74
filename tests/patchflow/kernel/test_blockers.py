"""Sentences of refusals: English where they are kept, the reader's language where they are read."""

from __future__ import annotations

import json

import pytest
from django.utils import translation

from changes.enums import RFCState
from changes.models import RFC
from patchflow.kernel.blockers import Blocker, English, any_of, english, english_n, here, label_of, said, sentences
from patchflow.kernel.errors import Blocked
from patchflow.kernel.rules import capability


def test_a_sentence_is_plain_english_for_whoever_keeps_it() -> None:
    with translation.override("de"):
        sentence = english("%(group)s is retired.", group="web")
        blocker = Blocker("group.retired", sentence)
        assert sentence == "web is retired."
        assert json.dumps(blocker.as_dict()["sentence"]) == '"web is retired."'
        assert (str(blocker), sentences([blocker]), str(Blocked([blocker]))) == ("web is retired.",) * 3


def test_a_page_says_it_in_the_language_of_its_reader() -> None:
    refusal = Blocked(Blocker("group.retired", english("%(group)s is retired.", group="web")))
    assert refusal.said == "web is retired."
    with translation.override("de"):
        assert refusal.said == said(refusal.blockers) == refusal.blockers[0].said == "web ist außer Betrieb."


def test_a_sentence_without_figures_is_found_by_its_text() -> None:
    blocker = Blocker("rfc.no_title", "An RFC needs a title.")
    with translation.override("de"):
        assert blocker.said == "Ein RFC braucht einen Titel."
        assert here("words of a person") == "words of a person"
        assert here("") == ""


@pytest.mark.parametrize(
    ("n", "in_english", "in_german"),
    [
        (1, "1 host is at work or out of sight", "1 Host ist in Arbeit oder außer Sicht"),
        (3, "3 hosts are at work or out of sight", "3 Hosts sind in Arbeit oder außer Sicht"),
    ],
)
def test_a_number_chooses_its_form_in_each_language(n: int, in_english: str, in_german: str) -> None:
    sentence = english_n("%(n)s host is at work or out of sight", "%(n)s hosts are at work or out of sight", n)
    assert sentence == in_english
    with translation.override("de"):
        assert sentence.here() == in_german


def test_sentences_within_sentences_are_translated_and_names_are_not() -> None:
    inner = english_n("%(n)s host is at work or out of sight", "%(n)s hosts are at work or out of sight", 2)
    outer = english("%(at_work)s: stop the rollout and wait.", at_work=inner)
    with translation.override("de"):
        assert outer.here() == "2 Hosts sind in Arbeit oder außer Sicht: Stoppen Sie den Rollout und warten Sie."
        assert english("%(group)s is retired.", group="unknown").here() == "unknown ist außer Betrieb."


def test_a_state_is_kept_in_english_also_when_a_german_acts() -> None:
    rfc = RFC(state=RFCState.IN_REVIEW)
    with translation.override("de"):
        sentence = english("It is %(state)s.", state=label_of(rfc))
        assert sentence == "It is in review."
        assert sentence.here() == "Der Zustand ist „im Review“."


def test_the_roles_that_a_refusal_names_are_translated() -> None:
    sentence = capability("freeze.declare").refusal()
    assert sentence.sentence == "This needs the role Change manager for the hosts concerned."
    with translation.override("de"):
        assert sentence.said == "Dies braucht die Rolle Change-Manager für die betroffenen Hosts."


def test_words_are_joined_by_or() -> None:
    assert any_of([English.of("a"), English.of("b"), English.of("c")]) == "a or b or c"


def test_a_percent_sign_stands_in_a_sentence_with_figures() -> None:
    sentence = english("%(n)s %% of it", n=5)
    assert (sentence, sentence.here()) == ("5 % of it", "5 % of it")
