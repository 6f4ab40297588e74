"""The world in which changes are tested."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.factories.changes import World, make_world
from tests.factories.people import Cast


@pytest.fixture
def world(cast: Cast, now: datetime) -> World:
    """Three hosts that miss one update, and the cast."""
    return make_world(cast, now)
