"""The audit pages: auditors read all, others the history of what they may see."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.management import call_command
from django.test import Client

from patchflow.kernel import append_only
from patchflow.kernel.access import grant_role
from patchflow.kernel.models import AuditEntry, User
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


def as_(client: Client, user: User) -> Client:
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_auditors_see_the_trail_and_verify_it(cast: Cast, client: Client, now: datetime) -> None:
    grant_role(user_id=cast.eve.pk, role="tester", actor=cast.ada, at=now)
    auditor = as_(client, cast.aud)
    assert b"Role granted" in auditor.get("/audit/").content
    answer = auditor.post("/audit/verify/")
    assert b"The trail is whole" in answer.content


def test_a_changed_row_is_named_on_the_page(cast: Cast, client: Client, now: datetime) -> None:
    grant_role(user_id=cast.eve.pk, role="tester", actor=cast.ada, at=now)
    with append_only.lifted():
        AuditEntry.objects.filter(verb="access.user.role_granted").update(actor_name="nobody")
    page = as_(client, cast.aud).post("/audit/verify/").content.decode()
    assert f"kernel.user:{cast.eve.pk}: entry 1" in page


@pytest.mark.parametrize("who", ["ann", "cal", "rex", "eve", "root"])
def test_others_do_not_read_the_trail(who: str, cast: Cast, client: Client, now: datetime) -> None:
    grant_role(user_id=cast.eve.pk, role="tester", actor=cast.ada, at=now)
    entry = AuditEntry.objects.get(verb="access.user.role_granted")
    person = as_(client, getattr(cast, who))
    assert person.get("/audit/").status_code == 403
    assert person.post("/audit/verify/").status_code == 403
    assert person.get(f"/audit/{entry.pk}/").status_code == 404


def test_the_reference_is_what_the_code_says() -> None:
    call_command("reference", "--check")
