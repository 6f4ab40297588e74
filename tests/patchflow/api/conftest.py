"""Fixtures of the API's tests."""

from tests.patchflow.api.board import board  # noqa: F401 - a fixture: one small Patchflow for a module
