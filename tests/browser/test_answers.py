"""Every page of a large installation asked for on PostgreSQL, without a browser: it answers, whatever its queries meet there.

How pages look does not depend on the database: they are photographed on SQLite (`test_pages.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.browser.masses import make_much
from tests.browser.test_pages import logged_in, now, people, shots_of  # noqa: F401 - fixtures among them
from tests.factories.people import Cast
from tests.fakes.repository import Repository

pytestmark = [pytest.mark.pg, pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]


def test_every_page_of_a_large_installation_answers(people: Cast, now: datetime, tmp_path: Path) -> None:  # noqa: F811
    with Repository(at=now - timedelta(days=30)).served() as repository:
        scene = make_much(people, now, tmp_path, repository)
    shots = shots_of(scene, whole=True)
    clients = {who: logged_in(vars(scene.cast)[who]) for who in {shot.who for shot in shots}}
    answers = {shot.page: clients[shot.who].get(shot.page.path, follow=True).status_code for shot in shots}
    assert len(answers) > 100
    assert [f"{status} {page.path}" for page, status in answers.items() if status != page.status] == []
