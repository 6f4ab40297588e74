"""A host that stays below its baseline is handed over with its cause, on its page as over REST."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from rest_framework.test import APIClient

from cmdb.domain import discrepancies
from cmdb.enums import DiscrepancyKind
from cmdb.models import Discrepancy
from tests.factories.cmdb import make_host
from tests.factories.people import Cast


@pytest.fixture
def below(cast: Cast, now: datetime) -> Discrepancy:
    return discrepancies.note(
        host=make_host("web-1"), kind=DiscrepancyKind.BELOW_BASELINE, key="1", sentence="It has been below web for 14 days.",
        source="baseline", actor=cast.bot, at=now,
    )  # fmt: skip


def test_on_its_page(below: Discrepancy, cast: Cast) -> None:
    client = Client()
    client.force_login(cast.cora, backend="django.contrib.auth.backends.ModelBackend")
    address = f"/discrepancies/{below.pk}/"
    said = {"how": "hand_over", "reason": "No window fits."}
    refused = client.post(address, said)
    assert (refused.status_code, "Say why it stays below." in refused.content.decode()) == (400, True)
    assert client.post(address, {**said, "cause": "schedule"}).status_code == 302
    assert "it has no fitting window, or is away then" in client.get(address).content.decode()


def test_over_rest(below: Discrepancy, cast: Cast) -> None:
    client = APIClient()
    client.force_authenticate(cast.cora)
    said = {"how": "hand_over", "reason": "No window fits."}
    address = f"/api/v1/discrepancies/{below.pk}/settle/"
    assert client.post(address, said, format="json").status_code == 400
    assert client.post(address, {**said, "cause": "schedule"}, format="json").status_code == 200
    below.refresh_from_db()
    assert (below.state, below.cause) == ("handed_to_problem_management", "schedule")
