"""The app away from a plain start: below a base path, in a browser that keeps no cookies, with the browser's keys."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.server import FLAGS, Server, chromium
from tests.browser.test_rating import board, rate, settled, status_line

pytestmark = pytest.mark.browser
BASE = "/movies/of-ours"


@pytest.fixture(scope="module")
def below(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the app below a base path of two parts. (The browser comes first: without one nothing is started.)"""
    running = Server(tmp_path_factory.mktemp("below") / "caf? %41", base=BASE)
    yield running
    running.stop()
    assert "Traceback" not in running.log.read_text()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page of a new visitor; every response of the server must be a success."""
    context = browser.new_context()
    made = context.new_page()
    made.set_default_timeout(60_000)
    bad: list[str] = []
    made.on("response", lambda got: bad.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    yield made
    context.close()
    assert [each for each in bad if "/_stcore/" not in each] == []


def pictures(page: Page, selector: str) -> None:
    """Wait until every poster is a picture."""
    expect(page.locator(selector).first).to_be_visible()
    page.locator(selector).last.scroll_into_view_if_needed()
    page.wait_for_function(
        f"[...document.querySelectorAll('{selector}')].every(i => i.complete && i.naturalWidth === 300)"
    )


def test_posters_are_pictures_below_a_base_path(page: Page, below: Server) -> None:
    for address, selector in {
        "": ".st-key-board-hand img",
        "/viewers?user=12": ".st-key-top img",
        "/film?item=600": ".st-key-near img",
        "/film/?item=600": ".st-key-near img",
        "/": ".st-key-board-hand img",
    }.items():
        page.goto(below.url + address)
        pictures(page, selector)
        addresses = page.locator(selector).evaluate_all("images => images.map(image => image.src)")
        assert all(urlsplit(each).path == f"{BASE}/poster/v1.svg" for each in addresses), address


@pytest.mark.parametrize(
    ("earlier", "today"),
    [
        ("/?user=12&k=20", "/viewers?user=12&k=20"),
        ("/for_you?user=12", "/viewers?user=12"),
        ("/similar?item=600", "/film?item=600"),
        ("/rate", "/"),
    ],
)
def test_earlier_addresses_lead_to_those_of_today(below: Server, earlier: str, today: str) -> None:
    with urllib.request.urlopen(below.url + earlier) as answer:
        assert answer.geturl() == below.url + today


def test_pages_and_the_cookie_stay_below_the_base_path(page: Page, below: Server) -> None:
    page.goto(below.url)
    pictures(page, ".st-key-board-hand img")
    (cookie,) = [each for each in page.context.cookies() if each["name"].startswith("recengine_visitor")]
    assert cookie["path"] == BASE
    page.locator("[data-testid=stSidebarNavLink]").filter(has_text=re.compile("Film$")).click()
    expect(page).to_have_url(re.compile(f"{BASE}/film"))
    page.locator("[data-testid=stSidebarNavLink]").filter(has_text="Home").click()
    expect(page).to_have_url(re.compile(rf"{BASE}/(\?|$)"))
    first = board(page, "hand").locator(".card").first
    rate(first, 5)
    settled(page)
    page.reload()
    expect(board(page, "list").locator(".card")).to_have_count(10)  # which only who has rated sees
    expect(page.get_by_text("keeps no cookies")).to_have_count(0)
    root = below.url.removesuffix(BASE)
    for address in (f"{below.url}/healthz", f"{root}/healthz"):
        with urllib.request.urlopen(address) as answer:
            assert json.load(answer) == {"database": "ok", "model": "ok"}


@pytest.fixture
def forgetful(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """Return a page of a browser that is set to keep no cookies."""
    (tmp_path / "profile" / "Default").mkdir(parents=True)
    preferences = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "profile" / "Default" / "Preferences").write_text(json.dumps(preferences))
    context = browser.browser_type.launch_persistent_context(
        tmp_path / "profile", executable_path=chromium(), args=FLAGS
    )
    made = context.new_page()
    made.set_default_timeout(60_000)
    yield made
    context.close()


def test_without_cookies_rating_works_and_the_page_tells_how_long(forgetful: Page, below: Server) -> None:
    forgetful.goto(f"{below.url}/")
    note = forgetful.get_by_text("This browser keeps no cookies, so your ratings last only as long as this tab.")
    expect(note).to_be_visible()
    cards = board(forgetful, "hand").locator(".card")
    for index in range(2):
        name = cards.nth(index).locator(".name").inner_text()  # a rated film leaves after a moment, for another
        rate(cards.nth(index), 5)
        settled(forgetful)
    expect(status_line(forgetful)).to_contain_text(f"after {name} (5 ★)")
    expect(note).to_be_visible()
    forgetful.reload()
    expect(forgetful.get_by_text("Or borrow a taste")).to_be_visible()
    expect(note).to_be_visible()


def test_keys_of_the_browser_rate_nothing(page: Page, below: Server) -> None:
    page.goto(f"{below.url}/")
    control = board(page, "hand").get_by_role("slider").first
    page.evaluate("addEventListener('keydown', event => window.taken = event.defaultPrevented)")
    for key in ("Alt+ArrowLeft", "Control+3", "Meta+ArrowRight", "Control+End", "Alt+5", "Meta+1", "Control+Shift+2"):
        control.focus()
        page.keyboard.press(key)
        assert page.evaluate("window.taken") is False, key
        page.wait_for_timeout(900)  # a key counts after 600 ms
        expect(control).to_have_attribute("aria-valuetext", "Not rated")
    page.keyboard.press("4")
    assert page.evaluate("window.taken") is True
    expect(control).to_have_attribute("aria-valuetext", "4 stars")
    settled(page)
