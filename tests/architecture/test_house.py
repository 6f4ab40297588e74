"""What the import contracts cannot say about the house."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin

from patchflow.kernel import fsm
from patchflow.kernel.registry import VERBS
from patchflow.kernel.roles import all_roles
from patchflow.web.admin import VerbAdmin

ROOT = Path(__file__).resolve().parents[2]
APPS = ("cmdb", "changes", "releases")
FLOORS = ("domain", "queries", "models", "rules")
SOURCES = [p for a in (*APPS, "patchflow") for p in sorted((ROOT / a).rglob("*.py")) if "migrations" not in p.parts]


def modules_of(*floors: str) -> list[Path]:
    return [
        p
        for p in SOURCES
        if p.relative_to(ROOT).parts[0] in APPS and p.relative_to(ROOT).parts[1].removesuffix(".py") in floors
    ]


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def calls_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def test_only_known_packages_stand_at_the_top() -> None:
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert packages == {"patchflow", "cmdb", "changes", "releases", "tests"}


@pytest.mark.parametrize("path", modules_of(*FLOORS), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_inner_floors_know_no_http(path: Path) -> None:
    http = {"django.http", "django.views", "django.shortcuts", "rest_framework", "celery"}
    assert not [name for name in imports_of(path) if any(name == h or name.startswith(h + ".") for h in http)]


@pytest.mark.parametrize("path", modules_of(*FLOORS), ids=lambda p: str(p.relative_to(ROOT)))
def test_time_is_an_argument(path: Path) -> None:
    """Domain, queries, models and rules never read the clock, so that a plan can be rehearsed."""
    clocks = {"timezone.now", "datetime.now", "datetime.datetime.now", "date.today", "time.time", "datetime.utcnow"}
    assert not [(name, line) for name, line in calls_of(path) if name in clocks]


def test_nothing_is_called_utils() -> None:
    bad = {"utils", "helpers", "common", "services", "manager", "managers"}
    assert not [p for p in SOURCES if p.stem in bad]


def test_one_way_to_change_a_state() -> None:
    """No `update(state=…)` past the door; creation and the kernel itself aside."""
    found = []
    for path in SOURCES:
        if path.is_relative_to(ROOT / "patchflow"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if (
                isinstance(called, ast.Attribute)
                and called.attr == "update"
                and any(k.arg == "state" for k in node.keywords)
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_templates_know_no_state_names() -> None:
    machines = [t for label, machine in fsm.MACHINES.items() if not label.startswith("toys.") for t in machine]
    states = {value for t in machines for value in (*t.sources, t.target)}
    pattern = re.compile(r"""\.state\s*==\s*["'](\w+)["']""")
    found = []
    for template in [t for a in (*APPS, "patchflow") for t in (ROOT / a).rglob("*.html")]:
        found += [
            f"{template.relative_to(ROOT)}: {name}" for name in pattern.findall(template.read_text()) if name in states
        ]
    assert found == []


def test_templates_have_no_inline_script_or_style() -> None:
    pattern = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", re.IGNORECASE)
    found = []
    for template in [t for a in (*APPS, "patchflow") for t in (ROOT / a).rglob("*.html")]:
        found += [f"{template.relative_to(ROOT)}: {m}" for m in pattern.findall(template.read_text())]
    assert found == []


def test_every_admin_is_a_window() -> None:
    """Each registered admin of ours is a VerbAdmin: nothing is added, changed or deleted by hand."""
    ours = [m for m in admin.site._registry if m._meta.app_label in (*APPS, "kernel", "notices")]
    assert ours
    assert not [m for m in ours if not isinstance(admin.site._registry[m], VerbAdmin)]


def test_every_transition_names_a_registered_verb_and_rules() -> None:
    for label, machine in fsm.MACHINES.items():
        for t in machine:
            assert t.verb in VERBS, (label, t.name)
            assert t.allowed, (label, t.name)


def test_every_state_can_be_left_or_is_an_end() -> None:
    """A state that no transition reaches is dead; the first one is where rows start."""
    for label, machine in fsm.MACHINES.items():
        model = apps.get_model(label)
        states = {value for value, _label in model._meta.get_field(fsm.state_attribute(model)).choices}
        reached = {t.target for t in machine} | {model._meta.get_field(fsm.state_attribute(model)).default}
        assert states - {str(s) for s in reached} == set(), label


def test_roles_are_literate() -> None:
    for role in all_roles().values():
        assert role.title
        assert role.capabilities
