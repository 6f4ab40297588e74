"""The face in a real browser: no complaint on any page, and the comforts of the script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from patchflow.web.pictures import ARGUMENTS, Page, browser_path, photograph
from tests.factories.people import make_user

pytestmark = [
    pytest.mark.browser,
    pytest.mark.native,
    pytest.mark.django_db(transaction=True),
]
STATUS = {"blocked": 409, "404": 404, "500": 500}


@pytest.fixture
def session() -> tuple[str, str]:
    client = Client()
    client.force_login(make_user("che", "change_manager"))
    return settings.SESSION_COOKIE_NAME, client.cookies[settings.SESSION_COOKIE_NAME].value


def test_no_page_complains(live_server: Any, session: tuple[str, str], tmp_path: Path) -> None:
    guide = Page("guide", "/styleguide/")
    kinds = ("object", "form", "confirm", "blocked", "404", "500")
    pages = [guide, *(Page(name, f"/styleguide/{name}/", STATUS.get(name, 200)) for name in kinds)]
    findings = photograph(live_server.url, pages, tmp_path, cookie=session, widths=(390,))
    findings += photograph(live_server.url, [guide], tmp_path, cookie=session, themes=("light", "dark"), widths=(1280,))
    assert [str(finding) for finding in findings] == []
    assert len(list(tmp_path.glob("*.png"))) == len(pages) + 2


def test_what_is_wrong_with_a_page_is_found(live_server: Any, tmp_path: Path) -> None:
    kinds = {
        finding.kind for finding in photograph(live_server.url, [Page("lost", "/nowhere/")], tmp_path, widths=(390,))
    }
    assert kinds == {"status", "console"}


@pytest.fixture
def tab(live_server: Any, session: tuple[str, str]) -> Iterator[Tab]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(ARGUMENTS))
        context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
        context.add_cookies([{"name": session[0], "value": session[1], "url": live_server.url}])
        page = context.new_page()
        page.goto(f"{live_server.url}/styleguide/")
        yield page
        browser.close()


def theme(tab: Tab) -> str | None:
    return tab.locator("html").get_attribute("data-bs-theme")


def test_colours_are_chosen_kept_and_changed_back(tab: Tab) -> None:
    assert theme(tab) == "light"
    tab.locator("details.who summary").click()
    tab.get_by_role("button", name="Dark colors").click()
    assert theme(tab) == "dark"
    tab.reload()
    assert theme(tab) == "dark"
    tab.locator("details.who summary").click()
    tab.get_by_role("button", name="Light colors").click()
    assert theme(tab) == "light"


def test_a_menu_closes_on_escape_and_on_a_click_elsewhere(tab: Tab) -> None:
    menu = tab.locator("details.who")
    menu.locator("summary").click()
    assert menu.get_attribute("open") is not None
    tab.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    assert tab.evaluate("document.activeElement.tagName") == "SUMMARY"
    menu.locator("summary").click()
    tab.locator("h1").click()
    assert menu.get_attribute("open") is None


def test_a_menu_closes_when_the_focus_leaves_it(tab: Tab) -> None:
    menu = tab.locator("details.who")
    menu.locator("summary").focus()
    tab.keyboard.press("Enter")
    for _ in range(2):
        tab.keyboard.press("Tab")
    assert menu.get_attribute("open") is not None
    tab.get_by_role("button", name="Log out").focus()
    tab.keyboard.press("Tab")
    assert menu.get_attribute("open") is None


def test_what_a_list_lets_choose_closes_on_escape_and_gives_the_focus_back(tab: Tab) -> None:
    tab.evaluate(
        """() => document.querySelector("main").insertAdjacentHTML("afterbegin",
          '<details class="pick"><summary class="btn">Columns</summary><div class="drop"><a href="#x">one</a></div></details>')"""
    )
    pick = tab.locator("details.pick")
    pick.locator("summary").focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert pick.get_attribute("open") is not None
    tab.keyboard.press("Escape")
    assert pick.get_attribute("open") is None
    assert tab.evaluate("document.activeElement.matches('details.pick > summary')")


STOP = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const ring = getComputedStyle(at.closest(".find") || at);
  return [`${at.tagName} ${at.textContent.trim().slice(0, 40)}`, ring.outlineStyle, parseFloat(ring.outlineWidth), ring.outlineColor];
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_stop_of_tab_wears_the_same_full_ring(tab: Tab, theme: Literal["light", "dark"]) -> None:
    tab.emulate_media(color_scheme=theme, reduced_motion="reduce")
    tab.reload()
    colours = {"light": {"rgb(11, 114, 133)", "rgb(127, 214, 226)"}, "dark": {"rgb(127, 214, 226)"}}[theme]
    poor, stops = [], 0
    while stops < 400:
        tab.keyboard.press("Tab")
        stop = tab.evaluate(STOP)
        if stop is None:
            break
        stops += 1
        if stop[1] != "solid" or stop[2] < 2 or stop[3] not in colours:
            poor.append(stop)
    assert poor == []
    assert 50 < stops < 400


def test_links_for_sorting_are_seen_on_a_narrow_screen_when_the_focus_is_on_one(tab: Tab) -> None:
    tab.set_viewport_size({"width": 640, "height": 450})
    tab.evaluate(
        """() => { document.querySelector("main").innerHTML = '<table class="tb rec"><thead><tr><th><a class="sort" href="#x">'
          + 'Host</a></th></tr></thead><tbody><tr><td>web-001</td></tr></tbody></table>'; }"""
    )
    tab.locator("a.sort").focus()
    assert tab.evaluate(
        """() => { const at = document.activeElement.getBoundingClientRect();
          return document.elementFromPoint(at.x + 4, at.y + at.height / 2) === document.activeElement; }"""
    )


def test_the_vote_lies_over_the_page_but_never_over_the_focus(tab: Tab) -> None:
    tab.emulate_media(reduced_motion="reduce")  # else the page is still scrolling when it is looked at
    tab.evaluate(
        """() => { const lines = Array.from({length: 80}, (_, n) => `<p><a href="#x${n}">line ${n}</a></p>`).join("");
          const main = document.querySelector("main"); main.className = "item";
          main.innerHTML = `${lines}<section class="vote"><button class="btn">Approve</button><p><br><br><br><br></p></section>`; }"""
    )
    box = tab.locator(".vote")
    assert box.evaluate("box => getComputedStyle(box).position") == "sticky"
    tab.locator("main a").first.focus()
    for _ in range(60):
        tab.keyboard.press("Tab")
        assert tab.evaluate(
            """() => { const at = document.activeElement.getBoundingClientRect();
              return document.elementFromPoint(at.x + 4, at.y + at.height / 2) === document.activeElement; }"""
        )
    box.locator("button").focus()
    assert box.evaluate("box => getComputedStyle(box).position") == "sticky"


RENEW = """() => {
  const live = document.createElement("div");
  for (const [name, value] of Object.entries({"id": "live", "hx-get": location.pathname, "hx-trigger": "every 200ms",
    "hx-select": "main > *", "hx-target": "main", "hx-swap": "innerHTML"})) live.setAttribute(name, value);
  document.querySelector("main").append(live);
  window.before = document.querySelector("main h1");
  htmx.process(live);
}"""


def renewed(tab: Tab) -> bool:
    """Whether it has been, after two seconds at most: the policy of the page forbids to wait within it."""
    for _ in range(40):
        if not tab.evaluate("window.before.isConnected"):
            return True
        tab.wait_for_timeout(50)
    return False


def test_a_page_that_renews_itself_keeps_the_readers_place(tab: Tab) -> None:
    cells = tab.locator(".cells").nth(1).locator("a")
    cells.first.focus()
    tab.keyboard.press("End")
    drawer = tab.locator("main details").last
    open_before = drawer.evaluate("drawer => { drawer.open = !drawer.open; return drawer.open; }")
    tab.evaluate(RENEW)
    assert renewed(tab)
    assert tab.evaluate("document.activeElement.title") == "web-126 · deferred"
    assert tab.evaluate("document.activeElement.tabIndex") == 0
    assert tab.locator(".cells").nth(1).locator('a[tabindex="0"]').count() == 1
    assert tab.locator("main details").last.evaluate("drawer => drawer.open") is open_before


def test_a_page_does_not_renew_itself_under_a_pointer_that_aims(tab: Tab) -> None:
    """While the mouse is over the cells of a rollout nothing moves, and the page says that news waits; afterwards it renews."""
    tab.evaluate(RENEW)
    cell = tab.locator(".cells").nth(1).locator("a").first
    cell.scroll_into_view_if_needed()
    cell.hover()
    tab.evaluate("window.before = document.querySelector('main h1')")
    tab.wait_for_timeout(700)
    assert tab.evaluate("window.before.isConnected")
    assert tab.locator("#live").inner_text() == "Held still while you point at a host; news waits"
    tab.mouse.move(0, 0)
    assert renewed(tab)


def test_a_focused_cell_stays_where_it_was_on_the_screen(tab: Tab) -> None:
    """News above the cells may be longer or shorter than before."""
    tab.set_viewport_size({"width": 1280, "height": 500})
    cell = tab.locator(".cells").nth(1).locator("a").first
    cell.focus()
    where = "document.activeElement.getBoundingClientRect().top"
    tab.evaluate("document.querySelector('main h1').insertAdjacentHTML('afterend', '<p>'+'<br>'.repeat(20)+'</p>')")
    cell.scroll_into_view_if_needed()
    before = tab.evaluate(where)
    tab.evaluate(RENEW)
    assert renewed(tab)
    assert tab.evaluate("document.activeElement.title") == cell.get_attribute("title")
    assert abs(tab.evaluate(where) - before) < 2


def test_a_page_that_renews_itself_can_be_held_still(tab: Tab) -> None:
    tab.locator("details.who summary").click()
    tab.get_by_role("button", name="Hold pages still").click()
    tab.reload()
    tab.evaluate(RENEW)
    tab.wait_for_timeout(700)
    assert tab.evaluate("window.before.isConnected")
    tab.locator("details.who summary").click()
    tab.get_by_role("button", name="Let pages renew").click()
    assert renewed(tab)


def test_nothing_moves_for_who_wants_less_motion(tab: Tab) -> None:
    tab.emulate_media(reduced_motion="reduce")
    tab.reload()
    assert tab.evaluate("document.getAnimations().length") == 0
    assert tab.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_a_ring_is_one_stop_for_tab_and_the_arrows_walk_it(tab: Tab) -> None:
    cells = tab.locator(".cells").nth(1).locator("a")
    assert tab.locator(".cells").nth(1).locator('a[tabindex="0"]').count() == 1
    cells.first.focus()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.title") == "web-002 · succeeded"
    tab.keyboard.press("End")
    assert tab.evaluate("document.activeElement.title") == "web-126 · deferred"
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowDown")
    below = tab.evaluate(
        "[...document.querySelectorAll('.cells')][1].querySelector('a[tabindex=\"0\"]').getBoundingClientRect()"
    )
    assert below["top"] > cells.first.bounding_box()["y"]  # type: ignore[index]


def test_a_key_brings_a_verb_into_focus_but_never_presses_it(tab: Tab) -> None:
    tab.evaluate(
        """() => {
          document.querySelector("main").insertAdjacentHTML("afterbegin",
            '<form id="vote" method="get" action="/voted/"><button data-key="a">Approve</button><input id="why"></form>'
            + '<a id="next" data-key="j" href="#item-4">next</a>');
        }"""
    )
    tab.keyboard.press("a")
    assert tab.evaluate("document.activeElement.textContent") == "Approve"
    assert "/styleguide/" in tab.url
    tab.keyboard.press("j")
    tab.wait_for_url("**/styleguide/#item-4")
    tab.locator("#why").focus()
    tab.keyboard.type("ja")
    assert tab.locator("#why").input_value() == "ja"
    tab.locator("details.who summary").click()
    tab.get_by_role("button", name="Switch single keys off").click()
    tab.locator("h1").click()
    tab.keyboard.press("a")
    assert tab.evaluate("document.activeElement.textContent") != "Approve"


def test_ages_move_on_with_the_words_of_the_server(tab: Tab) -> None:
    before = tab.locator("time.ago").nth(1).text_content()
    assert before == "4 h ago"
    tab.clock.install()
    tab.reload()
    tab.clock.fast_forward("25:00:00")
    assert tab.locator("time.ago").nth(1).text_content() == "1 d 5 h ago"
    assert tab.locator("time.ago").nth(2).text_content() == "41 d ago"


def test_a_refusal_of_a_fragment_lands_in_the_page_and_is_read_out(tab: Tab) -> None:
    tab.evaluate(
        """() => {
          document.querySelector("main").insertAdjacentHTML("beforeend", '<button id="try" hx-post="/styleguide/conflict/">Try</button>');
          htmx.process(document.body);
        }"""
    )
    tab.locator("#try").click()
    problem = tab.locator("#problem")
    problem.locator("text=mia has revised this RFC").wait_for()
    assert problem.get_attribute("role") == "alert"
    assert tab.evaluate("document.activeElement.id") == "problem"


def test_without_javascript_every_verb_and_menu_is_there(live_server: Any, session: tuple[str, str]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(ARGUMENTS))
        context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
        context.add_cookies([{"name": session[0], "value": session[1], "url": live_server.url}])
        page = context.new_page()
        page.goto(f"{live_server.url}/styleguide/confirm/")
        page.get_by_role("button", name="Halt 24 running, 389 queued").wait_for()
        page.locator("details.who summary").click()
        page.get_by_role("button", name="Log out").click()
        assert "_auth" not in page.content()
        page.goto(f"{live_server.url}/styleguide/")
        assert page.locator("details.who").count() == 0
        browser.close()


def test_the_description_of_the_api_shows_its_operations_and_asks_no_other_host(tab: Tab, live_server: Any) -> None:
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    tab.goto(f"{live_server.url}/api/docs/")
    tab.locator("#operations-tag-calendar").click(timeout=60_000)
    operation = tab.locator("#operations-calendar-calendar_list")
    operation.wait_for()
    assert "/api/v1/calendar/" in operation.inner_text().replace("\u200b", "")
    assert [url for url in asked if not url.startswith((live_server.url, "data:", "blob:"))] == []
    assert said == []
