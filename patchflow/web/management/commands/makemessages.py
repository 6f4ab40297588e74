"""`makemessages` as this house does it: German, stable files, and the words that are declared and not written in a call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import CommandParser
from django.core.management.commands import makemessages

from patchflow.kernel import fsm, roles
from patchflow.kernel.registry import VERBS
from patchflow.web.naming import SPOKEN

IGNORED = [".venv", ".tools", "var", "tests", "staticfiles", "pictures", "docs"]
LANGUAGES = ["de"]


class Command(makemessages.Command):
    # Sentences of refusals are English where they are kept and translated where they are shown (kernel.blockers).
    xgettext_options = [
        *makemessages.Command.xgettext_options,
        *(f"--keyword={word}" for word in ("Blocker:2", "rule:2", "Item:1", "english:1", "english_n:1,2", "kept:1")),
        *(f"--keyword={word}:1" for word in ("NotAllowed", "Blocked", "Conflict", "Invalid")),
    ]
    help = "Collects every string to translate into patchflow/locale, declared words (verbs, roles, fields of the admin site) among them."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(
            locale=LANGUAGES, ignore_patterns=IGNORED, add_location="file", no_wrap=True, no_obsolete=True
        )

    def process_files(self, file_list: list[makemessages.TranslatableFile]) -> None:
        super().process_files(file_list)
        for folder in self.locale_paths:
            makemessages.write_pot_file(str(Path(folder) / f"{self.domain}.pot"), declared())

    def write_po_file(self, potfile: str, locale: str) -> None:
        super().write_po_file(potfile, locale)
        po = Path(potfile).parent / locale / "LC_MESSAGES" / f"{self.domain}.po"
        po.write_text(re.sub(r'^"POT-Creation-Date: .*\n', "", po.read_text(), count=1, flags=re.MULTILINE))


def declared() -> str:
    """Entries of a .pot for words that stand in a register and are translated where they are shown."""
    return "\n".join(_entries()) + "\n"


def _entries() -> Iterator[str]:
    machines = {one.label for machine in fsm.MACHINES.values() for one in machine}
    titles = {role.title for role in roles.all_roles().values()}
    named = {context: {word for of, word in SPOKEN if of == context} for context in ("model", "field", "help")}
    registers = {"verb": machines, "trail": set(VERBS.values()), "role": titles, **named}
    for context, words in registers.items():
        for word in sorted(words):
            quoted = word.replace("\\", "\\\\").replace('"', '\\"')
            yield f'\nmsgctxt "{context}"\nmsgid "{quoted}"\nmsgstr ""'
