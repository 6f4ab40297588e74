"""What the import contracts cannot say about the house."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
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


EAGER = {"gettext", "ngettext", "pgettext", "npgettext"}
SPOKEN = {*EAGER, *(f"{name}_lazy" for name in EAGER), "gettext_noop"}


def translators_of(tree: ast.AST) -> dict[str, str]:
    """The names by which a module calls gettext → what each is."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.name in SPOKEN
    }


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that is evaluated when the module is imported: no body of a function."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and (
            child is node.body if isinstance(node, ast.Lambda) else child in node.body
        ):
            continue
        yield from run_at_import(child)


def frozen_words(source: str) -> list[int]:
    """Lines on which a word is translated once and for all, when the module is imported."""
    tree = ast.parse(source)
    eager = {name for name, what in translators_of(tree).items() if what in EAGER}
    return [
        n.lineno
        for n in run_at_import(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in eager
    ]


def unseen_words(source: str) -> list[int]:
    """Lines on which gettext cannot collect the words: inside an f-string, an f-string itself, or by a name of our own."""
    tree = ast.parse(source)
    known = translators_of(tree)
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            calls = [c for c in ast.walk(node) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)]
            lines += [c.lineno for c in calls if c.func.id in known]  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
            first = node.args[0]
            if isinstance(first, ast.JoinedStr | ast.BinOp) or node.func.id not in {*SPOKEN, "_"}:
                lines.append(node.lineno)
    return sorted(lines)


def places(find: Callable[[str], list[int]]) -> list[str]:
    return [f"{p.relative_to(ROOT)}:{n}" for p in SOURCES if "gettext" in (text := p.read_text()) for n in find(text)]


def test_no_language_is_frozen_at_import() -> None:
    assert not places(frozen_words), "use gettext_lazy"


def test_every_word_to_translate_can_be_collected() -> None:
    assert not places(unseen_words), "a whole sentence in the call, with %(names)s"


def test_frozen_and_unseen_words_are_found() -> None:
    head = "from django.utils.translation import gettext as _, gettext_lazy as lazy, pgettext\n"
    frozen = (
        head
        + 'A = _("a")\nclass B:\n    c = pgettext("x", "y")\ndef d(e=_("e")):\n    return _("f")\ng = lambda: _("h")\n'
    )
    assert frozen_words(frozen) == [2, 4, 5]
    unseen = (
        head
        + 'def a(n):\n    b = f"{_(\'c\')} d"\n    e = _(f"f {n}")\n    g = lazy("h")\n    return _("i") + _("j %(n)s" % n)\n'
    )
    assert unseen_words(unseen) == [3, 4, 5, 6]


GATES = ("gates", "host_gates", "ways")
"""Modules whose answers stand in slips, which pages show."""


def uneven_sentences(source: str) -> list[int]:
    """Lines on which `english` or `kept` is not given exactly the values that its template names, or no literal template,
    or a name that it keeps for itself."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("english", "english_n", "kept")
        ):
            forms = node.args[:2] if node.func.id == "english_n" else node.args[:1]
            given = {k.arg for k in node.keywords} | ({"n"} if node.func.id == "english_n" else set())
            texts = [f.value for f in forms if isinstance(f, ast.Constant) and isinstance(f.value, str)]
            named = {name for text in texts for name in re.findall(r"%\((\w+)\)", text)}
            if len(texts) != len(forms) or named != given or named & {"text", "plural", "context"}:
                lines.append(node.lineno)
    return lines


def test_sentences_are_given_the_values_that_they_name() -> None:
    found = [
        f"{p.relative_to(ROOT)}:{n}"
        for p in SOURCES
        if "english" in (text := p.read_text()) or "kept(" in text
        for n in uneven_sentences(text)
    ]
    assert [place for place in found if not place.startswith("patchflow/kernel/blockers.py")] == []


def spliced_sentences(source: str) -> list[int]:
    """Lines with words in an f-string: nothing knows such a sentence for a template, so nobody reads it in another language."""
    tree = ast.parse(source)
    formats = {id(node.format_spec) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and id(node) not in formats
        if any(isinstance(part, ast.Constant) and re.search(r"[a-z] | [a-z]", str(part.value)) for part in node.values)
    ]


def test_gates_answer_from_templates() -> None:
    found = {name: spliced_sentences((ROOT / f"releases/domain/{name}.py").read_text()) for name in GATES}
    assert found == {name: [] for name in GATES}
    assert spliced_sentences('f"{a} is at work"\nf"{b:%d %b at}"\nf"{c}:slow"\n') == [1]


def test_uneven_sentences_are_found() -> None:
    source = (
        'english("%(a)s", a=1)\nenglish("%(a)s", b=1)\nenglish(f"{x}")\nenglish_n("%(n)s host", "%(n)s hosts", 2)\n'
    )
    source += 'english("a", b=2)\nenglish("%(text)s", text=1)\n'
    assert uneven_sentences(source) == [2, 3, 5, 6]
