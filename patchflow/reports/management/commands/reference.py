"""`manage.py reference`: writes docs/reference from the code: machines with their rules and gates, roles, audited verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from patchflow.kernel import fsm, registry
from patchflow.kernel.roles import all_roles

HEAD = (
    "<!-- Made by `manage.py reference` from the code; a test compares. Change the code, then run `make docs`. -->\n\n"
)
OURS = ("kernel", "cmdb", "changes", "releases", "notices")


class Command(BaseCommand):
    help = "Writes the generated part of docs/reference; with --check fails if it is not what the code says."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", default=str(settings.BASE_DIR / "docs" / "reference"))
        parser.add_argument("--check", action="store_true")

    def handle(self, **options: Any) -> None:
        folder = Path(options["out"])
        stale = []
        for name, text in pages().items():
            path = folder / name
            if options["check"]:
                if not path.exists() or path.read_text() != text:
                    stale.append(name)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        if stale:
            raise CommandError(f"Not what the code says: {', '.join(stale)}. Run `make docs`.")


def pages() -> dict[str, str]:
    """File name → text."""
    return {"states.md": states(), "roles.md": roles(), "verbs.md": verbs()}


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].strip()


def states() -> str:
    parts = ["# States, transitions and gates\n", HEAD]
    for label in sorted(fsm.MACHINES):
        model = apps.get_model(label)
        if model._meta.app_label not in OURS:
            continue
        machine = fsm.MACHINES[label]
        parts.append(f"## {str(model._meta.verbose_name).capitalize()} (`{label}`)\n\n{first_line(model.__doc__)}\n\n")
        parts.append("| from | verb | to | who | audited as |\n|---|---|---|---|---|\n")
        for t in sorted(machine, key=lambda t: (t.name, t.target)):
            who = " ".join(rule.sentence for rule in t.allowed) + (" Fired by the system." if t.by_system else "")
            parts.append(f"| {', '.join(t.sources)} | {t.name} | {t.target} | {who} | `{t.verb}` |\n")
        gates = {t.name: registry.gates_of(label, t.name) for t in machine}
        listed = [(name, gate) for name in sorted(gates) for gate in gates[name]]
        if listed:
            parts.append("\n| gate of | says |\n|---|---|\n")
            parts += [
                f"| {name} | {first_line(gate.__doc__)} (`{gate.__module__}.{getattr(gate, '__name__', '')}`) |\n"
                for name, gate in listed
            ]
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


def roles() -> str:
    parts = ["# Roles and capabilities\n", HEAD, "| role | may |\n|---|---|\n"]
    parts += [
        f"| {role.title} (`{role.name}`) | {', '.join(sorted(role.capabilities))} |\n" for role in all_roles().values()
    ]
    return "".join(parts)


def verbs() -> str:
    parts = ["# Audited verbs\n", HEAD, "| verb | says |\n|---|---|\n"]
    parts += [
        f"| `{name}` | {text} |\n" for name, text in sorted(registry.VERBS.items()) if not name.startswith("toy.")
    ]
    return "".join(parts)
