"""Steps before and after an installation: written by one person, reviewed by another, named by profiles, signed in manifests.

What runs on a host as root is never typed when it is deployed: it stands in the catalogue, at a revision, with a digest.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cmdb.models import HostGroup
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate
from patchflow.kernel.rules import capability, failing
from releases.enums_steps import AFTER_ONLY, BEFORE_ONLY, CALLS, GIVES_BACK, Act, Effect, Moment, Runs, StepState
from releases.models import HostStep

WRITE = capability("step.write")
LONGEST = 4 * 3600
SUSPICIOUS = re.compile(
    r"(?i)(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key)(?![-_]?(?:file|path))[\"']?\s*[:=]\s*[\"']?\S"
    r"|-(?:password|passwd|token|secret|api-?key)\s+\S|authorization\s*:|bearer\s+\S{8}"
)
UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,200}")
TEXTS = ("name", "description", "target", "body", "secret_file", "expect")


def why_not_propose(name: str, actor: User) -> list[Blocker]:
    """Why this person writes no further revision of the step of that name now."""
    return failing([WRITE], None, actor) or _waits(HostStep.objects.filter(name=name).order_by("-revision").first())


def _waits(newest: HostStep | None) -> list[Blocker]:
    if newest is None or newest.state != StepState.PROPOSED:
        return []
    said = english("Revision %(revision)s waits for its review: retire it, or wait.", revision=newest.revision)
    return [Blocker("step.proposed", said, tone="wait")]


@workflow.verb("release.step.proposed")
def propose(
    *, name: str, moment: str, kind: str, actor: User, at: datetime, group_id: int | None = None, **values: Any
) -> HostStep:
    """Writes a step, or the next revision of the step of that name, for another person to review.

    `values` are the fields of HostStep. Raises NotAllowed (step.write, also for the hosts of the revision before), Conflict
    (a revision waits for its review), Invalid (what its kind needs, a secret in it, a limit out of bounds).
    """
    group = HostGroup.objects.live().filter(pk=group_id).first() if group_id else None
    given = {key: value.strip() if key in TEXTS and isinstance(value, str) else value for key, value in values.items()}
    step = HostStep(name=name.strip(), moment=moment, kind=kind, group=group, written_by=actor, written_at=at, **given)
    earlier = HostStep.objects.select_for_update().filter(name=step.name).order_by("-revision").first()
    for one in (step, earlier or step):
        if refused := failing([WRITE], one, actor):
            raise NotAllowed(refused)
    problems = find_problems(step)
    if group_id and group is None:
        problems.append(Blocker("step.group_id", "There is no such group."))
    if problems:
        raise Invalid(problems)
    if waits := _waits(earlier):
        raise Conflict(waits)
    step.revision = earlier.revision + 1 if earlier else 1
    step.digest = digest(step.content())
    step.save(force_insert=True)
    audit.record(step, "release.step.proposed", actor=actor, at=at, after=step.state, detail=step.content())
    return step


def approve(*, step_id: int, actor: User, at: datetime, comment: str = "") -> HostStep:
    """Lets profiles use it. Needs step.approve, of another person than its writer (law 1)."""
    return workflow.fire(HostStep, step_id, "approve", actor=actor, at=at, comment=comment.strip())


def refuse(*, step_id: int, comment: str, actor: User, at: datetime) -> HostStep:
    """Says no, and why. Needs step.approve."""
    return workflow.fire(HostStep, step_id, "refuse", actor=actor, at=at, comment=_said(comment))


def retire(*, step_id: int, comment: str, actor: User, at: datetime) -> HostStep:
    """Takes a revision out of use: nothing is sealed with it any more, and rollouts that carry it halt."""
    return workflow.fire(HostStep, step_id, "retire", actor=actor, at=at, comment=_said(comment))


def _said(comment: str) -> str:
    if not comment.strip():
        raise Invalid("Say why.", code="step.comment")
    return comment.strip()


@gate("releases.hoststep", "approve")
def find_approve_blockers(step: HostStep, **_: Any) -> list[Blocker]:
    """What is approved is what was written."""
    if step.intact:
        return []
    return [Blocker("step.digest", "Its stored content is not what was written: write it anew.")]


# --- what a step may say ----------------------------------------------------------------------------------------------
def find_problems(step: HostStep) -> list[Blocker]:
    """What is wrong with a step as it was written."""
    found = []
    choices = {"moment": Moment, "kind": Act, "on_failure": Effect, "runs": Runs}
    for field, of in choices.items():
        if getattr(step, field) not in of.values:
            found.append(Blocker(f"step.{field}", english("This is not known: %(field)s.", field=getattr(step, field))))
    if found:
        return found
    if not step.name or "|" in step.name or "\n" in step.name:
        found.append(Blocker("step.name", "A step needs a name of one line, without “|”."))
    if not 1 <= step.limit_seconds <= LONGEST:
        found.append(
            Blocker("step.limit_seconds", english("Its time limit lies between 1 s and %(limit)s s.", limit=LONGEST))
        )
    other = Moment.BEFORE if step.kind in AFTER_ONLY else Moment.AFTER
    if step.kind in (AFTER_ONLY if step.moment == Moment.BEFORE else BEFORE_ONLY):
        found.append(
            Blocker(
                "step.moment",
                english(
                    "To %(label)s has no sense then: say %(moment)s.",
                    label=Act(step.kind).label,
                    moment="after" if other == Moment.BEFORE else "before",
                ),
            )
        )
    if step.moment == Moment.BEFORE and step.runs != Runs.SUCCESS:
        found.append(Blocker("step.runs", "When it follows is asked of a step after the installation only."))
    return found + _target_problems(step) + _secret_problems(step)


def _target_problems(step: HostStep) -> list[Blocker]:
    sentence = {
        Act.SPACE: english("Name a path on the host, and how many MiB must be free."),
        Act.BACKUP: english("Name the backup's file or folder on the host, and how many hours old it may be."),
        **dict.fromkeys((Act.STOP_SERVICE, Act.START_SERVICE, Act.SERVICE_RUNS), english("Name a systemd unit.")),
        Act.COMMAND: english("Name a program by its whole path, with its arguments; it runs without a shell."),
        Act.HTTP_ANSWERS: english("Name an http or https address without a password in it."), Act.PORT_OPEN: english("Name host:port."),
        **dict.fromkeys(CALLS, english("Name an http or https address without a password in it.")),
    }  # fmt: skip
    found = [] if _target_fits(step) else [Blocker("step.target", sentence.get(Act(step.kind), "It needs no target."))]
    if step.secret_file and (step.kind not in CALLS or not step.secret_file.startswith("/")):
        found.append(
            Blocker("step.secret_file", "Only a call reads a token, from a file named by its whole path on the host.")
        )
    if step.body and step.kind not in CALLS:
        found.append(Blocker("step.body", "Only a call has a body."))
    if step.kind == Act.HTTP_ANSWERS and step.expect and not step.expect.isdigit():
        found.append(Blocker("step.expect", "The expected answer is a status, such as 200."))
    return found


def _target_fits(step: HostStep) -> bool:
    match step.kind:
        case Act.SPACE | Act.BACKUP:
            return step.target.startswith("/") and step.amount > 0
        case Act.STOP_SERVICE | Act.START_SERVICE | Act.SERVICE_RUNS:
            return UNIT.fullmatch(step.target) is not None and not step.target.startswith("-")
        case Act.COMMAND:
            try:
                return shlex.split(step.target)[:1] != [] and shlex.split(step.target)[0].startswith("/")
            except ValueError:
                return False
        case Act.PORT_OPEN:
            host, colon, port = step.target.rpartition(":")
            return bool(host and colon and port.isdigit() and 0 < int(port) < 65536)
        case Act.NO_RESTART:
            return not step.target
    try:
        address = urlsplit(step.target)
        return (
            address.scheme in ("http", "https")
            and bool(address.hostname)
            and not (address.username or address.password)
        )
    except ValueError:
        return False


def _secret_problems(step: HostStep) -> list[Blocker]:
    """The catalogue, the manifest and its copies are read by many: no secret may stand in them."""
    return [
        Blocker(f"step.{field}", "This looks like a secret. Keep it in a file on the host, and name that file.")
        for field in ("target", "body", "description", "expect")
        if SUSPICIOUS.search(getattr(step, field))
    ]


# --- what a profile may name ------------------------------------------------------------------------------------------
def find_profile_problems(steps: Sequence[Mapping[str, Any]]) -> list[Blocker]:
    """Why a profile cannot name these steps ({name, revision}): approved ones only, each once, and what is taken away is
    put back."""
    found, rows = [], []
    try:
        named = [(str(one["name"]), int(one["revision"])) for one in steps]
    except (KeyError, TypeError, ValueError):
        return [Blocker("profile.steps", "A step is named by its name and revision.")]
    for name, revision in named:
        row = HostStep.objects.approved().filter(name=name, revision=revision).first()
        if row is None:
            found.append(
                Blocker(
                    "profile.steps",
                    english(
                        "There is no approved step %(name)s of revision %(revision)s.", name=name, revision=revision
                    ),
                )
            )
        else:
            rows.append(row)
    if len(named) != len({name for name, _revision in named}):
        found.append(Blocker("profile.steps", "A step is named twice."))
    return found + _not_given_back(rows)


def _not_given_back(rows: Sequence[HostStep]) -> list[Blocker]:
    found = []
    for step in rows:
        back = GIVES_BACK.get(Act(step.kind))
        same = [r for r in rows if r.kind == back and (r.target == step.target or back != Act.START_SERVICE)]
        if back and not any(r.group_id in (None, step.group_id) for r in same):
            what = f" {step.target}" if back == Act.START_SERVICE else ""
            found.append(
                Blocker(
                    "profile.steps",
                    english(
                        "%(step)s takes something away: add a step that is to %(label)s%(what)s.",
                        step=step,
                        label=back.label,
                        what=what,
                    ),
                )
            )
        if back and any(step.way_back and not r.way_back for r in same):
            found.append(
                Blocker(
                    "profile.steps",
                    english("%(step)s also goes before a way back; what puts it back must follow that too.", step=step),
                )
            )
    return found


def parsed_steps(text: str) -> list[dict[str, Any]]:
    """Steps as they are typed, one a line: `name`, of its newest approved revision, or `name | revision`. Raises Invalid."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        name, bar, number = (part.strip() for part in line.rpartition("|"))
        name = name if bar else line.strip()
        rows = HostStep.objects.approved().filter(name=name)
        row = (
            rows.filter(revision=int(number)).first() if bar and number.isdigit() else rows.first() if not bar else None
        )
        if row is None:
            raise Invalid(english("There is no approved step “%(name)s”.", name=line.strip()), code="profile.steps")
        found.append({"name": row.name, "revision": row.revision})
    return found
