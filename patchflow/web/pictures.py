"""Photographs of pages with a real browser, and what it complained about: a page is looked at before it is called done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Request, sync_playwright
from playwright.sync_api import Page as Tab

WIDTHS: Final[dict[int, int]] = {1280: 900, 390: 844}
"""Width → height of the window, in CSS pixels: a desk and a phone."""

BROWSERS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

INTERFACES: Final = "net::ERR_NETWORK_CHANGED"
TRIES: Final = 4

WATCH: Final = """
window.__violations = [];
addEventListener("securitypolicyviolation", (event) => {
  __violations.push(`${event.violatedDirective}: ${event.blockedURI || event.sourceFile}`);
});
"""

WIDER: Final = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wide = [...document.querySelectorAll("main *, header *")].filter((e) => {
    if (e.closest(".scroll, pre, svg, .visually-hidden, details:not([open]) > :not(summary)")) return false;
    const box = e.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1;
  });
  const name = (e) => [e.tagName.toLowerCase(), ...e.classList].join(".");
  return [`${document.documentElement.scrollWidth} px wide`, ...wide.slice(0, 5).map(name)];
}"""


class NoBrowser(RuntimeError):
    """There is no chromium on this machine."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page to photograph; `status` is what it is expected to answer, `cookie` a session of its own, `then` what is done
    on it before: what is photographed is where that leads."""

    name: str
    path: str
    status: int = 200
    cookie: tuple[str, str] | None = None
    then: Callable[[Tab], object] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the browser complained about: `kind` is console, policy, status, request, overflow or barrier."""

    page: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.kind}: {self.text}"


def browser_path() -> str:
    """Where chromium is: the one without windows first, it starts and draws faster. Raises `NoBrowser` with what to install."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise NoBrowser("No chromium found; on Debian: apt install chromium-headless-shell")


def photograph(
    base_url: str,
    pages: Iterable[Page],
    out: Path | None,
    *,
    cookie: tuple[str, str] | None = None,
    themes: Sequence[str] = ("light",),
    widths: Iterable[int] = tuple(WIDTHS),
    time_zone: str = "UTC",
    language: str = "en",
    examine: Callable[[Tab], Iterable[str]] | None = None,
) -> list[Finding]:
    """Writes `out/<name>-<width>-<theme>.png` of every page, whole length, and says what was wrong with each; without `out` it
    only says that, in half the time.

    A page is loaded once and its window narrowed for each width. `cookie` is the (name, value) of a session. Wrong are:
    another status than expected, anything on the console, a breach of the content security policy, a file that did not
    load, a page wider than its window at 390 pixels, and what `examine` says at each width. Only the
    server at `base_url` is asked; every other address is cut off.
    """
    if out:
        out.mkdir(parents=True, exist_ok=True)
    wanted = list(pages)
    findings: list[Finding] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(ARGUMENTS))
        for theme in themes:
            context = _context(browser, base_url, theme, time_zone, language)
            tab = context.new_page()
            for page in wanted:
                _enter(context, base_url, page.cookie or cookie)
                findings += _shoot(tab, urljoin(base_url, page.path), page, tuple(widths), theme, out, examine)
            context.close()
        browser.close()
    return findings


def _context(browser: Browser, base_url: str, theme: str, time_zone: str, language: str) -> BrowserContext:
    """A fresh profile that reaches nothing but the server."""
    home = urlsplit(base_url).netloc
    context = browser.new_context(
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        timezone_id=time_zone,
        locale=language,
    )
    context.add_init_script(WATCH)
    context.route("**/*", lambda r: r.continue_() if urlsplit(r.request.url).netloc == home else r.abort())
    return context


def _enter(context: BrowserContext, base_url: str, cookie: tuple[str, str] | None) -> None:
    """Comes as the owner of this session, or as nobody."""
    context.clear_cookies()
    if cookie:
        context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": base_url}])


def _shoot(
    tab: Tab,
    url: str,
    wanted: Page,
    widths: Sequence[int],
    theme: str,
    out: Path | None,
    examine: Callable[[Tab], Iterable[str]] | None,
) -> list[Finding]:
    """The pictures of one page, and what was wrong with it. Where an interface of this machine came or went meanwhile, the browser
    dropped what it was loading: then it is loaded again."""
    for _attempt in range(TRIES):
        found = _look(tab, url, wanted, widths, theme, out, examine)
        if not any(INTERFACES in finding.text for finding in found):
            break
    return found


def _look(
    tab: Tab,
    url: str,
    wanted: Page,
    widths: Sequence[int],
    theme: str,
    out: Path | None,
    examine: Callable[[Tab], Iterable[str]] | None,
) -> list[Finding]:
    found: list[Finding] = []
    width = widths[0]

    def note(kind: str, text: str) -> None:
        found.append(Finding(f"{wanted.name} at {width}, {theme}", kind, text))

    def heard(message: ConsoleMessage) -> None:
        own_answer = wanted.status >= 400 and f"status of {wanted.status}" in message.text
        if message.type in ("error", "warning") and not own_answer:
            note("console", message.text)

    def broken(error: Error) -> None:
        note("console", str(error))

    def lost(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page itself called it off, as a poll does when the page is left
            note("request", request.url)

    tab.on("console", heard)
    tab.on("pageerror", broken)
    tab.on("requestfailed", lost)
    try:
        _resize(tab, width)
        answer = tab.goto(url, wait_until="load", timeout=30_000)
        if answer is None or answer.status != wanted.status:
            note("status", f"{answer.status if answer else 'no answer'} instead of {wanted.status}")
        if wanted.then:
            wanted.then(tab)
        for width in widths:
            _resize(tab, width)
            if width <= 390 and (wide := tab.evaluate(WIDER)):
                note("overflow", ", ".join(wide))
            _resize(tab, width, tall=True)
            if out:
                tab.screenshot(path=str(out / f"{wanted.name}-{width}-{theme}.png"), full_page=True)
            for text in examine(tab) if examine else ():
                note("barrier", text)
        for text in tab.evaluate("window.__violations"):
            note("policy", text)
    except Error as error:
        note("request", str(error).splitlines()[0])
    finally:
        tab.remove_listener("console", heard)
        tab.remove_listener("pageerror", broken)
        tab.remove_listener("requestfailed", lost)
    return found


def _resize(tab: Tab, width: int, *, tall: bool = False) -> None:
    """Sets the window; `tall`: as tall as the page, so that what sticks to its edges is where a reader expects it."""
    height = WIDTHS.get(width, 900)
    if tall:
        height = max(height, int(tab.evaluate("document.documentElement.scrollHeight")))
    tab.set_viewport_size({"width": width, "height": height})
