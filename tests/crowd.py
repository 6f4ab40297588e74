"""Many people at the same moment, each over a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connections

from patchflow.kernel.errors import Refusal

#: Crowds of fifty run one after the other: two of them at once are more connections than a PostgreSQL gives by default.
CROWD = pytest.mark.xdist_group("crowd")


def together(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Does all at the same moment, each in a thread that is connected by then.

    For each what it returned, or the refusal it ended with; any other error is raised, the first of them.
    """
    ready, wrong = threading.Barrier(len(acts)), list[BaseException]()
    found: list[Any] = [None] * len(acts)

    def run(place: int) -> None:
        try:
            connections["default"].ensure_connection()
            ready.wait(timeout=120)
            found[place] = acts[place]()
        except Refusal as refusal:
            found[place] = refusal
        except threading.BrokenBarrierError as error:
            wrong.append(error)
        except BaseException as error:
            wrong.insert(0, error)
            ready.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    return found
