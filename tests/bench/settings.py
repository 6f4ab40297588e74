"""The tests' settings, with the bare peer's address beside Patchflow's."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.urls"
