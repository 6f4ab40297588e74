"""The design system holds what it promises: contrast in both themes, icons that exist, vendored files that are whole."""

from __future__ import annotations

import hashlib
import re
from itertools import product
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

from patchflow.web import icons, states
from patchflow.web.icons import SPRITE

ROOT = Path(settings.BASE_DIR)
STATIC = ROOT / "patchflow" / "web" / "static" / "patchflow"
CSS = (STATIC / "patchflow.css").read_text()
TEMPLATES = sorted(
    p for app in ("patchflow", "cmdb", "changes", "releases") for p in (ROOT / app).rglob("templates/**/*.html")
)


def theme(name: str) -> dict[str, str]:
    block = CSS.partition(f'[data-bs-theme="{name}"] {{')[2].partition("}")[0]
    return dict(re.findall(r"--pf-([\w-]+):\s*(#[0-9a-f]{6})", block))


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


SEVEN = [css.removeprefix("st-") for css in states.ICONS]
TEXT = [
    *product([f"{s}-fg" for s in SEVEN], ["surface", "paper", "sunken"]),
    *((f"{s}-fg", f"{s}-soft") for s in SEVEN),
]
TEXT += product(["ink", "ink-2", "ink-3", "accent"], ["surface", "paper", "sunken"])
TEXT += [("ink", f"{s}-soft") for s in SEVEN] + [
    ("accent-strong", "accent-soft"),
    ("ink-2", "accent-soft"),
    ("on-accent", "accent"),
]
SHAPES = [*((f"{s}-fill", "surface") for s in SEVEN), ("focus", "surface"), ("focus", "paper"), ("line-3", "surface")]


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize(("pair", "least"), [*((p, 4.5) for p in TEXT), *((p, 3.0) for p in SHAPES)])
def test_contrast(name: str, pair: tuple[str, str], least: float) -> None:
    colors = theme(name)
    assert contrast(colors[pair[0]], colors[pair[1]]) >= least


def test_white_on_the_confirming_button() -> None:
    for name in ("light", "dark"):
        assert contrast("#ffffff", theme(name)["bad-solid"]) >= 4.5


def test_the_style_sheet_names_every_class_and_shape() -> None:
    for name in [*states.ICONS, *states.SHAPES]:
        assert f".{name}" in CSS, name


def test_the_style_sheet_fetches_nothing() -> None:
    assert re.findall(r"url\((?!#)[^)]*\)|@import", CSS) == []


def test_icons_named_in_templates_exist() -> None:
    used = {(path.name, name) for path in TEMPLATES for name in re.findall(r'{% icon "([\w-]+)"', path.read_text())}
    assert len(used) > 20
    assert {pair for pair in used if pair[1] not in icons.names()} == set()
    assert set(states.ICONS.values()) <= icons.names()


def test_the_sprite_is_whole() -> None:
    text = SPRITE.read_text()
    assert len(icons.names()) == text.count("<symbol") == text.count("</symbol>")


def test_every_template_compiles() -> None:
    folders = [p for p in TEMPLATES if "patchflow/web/templates" in p.as_posix()]
    assert len(folders) > 40
    for path in folders:
        get_template(path.as_posix().partition("/templates/")[2])


def test_vendored_files_are_those_that_were_fetched() -> None:
    vendor = STATIC / "vendor"
    listed = dict(reversed(line.split("  ")) for line in (vendor / "SHA256SUMS").read_text().splitlines())
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest
    assert {p.name for p in vendor.iterdir()} == {*listed, "SHA256SUMS", "LICENSE"}
    assert "sourceMappingURL" not in (vendor / "tabler.min.css").read_text()
