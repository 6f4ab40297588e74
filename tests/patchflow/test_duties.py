"""Duties: who may fire which transition of every machine, each cell asserted against a table written by hand.

A cell is a transition × a role × where the role is held (everywhere, for the hosts concerned, for others only, taken away a
moment ago). The rules beside the roles (four eyes and the like) are asked about a real object each, in a scene in which that
rule alone stands in the way: so taking any single check out of a transition makes a cell fail, as the last test shows by
taking out each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from changes.domain import change_models, change_tasks
from changes.models import RFC, AgendaItem, ChangeModel, ChangeTask, Cycle, CycleEvent, RFCRevision
from cmdb.models import Baseline, Exemption
from patchflow.kernel import fsm, service_accounts, signoffs
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.roles import SYSTEM, grantable
from patchflow.kernel.rules import Rule, failing
from releases.models import DelayRequest, HandTask, HostStep, PostImplementationReview
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import Deployment, make_deployment

CONFIG, MANAGER, RELEASE, SECURITY, OPERATOR = (
    "configuration_manager", "change_manager", "release_manager", "security_officer", "operator",
)  # fmt: skip
BOT = {SYSTEM}
PERFORMERS = {
    "requester", MANAGER, "cab_chair", "cab_member", SECURITY, RELEASE, "readiness_approver", "tester", OPERATOR, CONFIG,
    "service_owner",
}  # fmt: skip
SIGNERS = {"cab_chair", "cab_member", "readiness_approver"}
MAY: dict[str, dict[str, set[str]]] = {
    "cmdb.configurationitem": {"retire": {CONFIG}},
    "cmdb.distributionpoint": {"retire": {CONFIG}},
    "cmdb.baseline": {
        "propose": {CONFIG, RELEASE} | BOT,
        "approve": {SECURITY},
        "adopt": {CONFIG} | BOT,
        "refuse": {SECURITY},
        "retire": {CONFIG} | BOT,
    },
    "cmdb.discrepancy": {key: {CONFIG} for key in ("explain", "correct", "hand_over")},
    "cmdb.exemption": {**{key: {SECURITY} for key in ("grant", "refuse", "revoke")}, "expire": BOT},
    "cmdb.scanrun": {
        **dict.fromkeys(("start", "complete", "complete_partly", "fail", "lose"), BOT),
        "cancel": {CONFIG, OPERATOR} | BOT,
    },
    "cmdb.scanresult": {
        **dict.fromkeys(("succeed", "succeed_partly", "fail", "lose"), BOT),
        "cancel": {CONFIG, OPERATOR} | BOT,
    },
    "changes.feedrun": {
        **dict.fromkeys(("start", "complete", "hold", "fail"), BOT),
        **{key: {SECURITY, "administrator"} for key in ("accept_loss", "refuse_loss")},
    },
    "changes.changemodel": {"propose": {MANAGER}, "lose_licence": {MANAGER} | BOT, "retire": {MANAGER}},
    "changes.cycle": {"close_unneeded": {MANAGER}},
    "changes.meeting": {
        name: {MANAGER, "cab_chair"} for name in ("publish", "open", "minute", "postpone", "cancel")
    },
    "changes.agendaitem": {"carry_over": {MANAGER, "cab_chair"}},
    "changes.changetask": {
        **dict.fromkeys(("begin", "finish"), PERFORMERS),
        **{name: {"requester", MANAGER} for name in ("dismiss", "reopen")},
    },
    "changes.rfc": {
        "submit": {"requester", MANAGER},
        "evaluate": {MANAGER},
        "request_approval": {MANAGER},
        "break_glass": {"cab_chair"},
        "send_back": {MANAGER},
        "reject": {MANAGER, "cab_chair"},
        "lapse": {MANAGER} | BOT,
        "cancel": {"requester", MANAGER},
        "begin": {RELEASE},
        "implemented": {RELEASE} | BOT,
        "stop": {MANAGER} | BOT,
        "close": {MANAGER},
    },
    "releases.release": {
        "build": {RELEASE},
        "built": BOT,
        "build_failed": BOT,
        "tested": {"tester"} | BOT,
        "test_failed": {"tester"} | BOT,
        "seal": {RELEASE},
        "ready": SIGNERS,
        "no_go": SIGNERS | BOT,
        "void": {RELEASE} | BOT,
        "deploy": {RELEASE},
        "finish": {RELEASE, OPERATOR} | BOT,  # whose act was the rollout's last; a gate asks whether it has ended
        "stop": {RELEASE, OPERATOR},
        "roll_back": {RELEASE} | BOT,
        "rolled_back": {RELEASE, OPERATOR} | BOT,
        "accept": {RELEASE},
        "revise": {RELEASE},
        "cancel": {RELEASE},
    },
    "releases.build": {"built": BOT, "fail": BOT},
    "releases.acceptancerun": {"start": BOT, "succeed": BOT, "fail": {"tester"} | BOT, "give_up": {"tester"} | BOT},
    "releases.rollout": {
        "start": {RELEASE, OPERATOR},
        "pause": {RELEASE, OPERATOR},
        "resume": {RELEASE, OPERATOR},
        "halt": {RELEASE, OPERATOR} | BOT,
        "stop": {RELEASE, OPERATOR},
        "stopped": BOT,
        "complete": BOT,
        "cancel": {RELEASE, OPERATOR},
    },
    "releases.ring": {
        **dict.fromkeys(("notify", "start", "soak", "hold", "fail"), BOT),
        "retry": {RELEASE, OPERATOR},
        "accept_partial": {RELEASE, MANAGER, "cab_chair", "cab_member"},  # whose signature was its round's last
        "skip": {RELEASE, OPERATOR} | BOT,
    },
    "releases.job": {
        **dict.fromkeys(
            (
                "claim", "defer", "refuse", "skip", "release", "stage", "install", "restart", "verify", "succeed", "fail",
                "lose", "give_up",
            ),
            BOT,
        ),
        "cancel": {OPERATOR, RELEASE} | BOT,
        **dict.fromkeys(("observe_succeeded", "observe_failed", "observe_undone"), {OPERATOR} | BOT),
        "retry": {RELEASE, OPERATOR},
    },
    "releases.staging": dict.fromkeys(("defer", "order", "put_off", "note", "stage", "fail", "refuse", "lose"), BOT),
    "releases.readinessreview": {
        "go": SIGNERS,
        "refuse": SIGNERS | {RELEASE} | BOT,
        "void": SIGNERS | {RELEASE} | BOT,
    },
    "releases.amendment": {
        "adopt": SIGNERS | BOT,  # whose signature was its round's last; a gate asks for the round
        "refuse": SIGNERS | BOT,
        "withdraw": {RELEASE} | BOT,
    },
    "releases.postimplementationreview": {"complete": {MANAGER, RELEASE}},
    "releases.periodicreview": {"complete": {MANAGER, RELEASE}},
    "releases.delayrequest": {name: {MANAGER} for name in ("grant", "refuse")},
    "releases.handtask": {
        **{name: {OPERATOR} for name in ("begin", "finish", "give_up")},
        "attest": {OPERATOR, CONFIG},
        **dict.fromkeys(("call_off", "expire"), BOT),
    },
    "releases.hoststep": {
        **{name: {MANAGER, SECURITY} for name in ("approve", "refuse")},
        "retire": {MANAGER, SECURITY, RELEASE, OPERATOR},
    },
}  # fmt: skip
"""Machine → transition → the roles that may; what only a rule without a role decides is not here."""


@dataclass(frozen=True)
class Somewhere:
    """An object that concerns the hosts of one group, and nothing else: only roles are asked of it."""

    groups: tuple[int, ...] = (1,)

    def scope_keys(self) -> list[frozenset[str]]:
        return [frozenset({f"group:{one}"}) for one in self.groups]


def edges() -> Iterator[fsm.Transition]:
    for label, transitions in fsm.MACHINES.items():
        if not label.startswith("toys."):
            yield from transitions


def machine_of(edge: fsm.Transition) -> str:
    return next(label for label, transitions in fsm.MACHINES.items() if edge in transitions)


def asks_role(rule: Rule) -> bool:
    return rule.code.startswith("role.")


def role_rules(edge: fsm.Transition) -> list[Rule]:
    return [rule for rule in edge.allowed if asks_role(rule)]


def may(rules: list[Rule], person: User, *groups: int) -> bool:
    """Whether the rules let `person` pass; rights are read once for each person object."""
    return not failing(rules, Somewhere(groups or (1,)), person)


def test_every_transition_that_asks_for_a_role_is_in_the_table() -> None:
    asked: dict[str, set[str]] = {}
    for edge in edges():
        if role_rules(edge):
            asked.setdefault(machine_of(edge), set()).add(edge.name)
    assert {label: set(row) for label, row in MAY.items()} == asked


@pytest.mark.django_db
def test_every_role_may_what_the_table_says_and_nothing_else() -> None:
    people = {role.name: make_user(f"a-{role.name}", role.name) for role in grantable()}
    people |= {SYSTEM: User.bot(), "nobody": make_user("nobody"), "root": make_user("root", is_superuser=True)}
    wrong, cells = [], 0
    for edge in edges():
        if not role_rules(edge):
            continue
        expected = MAY[machine_of(edge)][edge.name]
        for role, person in people.items():
            cells += 1
            if may(role_rules(edge), person) != (role in expected):
                wrong.append(f"{machine_of(edge)} {edge.name} {role}")
    assert not wrong, "\n".join(wrong)
    assert cells > 1000


@pytest.mark.django_db
def test_a_role_counts_where_it_is_held_and_only_as_long() -> None:
    """For the hosts concerned: it passes. For others, for some of them only, or taken away a moment ago: it does not."""
    people = {role.name: make_user(f"a-{role.name}", role.name, scope="group:1") for role in grantable()}
    wrong = []
    for edge in edges():
        if not role_rules(edge):
            continue
        for role, person in people.items():
            expected = role in MAY[machine_of(edge)][edge.name]
            found = {
                "in scope": may(role_rules(edge), person, 1),
                "elsewhere": may(role_rules(edge), person, 2),
                "in part": may(role_rules(edge), person, 1, 2),
            }
            if found != {"in scope": expected, "elsewhere": False, "in part": False}:
                wrong.append(f"{machine_of(edge)} {edge.name} {role}: {found}")
    assert not wrong, "\n".join(wrong)
    RoleGrant.objects.all().delete()
    late = list(User.objects.filter(pk__in=[person.pk for person in people.values()]))
    assert not any(may(role_rules(edge), person) for edge in edges() if role_rules(edge) for person in late)


@pytest.mark.django_db
def test_taking_out_any_check_of_a_role_shows() -> None:
    """Without it the transition would be open to somebody who has no role at all."""
    nobody = make_user("nobody")
    for edge in edges():
        for rule in role_rules(edge):
            without = replace(edge, allowed=tuple(r for r in edge.allowed if r is not rule))
            assert not may(role_rules(edge), nobody), edge.name
            assert may(role_rules(without), nobody), f"{machine_of(edge)} {edge.name} asks twice for {rule.code}"


# --- the rules beside the roles -----------------------------------------------------------------------------------------
def other_rules() -> set[tuple[str, str, str]]:
    return {
        (machine_of(edge), edge.name, rule.code) for edge in edges() for rule in edge.allowed if not asks_role(rule)
    }


@dataclass
class Stage:
    """Where scenes are played: the cast, a change's world, a deployment, and somebody with every role there is."""

    cast: Cast
    at: datetime
    folder: Path
    all_roles: User

    def world(self) -> World:
        """Hosts that miss an update of their own."""
        return made.make_world(self.cast, self.at, source=f"package{RFC.objects.count()}")

    def deployment(self) -> Deployment:
        return make_deployment(self.cast, self.at, self.folder)

    def everything(self, person: User) -> User:
        """The person with every role besides: only what they did to this object is left against them."""
        for role in grantable():
            RoleGrant.objects.get_or_create(user=person, role=role.name, scope="")
        return User.objects.get(pk=person.pk)


