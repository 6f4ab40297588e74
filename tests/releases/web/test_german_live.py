"""What is kept in English is read in German: the pages and notices of a rollout, its release, its change and its hosts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape

from changes.models import Evidence
from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.notices.models import Delivery
from releases.domain import readiness, reviews, rollouts
from releases.models import Job, JobEvent, PermissionSlip, PostImplementationReview, Release, Ring
from releases.queries.rollouts import Rollout
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment
from tests.fakes.catalogue import write_catalogue

pytestmark = pytest.mark.django_db
GERMAN = {
    "Ring %(ring)s: %(why)s.": "Ring %(ring)s: %(why)s.",
    "%(bad)s of %(total)s hosts failed or are out of sight; the limit is %(failure_limit)s": (
        "%(bad)s von %(total)s Hosts sind fehlgeschlagen oder außer Sicht; die Grenze ist %(failure_limit)s"
    ),
    "Failed: %(why)s": "Fehlgeschlagen: %(why)s",
    "Succeeded: %(why)s": "Erfolgreich: %(why)s",
    "simulator: a package's script failed, it is left half-configured": (
        "simulator: das Skript eines Pakets ist fehlgeschlagen, es bleibt halb konfiguriert"
    ),
    "every package is at its version and nothing is unfinished": "jedes Paket hat seine Version, und nichts ist unfertig",
    "Will not run, because it was withdrawn: %(because)s": "Läuft nicht, denn er wurde zurückgezogen: %(because)s",
    "Does not start now (is asked again at %(when)s), because %(why)s.": (
        "Beginnt jetzt nicht (wird am %(when)s wieder gefragt), denn %(why)s."
    ),
    "Runs at %(when)s, because %(why)s.": "Läuft am %(when)s, denn %(why)s.",
    "ring “%(ring)s” is open": "Ring „%(ring)s“ ist offen",
    "window “%(window)s” is open until %(when)s UTC": "Wartungsfenster „%(window)s“ ist bis %(when)s UTC offen",
    "its files are verified": "seine Dateien sind geprüft",
    "it is the machine that was signed": "er ist die unterzeichnete Maschine",
    "no other job is at work there": "kein anderer Job ist dort bei der Arbeit",
    "Was the change successful?": "War die Änderung erfolgreich?",
    "%(person)s has begun with the work": "%(person)s hat mit der Arbeit begonnen",
    "attested by a second person, %(person)s: %(remark)s": "bezeugt von einer zweiten Person, %(person)s: %(remark)s",
    "%(release)s amendment of manifest %(number)s": "%(release)s Ergänzung des Manifests %(number)s",
    "%(ready)s: go for the manifest %(digest)s…": "%(ready)s: Go für das Manifest %(digest)s…",
}


@pytest.fixture
def halted(cast: Cast, now: datetime, tmp_path: Path, settings: Any) -> Deployment:
    """One host is done, one has failed, which halted the rollout, and one waits; everybody reads German in Berlin."""
    settings.LOCALE_PATHS = [write_catalogue(tmp_path / "words", GERMAN), *settings.LOCALE_PATHS]
    User.objects.update(language="de", time_zone="Europe/Berlin")
    for name in ("rex", "otto", "che"):
        getattr(cast, name).refresh_from_db()
    deployment = make_deployment(cast, now, tmp_path, hosts=3, rings=[{"hosts": 3, "concurrency": 1, "name": "Pilot"}])
    deployment.habit(1, "fail")
    deployment.start()
    deployment.work()
    return deployment


@pytest.fixture
def berlin() -> Iterator[None]:
    with translation.override("de"), timezone.override(ZoneInfo("Europe/Berlin")):
        yield


def page(person: User, path: str) -> str:
    client = Client()
    client.force_login(person)
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def kept_of(rollout: Rollout) -> set[str]:
    """Every sentence that Patchflow has kept about it."""
    found = set(Job.objects.filter(rollout=rollout).values_list("statement", flat=True))
    found |= set(Job.objects.filter(rollout=rollout).values_list("reason", flat=True))
    for slip in PermissionSlip.objects.filter(rollout=rollout):
        found |= {slip.statement} | {gate.get("sentence", "") for gate in slip.gates}
    found |= set(Ring.objects.filter(rollout=rollout).values_list("reason", flat=True))
    found |= set(Evidence.objects.values_list("summary", flat=True))
    return (found | {rollout.reason, rollout.statement}) - {""}


def test_no_page_keeps_a_sentence_in_english_that_is_known_in_german(halted: Deployment, berlin: None) -> None:
    rollout, rex = halted.rollout, halted.cast.rex
    hosts_own = set(
        JobEvent.objects.filter(job__rollout=rollout).values_list("message", flat=True)
    )  # shown as they wrote it
    known = {text: said for text in kept_of(rollout) - hosts_own if (said := say(text)) != text}
    assert {"Ring Pilot: 1 of 3 hosts failed or are out of sight; the limit is 1."} <= set(known)
    assert len(known) >= 6
    address = rollout.get_absolute_url()
    pages = {
        path: page(rex, path)
        for path in (
            address, *(f"{address}?target={halted.job(number).pk}" for number in range(3)), f"{address}hosts/",
            "/rollouts/", rollout.release.get_absolute_url(), halted.rfc.get_absolute_url(), "/",
            *(reverse("cmdb:host-detail", args=[host.pk]) for host in halted.hosts),
        )
    }  # fmt: skip
    left = {(path, text) for path, html in pages.items() for text in known if escape(text) in html}
    assert left == set()
    shown = {text for text, said in known.items() if any(escape(said) in html for html in pages.values())}
    assert {
        "Failed: simulator: a package's script failed, it is left half-configured",
        "Ring Pilot: 1 of 3 hosts failed or are out of sight; the limit is 1.",
        "it is the machine that was signed",
    } <= shown
    assert "Wartungsfenster „" in pages[f"{address}?target={halted.job(0).pk}"]
    assert " UTC offen" not in pages[f"{address}?target={halted.job(0).pk}"]  # in the reader's zone


def test_rows_and_rest_stay_english(halted: Deployment) -> None:
    client = Client()
    client.force_login(halted.cast.rex)
    answer = client.get(f"/api/v1/jobs/{halted.job(1).pk}/")
    statement = "Failed: simulator: a package's script failed, it is left half-configured"
    assert answer.json()["statement"] == halted.job(1).statement
    assert halted.job(1).statement.startswith(statement)
    file = client.get(f"{halted.rollout.get_absolute_url()}hosts/?format=csv")
    assert statement in b"".join(file.streaming_content).decode()  # type: ignore[attr-defined]


def test_a_notice_tells_its_cause_in_german(halted: Deployment) -> None:
    bodies = Delivery.objects.filter(notice__kind="rollout_halted").values_list("body", flat=True)
    assert bodies
    assert all("1 von 3 Hosts sind fehlgeschlagen oder außer Sicht" in body for body in bodies if "Ring Pilot" in body)
    assert not [body for body in bodies if "out of sight" in body]


def test_a_question_is_asked_in_german_and_its_answer_is_to_what_is_kept(halted: Deployment, now: datetime) -> None:
    questions = [*readiness.APPROVED_QUESTIONS, "Who brings the cake?"]
    release = halted.rollout.release
    Release.objects.filter(pk=release.pk).update(state="deployed", outcome="partial", finished_at=now)
    PostImplementationReview.objects.create(release=release, name="Review", questions=questions, opened_at=now)
    review = reviews.open_review(release_id=release.pk, actor=User.bot(), at=now)
    path = reverse("releases:review-detail", args=[review.pk])
    html = page(halted.cast.che, path)
    assert "War die Änderung erfolgreich?" in html
    assert "Was the change successful?" not in html
    assert "Who brings the cake?" in html
    client = Client()
    client.force_login(halted.cast.che)
    assert client.post(path, {"q0": "It was.", "q4": "Otto."}).status_code == 302
    said = dict(review.answers.values_list("question", "answer"))
    assert said == {"Was the change successful?": "It was.", "Who brings the cake?": "Otto."}


def test_a_journal_says_in_german_what_patchflow_wrote_for_it(halted: Deployment) -> None:
    job, at = halted.job(1), halted.clock.at
    for seq, line in enumerate(
        ("otto has begun with the work", "attested by a second person, cora: Restarts now."), 900
    ):
        JobEvent.objects.create(job=job, attempt=job.attempt, seq=seq, at=at, stage="verifying", message=line)
    address = halted.rollout.get_absolute_url()
    for path in (f"{address}?target={job.pk}", f"{address}log/"):
        html = page(halted.cast.rex, path)
        assert "otto hat mit der Arbeit begonnen" in html
        assert "bezeugt von einer zweiten Person, cora: Restarts now." in html


@pytest.mark.usefixtures("halted", "berlin")
def test_what_stands_beside_a_name_is_said_and_the_name_is_not() -> None:
    for kept, said in (
        ("REL-2026-00001 amendment of manifest 2", "REL-2026-00001 Ergänzung des Manifests 2"),
        ("REL-2026-00001 amendment of manifest 2 · Its time", "REL-2026-00001 Ergänzung des Manifests 2 · Its time"),
        ("REL-2026-00001/R1: go for the manifest 0a1b2c…", "REL-2026-00001/R1: Go für das Manifest 0a1b2c…"),
    ):
        assert say(kept, mixed=True) == said


def test_the_words_of_a_person_are_left_as_they_were_typed(halted: Deployment) -> None:
    """Even where they are, by chance, what Patchflow says."""
    rollouts.stop(rollout_id=halted.rollout.pk, reason="Restarts now.", actor=halted.cast.rex, at=halted.clock.at)
    halted.tick()
    withdrawn = Job.objects.get(rollout=halted.rollout, state="cancelled")
    assert withdrawn.statement == "Will not run, because it was withdrawn: Restarts now."
    html = page(halted.cast.rex, f"{halted.rollout.get_absolute_url()}?target={withdrawn.pk}")
    assert "Läuft nicht, denn er wurde zurückgezogen: Restarts now." in html
