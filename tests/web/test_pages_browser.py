"""The pages in a real browser: axe-core finds nothing, nothing is blocked or logged, all of it works without JavaScript.

Skipped where there is no Chromium (Debian: ``apt-get install chromium``).
"""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from following import World, edited, invent, publish
from visiting import NOW, settings_of

from trialsync.model import Watch
from trialsync.web.app import make_app
from trialsync.web.listening import listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Dialog
    from playwright.sync_api import Page as Tab

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
RULES: dict[str, dict[str, Any]] = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    # The same elements in other colours: what can differ is the contrast.
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
"""WCAG 2.1, levels A and AA."""

PAGES = (
    "/?watch=parkinson&limit=30",
    "/?view=rows&study=NCT09000024",
    "/?since=soon",
    "/studies/NCT09000024",
    "/studies/NCT09000037/versions/2",
    "/watches",
    "/watches/parkinson?since=2026-05-04",
    "/sponsors/Takumi%20Biologics%20K.K.",
    "/fields",
    "/facts",
    "/about",
    "/nothing",
)


@contextmanager
def serving(store: Path, folder: Path) -> Iterator[str]:
    """Serve a store on a port of its own, at the address that is given."""
    listening = listen("127.0.0.1", 0)
    app = make_app(store, settings_of(folder, '[[watch]]\nname = "parkinson"\nquery.cond = "Parkinson Disease"\n'), now=lambda: NOW)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def address(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the packaged store is served."""
    with serving(packaged, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser, started once."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - slow to load, and useless without a browser

    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


def listened(tab: Tab) -> list[str]:
    """Return the list into which the browser's complaints about a tab go: its console, failed requests, dialogues."""
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("requestfailed", lambda request: complaints.append(request.url))

    def spoken(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    tab.on("dialog", spoken)
    return complaints


def faults(tab: Tab, rules: dict[str, Any]) -> list[str]:
    """Return what axe-core finds in a tab by these rules."""
    tab.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found: dict[str, Any] = tab.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    return [f"{each['id']}: {node['html'][:120]}" for each in found["violations"] for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_everybody_can_read_the_pages(browser: Browser, address: str, scheme: Any, width: int) -> None:
    """On a phone and a wide screen, light and dark, axe-core finds nothing, nothing is wider than the screen, and nobody complains."""
    with browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
        tab = context.new_page()
        complaints = listened(tab)
        for path in PAGES:
            tab.goto(address + path, wait_until="load")
            expected = [text for text in complaints if "status of 400" in text or "status of 404" in text]
            assert complaints == expected, path
            assert faults(tab, RULES[scheme]) == [], path
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
            complaints.clear()


def test_the_pages_need_no_script(browser: Browser, address: str) -> None:
    """Without JavaScript the filter is opened, filled in and sent, a study is reached, and its folded parts open."""
    with browser.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(address)
        tab.locator(".filters summary").click()
        tab.get_by_label("Fact").select_option("stopped")
        tab.get_by_label("Since").fill("2026-04-01")
        tab.get_by_role("button", name="Show").click()
        assert tab.url == f"{address}/?fact=stopped&since=2026-04-01"
        tab.locator(".count").wait_for()
        assert tab.locator(".lines li").count() == 2
        tab.locator(".lines a.title").first.click()
        tab.locator("#timeline").wait_for()
        assert "/studies/NCT" in tab.url
        first = tab.locator("details.first")
        assert not first.locator("table").is_visible()
        first.locator("summary").click()
        assert first.locator("table").is_visible()


def test_the_keyboard_reaches_everything(browser: Browser, address: str) -> None:
    """The first stop of the keyboard leads past the navigation, and where the keyboard is can be seen."""
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto(address)
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.className") == "skip"
        assert tab.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
        tab.keyboard.press("Enter")
        assert tab.evaluate("document.activeElement.id") == "main"
        tab.keyboard.press("Tab")
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_paper_shows_what_matters(browser: Browser, address: str) -> None:
    """Printed, a page leaves out navigation and forms and keeps its content, dark ink on white whatever the screen was."""
    with browser.new_context(color_scheme="dark") as context:
        tab = context.new_page()
        tab.emulate_media(media="print", color_scheme="dark")
        tab.goto(f"{address}/studies/NCT09000024")
        assert not tab.locator("nav").first.is_visible()
        assert not tab.get_by_role("search").is_visible()
        assert tab.locator("svg.timeline").is_visible()
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_hostile_text_stays_text_in_a_browser(browser: Browser, tmp_path: Path) -> None:
    """What a sponsor wrote runs nowhere: no dialogue, no blocked script, no element of theirs."""
    text = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>"
    one = edited(invent(1), identificationModule__briefTitle=text, sponsorCollaboratorsModule__leadSponsor__name=text)
    world = World(tmp_path, publish([one], [edited(one, "2026-02-03", statusModule__whyStopped=text)]))
    world.poll(Watch("all", everything=True))
    world.next(Watch("all", everything=True))
    with serving(world.store, tmp_path) as address, browser.new_context() as context:
        tab = context.new_page()
        complaints = listened(tab)
        for path in ("/?view=rows&baseline=true&all=true", "/studies/NCT00000001", "/studies/NCT00000001/versions/2"):
            tab.goto(address + path, wait_until="load")
            assert tab.locator("script, img, svg[onload]").count() == 0
            assert "<img src=x onerror=alert(1)>" in tab.locator("main").inner_text()
        assert complaints == []