Scene = Callable[[Stage], tuple[Any, User, Any, User]]
"""Gives the object and the person against whom the rule alone stands, then the object and the person it lets pass."""


def rfc_of_another(stage: Stage) -> tuple[Any, User, Any, User]:
    rfc = made.draft(stage.world())
    return rfc, make_user("another", "requester"), rfc, stage.cast.ann


def rfc_of_its_signer(stage: Stage) -> tuple[Any, User, Any, User]:
    """Authorized by a round that cal signed; then it becomes cal's own."""
    rfc, own = made.authorized(stage.world()), made.authorized(stage.world())
    RFC.objects.filter(pk=own.pk).update(requested_by=stage.cast.mia)
    return RFC.objects.get(pk=own.pk), stage.cast.mia, rfc, stage.cast.mia


def program_of(stage: Stage, person: User) -> User:
    """A program of which the person was given a token."""
    RoleGrant.objects.get_or_create(user=person, role="administrator", scope="")
    program = service_accounts.add(username="pipeline", actor=stage.cast.ada, at=stage.at)
    keeper = User.objects.get(pk=person.pk)
    service_accounts.give_token(user_id=program.pk, days=1, actor=keeper, at=stage.at)
    return program


def rfc_of_its_signers_program(stage: Stage) -> tuple[Any, User, Any, User]:
    rfc, own = made.authorized(stage.world()), made.authorized(stage.world())
    RFC.objects.filter(pk=own.pk).update(requested_by=program_of(stage, stage.cast.mia))
    return RFC.objects.get(pk=own.pk), stage.cast.mia, rfc, stage.cast.mia


