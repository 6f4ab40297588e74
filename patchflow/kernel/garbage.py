"""How often a long-lived process looks for garbage."""

import gc

COLLECT_AFTER = 50_000
"""New objects between two looks. The interpreter's own 700 lets a visit to hundreds of hosts, which makes thousands of rows at
once and keeps none of them, spend a third of its time on looking through all that the process has ever read."""


def look_less_often() -> None:
    """What is there when a process begins its work (code, settings) stays, and is never looked through again."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)
