"""What is set wrong about releases is said at start, with what to do."""

from __future__ import annotations

from typing import Any

from releases.checks import check_executor


def test_the_executor_that_is_set_exists(settings: Any) -> None:
    assert check_executor() == []
    settings.PATCHFLOW = {**settings.PATCHFLOW, "EXECUTOR": "ansible"}
    (found,) = check_executor()
    assert found.msg == "There is no executor named ansible."
    assert "ssh" in str(found.hint)
