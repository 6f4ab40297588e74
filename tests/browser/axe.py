"""What axe-core says of a page as it stands in the browser: WCAG 2.2, levels A and AA, as far as a tool can see it."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from playwright.sync_api import Page as Tab

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
COLOURS = ["color-contrast", "link-in-text-block"]
RUN = """async ([tags, without]) => {
  const rules = Object.fromEntries(without.map((rule) => [rule, {enabled: false}]));
  const found = await axe.run(document, {runOnly: {type: "tag", values: tags}, rules, resultTypes: ["violations"]});
  const why = (n) => n.any.concat(n.all, n.none).map((check) => check.message).join("; ");
  return found.violations.map((v) => [v.id, v.nodes.map((n) => `${n.target.join(" ")} | ${why(n)}`)]);
}"""


@cache
def source() -> str:
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text()


def barriers(tab: Tab) -> list[str]:
    """Each rule that the page breaks, with the elements; nothing is left out."""
    return _broken(tab, [])


def barriers_but_colours(tab: Tab) -> list[str]:
    """For a page whose colours have been examined already, in another language: they cost more than all other rules."""
    return _broken(tab, COLOURS)


def _broken(tab: Tab, without: list[str]) -> list[str]:
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(source())
    broken: list[Any] = tab.evaluate(RUN, [TAGS, without])
    return [f"{rule}: {element}" for rule, elements in broken for element in elements]
