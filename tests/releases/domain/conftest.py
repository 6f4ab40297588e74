"""A deployment on simulated hosts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment


@pytest.fixture
def make(cast: Cast, now: datetime, tmp_path: Path) -> Callable[..., Deployment]:
    """Makes a deployment: `make(hosts=3, rings=[…])`."""

    def run(**given: Any) -> Deployment:
        return make_deployment(cast, now, tmp_path, **given)

    return run