def glass_of_a_program(stage: Stage) -> tuple[Any, User, Any, User]:
    rfc, holder, digest = made.glass_asked(stage.world()), stage.all_roles, "0" * 64
    writer = program_of(stage, holder)
    RFCRevision.objects.create(rfc=rfc, number=1, by=writer, at=stage.at, digest_before=digest, digest_after=digest)
    return rfc, holder, rfc, stage.cast.cal


def rfc_without_round(stage: Stage) -> tuple[Any, User, Any, User]:
    return made.awaiting(stage.world()), stage.all_roles, made.authorized(stage.world()), stage.cast.mia


def rfc_signed(stage: Stage) -> tuple[Any, User, Any, User]:
    rfc = made.authorized(stage.world())
    return rfc, stage.everything(stage.cast.cal), rfc, stage.cast.rex


def glass_of_its_writer(stage: Stage) -> tuple[Any, User, Any, User]:
    rfc, writer, digest = made.glass_asked(stage.world()), stage.all_roles, "0" * 64
    RFCRevision.objects.create(rfc=rfc, number=1, by=writer, at=stage.at, digest_before=digest, digest_after=digest)
    return rfc, writer, rfc, stage.cast.cal


def glass_nobody_asked_for(stage: Stage) -> tuple[Any, User, Any, User]:
    return (
        made.submitted(stage.world(), kind="emergency"),
        stage.cast.cal,
        made.glass_asked(stage.world()),
        stage.cast.cal,
    )


