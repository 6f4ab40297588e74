"""Kept sentences are recognised and said again; what nobody can know for the system's stays as it was kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from django.utils import timezone, translation

from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.sentences import FILLING, MOST, Reader, TooMuch, _book, say
from tests.fakes.catalogue import write_catalogue

GERMAN = {
    "Zz will run at %(when)s, because %(why)s.": "Zz läuft am %(when)s, denn %(why)s.",
    "Zz was withdrawn: %(because)s": "Zz zurückgezogen: %(because)s",
    "Zz on hold: %(reason)s": "Zz zurückgestellt: %(reason)s",
    "zz window “%(window)s” opens then": "Zz-Fenster „%(window)s“ öffnet dann",
    "zz it was retired": "zz er ist außer Betrieb",
    "Zz ring %(ring)s: %(why)s.": "Zz-Ring %(ring)s: %(why)s.",
    "Zz ring %(ring)s: %(bad)s failed.": "Zz-Ring %(ring)s: %(bad)s fehlgeschlagen.",
    "Zz from %(first)s to %(last)s UTC": "Zz von %(first)s bis %(last)s UTC",
    "%(zza)s or %(zzb)s": "%(zza)s oder %(zzb)s",
    "%(zzhead)s is zzcancelled. %(zzrest)s": "%(zzhead)s ist zzabgebrochen. %(zzrest)s",
    "Zz whole is %(state)s here.": "Zz Ganzes ist „%(state)s“ hier.",
    "zzcancelled": "zzabgebrochen",
    "zz %(share)s %% are asked": "zz verlangt sind %(share)s %%",
    "date\x04j M": "j. M",
    ("%(n)s zzhost waits.", "%(n)s zzhosts wait."): ("%(n)s Zzhost wartet.", "%(n)s Zzhosts warten."),
}


@pytest.fixture(autouse=True)
def reader(settings: object, tmp_path: Path) -> Iterator[None]:
    """Somebody in Berlin who reads German."""
    settings.LOCALE_PATHS = [write_catalogue(tmp_path, GERMAN), *settings.LOCALE_PATHS]  # type: ignore[attr-defined]
    with translation.override("de"), timezone.override(ZoneInfo("Europe/Berlin")):
        yield


SAID = [
    ("zz it was retired", "zz er ist außer Betrieb"),
    ("1 zzhost waits.", "1 Zzhost wartet."),
    ("3 zzhosts wait.", "3 Zzhosts warten."),
    ("zz 90 % are asked", "zz verlangt sind 90 %"),
    # a value is said again; a time is told in the reader's zone, and in their language
    (
        "Zz will run at 30 Mar 2026 09:42 UTC, because zz window “zzcancelled” opens then.",
        "Zz läuft am 30. Mär 2026 11:42 CEST, denn Zz-Fenster „zzcancelled“ öffnet dann.",
    ),
    # the night decides the day, the first time of two is in the year of the last
    ("Zz from 31 Dec 23:30 to 31 Dec 2026 23:45 UTC", "Zz von 1. Jan 00:30 bis 1. Jan 2027 00:45 CET"),
    # the template with more words of its own; the value of the other one would be as good
    ("Zz ring Pilot: 3 failed.", "Zz-Ring Pilot: 3 fehlgeschlagen."),
    ("Zz ring Pilot: zz it was retired.", "Zz-Ring Pilot: zz er ist außer Betrieb."),
    # several sentences, and one that begins a list
    ("1 zzhost waits. 3 zzhosts wait.", "1 Zzhost wartet. 3 Zzhosts warten."),
    ("zz it was retired; zz 90 % are asked", "zz er ist außer Betrieb; zz verlangt sind 90 %"),
    ("1 zzhost waits. Nobody knows this.", "1 Zzhost wartet. Nobody knows this."),
    ("web1: simulator: zz it was retired", "web1: simulator: zz er ist außer Betrieb"),
    # a fragment as a sentence, and the other way round
    ("Zz it was retired.", "Zz er ist außer Betrieb."),
    ("Zz ring Pilot: 3 zzhosts wait.", "Zz-Ring Pilot: 3 Zzhosts warten."),
    # words alone are enough only where all of them are known
    ("zzcancelled or zzcancelled", "zzabgebrochen oder zzabgebrochen"),
    ("zzcancelled or else", "zzcancelled or else"),
    # three sentences of one template: it is taken before parts of it are tried
    (
        "It lists 6 of 12 known advisories no more, which is over 20 %. Nothing was marked; what was new or changed was taken in. "
        "Look at the source, then accept or refuse the loss.",
        "Er führt 6 von 12 bekannten Advisories nicht mehr, das ist mehr als 20 %. Nichts wurde markiert; Neues und Geändertes "
        "wurde übernommen. Sehen Sie sich die Quelle an, und nehmen Sie den Verlust dann an oder lehnen Sie ihn ab.",
    ),
    ("", ""),
    ("Nobody knows this at 30 Mar 2026 09:42 UTC.", "Nobody knows this at 30 Mar 2026 09:42 UTC."),
]


def test_a_kept_sentence_is_said_as_it_is_known() -> None:
    assert [(kept, say(kept)) for kept, _said in SAID] == SAID


def test_what_a_person_typed_is_left_alone() -> None:
    typed = "3 zzhosts wait. Until 30 Mar 2026 09:42 UTC"
    assert say(f"Zz on hold: {typed}") == f"Zz zurückgestellt: {typed}"
    assert say("Zz was withdrawn: zzcancelled") == "Zz zurückgezogen: zzcancelled"  # now the system's, now a person's
    assert (
        say("Zz was withdrawn: zz window “A” opens then.") == "Zz zurückgezogen: Zz-Fenster „A“ öffnet dann."
    )  # plainly the system's
    assert say("zzcancelled", mixed=True) == "zzcancelled"
    assert say("Zz was withdrawn: no need", mixed=True) == "Zz was withdrawn: no need"  # too little of it is known
    assert say(f"web1: Zz on hold: {typed}") == f"web1: Zz zurückgestellt: {typed}"
    assert say(f"1 zzhost waits. Zz on hold: {typed}") == f"1 Zzhost wartet. Zz zurückgestellt: {typed}"
    assert say("zz window “Night of all” opens then", mixed=True) == "Zz-Fenster „Night of all“ öffnet dann"


def test_who_reads_english_elsewhere_reads_only_other_times() -> None:
    kept = "Zz will run at 30 Mar 2026 09:42 UTC, because zz it was retired."
    with translation.override("en"):
        assert say(kept) == "Zz will run at 30 Mar 2026 11:42 CEST, because zz it was retired."
        with timezone.override(ZoneInfo("UTC")):
            assert say(kept) == kept
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        assert say(kept) == "Zz läuft am 30. Mär 2026 18:42 JST, denn zz er ist außer Betrieb."


def test_a_sentence_with_its_template_tells_times_in_the_readers_zone_too() -> None:
    sentence = english(
        "Zz will run at %(when)s, because %(why)s.", when="30 Mar 2026 09:42 UTC", why=english("zz it was retired")
    )
    typed = english("Zz on hold: %(reason)s", reason="back on 30 Mar 2026 09:42 UTC")
    assert Blocker("x", sentence).said == "Zz läuft am 30. Mär 2026 11:42 CEST, denn zz er ist außer Betrieb."
    assert Blocker("x", str(sentence)).said == Blocker("x", sentence).said
    assert Blocker("x", typed).said == "Zz zurückgestellt: back on 30 Mar 2026 09:42 UTC"


def test_no_text_takes_the_page_with_it_or_asks_for_more_than_one_reading_has(settings: Any) -> None:
    """It is shown on a page, and hosts send some of it. Each of these asks for more, or lies deeper, than is read."""
    folders = tuple(str(one) for one in settings.LOCALE_PATHS)
    for text in (
        "A:  " * 195 + "x", "A: \n" * 200 + "x", "A: " * 300, "Zz ring a: b. " * 71, "zz, because or to: " * 50, "“" * 1000,
        "It is retired or is or is at work; " * 28,
    ):  # fmt: skip
        assert say(text) == text
        assert say(text, mixed=True) == text
        reader = Reader(_book(folders))
        with suppress(TooMuch):
            reader.read(text, mixed=False)
        assert reader.attempts <= MOST + FILLING
    assert say("² zzhosts wait.") == "² zzhosts wait.", "a digit, and no number"
    with override_settings(LOCALE_PATHS=[*settings.LOCALE_PATHS, "\0"]):
        assert say("1 zzhost waits.") == "1 zzhost waits.", "no catalogue, no translation: the page is there"


def test_what_only_looks_like_a_sentence_of_the_system_is_left_alone() -> None:
    typed = "it is zzcancelled. 3 zzhosts wait."
    assert say(f"Zz on hold: {typed}") == f"Zz zurückgestellt: {typed}", "no template that begins with a value"
    assert say("Zz I stopped it: zz window “A” opens then") == "Zz I stopped it: Zz-Fenster „A“ öffnet dann"
    for mixed in (
        "Zz I stopped it: zz window “A” opens then",
        "Note: zz window “A” opens then",
        "Zz window “A” opens then. Sorry!",
    ):
        assert say(mixed, mixed=True) == mixed, "not all of it is the system's"
    assert say("web1: zz window “A” opens then", mixed=True) == "web1: Zz-Fenster „A“ öffnet dann"
    assert say("Zz whole is zzcancelled here.") == "Zz Ganzes ist „zzabgebrochen“ hier."
    assert say("Zz whole is rolling_out here.") == "Zz Ganzes ist „rolling_out“ hier."
    assert say("Zz whole is raining here.") == "Zz whole is raining here.", "no word of a choice"
