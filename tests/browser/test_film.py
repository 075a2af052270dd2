"""Film in a browser: where it is scrolled to."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage

SCROLLED = "document.querySelector('[data-testid=stMain]').scrollTop"


def settled(page: Page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def open_card(page: Page, key: str) -> int:
    """Click a card somewhere down the page, and return where the page was scrolled to."""
    card = page.locator(f".st-key-film-{key} a").first
    card.scroll_into_view_if_needed()
    top: int = page.evaluate(SCROLLED)
    assert top > 100
    card.click()
    return top


def at(page: Page, top: int) -> None:
    """Wait until the page is scrolled there, and see that it stays."""
    page.wait_for_function(f"Math.abs({SCROLLED} - {top}) <= 2")
    settled(page)
    page.wait_for_timeout(500)
    assert abs(page.evaluate(SCROLLED) - top) <= 2


def test_a_new_film_begins_at_the_top_and_back_is_where_one_was(open_page: OpenPage) -> None:
    page = open_page("/viewers?user=12")
    expect(page.locator(".st-key-top .film")).to_have_count(10)
    settled(page)
    on_viewers = open_card(page, "top-7")
    expect(page.locator(".seed h2")).to_be_visible()
    at(page, 0)
    first = page.locator(".seed h2").inner_text()
    on_film = open_card(page, "near-6")
    expect(page.locator(".seed h2")).not_to_have_text(first)
    at(page, 0)
    page.go_back()
    expect(page.locator(".seed h2")).to_have_text(first)
    at(page, on_film)
    page.go_back()
    expect(page.locator(".st-key-top .film")).to_have_count(10)
    at(page, on_viewers)
