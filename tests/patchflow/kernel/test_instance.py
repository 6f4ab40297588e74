"""What this installation calls itself."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from patchflow.kernel.instance import instance_key
from patchflow.kernel.models import Instance
from releases.executors.onhost.ledger import KEY

pytestmark = pytest.mark.django_db


def test_the_key_is_drawn_once_and_may_begin_a_name_on_a_host() -> None:
    first = instance_key()
    assert [instance_key(), Instance.objects.get().key] == [first, first]
    assert len(first) == 8
    assert KEY.fullmatch(f"{first}-RO-2026-00001-1-1")


def test_another_installation_draws_another_key() -> None:
    drawn = set()
    for _ in range(20):
        drawn.add(instance_key())
        Instance.objects.all().delete()
    assert len(drawn) == 20


def test_there_is_one_row() -> None:
    instance_key()
    with pytest.raises(IntegrityError), transaction.atomic():
        Instance.objects.create(pk=2, key="second")