def round_that_runs(stage: Stage) -> tuple[Any, User, Any, User]:
    running, over = made.awaiting(stage.world()), made.awaiting(stage.world())
    signoffs.withdraw(subject=over, actor=stage.cast.che, at=stage.at, reason="over")
    return running, stage.all_roles, over, stage.all_roles


def model_proposed(stage: Stage) -> ChangeModel:
    model = change_models.draft(
        kind="standard", name=f"m{ChangeModel.objects.count()}", actor=stage.cast.che, at=stage.at
    )
    return change_models.propose(model_id=model.pk, actor=stage.cast.che, at=stage.at)


def model_asked_about(stage: Stage) -> tuple[Any, User, Any, User]:
    over = model_proposed(stage)
    signoffs.withdraw(subject=over, actor=stage.cast.che, at=stage.at, reason="over")
    return model_proposed(stage), stage.all_roles, over, stage.all_roles


def model_unsigned(stage: Stage) -> tuple[Any, User, Any, User]:
    signed = made.licensed_model(stage.world())
    return model_proposed(stage), stage.all_roles, signed, stage.cast.mia


def model_of_its_signer(stage: Stage) -> tuple[Any, User, Any, User]:
    signed = made.licensed_model(stage.world())
    own = ChangeModel.objects.get(pk=signed.pk)
    own.revised_by = stage.cast.mia
    return own, stage.cast.mia, signed, stage.cast.mia


