"""The oracle sees each fault that it looks for: planted one at a time into an account that is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.asking import Answer
from tests.faults.oracle import Hosts, Row, Rows, judge

COURSE = ("claimed", "staged", "installing", "verifying", "succeeded")
Account = tuple[Rows, Hosts]


def whole() -> Account:
    names = ["a", "b", "c"]
    lines: list[list[Any]] = []
    for n in names:
        lines += [["order", f"k-{n}-1", n, 1, "{}", {}, "2026-11-29T00:00:00+00:00"]]
        lines += [["effect", f"k-{n}-1", n, "openssl", "amd64", "1", "2", "installed", "2026-11-29T00:00:01+00:00"]]
        lines += [["done", f"k-{n}-1", n, False]]
    rows = Rows(set(names), [Row(n, "succeeded", trail=COURSE) for n in names])
    return rows, Hosts.told([*lines, ["again", "k-a-1", 2]])


def first(rows: Rows, **changes: Any) -> None:
    rows.jobs[0] = replace(rows.jobs[0], **changes)


PLANTED: dict[str, Callable[[Rows, Hosts], object]] = {
    "lost: in the manifest, and without a job": lambda rows, _hosts: rows.promised.add("d"),
    "lost: succeeded, and nothing was changed": lambda _rows, hosts: hosts.changes.pop("a"),
    "lost: changed, and its job says otherwise": lambda rows, _: first(
        rows, state="failed", trail=(*COURSE[:4], "failed")
    ),
    "twice: changed more than once": lambda _rows, hosts: hosts.changes.update(["b"]),
    "twice: ordered under two keys": lambda _rows, hosts: hosts.orders.update(["b"]),
    "twice: more than one job": lambda rows, _hosts: rows.jobs.append(rows.jobs[1]),
    "twice: tried again": lambda rows, _hosts: first(rows, attempt=2),
    "not in the manifest, and changed": lambda _rows, hosts: hosts.changes.update(["z"]),
    "stuck: without an end": lambda rows, _hosts: first(rows, state="installing", trail=COURSE[:3]),
    "stuck: still held": lambda rows, _hosts: first(rows, held=True),
    "stuck: rollout and release": lambda rows, _hosts: setattr(rows, "rollout", "running"),
    "untold: the trail's last word is another": lambda rows, _hosts: first(rows, trail=COURSE[:4]),
    "told twice: an end": lambda rows, _hosts: first(rows, trail=("claimed", "pending", *COURSE, "succeeded")),
    "told twice: a step of one course": lambda rows, _hosts: first(rows, trail=("claimed", *COURSE)),
}


def test_a_whole_account_has_no_faults() -> None:
    rows, hosts = whole()
    assert judge(rows, hosts) == []
    assert (hosts.again, rows.states()) == (1, {"succeeded": 3})


@pytest.mark.parametrize("what", PLANTED)
def test_each_planted_fault_is_found(what: str) -> None:
    rows, hosts = whole()
    PLANTED[what](rows, hosts)
    found = judge(rows, hosts)
    assert any(said.startswith(what) for said in found), found


def test_a_job_given_back_may_be_claimed_again() -> None:
    rows, hosts = whole()
    first(rows, trail=("claimed", "pending", *COURSE))
    assert judge(rows, hosts) == []


def test_a_start_after_the_stop_is_counted() -> None:
    _rows, hosts = whole()
    taken = datetime(2026, 11, 29, tzinfo=UTC)
    assert hosts.started_after(taken) == 0
    assert hosts.started_after(taken - timedelta(seconds=1)) == 3


def test_an_answer_without_a_hint_or_with_our_inside_is_no_good_refusal() -> None:
    hint = {"retry-after": "5"}
    assert Answer(503, hint, "later").hinted
    assert not Answer(503, {}, "later").hinted
    assert not Answer(503, {"retry-after": "soon"}, "later").hinted
    assert not Answer(503, hint, "Traceback (most recent call last)").hinted
    assert not Answer(500, hint, "later").hinted
