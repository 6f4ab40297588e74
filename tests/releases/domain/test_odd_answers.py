"""A visit to a host that says in numbers, halves of characters or worse what is wanted as text: it ends where the host stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cmdb.remote.errors import RemoteError
from patchflow.kernel import registry
from releases.executors.base import Handle, JobEvent, JobProgress, JobResult, Observed, ObserveSpec
from releases.executors.simulator_plan import Habit
from releases.executors.simulator_wire import seen_received
from releases.executors.wire import as_told, progress_heard
from releases.models import JobEvent as JobEventRow
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db

ODD = [7, 1.5, float("nan"), 2**70, None, True, ["a"], {"a": 1}, "NUL \x00", "half \ud800", "x" * 300]


@dataclass
class Rambling:
    """Simulated hosts that say `odd` wherever text is expected of them."""

    behind: Any
    odd: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    def events(self, handle: Handle, *, after: Mapping[str, int] | None = None) -> list[JobProgress]:
        return [self._progress(one) for one in self.behind.events(handle, after=after)]

    def observe(self, spec: ObserveSpec) -> Observed | RemoteError:
        return self.observe_all([spec])[0]

    def observe_all(self, specs: Sequence[ObserveSpec]) -> list[Observed | RemoteError]:
        return [
            seen_received({**as_told(seen), "result": self._result(seen.result)})
            for seen in self.behind.observe_all(specs)
        ]

    def _progress(self, progress: JobProgress) -> JobProgress:
        if not progress.known:
            return progress
        events = [self._event(event) for event in progress.events]
        said = {**as_told(progress), "events": events, "result": self._result(progress.result)}
        return progress_heard(progress.job_key, said)

    def _event(self, event: JobEvent) -> dict[str, Any]:
        return {**as_told(event), "at": event.at.isoformat(), "message": self.odd, "data": {"\x00 \ud800": self.odd}}

    def _result(self, result: JobResult | None) -> dict[str, Any] | None:
        return result and {**as_told(result), **dict.fromkeys(("code", "reason", "boot_id", "log_tail"), self.odd)}


@pytest.mark.parametrize("together", [False, True], ids=["alone", "crew"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_a_visit_to_a_host_that_rambles_ends_where_the_host_stands(make: Make, odd: Any, together: bool) -> None:
    habits: list[Habit] = ["well", "fail", "lie", "refuse", "lose", "vanish"]
    deployment = make(hosts=6, rings=[{"hosts": 6, "concurrency": 6, "failure_limit": 99, "success_percent": 1}])
    registry.executors._items[deployment.release.executor] = Rambling(deployment.simulator, odd)
    for number, habit in enumerate(habits):
        deployment.habit(number, habit)
    deployment.start()
    deployment.work(together=together)
    assert deployment.states() == ["succeeded", "failed", "failed", "refused", "succeeded", "undone"]
    for number in range(6):
        job = deployment.job(number)
        assert "\x00" not in job.reason + job.code + job.statement
        assert len(job.code) <= 60
        assert JobEventRow.objects.filter(job=job).exists()
    assert type(deployment.job(0).result["own"]["code"]) is str
    assert len(deployment.simulator.effects()) == 3, "well, fail, lose"
