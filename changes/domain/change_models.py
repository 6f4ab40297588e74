"""Change models: what a kind demands of approval, and the licence under which standard changes run without a round.

A standard model is proposed, signed by the board, and earns trust; a failure takes the licence away, and the board must
sign again (ITIL: standard changes are pre-authorized).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Max

from changes.domain import policy, reminders, task_templates
from changes.enums import ModelState, RFCKind
from changes.models import RFC, ChangeModel
from changes.rules import LICENCE
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import RoundState
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest, plain
from patchflow.kernel.models import SignOffRound, User
from patchflow.kernel.registry import SignOffSubject, signoff_subjects
from patchflow.kernel.rules import capability, failing

TEXTS = ("name", "description", "implementation_plan", "test_plan", "back_out_plan")


def _write(model: ChangeModel, fields: Mapping[str, Any]) -> None:
    for name in TEXTS:
        if name in fields:
            setattr(model, name, str(fields[name]).strip())
    for name in ("max_score", "max_hosts"):
        if name in fields:
            setattr(model, name, int(fields[name]))
    if "packages" in fields:
        model.packages = sorted({str(p).strip() for p in fields["packages"] if str(p).strip()})
    if "levels" in fields:
        model.levels = policy.checked(fields["levels"])
    if "tasks" in fields:
        model.tasks = task_templates.checked(fields["tasks"])
    if not model.name:
        raise Invalid("A model needs a name.", code="model.name")


@workflow.verb("change.model.drafted")
def draft(*, kind: str, actor: User, at: datetime, **fields: Any) -> ChangeModel:
    """Writes a new model. Needs change_model.edit. Nothing runs by it before it is approved."""
    if refused := failing([capability("change_model.edit")], None, actor):
        raise NotAllowed(refused)
    if kind not in RFCKind.values:
        raise Invalid("Choose standard, normal or emergency.", code="model.kind")
    model = ChangeModel(kind=kind, written_by=actor, written_at=at, levels=policy.default_levels(kind))
    _write(model, fields)
    if ChangeModel.objects.filter(name=model.name).exists():
        raise Invalid("There is a model of this name already.", code="model.name")
    model.save(force_insert=True)
    audit.record(model, "change.model.drafted", actor=actor, at=at, after=model.state, detail=model.model_document())
    return model


@workflow.verb("change.model.revised", ChangeModel, "model_id")
def revise(*, model_id: int, actor: User, at: datetime, **fields: Any) -> ChangeModel:
    """Changes a draft. Needs change_model.edit. An approved model is first taken back by `withdraw`."""
    model = workflow.lock(ChangeModel, model_id)
    if refused := failing([capability("change_model.edit")], model, actor):
        raise NotAllowed(refused)
    if model.state != ModelState.DRAFT:
        raise Conflict(
            english("It is %(state)s: only a draft is edited.", state=label_of(model)), code="conflict.state"
        )
    _write(model, fields)
    model.revised_by = actor
    model.save()
    audit.record(model, "change.model.revised", actor=actor, at=at, detail=model.model_document())
    return model


@workflow.verb("change.model.proposed", ChangeModel, "model_id")
def propose(*, model_id: int, actor: User, at: datetime) -> ChangeModel:
    """Asks the board to approve a model: opens a round with the levels of a normal change, over all hosts."""
    model = workflow.fire(ChangeModel, model_id, "propose", actor=actor, at=at)
    levels = [policy.level_spec(level, over=None, at=at) for level in policy.default_levels(RFCKind.NORMAL)]
    reminders.ask(signoffs.open_round(subject=model, levels=levels, actor=actor, at=at), at=at)
    return model


@workflow.verb("change.model.licence_lost", ChangeModel, "model_id")
def withdraw(*, model_id: int, reason: str, actor: User, at: datetime) -> ChangeModel:
    """Takes the approval of a model back, so that it can be edited or must be signed again. Needs rfc.lapse."""
    if not reason.strip():
        raise Invalid("Say why the model loses its approval.", code="model.reason")
    return workflow.fire(ChangeModel, model_id, "lose_licence", actor=actor, at=at, reason=reason.strip())


@workflow.verb("change.model.retired", ChangeModel, "model_id")
def retire(*, model_id: int, actor: User, at: datetime, reason: str = "") -> ChangeModel:
    """Takes a model out of use. Needs change_model.edit."""
    return workflow.fire(ChangeModel, model_id, "retire", actor=actor, at=at, reason=reason.strip())


# --- the licence -----------------------------------------------------------------------------------------------------------------
def licence_blockers(rfc: RFC) -> list[Blocker]:
    """Why the licence of its model does not cover this change as it stands; empty if it does."""
    model = rfc.change_model
    if model is None:
        return [Blocker("licence.model", "A standard change needs its model.")]
    if model.state != ModelState.APPROVED:
        return [
            Blocker(
                "licence.lost",
                english(
                    "The model “%(model)s” is %(state)s: it gives no licence.",
                    model=model,
                    state=label_of(model),
                ),
            )
        ]
    signed = signoffs.passed_round_of(model, digest_now=model.model_digest)
    if signed is None:
        return [
            Blocker("licence.unsigned", english("The model “%(model)s” is not what the board signed.", model=model))
        ]
    found: list[Blocker] = []
    risk = rfc.risk
    if risk is None or risk.content_digest != rfc.content_digest():
        found.append(Blocker("licence.risk", "Its risk has not been assessed as it stands."))
    elif risk.score > model.max_score:
        found.append(
            Blocker(
                "licence.risk",
                english(
                    "Its risk, %(score)s, is above the model's limit of %(max_score)s.",
                    score=risk.score,
                    max_score=model.max_score,
                ),
            )
        )
    names = set(rfc.updates.filter(removed_at__isnull=True).values_list("name", flat=True))
    if model.packages and (others := names - set(model.packages)):
        found.append(
            Blocker(
                "licence.packages", english("The model does not cover %(others)s.", others=", ".join(sorted(others)))
            )
        )
    if titles := task_templates.owed_to_model(rfc):
        sentence = english(
            "The model demands tasks that this change does not have as required ones: %(titles)s.",
            titles=", ".join(f"“{title}”" for title in titles),
        )
        found.append(Blocker("licence.tasks", sentence, rfc.get_absolute_url()))
    hosts = rfc.targets.filter(removed_at__isnull=True).count()
    if hosts > model.max_hosts:
        found.append(
            Blocker(
                "licence.hosts",
                english(
                    "%(hosts)s hosts are more than the model's %(max_hosts)s.", hosts=hosts, max_hosts=model.max_hosts
                ),
            )
        )
    if rfc.requested_by_id in signoffs.signers_of_all(ChangeModel.objects.filter(pk=model.pk)):
        found.append(
            Blocker("licence.four_eyes", "Whoever signed the model does not use its licence for a change of their own.")
        )
    return found


def use_licence(rfc: RFC, *, at: datetime) -> SignOffRound:
    """Writes the passed round of kind *licence*, which points to the sign-off of the model, and authorizes by it.

    The caller has the RFC's lock and has seen that nothing blocks.
    """
    model = rfc.change_model
    assert model is not None  # noqa: S101  licence_blockers has looked
    signed = signoffs.rounds_of(model).first()
    assert signed is not None  # noqa: S101
    document = plain(rfc.change_document())
    last = signoffs.rounds_of(rfc).aggregate(Max("number"))["number__max"] or 0
    round_ = SignOffRound.objects.create(
        subject_type=rfc._meta.label_lower,
        subject_id=rfc.pk,
        subject_label=str(rfc)[:200],
        number=last + 1,
        kind=LICENCE,
        digest=digest(document),
        document=document,
        state=RoundState.PASSED,
        opened_by=User.bot(),
        opened_at=at,
        closed_at=at,
        reason=english(
            "Licence of the model “%(model)s”, signed in its round %(n)s (sign-off round %(round)s).",
            model=model,
            n=signed.number,
            round=signed.pk,
        ),
    )
    detail = {"digest": round_.digest, "model": model.name, "model_round": signed.pk}
    audit.record(round_, "signoff.round.passed", actor=User.bot(), at=at, after=RoundState.PASSED, detail=detail)
    facts = {"digest": round_.digest, "round": round_.number}
    workflow.fire(RFC, rfc.pk, "authorize", actor=User.bot(), at=at, **facts)
    return round_


def lose_licence_after(rfc: RFC, *, at: datetime) -> None:
    """A standard change failed: its model must be signed again."""
    model = rfc.change_model
    if model is None or model.kind != RFCKind.STANDARD or model.state != ModelState.APPROVED:
        return
    reason = english("%(rfc)s ended as %(close_code)s.", rfc=rfc.number, close_code=label_of(rfc, "close_code"))
    workflow.fire(ChangeModel, model.pk, "lose_licence", actor=User.bot(), at=at, reason=reason)


# --- its own approval --------------------------------------------------------------------------------------------------------------
def _excluded(model: ChangeModel) -> dict[int, str]:
    return dict.fromkeys(model.author_ids(), english("You wrote this model; somebody else approves it."))


def _passed(model: ChangeModel, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    workflow.fire(ChangeModel, model.pk, "approve", actor=actor, at=at, digest=round_.digest)


def _ended(transition: str) -> Any:
    def fire(model: ChangeModel, round_: SignOffRound, *, actor: User, at: datetime) -> None:
        workflow.fire(ChangeModel, model.pk, transition, actor=actor, at=at, reason=round_.reason)

    return fire


signoff_subjects.add(
    "changes.changemodel",
    SignOffSubject(
        label="changes.changemodel",
        visible=lambda actor: ChangeModel.objects.values("pk") if actor.holds_somewhere("rfc.view") else (),
        document=ChangeModel.model_document,
        excluded=_excluded,
        capability="rfc.approve",
        on_passed=_passed,
        on_refused=_ended("refuse"),
        on_expired=_ended("refuse"),
        on_voided=_ended("void"),
    ),
)
