"""Asking gates in order, and keeping what they said: every gate with its inputs, for refusals too.

A gate that raises denies; what was not asked because an earlier one denied says so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from django.db import DatabaseError, transaction
from django.utils.translation import gettext_noop

from patchflow.kernel import rows as many
from patchflow.kernel.blockers import kept
from patchflow.kernel.errors import Refusal
from patchflow.kernel.integrity import plain
from patchflow.kernel.values import value
from releases.enums_rollout import SlipVerdict
from releases.models import Job, PermissionSlip, Rollout

T = TypeVar("T")
Word = Literal["pass", "defer", "refuse"]
ASKED = gettext_noop("Will be asked again at %(when)s, because %(why)s.")
"""What slips said of a gate that defers when they did not say what waits for what; those that are kept are still recognised."""
ASK_AGAIN = timedelta(minutes=5)
"""When a gate is asked again that could not be evaluated."""


@value()
class Answer:
    """What one gate says. `halts`: of a rollout's gate that no waiting opens; a person must look."""

    word: Word
    sentence: str
    input: Mapping[str, Any] = field(default_factory=dict)
    not_before: datetime | None = None
    key: str = ""
    halts: bool = False


def passed(sentence: str, **given: Any) -> Answer:
    return Answer("pass", sentence, given)


def wait(sentence: str, until: datetime, *, key: str = "", **given: Any) -> Answer:
    """Time or a person can open it: asked again at `until`. `key`: what makes this another verdict than the last."""
    return Answer("defer", sentence, given, until, key)


def never(sentence: str, **given: Any) -> Answer:
    """Nothing opens it for this target."""
    return Answer("refuse", sentence, given)


def halt(sentence: str, **given: Any) -> Answer:
    """Nothing opens it for the whole rollout until a person has looked."""
    return Answer("refuse", sentence, given, halts=True)


Gate = Callable[[T], Answer]
NamedGate = tuple[str, Gate[T]]


@value()
class Slip:
    """The answers of all gates about one target, and the verdict that follows."""

    verdict: SlipVerdict
    statement: str
    gates: list[dict[str, Any]]
    code: str = ""
    sentence: str = ""
    not_before: datetime | None = None
    key: str = ""
    halts: bool = False

    @property
    def runs(self) -> bool:
        return self.verdict == SlipVerdict.RUN


RUNS = Slip(SlipVerdict.RUN, "", [], key="run")
"""All that is said of a subject that was asked about briefly, and may run."""
Told = dict[tuple[str, int], tuple[Answer, dict[str, Any]]]
"""What answers given before became in a slip: (gate, identity of the answer) → the answer, kept so that no other takes its
identity, and its row."""


def ask(
    gates: Sequence[NamedGate[T]],
    subject: T,
    *,
    at: datetime,
    guarded: bool = True,
    told: Told | None = None,
    brief: bool = False,
) -> Slip:
    """Asks one gate after the other until one denies. `told` is kept by who asks the same gates about many subjects; `brief`:
    of a subject that all let pass nobody keeps the slip, which then says only that it runs.

    A gate that the database refuses denies like any other that raises; each is asked behind a savepoint of its own. Not
    `guarded`: the caller has one savepoint for many subjects, gets the database's error, and asks them all again guarded.
    """
    answers: list[tuple[str, Answer]] = []
    denied: tuple[str, Answer] | None = None
    last = ""
    for name, gate in gates:
        try:  # not by a function for both: this is asked a dozen times of each of thousands of hosts
            answer = answer_of(gate, subject, at) if guarded else gate(subject)
        except DatabaseError:
            raise
        except Exception as error:
            answer = _shut_by(error, at)
        answers.append((name, answer))
        if answer.word != "pass":
            denied = (name, answer)
            break
        last = answer.sentence or last
    if brief and denied is None:
        return RUNS
    rows = [_row_of(name, answer, told) for name, answer in answers]
    rows += [{"gate": name, "verdict": "not asked", "input": {}, "sentence": ""} for name, _gate in gates[len(rows) :]]
    return _slip(rows, denied, last, at)


