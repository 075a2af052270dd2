"""What every page owes its visitors: a head of its own, nothing that jumps, and no barrier that axe-core can find."""

from __future__ import annotations

import gzip
import os
import re
import urllib.request

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from benchmarks.server import Server
from pages.main import PAGES
from pages.main import Page as PageOfApp
from tests.browser.conftest import SCHEMES, OpenPage, turn

pytestmark = pytest.mark.browser

ADDRESSES = [f"/{page.address}" for page in PAGES] + ["/film?item=600"]
ON_A_PHONE = ADDRESSES if os.environ.get("RECENGINE_LONG") else ["/", "/film?item=600", "/my_films", "/compare"]
STREAMLITS = {"list", "listitem", "presentation-role-conflict"}
"""Rules of axe-core that Streamlit's own elements break: the navigation's list, and the zone to drop a file on."""
SHIFTS = """new Promise(resolve => {
  let sum = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({type: 'layout-shift', buffered: true});
  setTimeout(() => resolve(sum), 200);  // earlier entries come in a task of their own
})"""


@pytest.fixture(scope="module", autouse=True)
def warm(server: Server, browser: Browser) -> None:
    """Let the default model be trained before anything is measured: a page shows that it waits."""
    page = browser.new_page()
    page.goto(server.url)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning] .status").wait_for(
        timeout=120_000, state="attached"
    )
    page.close()


def settled(page: Page) -> None:
    """Wait until a page has been drawn: its run has ended, and what was hidden meanwhile is there."""
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp][data-test-script-state=notRunning] .head')"
        " && !document.documentElement.classList.contains('loading')"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
def test_the_served_html_names_the_page_and_shows_a_picture(page: PageOfApp, server: Server) -> None:
    address = f"{server.url}/{page.address}"
    for accepts in ("gzip", "identity"):
        request = urllib.request.Request(address, headers={"Accept-Encoding": accepts})
        with urllib.request.urlopen(request) as answer:
            body, headers = answer.read(), answer.headers
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        text = body.decode()
        assert re.findall("<title>(.*?)</title>", text) == [f"{page.title} · RecEngine"]
        meta = dict(re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)">', text))
        assert meta["og:title"] == f"{page.title} · RecEngine"
        assert meta["description"] == meta["og:description"]
        assert meta["description"]
        assert meta["color-scheme"] == "light dark"
        assert meta["og:url"] == address
        assert "etag" not in headers  # it would be the same for all pages
    with urllib.request.urlopen(meta["og:image"]) as picture:
        assert picture.headers["content-type"] == "image/jpeg"
        assert 20_000 < len(picture.read()) < 200_000


def test_an_address_from_outside_is_escaped_in_the_html(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/data", headers={"X-Forwarded-Proto": 'https"><script>alert(1)'})
    with urllib.request.urlopen(request) as answer:
        assert "alert(1)" not in answer.read().decode()


@pytest.mark.parametrize(("scheme", "paper"), [("dark", "rgb(12, 14, 20)"), ("light", "rgb(250, 248, 244)")])
def test_the_first_paint_has_the_colour_of_the_theme(server: Server, browser: Browser, scheme: str, paper: str) -> None:
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]  # dark or light
    page.route("**/*.js", lambda route: route.abort())
    page.goto(server.url)
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(colour) == paper
    other = {"light": "dark", "dark": "light"}[scheme]  # chosen by hand, as Streamlit keeps it
    page.evaluate("name => localStorage.setItem('stActiveTheme-/-v2', JSON.stringify(name))", other.capitalize())
    page.reload(wait_until="commit")
    page.wait_for_function("document.documentElement?.style.colorScheme")  # none before the page's first bytes
    assert page.evaluate(colour) != paper
    page.close()


def test_what_moves_by_itself_is_counted(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<div></div><p style='height: 300px; background: red'>A line</p>")
    page.wait_for_timeout(200)
    assert page.evaluate(SHIFTS) == 0
    page.evaluate("document.querySelector('div').style.height = '400px'")
    page.wait_for_function(f"{SHIFTS}.then(sum => sum > 0.1)")  # counted once it is painted
    page.close()


@pytest.mark.parametrize("address", ON_A_PHONE)
def test_nothing_jumps_while_a_page_loads_on_a_phone(open_cold_page: OpenPage, address: str) -> None:
    assert layout_shift(open_cold_page(address, width=390, height=844)) < 0.1


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_jumps_and_axe_finds_no_barrier_of_ours_in_either_theme(open_page: OpenPage, address: str) -> None:
    page = open_page(address)
    assert layout_shift(page) < 0.1
    page.evaluate(AXE_SCRIPT)
    for scheme in SCHEMES:
        turn(page, scheme)
        assert not barriers(page), f"{scheme}: " + "\n".join(barriers(page))


def layout_shift(page: Page) -> float:
    """Return how much has moved by itself since the page began to load, as browsers count it (CLS)."""
    settled(page)
    page.wait_for_timeout(1000)  # what comes late
    return float(page.evaluate(SHIFTS))


def barriers(page: Page) -> list[str]:
    """Return what axe-core finds, but minor rules and those that Streamlit's own elements break."""
    broken = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]} {node['failureSummary'][:200]}"
        for rule in broken
        if rule["id"] not in STREAMLITS and rule["impact"] != "minor"
        for node in rule["nodes"]
    ]
