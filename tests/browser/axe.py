"""What axe-core says of a page as it stands in the browser: WCAG 2.2, levels A and AA, as far as a tool can see it."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from playwright.sync_api import Page as Tab

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RUN = """async (tags) => {
  const found = await axe.run(document, {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]});
  const why = (n) => n.any.concat(n.all, n.none).map((check) => check.message).join("; ");
  return found.violations.map((v) => [v.id, v.nodes.map((n) => `${n.target.join(" ")} | ${why(n)}`)]);
}"""


@cache
def source() -> str:
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text()


def barriers(tab: Tab) -> list[str]:
    """Each rule that the page breaks, with the elements; nothing is left out."""
    tab.evaluate(source())
    broken: list[Any] = tab.evaluate(RUN, TAGS)
    return [f"{rule}: {element}" for rule, elements in broken for element in elements]
