"""The rules of an install profile: each does what it says on the host, or is refused before anything is signed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from cmdb.domain import hosts
from cmdb.models import Fact, ScanRun
from patchflow.kernel.errors import Blocked, Invalid
from releases.domain import manifests, plans
from releases.domain.profiles import countdown_minutes, find_unkept, profile_problems, restart_for
from releases.models import JobEvent, PermissionSlip
from tests.factories.releases import Yard, scheduling
from tests.factories.rollouts import Deployment, seal

Make = Callable[..., Deployment]
SERVERS = {"name": "Servers", "restart": "if_needed", "restart_kinds": ["server"], "countdown_seconds": 90}


@pytest.mark.parametrize(
    ("changed", "kind", "policy", "said"),
    [
        ({}, "server", ("if_needed", 90), "it is restarted if something asks for it, 90 s after its users are told"),
        ({"restart": "always"}, "server", ("always", 90), "it is restarted always, 90 s after its users are told"),
        ({"countdown_seconds": 0}, "server", ("if_needed", 0), "it is restarted if something asks for it"),
        ({}, "workstation", ("never", 0), "it is a workstation, and the profile restarts servers"),
        (
            {},
            "",
            ("never", 0),
            "nobody knows whether it is a server or a workstation, so it is not restarted",
        ),
        ({"restart": "never"}, "server", ("never", 0), "the profile restarts nothing"),
        ({"restart_kinds": []}, "server", ("never", 0), "it is a server, and the profile restarts no machine"),
    ],
)
def test_restart_by_rule_and_kind_of_machine(
    changed: dict[str, Any], kind: str, policy: tuple[str, int], said: str
) -> None:
    found = restart_for({**SERVERS, **changed}, kind)
    assert ((found.policy.mode, found.policy.countdown), found.sentence) == (policy, said)


@pytest.mark.parametrize(
    ("changed", "minutes"),
    [({}, 2), ({"restart": "never"}, 0), ({"restart_kinds": []}, 0), ({"countdown_seconds": 0}, 0)],
)
def test_the_notice_takes_its_time_of_the_window(changed: dict[str, Any], minutes: int) -> None:
    assert countdown_minutes({**SERVERS, **changed}) == minutes


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ({"restart_kinds": ["server", "workstation"]}, []),
        ({"restart": "never"}, []),
        ({"restart_kinds": []}, ["profile.restart_kinds"]),
        ({"restart_kinds": ["toaster"]}, ["profile.restart_kinds"]),
        ({"restart": "never", "countdown_seconds": 5}, ["profile.countdown_seconds"]),
        ({"restart_kinds": ["server"], "countdown_seconds": 7201}, ["profile.countdown_seconds"]),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(values: dict[str, Any], codes: list[str]) -> None:
    assert [b.code for b in profile_problems(values)] == codes


@pytest.mark.django_db
def test_a_profile_restarts_every_kind_unless_it_says_which(yard: Yard) -> None:
    given = {"actor": yard.cast.rex, "at": yard.at}
    assert plans.define_profile(name="All", **given).restart_kinds == ["server", "workstation"]
    assert plans.define_profile(name="None", restart="never", **given).restart_kinds == []
    with pytest.raises(Invalid):
        plans.define_profile(name="Odd", restart_kinds=[], **given)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"postponements": 2}, "let users postpone"),
        ({"deadline_hours": 24}, "keep a deadline of postponements"),
        ({"close_programs": ["firefox"]}, "close programs"),
    ],
)
def test_what_the_executor_cannot_keep_is_refused_before_it_is_signed(
    yard: Yard, values: dict[str, Any], what: str
) -> None:
    release = scheduling(yard)
    profile = plans.define_profile(name="Desks", actor=yard.cast.rex, at=yard.at, **values)
    plans.choose_profile(release_id=release.pk, profile_id=profile.pk, actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert [str(b) for b in refused.value.blockers] == [
        f"Profile “Desks” asks to {what}; the executor fake cannot. Choose another profile."
    ]


@pytest.mark.django_db
def test_an_executor_keeps_what_it_says(make: Make) -> None:
    deployment = make(hosts=1)
    assert find_unkept(SERVERS, deployment.release.executor) == []
    assert find_unkept({**SERVERS, "postponements": 1}, "nobody registered") == []
    assert [b.code for b in find_unkept({**SERVERS, "postponements": 1}, deployment.release.executor)] == [
        "profile.unsupported"
    ]


def with_profile(deployment: Deployment, **changed: Any) -> None:
    """Seals the same manifest with another profile."""
    document = copy.deepcopy(deployment.manifest.document)
    document["profile"] |= changed
    document["revision"] = 2
    deployment.manifest = seal(deployment.release, document, deployment.cast, deployment.clock.at)


@pytest.mark.django_db
def test_only_the_kinds_that_the_profile_names_are_restarted_and_each_slip_says_so(make: Make) -> None:
    deployment = make(hosts=3)
    with_profile(deployment, restart="always", countdown_seconds=60)
    desk, unknown = deployment.hosts[1:]
    who = {"actor": deployment.cast.cora, "at": deployment.clock.at}
    hosts.set_fact(host_id=desk.pk, key="machine_kind", value="workstation", **who)  # outranks what was discovered
    Fact.objects.filter(host=unknown).delete()
    deployment.start()
    deployment.work(turns=80)
    assert deployment.states() == ["succeeded"] * 3
    stages = [
        list(JobEvent.objects.filter(job=deployment.job(n)).order_by("seq").values_list("stage", "message"))
        for n in range(3)
    ]
    told = ("installing", "simulator: restarts in 60 s; its users are told")
    assert [told in rows for rows in stages] == [True, False, False]
    assert [any(stage == "restarting" for stage, _words in rows) for rows in stages] == [True, False, False]
    said = [
        next(
            g for g in PermissionSlip.objects.filter(job=deployment.job(n)).latest("pk").gates if g["gate"] == "restart"
        )
        for n in range(3)
    ]
    assert [(gate["verdict"], gate["input"]["kind"], gate["input"]["mode"]) for gate in said] == [
        ("pass", "server", "always"),
        ("pass", "workstation", "never"),
        ("pass", None, "never"),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(("after", "habit", "scans"), [(True, None, 1), (False, None, 0), (False, "fail", 1)])
def test_inventory_afterwards_as_the_profile_says_and_always_after_a_failure(
    make: Make, after: bool, habit: Any, scans: int
) -> None:
    deployment = make(hosts=1)
    with_profile(deployment, inventory_after=after)
    deployment.habit(0, habit)
    deployment.start()
    deployment.work()
    assert deployment.states() == ["failed" if habit else "succeeded"]
    assert ScanRun.objects.count() == scans


@pytest.mark.django_db
def test_a_profile_signed_before_its_rules_were_looked_at_waits_at_the_host(make: Make) -> None:
    deployment = make(hosts=1)
    with_profile(deployment, close_programs=["firefox"])
    deployment.start()
    deployment.work()
    job = deployment.job()
    assert (job.state, job.code) == ("pending", "reach")
    assert "asks to close programs" in job.statement