def item_undecided(stage: Stage) -> tuple[Any, User, Any, User]:
    """What the members' votes have not decided, nobody decides, whatever roles they hold."""
    asked, passed = made.awaiting(stage.world()), made.authorized(stage.world())
    over = signoffs.rounds_of(passed).first()
    return AgendaItem(round=made.round_of(asked)), stage.all_roles, AgendaItem(round=over), stage.cast.bot


def item_asked(stage: Stage) -> tuple[Any, User, Any, User]:
    item = AgendaItem(round=made.round_of(made.awaiting(stage.world())))
    return item, stage.cast.mia, item, stage.cast.che


def baseline_of_its_proposer(stage: Stage) -> tuple[Any, User, Any, User]:
    return Baseline(proposed_by=stage.all_roles), stage.all_roles, Baseline(proposed_by=stage.cast.cora), stage.cast.sam


def baseline_in_force(stage: Stage) -> tuple[Any, User, Any, User]:
    baseline = Baseline(proposed_by=stage.cast.cora)
    return baseline, stage.cast.ann, baseline, stage.cast.sam


def item_planned(stage: Stage) -> tuple[Any, User, Any, User]:
    item = stage.world().hosts[0].ci
    return item, stage.cast.ann, item, stage.cast.cora


def exemption_of_its_asker(stage: Stage) -> tuple[Any, User, Any, User]:
    own, others = (Exemption(requested_by=who) for who in (stage.all_roles, stage.cast.cora))
    return own, stage.all_roles, others, stage.cast.sam


def review_of_who_did_a_task(stage: Stage) -> tuple[Any, User, Any, User]:
    """otto started nothing: he did a task of the implementation of a change of the release."""
    deployment, otto = stage.deployment(), stage.everything(stage.cast.otto)
    given: dict[str, Any] = {
        "title": "Move the alias",
        "stage": "implementation",
        "assignee_id": otto.pk,
        "at": stage.at,
    }
    task = change_tasks.add(rfc_id=deployment.rfc.pk, actor=stage.cast.che, **given)
    change_tasks.begin(task_id=task.pk, actor=otto, at=stage.at)
    review = PostImplementationReview(release=deployment.release)
    return review, otto, review, stage.cast.che


def release_signed(stage: Stage) -> tuple[Any, User, Any, User]:
    release = stage.deployment().release
    return release, stage.everything(stage.cast.gus), release, stage.cast.rex


def release_of_its_rfcs_signer(stage: Stage) -> tuple[Any, User, Any, User]:
    release = stage.deployment().release
    return release, stage.everything(stage.cast.sam), release, stage.cast.rex


def release_not_signed_by(stage: Stage) -> tuple[Any, User, Any, User]:
    release = stage.deployment().release
    return release, stage.all_roles, release, stage.cast.gus


def ring_of_the_starter(stage: Stage) -> tuple[Any, User, Any, User]:
    deployment = stage.deployment()
    deployment.start()
    return deployment.ring(), stage.cast.rex, deployment.ring(), stage.cast.che


def rollout_signed(stage: Stage) -> tuple[Any, User, Any, User]:
    deployment = stage.deployment()
    rollout = deployment.start()
    return rollout, stage.everything(stage.cast.gus), rollout, stage.cast.rex


def delay_of_its_asker(stage: Stage) -> tuple[Any, User, Any, User]:
    request = DelayRequest(ring=ring_of_the_starter(stage)[0], asked_by=stage.all_roles)
    return request, stage.all_roles, request, stage.cast.che


