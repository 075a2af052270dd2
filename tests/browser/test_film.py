"""Film in a browser: stars, why not, several films at once, and where the page is scrolled to."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser
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


def rate_here(page: Page, key: str) -> None:
    """Give the film of the page stars by a key, and wait until they are kept."""
    page.get_by_role("slider").focus()
    page.keyboard.press(key)
    expect(page.locator(".card .done")).to_have_text(f"{key} ★")


def test_from_a_poster_to_why_not_to_a_mix_of_films_and_back(open_page: OpenPage) -> None:
    page = open_page("/film?item=345")
    expect(page.get_by_role("heading", name="You and this film")).to_be_visible()
    rate_here(page, "5")
    page = open_page("/film?item=270")
    rate_here(page, "1")
    expect(page.locator(".verdict")).to_contain_text("You gave it 1 ★. From your other ratings alone")
    page = open_page("/viewers?user=12")
    card = page.locator(".st-key-film-top-1")
    expect(card.locator(".name")).to_be_visible()
    title = card.locator(".name").text_content() or ""
    card.locator("a").click()
    expect(page.locator(".seed h2")).to_have_text(title)
    expect(page.locator(".reasons h3")).to_have_text(["Speaks for it", "Speaks against it"])
    page.get_by_role("button", name="What would bring it into my ten?").click()
    expect(page.locator(".why-not")).to_contain_text(re.compile("to rank \\d+. We tried it|into your ten"))
    seed, near = page.url, page.locator(".st-key-film-near-1 .name").text_content() or ""
    page.get_by_role("link", name=f"More like {near} too").click()
    expect(page.locator("h2.mixed")).to_have_text(f"More like {title} and {near}")
    expect(page.locator(".seed")).to_have_count(0)
    expect(page.locator(".st-key-near .film")).to_have_count(10)
    page.go_back()
    expect(page.locator(".seed h2")).to_have_text(title)
    assert page.url == seed
    page.go_back()
    expect(page.locator(".ticket .stub b")).to_have_text("12")
