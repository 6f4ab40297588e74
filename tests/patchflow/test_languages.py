"""German is whole: everything that the source offers for translation is translated, and the compiled file is what stands in the .po."""

from __future__ import annotations

import gettext
import os
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("patchflow/locale/de/LC_MESSAGES")
PACKAGES = ("patchflow", "cmdb", "changes", "releases")
Messages = dict[tuple[str, str], list[str]]
"""(singular with its context, plural) → every form of the translation."""


@pytest.fixture(scope="module")
def gettext_tools() -> None:
    if shutil.which("msgfmt") and shutil.which("xgettext"):
        return
    reason = "no gettext: apt install gettext"
    if os.environ.get("PATCHFLOW_REQUIRE_GETTEXT") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def messages_of(po: Path) -> Messages:
    """What a .po says, fuzzy entries left out; its header has the empty key and is left out too."""
    blocks = re.split(r"\n\s*\n", po.read_text())
    found: Messages = {}
    for block in blocks:
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines()):
            continue
        fields: dict[str, str] = {}
        name = ""
        for line in lines:
            if not line.startswith('"'):
                name, _, line = line.partition(" ")
            fields[name] = fields.get(name, "") + re.sub(r"\\(.)", _unescaped, line.strip()[1:-1])
        if fields.get("msgid"):
            key = "\x04".join([*([fields["msgctxt"]] if "msgctxt" in fields else []), fields["msgid"]])
            found[key, fields.get("msgid_plural", "")] = [v for k, v in fields.items() if k.startswith("msgstr")]
    return found


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(match[1], match[1])


def compiled(mo: Path) -> dict[str | tuple[str, int], str]:
    with mo.open("rb") as file:
        return dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]


def test_everything_in_the_source_is_translated(gettext_tools: None, tmp_path: Path) -> None:
    """Collected anew from a copy, the file stays as it is: nothing is missing, empty or fuzzy, and nothing is left over."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "locale"))
    shutil.copy(ROOT / "manage.py", tmp_path)
    (tmp_path / "patchflow/locale").mkdir()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "patchflow.settings"}
    command = [sys.executable, "manage.py", "makemessages", "-v", "0"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=240)
    offered = set(messages_of(tmp_path / FOLDER / "django.po"))
    translated = {key for key, forms in messages_of(ROOT / FOLDER / "django.po").items() if all(forms)}
    assert len(offered) > 2000
    assert not sorted(offered - translated), "translate these: make messages, then patchflow/locale/de"
    assert not sorted(translated - offered), "no longer in the source: make messages"


def test_the_compiled_file_is_the_text_compiled(gettext_tools: None, tmp_path: Path) -> None:
    made = tmp_path / "django.mo"
    subprocess.run(["msgfmt", "--check", "-o", made, ROOT / FOLDER / "django.po"], check=True, timeout=60)
    assert compiled(made) == compiled(ROOT / FOLDER / "django.mo"), "make messages"


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[a-z]", text)) | {
        f"{{{name}}}" for _, name, *_ in _fields(text) if name is not None
    }


def _fields(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(text))
    except ValueError:
        return []


def test_placeholders_are_those_of_the_source() -> None:
    """A lost %(name)s loses a name, an invented one breaks the page; of a plural one form may say its number in words."""
    wrong = []
    for (msgid, plural), forms in messages_of(ROOT / FOLDER / "django.po").items():
        wanted, most = placeholders(msgid), placeholders(msgid) | placeholders(plural)
        for form in forms:
            if form and not wanted <= placeholders(form) <= most and placeholders(form) != placeholders(plural):
                wrong.append((msgid, form))
    assert not wrong


def test_german_has_two_forms_of_a_plural() -> None:
    found = messages_of(ROOT / FOLDER / "django.po")
    assert {len(forms) for (_, plural), forms in found.items() if plural} == {2}
    assert {len(forms) for (_, plural), forms in found.items() if not plural} == {1}


def test_the_reader_of_po_files_reads_what_gettext_reads() -> None:
    """The checks above rest on `messages_of`: it must see what Python's own reader sees in the compiled file."""
    read = messages_of(ROOT / FOLDER / "django.po")
    flat = {key: forms[0] for (key, plural), forms in read.items() if not plural and forms[0]}
    known = compiled(ROOT / FOLDER / "django.mo")
    assert flat == {key: text for key, text in known.items() if isinstance(key, str) and key}
