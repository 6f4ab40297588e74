"""The pages of the admin site: a row offers its verbs where it is shown, and an empty list says why it is empty."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from changes.admin.feed import FeedAdmin
from changes.models import Feed
from patchflow.kernel.models import AuditEntry, User
from tests.factories import identify
from tests.factories.people import make_cast

pytestmark = pytest.mark.django_db
FEEDS = "admin:changes_feed_changelist"
MEANT = "What can be done with it"


@pytest.fixture
def ada(client: Client) -> Client:
    """The administrator, who may see every row and manage feeds."""
    client.force_login(make_cast().ada, backend="django.contrib.auth.backends.ModelBackend")
    return client


def a_feed(at: datetime) -> Feed:
    return identify.make_feed(User.objects.get(username="sam"), at=at)


def test_row_offers_what_it_would_do_and_says_why_it_would_not_do_the_rest(ada: Client, now: datetime) -> None:
    feed, other = a_feed(now), a_feed(now)
    place = reverse("admin:changes_feed_change", args=[feed.pk])
    page = ada.get(place)
    _before, _form, form = page.text.partition('<form class="verbs" method="post" action="/admin/changes/feed/"')
    buttons = [part.partition('"')[0] for part in form.partition("</form>")[0].split('name="action" value="')[1:]]
    assert buttons == [verb.name for verb in FeedAdmin.verbs]
    answer = ada.post(reverse(FEEDS), {"action": "disable", "_selected_action": feed.pk})
    assert answer.templates[0].name == "web/admin_verb.html"
    assert [row for row, _against in answer.context["shown"]] == [feed]
    assert Feed.objects.filter(pk__in=[feed.pk, other.pk], enabled=True).count() == 2
    ada.force_login(User.objects.get(username="aud"), backend="django.contrib.auth.backends.ModelBackend")
    looked_at = ada.get(place)
    assert "Nothing now, or nothing by you." in looked_at.text
    assert 'name="action" value="' not in looked_at.text
    assert {verb.name for verb, why in looked_at.context["refused"] if why} == set(buttons)


def test_row_that_no_verb_is_for_offers_none(ada: Client, now: datetime) -> None:
    a_feed(now)
    page = ada.get(reverse("admin:kernel_auditentry_change", args=[AuditEntry.objects.latest("pk").pk]))
    assert page.status_code == 200
    assert MEANT not in page.text


def test_empty_list_says_whether_there_is_nothing_or_nothing_that_fits(ada: Client, now: datetime) -> None:
    empty = ada.get(reverse(FEEDS)).text
    assert "There is no row yet, or none that you may see." in empty
    assert f'<a href="{reverse("admin:changes_feed_add")}">Add a feed</a>' in empty
    assert '<select name="action"' not in empty
    feed = a_feed(now)
    listed, sought = (ada.get(reverse(FEEDS), query).text for query in ({}, {"enabled__exact": "0"}))
    assert (feed.name in listed, "There is no row yet" in listed) == (True, False)
    assert "No row fits what you search or filter by." in sought


def test_index_has_no_list_of_what_nobody_does_here(ada: Client) -> None:
    index = ada.get(reverse("admin:index")).text
    assert "Every row, and what can be done with it" in index
    assert "Recent actions" not in index
