"""The admin site is German for who reads German: each name of a row, column, filter, action and help; what is kept is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import translation

from changes.admin.feed import FeedAdmin
from changes.domain import freezes
from changes.models import RFC, Feed, FreezeWindow
from patchflow.kernel import audit
from patchflow.kernel.models import AuditEntry, RoleGrant, User
from patchflow.kernel.roles import all_roles
from patchflow.web.naming import KEPT, MOST, kept_of, laid_out, speak
from tests.factories import identify
from tests.factories.people import make_cast
from tests.patchflow.board.test_admin import MODELS

pytestmark = pytest.mark.django_db

SAME = {
    "CAB", "CVE", "CVSS", "EPSS", "ID", "RFC", "RFCs",
    "SHA-256", "SSH", "Hosts", "Scan", "Test", "URL", "Releases", "machine-id", "modular",
}  # fmt: skip
"""Words that are the same in both; others that differ in nothing but a capital count as German."""


def words_of(model: type[Model]) -> Iterator[Any]:
    """What the window of a model says in its own words, each still to be said in a language."""
    window: Any = admin.site.get_model_admin(model)
    yield model._meta.app_config.verbose_name  # type: ignore[union-attr]
    yield from (verb.label for verb in (*window.verbs, *([window.maker] if window.maker else ())))
    yield from shown_by(window, model)
    for inline in window.inlines:
        yield from shown_by(inline, inline.model)


def shown_by(window: Any, model: type[Model]) -> Iterator[Any]:
    """Names of the rows and their columns, helps and choices."""
    yield from (model._meta.verbose_name, model._meta.verbose_name_plural)
    columns = {column.name: column for column in model._meta.concrete_fields}
    listed = getattr(window, "list_display", ())
    for name in {*(window.fields or columns), *listed, *window.readonly_fields} - {"__str__"}:
        yield label_for_field(name, model, window)
        if name in columns:
            yield columns[name].help_text
            yield from (label for _value, label in columns[name].flatchoices or ())


def in_both(word: Any) -> tuple[str, str]:
    with translation.override("en"):
        english = str(word)
    with translation.override("de"):
        return english, str(word)


def test_every_word_of_the_site_is_german() -> None:
    both = [in_both(word) for model in MODELS for word in (*words_of(model), admin.site.index_title) if word]
    assert len(both) > 1000
    assert {english for english, german in both if english == german} == SAME


def test_names_that_are_words_of_the_catalogue_already_stay() -> None:
    name = RFC._meta.get_field("state").verbose_name
    speak(RFC)
    assert RFC._meta.get_field("state").verbose_name is name


@pytest.fixture
def reader(client: Client) -> Client:
    """Who looks in German: an auditor."""
    aud = make_cast().aud
    User.objects.update(language="de")
    client.force_login(aud, backend="django.contrib.auth.backends.ModelBackend")
    return client


def a_freeze(at: datetime) -> FreezeWindow:
    given = {"name": "Year end", "reason": "The books are closed.", "starts_at": at, "ends_at": at + timedelta(days=1)}
    return freezes.declare(actor=User.objects.get(username="che"), at=at, **given)


def test_kept_sentence_is_said_and_what_a_person_wrote_is_not(reader: Client, now: datetime) -> None:
    feed = identify.make_feed(User.objects.get(username="sam"), at=now)
    freeze = a_freeze(now)
    Feed.objects.update(problem="The source broke off before its end.")
    for place in (reverse("admin:changes_feed_changelist"), reverse("admin:changes_feed_change", args=[feed.pk])):
        answer = reader.get(place)
        assert "Die Quelle brach vor ihrem Ende ab." in answer.text
        assert "The source broke off" not in answer.text
    assert "The books are closed." in reader.get(reverse("admin:changes_freezewindow_change", args=[freeze.pk])).text
    feed.refresh_from_db()
    assert feed.problem == "The source broke off before its end."


def test_moment_has_its_zone_in_lists_rows_and_the_rows_beside_them(reader: Client, now: datetime) -> None:
    User.objects.update(time_zone="Europe/Berlin")
    identify.make_feed(User.objects.get(username="sam"), at=now)
    freeze = a_freeze(now)
    for place in (
        reverse("admin:changes_freezewindow_changelist"),
        reverse("admin:changes_freezewindow_change", args=[freeze.pk]),
    ):
        assert "2026-11-18 10:42:00 CET (UTC+0100)" in reader.get(place).text


def test_role_is_called_by_its_title(reader: Client) -> None:
    reader.force_login(User.objects.get(username="ada"), backend="django.contrib.auth.backends.ModelBackend")
    grant = RoleGrant.objects.get(user__username="cal", role="cab_chair")
    for place in (
        reverse("admin:kernel_rolegrant_changelist"),
        reverse("admin:kernel_rolegrant_change", args=[grant.pk]),
    ):
        shown = reader.get(place).text
        with translation.override("de"):
            assert all_roles()["cab_chair"].label in shown
        assert ">cab_chair<" not in shown


def test_json_is_laid_out_and_its_sentences_and_roles_are_said(reader: Client, now: datetime) -> None:
    sentence = "The source broke off before its end."
    kept = {"blockers": [{"sentence": sentence}], "role": "cab_chair", "reason": "Closed.", "hosts": 3, "unknown": None}
    freeze = FreezeWindow.objects.get(pk=a_freeze(now).pk)
    declared = AuditEntry.objects.get(object_type="changes.freezewindow")
    entry = audit.record(freeze, declared.verb, actor=User.bot(), at=now, detail=kept)
    with translation.override("de"):
        assert json.loads(laid_out(kept)) == {
            **kept, "blockers": [{"sentence": "Die Quelle brach vor ihrem Ende ab."}], "role": all_roles()["cab_chair"].label,
        }  # fmt: skip
        many = json.loads(laid_out([sentence] * (MOST + 1)))
    assert [many[0] == sentence, many[MOST] == sentence] == [False, True], "what is long is left as it is"
    pages = (
        reverse("admin:kernel_auditentry_change", args=[entry.pk]),
        reverse("reports:audit-detail", args=[entry.pk]),
    )
    for place in pages:
        shown = reader.get(place).text
        assert "Die Quelle brach vor ihrem Ende ab." in shown
        assert sentence not in shown
        assert "Closed." in shown
    entry.refresh_from_db()
    assert entry.detail == kept


def test_columns_with_kept_sentences_are_words_and_no_choices() -> None:
    assert [kept_of(model) for model in (Feed, RFC)] == [["problem"], []]
    windows: list[Any] = [admin.site.get_model_admin(model) for model in MODELS]
    shown = {*MODELS, *(inline.model for window in windows for inline in window.inlines)}
    assert {name for model in shown for name in kept_of(model)} == set(KEPT)


def test_list_is_sorted_by_a_column_with_kept_sentences(reader: Client, now: datetime) -> None:
    sam = User.objects.get(username="sam")
    for name, problem in (("first", "B"), ("second", "A")):
        feed = identify.make_feed(sam, at=now, name=name)
        Feed.objects.filter(pk=feed.pk).update(problem=problem)
    shown = FeedAdmin.list_display.index("problem") + 1
    answer = reader.get(reverse("admin:changes_feed_changelist"), {"o": str(shown)})
    assert [feed.name for feed in answer.context["cl"].result_list] == ["second", "first"]


def test_entry_says_what_was_done_with_its_verb_beside(reader: Client, now: datetime) -> None:
    a_freeze(now)
    entry = AuditEntry.objects.get(object_type="changes.freezewindow")
    for place in (
        reverse("admin:kernel_auditentry_changelist"),
        reverse("admin:kernel_auditentry_change", args=[entry.pk]),
    ):
        assert f"{entry.verb}<" in reader.get(place).text
        with translation.override("de"):
            assert entry.verb_label in reader.get(place).text