def _row_of(name: str, answer: Answer, told: Told | None) -> dict[str, Any]:
    if told is not None and (known := told.get((name, id(answer)))):
        return known[1]
    row = {"gate": name, "verdict": answer.word, "input": plain(dict(answer.input)), "sentence": answer.sentence}
    if told is not None:
        told[name, id(answer)] = (answer, row)
    return row


def answer_of(gate: Gate[T], subject: T, at: datetime) -> Answer:
    """What one gate says, behind a savepoint of its own; one that raises denies (law 4)."""
    try:
        with transaction.atomic():
            return gate(subject)
    except Exception as error:
        return _shut_by(error, at)


def _shut_by(error: Exception, at: datetime) -> Answer:
    """What a gate says that raises: it denies (law 4)."""
    if isinstance(error, Refusal):
        codes = [b.code for b in error.blockers]
        return wait(f"{error}", at + ASK_AGAIN, key=",".join(codes), reasons=codes)
    said = kept(
        "this gate could not be evaluated (%(kind)s: %(error)s), so it stays shut",
        kind=type(error).__name__,
        error=error,
    )
    return wait(said, at + ASK_AGAIN, key=f"broken:{type(error).__name__}", error=type(error).__name__)


def _slip(rows: list[dict[str, Any]], denied: tuple[str, Answer] | None, last: str, at: datetime) -> Slip:
    if denied is None:
        why = "; ".join(r["sentence"] for r in rows if r["gate"] in ("window", "ring") and r["sentence"]) or last
        return Slip(
            SlipVerdict.RUN,
            kept("Runs at %(when)s, because %(why)s.", when=_said(at), why=_plain(why)),
            rows,
            key="run",
        )
    name, answer = denied
    if answer.word == "defer":
        until = answer.not_before or at + ASK_AGAIN
        statement = kept(
            "Does not start now (is asked again at %(when)s), because %(why)s.",
            when=_said(until),
            why=_plain(answer.sentence),
        )
        if name in ("window", "start"):
            statement = kept("Will run at %(when)s, because %(why)s.", when=_said(until), why=_plain(answer.sentence))
        return Slip(
            SlipVerdict.DEFER, statement, rows, name, answer.sentence, until, f"defer:{name}:{answer.key}"[:120]
        )
    return Slip(
        SlipVerdict.REFUSE, kept("Will not run, because %(why)s.", why=_plain(answer.sentence)), rows, name, answer.sentence,
        key=f"refuse:{name}:{answer.key}"[:120], halts=answer.halts,
    )  # fmt: skip


def _plain(sentence: str) -> str:
    """A reason as the end of a longer sentence."""
    return sentence.rstrip().rstrip(".")


@functools.lru_cache(maxsize=100)
def _said(moment: datetime) -> str:
    return f"{moment:%d %b %Y %H:%M} UTC"


def row(slip: Slip, *, rollout: Rollout, job: Job | None, at: datetime) -> PermissionSlip:
    """The unsaved row of a slip."""
    return PermissionSlip(rollout_id=rollout.pk, asked_at=at, **_columns(slip, job))


def _columns(slip: Slip, job: Job | None) -> dict[str, Any]:
    """What differs from slip to slip."""
    return {
        "job_id": job.pk if job else None, "attempt": job.attempt if job else 0, "verdict": str(slip.verdict),
        "statement": slip.statement, "gates": slip.gates, "not_before": slip.not_before,
    }  # fmt: skip


def keep_many(asked: Iterable[tuple[Job, Slip]], *, rollout: Rollout, at: datetime, ahead: bool = False) -> None:
    """Writes the slips of many jobs at once; `ahead`: about laying their files ready, not about the jobs."""
    same = {"rollout_id": rollout.pk, "asked_at": at}
    rows = [_columns(slip, job) for job, slip in asked]
    many.insert(PermissionSlip, [{**row, "attempt": 0} for row in rows] if ahead else rows, same=same)
