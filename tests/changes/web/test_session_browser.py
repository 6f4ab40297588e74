"""A member in session at a real browser: a key brings the vote into focus, Enter signs, and no other key does."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect, sync_playwright

from changes.domain import agendas, meetings
from patchflow.kernel.models import SignOff
from patchflow.web.pictures import ARGUMENTS, browser_path
from tests.factories import changes as made
from tests.factories.people import Cast, make_cast

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


def test_voting_by_keyboard(live_server: Any, cast: Cast, tmp_path: Any) -> None:
    now = timezone.now()
    world = made.make_world(cast, now)
    for way_back in ("none", "none", "reinstall_previous"):
        made.approve(made.awaiting(world, way_back=way_back), cast.sam, at=now)
    meeting = meetings.plan(kind="cab", starts_at=now + timedelta(minutes=5), actor=cast.che, at=now)
    meetings.publish(meeting_id=meeting.pk, actor=cast.che, at=now)
    meetings.open_session(meeting_id=meeting.pk, actor=cast.cal, at=now)
    item = agendas.begin_next(meeting_id=meeting.pk, actor=cast.cal, at=now)
    client = Client()
    client.force_login(cast.mia, backend="django.contrib.auth.backends.ModelBackend")
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    votes = SignOff.objects.filter(user=cast.mia)
    pictures = os.environ.get("PICTURES_TO", str(tmp_path))
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path(), args=list(ARGUMENTS))
            context = browser.new_context(viewport={"width": 1920, "height": 1080}, color_scheme="light")
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
            tab = context.new_page()
            complaints: list[str] = []
            tab.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.goto(live_server.url + reverse("changes:meeting-session", args=[meeting.pk]))
            for width in (1920, 1280, 390):
                tab.set_viewport_size({"width": width, "height": 1080})
                tab.screenshot(path=f"{pictures}/session-{width}.png", full_page=True)
            tab.set_viewport_size({"width": 1920, "height": 1080})
            tab.keyboard.press("a")
            expect(tab.locator("button[value=approve]")).to_be_focused()
            expect(tab.get_by_text("Enter signs")).to_be_visible()
            tab.keyboard.press("z")
            assert votes.count() == 0
            tab.keyboard.press("Enter")
            expect(tab.locator("main")).to_contain_text("is written down")
            assert [(v.round_id, v.verdict) for v in votes] == [(item.round_id, "approve")]
            assert tab.locator(".consent input:checked").count() == 0, "nobody has said of anything that it was read"
            for key in ("x", "Space", "b"):
                tab.keyboard.press(key)
            tab.keyboard.press("Enter")
            expect(tab.locator("main")).to_contain_text("You signed 1 item of the consent block")
            assert votes.all().count() == 2
            tab.goto(live_server.url + meeting.get_absolute_url())
            tab.set_viewport_size({"width": 1280, "height": 900})
            tab.screenshot(path=f"{pictures}/meeting-1280.png", full_page=True)
            assert complaints == []
            browser.close()
    finally:
        os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)