def task_signed(stage: Stage) -> tuple[Any, User, Any, User]:
    deployment = stage.deployment()
    deployment.start()
    task = HandTask(job=deployment.job())
    return task, stage.everything(stage.cast.gus), task, stage.cast.otto


def task_of_its_performer(stage: Stage) -> tuple[Any, User, Any, User]:
    deployment = stage.deployment()
    deployment.start()
    own, others = (HandTask(job=deployment.job(), ended_by=who) for who in (stage.all_roles, stage.cast.otto))
    return own, stage.all_roles, others, stage.cast.cora


def step_of_its_writer(stage: Stage) -> tuple[Any, User, Any, User]:
    own, others = (HostStep(written_by=who) for who in (stage.all_roles, stage.cast.otto))
    return own, stage.all_roles, others, stage.cast.sam


def delay_of_another(stage: Stage) -> tuple[Any, User, Any, User]:
    request, asker, _same, another = delay_of_its_asker(stage)
    return request, another, request, asker


def task_in(stage: Stage, of: str, /, **given: Any) -> ChangeTask:
    """A task of a change of ann's, given to tia."""
    rfc = made.AT_STATE[of](stage.world())
    return ChangeTask(rfc=rfc, **{"stage": "review", "assignee": stage.cast.tia, **given})


def task_of_another(stage: Stage) -> tuple[Any, User, Any, User]:
    task = task_in(stage, "draft")
    return task, stage.cast.otto, task, stage.cast.tia


def task_planned_by_another(stage: Stage) -> tuple[Any, User, Any, User]:
    task = task_in(stage, "draft", required=False)
    return task, make_user("another", "requester"), task, stage.cast.ann


def task_required(stage: Stage) -> tuple[Any, User, Any, User]:
    task = task_in(stage, "draft")
    return task, stage.cast.ann, task, stage.cast.che


def task_of_its_signer(stage: Stage) -> tuple[Any, User, Any, User]:
    task = task_in(stage, "implementing", stage="implementation", assignee=stage.cast.cal)
    return task, stage.cast.cal, task, stage.cast.che


def task_that_goes_on(stage: Stage) -> tuple[Any, User, Any, User]:
    return task_in(stage, "draft"), stage.all_roles, task_in(stage, "cancelled"), stage.cast.ann


