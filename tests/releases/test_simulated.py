"""A rollout on paper: the clock, the rings, the limits; gates are given, no rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from releases.simulated import Course, Gates, Lane, Said, Simulation, Target, Told

NOW = datetime(2026, 11, 18, 22, tzinfo=UTC)
TEN = timedelta(minutes=10)
HOUR = timedelta(hours=1)


@dataclass
class Open(Gates):
    """Everything is open, but what is given."""

    hosts: Callable[[int, datetime], Said] = lambda _host, _now: Said("run")
    closed: Callable[[datetime], datetime | None] = lambda _now: None
    out: set[int] = field(default_factory=set)
    most_out: int = 0

    def whole(self, now: datetime) -> datetime | None:
        return self.closed(now)

    def host(self, ring: int, target: Target, now: datetime) -> Said:
        return self.hosts(target.host_id, now)

    def away(self, host_id: int) -> None:
        self.out.add(host_id)
        self.most_out = max(self.most_out, len(self.out))

    def back(self, host_id: int) -> None:
        self.out.discard(host_id)


def lane(number: int, hosts: Sequence[int], *, courses: dict[int, Course] | None = None, **given: Any) -> Lane:
    machines = given.pop("machines", {})
    numbers: dict[str, Any] = {
        "concurrency": 2, "failure_limit": 2, "success_percent": 50, "confidence_percent": 95, "bound_percent": 0,
        "soak": HOUR, **given,
    }  # fmt: skip
    targets = [Target(host, (courses or {}).get(host, "well"), TEN, machines.get(host, "")) for host in hosts]
    return Lane(number=number, name=f"ring {number}", targets=targets, **numbers)


def run(*lanes: Lane, gates: Gates | None = None, **given: Any) -> Told:
    return Simulation(lanes, gates or Open(), at=NOW, **given).run()


def test_rings_go_one_after_another_each_as_many_at_once_as_it_may_and_are_watched() -> None:
    gates = Open()
    told = run(lane(0, range(4)), lane(1, range(10, 12)), gates=gates)
    first, second = told.lanes
    assert (first.started_at, first.last_at, first.ended_at) == (NOW, NOW + 2 * TEN, NOW + 2 * TEN + HOUR)
    assert (second.started_at, second.ended_at) == (first.ended_at, NOW + 3 * TEN + 2 * HOUR)
    assert (told.end, told.ended_at, told.stopped_at) == ("full", second.ended_at, None)
    assert gates.most_out == 2


def test_the_notice_to_its_people_runs_while_the_ring_before_is_watched() -> None:
    told = run(lane(0, [1]), lane(1, [2]), notice=timedelta(hours=3))
    first, second = told.lanes
    assert first.started_at == NOW + timedelta(hours=3)
    assert second.notified_at == NOW + timedelta(hours=3) + TEN
    assert second.started_at == NOW + timedelta(hours=6) + TEN


def test_the_failure_limit_halts_what_is_at_work_runs_on_and_the_rest_stays_where_it_is() -> None:
    told = run(lane(0, range(6), courses={0: "fails", 1: "lies"}, concurrency=3))
    (ring,) = told.lanes
    assert (told.end, told.ended_at, told.stopped_at) == ("halted", None, NOW + TEN)
    assert "2 of 6 hosts failed" in told.cause
    assert dict(+ring.counts) == {"succeeded": 1, "failed": 2, "pending": 3}


def test_a_host_waits_for_its_gate_and_a_refused_one_does_not_hold_the_ring_up() -> None:
    opens = NOW + timedelta(days=1)

    def hosts(host: int, now: datetime) -> Said:
        if host == 1:
            return Said("never", "it has none of the windows that were signed", "window")
        return Said("run") if host == 0 or now >= opens else Said("wait", "window", "window", opens)

    told = run(lane(0, range(3)), gates=Open(hosts))
    (ring,) = told.lanes
    assert ring.refused == {1: ("window", "it has none of the windows that were signed")}
    assert ring.last_at == opens + TEN
    assert told.end == "partial"


def test_nothing_begins_while_the_whole_is_shut() -> None:
    until = NOW + timedelta(days=3)
    told = run(lane(0, [1]), gates=Open(closed=lambda now: until if now < until else None))
    assert told.lanes[0].started_at == until


def test_a_host_that_does_not_answer_holds_its_ring_until_the_latest_start() -> None:
    latest = NOW + timedelta(days=2)
    told = run(lane(0, [1, 2], courses={2: "away"}), lane(1, [3]), latest=latest)
    first, second = told.lanes
    assert first.refused == {2: ("unreachable", "it does not answer")}
    assert second.refused == {3: ("start", "the latest start passes before it could begin")}
    assert (told.end, second.state) == ("partial", "skipped")


def test_without_a_latest_start_it_waits_without_end_and_says_for_whom() -> None:
    told = run(lane(0, [1, 2], courses={2: "away"}))
    assert (told.end, told.ended_at, told.stopped_at) == ("stuck", None, NOW + TEN)
    assert told.cause == "Ring ring 0 would wait without end for 1 of its hosts: 1 because it does not answer."


def test_what_only_a_person_opens_is_waited_for_like_that() -> None:
    told = run(lane(0, [1]), gates=Open(lambda _h, _n: Said("wait", "its packages were never read: scan it", "audit")))
    assert told.end == "stuck"
    assert told.lanes[0].stuck == {1: ("audit", "its packages were never read: scan it")}


def test_the_course_over_time_ends_with_what_the_rings_say() -> None:
    told = run(lane(0, range(5), courses={4: "fails"}), lane(1, range(10, 13)))
    last = told.marks[-1]
    assert (last.good, last.bad, last.refused) == (7, 1, 0)
    assert [mark.at for mark in told.marks] == sorted({mark.at for mark in told.marks})


def test_a_class_of_machine_that_was_not_tried_halts_it_on_paper_too() -> None:
    """Over both rings: the class of host 2 is tried by it alone, and it fails within the limit."""
    asked = {"class_hosts": 1, "classes_asked": ["arm", "kvm"], "machines": {1: "kvm", 2: "arm", 10: "kvm"}}
    rings = (lane(0, [1]), lane(1, [2, 10], **asked), lane(2, [20]))
    assert run(*rings).end == "full"
    rings = (lane(0, [1]), lane(1, [2, 10], courses={2: "fails"}, **asked), lane(2, [20]))
    told = run(*rings)
    assert (told.end, told.lanes[2].state) == ("halted", "pending")
    assert "of 1 of 2 classes of machine that are asked for the next rings: arm (0 of 1)" in told.cause
    alone = (lane(0, [1], machines={1: "arm"}), lane(1, [2, 10], courses={2: "fails"}, **asked), lane(2, [20]))
    assert run(*alone).end == "partial"  # the ring before has tried it
