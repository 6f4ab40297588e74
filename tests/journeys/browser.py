"""A person at the web door: logs in through the form, and from then on only clicks, types and reads what the pages show."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Response, expect, sync_playwright
from playwright.sync_api import Page as Tab

from patchflow.web.pictures import ARGUMENTS, WIDER, browser_path

PICTURES = Path(__file__).resolve().parents[2] / "pictures" / "walk"
WINDOW = {"width": 1280, "height": 900}
STATE = ".head .state .badge-st"
PATIENCE = 20_000
"""Milliseconds that a page may take to answer, on a busy machine."""
VIOLATED = """addEventListener("securitypolicyviolation", (event) => {
  window.violated(`${event.violatedDirective}: ${event.blockedURI || event.sourceFile}`);
});"""


class Place(Protocol):
    """Where people log in: its address, and each one's password."""

    url: str
    passwords: Mapping[str, str]


class BrowserPerson:
    """Somebody in a browser of their own. Whatever the browser complains of is in `complaints`."""

    def __init__(self, name: str, context: BrowserContext, photograph: Callable[[BrowserPerson, str], None]) -> None:
        self.name, self.context = name, context
        self.complaints: list[str] = []
        self._photograph = photograph
        self._refusals = 0
        context.expose_binding("violated", lambda _source, what: self._complain(f"policy: {what}"))
        context.add_init_script(VIOLATED)
        self.tab: Tab = context.new_page()
        self.tab.set_default_timeout(PATIENCE)
        self.tab.on("console", self._heard)
        self.tab.on("pageerror", lambda error: self._complain(f"script: {error}"))
        self.tab.on("response", self._answered)

    # ------------------------------------------------------------- what the browser says
    def _complain(self, text: str) -> None:
        self.complaints.append(f"{self.name} on {urlsplit(self.tab.url).path}: {text}")

    def _heard(self, message: ConsoleMessage) -> None:
        refused = self._refusals > 0 and "the server responded with a status of 400" in message.text
        if message.type in ("error", "warning") and not refused:
            self._complain(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= (500 if self._refusals else 400):
            self._complain(f"{response.status} {response.request.method} {response.url}")

    @contextmanager
    def being_refused(self) -> Iterator[None]:
        """For as long as the block lasts a form may come back with reasons."""
        self._refusals += 1
        try:
            yield
        finally:
            self._refusals -= 1

    def look(self, what: str) -> None:
        """Keeps a picture of the whole page."""
        self._photograph(self, what)

    # ------------------------------------------------------------- reading
    @property
    def main(self) -> Locator:
        return self.tab.locator("main")

    def title(self) -> str:
        return self.tab.locator("h1").inner_text()

    def sees(self, *texts: str) -> None:
        """Fails unless the page shows each of these."""
        for text in texts:
            expect(self.main.get_by_text(text).locator("visible=true").first).to_be_visible(timeout=PATIENCE)

    def state(self) -> str:
        """The state of the object under its title."""
        return self.tab.locator(STATE).first.inner_text().strip()

    def card(self, heading: str) -> Locator:
        """The card with this heading."""
        return self.tab.locator("section.pc", has=self.tab.get_by_role("heading", name=heading, exact=True))

    def becomes(self, state: str, *, seconds: float) -> None:
        """Waits, without touching anything, until the page says this state by itself."""
        expect(self.tab.locator(STATE).first).to_have_text(state, timeout=seconds * 1000)

    # ------------------------------------------------------------- acting
    def login(self, url: str, password: str) -> None:
        """The one address that is typed."""
        self.tab.goto(url)
        self.fill({"Username": self.name, "Password": password})
        self.press("Log in")
        expect(self.tab.get_by_text("Your menu")).to_be_attached()

    def home(self) -> None:
        self._leave(self.tab.get_by_role("link", name="Patchflow"))

    def go(self, place: str) -> None:
        """To a place of the navigation."""
        self._leave(self.tab.locator("nav").get_by_role("link", name=place))

    def follow(self, name: str, *, within: Locator | None = None, exact: bool = False) -> None:
        """Clicks a link."""
        self._leave((within or self.main).get_by_role("link", name=name, exact=exact))

    def press(self, name: str, *, within: Locator | None = None) -> None:
        """Presses a button and waits for the page that follows."""
        self._leave((within or self.main).get_by_role("button", name=name))

    def _leave(self, by: Locator) -> None:
        """Clicks, and waits for the page that follows."""
        with self.tab.expect_navigation():
            by.first.click()

    def fill(self, texts: dict[str, str], *, within: Locator | None = None) -> None:
        """Label → what is typed."""
        for label, text in texts.items():
            self.field(label, within).fill(text)

    def field(self, label: str, within: Locator | None = None) -> Locator:
        return (within or self.main).get_by_label(label).first

    def tick(self, label: str, *, on: bool = True, within: Locator | None = None) -> None:
        (within or self.main).get_by_label(label, exact=True).first.set_checked(on)

    def choose(self, label: str, option: str) -> None:
        self.field(label).select_option(label=option)


class People:
    """The people of an installation, each in a browser of their own; `people.ann` logs in on first use."""

    def __init__(self, browser: Browser, place: Place, folder: Path) -> None:
        self._browser, self._place, self._folder = browser, place, folder
        self._here: dict[str, BrowserPerson] = {}
        self._pictures = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def __getattr__(self, name: str) -> BrowserPerson:
        if name.startswith("_") or name not in self._place.passwords:
            raise AttributeError(name)
        if name not in self._here:
            context = self._browser.new_context(viewport=WINDOW, color_scheme="light", reduced_motion="reduce")  # type: ignore[arg-type]
            home = urlsplit(self._place.url).netloc
            context.route("**/*", lambda r: r.continue_() if urlsplit(r.request.url).netloc == home else r.abort())
            self._here[name] = BrowserPerson(name, context, self._photograph)
            self._here[name].login(self._place.url, self._place.passwords[name])
        return self._here[name]

    def _photograph(self, person: BrowserPerson, what: str) -> None:
        self._pictures += 1
        tab = person.tab
        if wide := tab.evaluate(WIDER):
            person.complaints.append(f"{person.name} on {urlsplit(tab.url).path}: overflow: {', '.join(wide)}")
        height = int(tab.evaluate("document.documentElement.scrollHeight"))
        tab.set_viewport_size({"width": WINDOW["width"], "height": max(WINDOW["height"], height)})
        tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        tab.screenshot(path=str(self._folder / f"{self._pictures:02}-{person.name}-{what}.png"), full_page=True)
        tab.set_viewport_size(WINDOW)  # type: ignore[arg-type]

    def log_in_again(self) -> None:
        """Everybody comes back on another day: who stays away is logged out."""
        for name, person in self._here.items():
            person.context.clear_cookies()
            person.login(self._place.url, self._place.passwords[name])

    def complaints(self) -> list[str]:
        """What all browsers complained of."""
        return [line for person in self._here.values() for line in person.complaints]

    def show(self) -> None:
        """Keeps a picture of where everybody stands."""
        for name, person in self._here.items():
            person.tab.screenshot(path=str(self._folder / f"last-{name}.png"), full_page=True)


@contextmanager
def people_of(place: Place, folder: Path = PICTURES) -> Iterator[People]:
    """Browsers for the people of this installation, for as long as the block lasts; their pictures go into `folder`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(ARGUMENTS))
        people = People(browser, place, folder)
        try:
            yield people
        except BaseException:
            people.show()
            raise
        finally:
            browser.close()


def rows_of(table: Locator) -> list[list[str]]:
    """The cells of a table as they are read."""
    found: Any = table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    return list(found)