SCENES: dict[tuple[str, str, str], Scene] = {
    **{("releases.delayrequest", name, "delay.own"): delay_of_its_asker for name in ("grant", "refuse")},
    ("releases.delayrequest", "withdraw", "delay.not_own"): delay_of_another,
    **{("releases.handtask", name, "task.four_eyes"): task_signed for name in ("begin", "finish", "give_up")},
    ("releases.handtask", "attest", "task.performer"): task_of_its_performer,
    ("releases.hoststep", "approve", "step.writer"): step_of_its_writer,
    **{("changes.changetask", name, "task.concerned"): task_of_another for name in ("begin", "finish")},
    **{("changes.changetask", name, "task.four_eyes_signer"): task_of_its_signer for name in ("begin", "finish")},
    **{("changes.changetask", name, "task.planner"): task_planned_by_another for name in ("dismiss", "reopen")},
    ("changes.changetask", "dismiss", "task.required"): task_required,
    ("changes.changetask", "cancel", "task.change_goes_on"): task_that_goes_on,
    ("changes.agendaitem", "decide", "agenda.undecided"): item_undecided,
    ("changes.agendaitem", "withdraw", "agenda.open_round"): item_asked,
    ("changes.changemodel", "approve", "model.author"): model_of_its_signer,
    ("changes.changemodel", "approve", "model.no_passed_round"): model_unsigned,
    ("changes.changemodel", "refuse", "round.ends_it"): model_asked_about,
    ("changes.changemodel", "void", "round.ends_it"): model_asked_about,
    ("changes.rfc", "authorize", "rfc.four_eyes_requester"): rfc_of_its_signer,
    ("changes.rfc", "authorize", "rfc.four_eyes_program"): rfc_of_its_signers_program,
    ("changes.rfc", "authorize", "rfc.no_passed_round"): rfc_without_round,
    ("changes.rfc", "begin", "rfc.four_eyes_signer"): rfc_signed,
    ("changes.rfc", "break_glass", "rfc.four_eyes_requester"): glass_of_its_writer,
    ("changes.rfc", "break_glass", "rfc.four_eyes_program"): glass_of_a_program,
    ("changes.rfc", "break_glass", "rfc.glass_not_asked"): glass_nobody_asked_for,
    ("changes.rfc", "cancel", "rfc.own"): rfc_of_another,
    ("changes.rfc", "submit", "rfc.own"): rfc_of_another,
    **{("changes.rfc", name, "round.ends_it"): round_that_runs for name in ("expired", "refused", "voided")},
    ("cmdb.baseline", "approve", "baseline.own"): baseline_of_its_proposer,
    ("cmdb.baseline", "supersede", "baseline.in_force"): baseline_in_force,
    ("cmdb.configurationitem", "enter_service", "cmdb.in_service"): item_planned,
    ("cmdb.exemption", "grant", "exemption.own"): exemption_of_its_asker,
    ("releases.postimplementationreview", "complete", "review.four_eyes"): review_of_who_did_a_task,
    ("releases.release", "build", "release.four_eyes"): release_of_its_rfcs_signer,
    ("releases.release", "seal", "release.four_eyes"): release_of_its_rfcs_signer,
    ("releases.release", "deploy", "release.four_eyes"): release_signed,
    **{("releases.release", name, "release.signed_by"): release_not_signed_by for name in ("ready", "no_go")},
    ("releases.ring", "accept_partial", "ring.four_eyes"): ring_of_the_starter,
    **{("releases.rollout", name, "rollout.four_eyes"): rollout_signed for name in ("start", "resume")},
}
BY_EVENT = {("changes.cycle", name, "cycle.by_system") for name in (
    "notified", "rfc_submitted", "deployment_approved", "release_completed",
)}  # fmt: skip
"""What a person never causes by firing: `test_an_event_moves_the_cycle` asks it with an event and without one."""


def test_every_rule_beside_the_roles_has_a_scene() -> None:
    assert set(SCENES) | BY_EVENT == other_rules()


@pytest.fixture
def stage(cast: Cast, now: datetime, tmp_path: Path) -> Stage:
    return Stage(cast, now, tmp_path, make_user("all-roles", *(role.name for role in grantable())))


@pytest.mark.django_db
@pytest.mark.parametrize(("label", "name", "code"), sorted(SCENES), ids=lambda part: part)
def test_each_rule_alone_stands_in_somebodys_way(stage: Stage, label: str, name: str, code: str) -> None:
    """It refuses where nothing else does, so that without it the transition would be open; and it lets others pass."""
    barred, refused, free, passing = SCENES[label, name, code](stage)
    edge = next(e for e in fsm.MACHINES[label] if e.name == name)
    without = [rule for rule in edge.allowed if rule.code != code]
    assert [b.code for b in failing(edge.allowed, barred, User.objects.get(pk=refused.pk))] == [code]
    assert failing(without, barred, User.objects.get(pk=refused.pk)) == []
    assert failing(edge.allowed, free, User.objects.get(pk=passing.pk)) == []


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(name for _label, name, _code in BY_EVENT))
def test_an_event_moves_the_cycle(stage: Stage, name: str) -> None:
    edge = next(e for e in fsm.MACHINES["changes.cycle"] if e.name == name)
    times = {"state_at": stage.at, "opened_at": stage.at}
    cycle = Cycle.objects.create(name="November", kind="out_of_band", state=edge.sources[0], **times)
    assert [b.code for b in failing(edge.allowed, cycle, stage.all_roles)] == ["cycle.by_system"]
    CycleEvent.objects.create(cycle=cycle, kind=name, at=stage.at, by=stage.cast.bot)
    assert failing(edge.allowed, cycle, stage.cast.bot) == []
