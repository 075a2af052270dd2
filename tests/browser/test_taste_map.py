"""Map, by mouse, keyboard and finger: a click leads to the film, a search flies there, ratings move the visitor."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.server import Server
from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser
CENTRE = """() => {
  const hosts = [...document.querySelectorAll('*')].filter((element) => element.shadowRoot);
  const canvas = hosts.map((host) => host.shadowRoot.querySelector('.plane canvas')).find(Boolean);
  const pen = canvas.getContext('2d');
  const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const same = (a, b) => data[a] === data[b] && data[a + 1] === data[b + 1] && data[a + 2] === data[b + 2];
  let sum = 0, count = 0;
  for (let at = 0; at < data.length; at += 4) if (!same(at, 0)) { sum += (at / 4) % width; count++; }
  return { left: sum / count / width, share: count / (width * height) };
}"""
"""Returns how far to the right the coloured pixels of the map are on average, and their share."""

TOP = """() => [...document.querySelectorAll('*')].map((host) => host.shadowRoot?.querySelectorAll('.plane canvas')[1])
  .find(Boolean).toDataURL()"""
"""Returns what lies over the points, as a picture."""


def shown(page: Page) -> Locator:
    """Wait until the points are drawn, and return the map."""
    expect(page.locator(".map[data-painted]")).to_have_count(1)
    return page.locator(".plane")


def middle(plane: Locator) -> tuple[float, float]:
    box = plane.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def settled(page: Page) -> dict[str, float]:
    """Wait until nothing on the map moves, and return where its points are."""
    before = page.evaluate(CENTRE)
    for _ in range(40):
        page.wait_for_timeout(250)
        now = page.evaluate(CENTRE)
        if now == before:
            return now
        before = now
    raise AssertionError("the map did not come to rest")


def test_a_film_is_searched_flown_to_and_opened_by_a_click(open_page: OpenPage) -> None:
    page = open_page("/taste_map")
    plane = shown(page)
    everything = settled(page)
    page.get_by_label("Find a film on the map").press_sequentially("alien", delay=20)
    page.locator(".st-key-matches a", has_text="Alien (1979)").click()
    expect(page.locator("h2", has_text="Near Alien")).to_be_visible()
    assert "near=" in page.url
    assert settled(page) != everything
    page.mouse.move(*middle(plane))  # the film is in the middle now
    expect(page.locator(".plane .card b")).to_have_text("Alien (1979)")
    expect(page.locator(".plane .card em")).to_be_visible()
    page.mouse.click(*middle(plane))
    expect(page.locator(".seed h2")).to_have_text("Alien")
    assert "/film?" in page.url
    page.go_back()
    shown(page)
    expect(page.locator("h2", has_text="Near Alien")).to_be_visible()


def test_dragging_zooming_and_keys_move_the_map(open_page: OpenPage) -> None:
    page = open_page("/taste_map")
    plane = shown(page)
    start = settled(page)
    x, y = middle(plane)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 200, y, steps=4)
    page.mouse.up()
    assert settled(page)["left"] > start["left"] + 0.1
    assert "/taste_map" in page.url  # a drag is no click
    page.get_by_role("button", name="Zoom in").click()
    assert settled(page)["share"] != start["share"]
    page.get_by_role("button", name="Show the whole map").first.click()
    assert settled(page) == start
    plane.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert settled(page)["left"] > start["left"] + 0.08
    page.keyboard.press("0")
    page.keyboard.press("Escape")
    assert settled(page) == start
    drama = page.get_by_role("button", name="Drama", exact=True)
    drama.click()
    expect(drama).to_have_attribute("aria-pressed", "false")
    assert settled(page)["share"] < start["share"]


def test_a_rating_moves_the_visitor_and_leaves_the_points_where_they_are(open_page: OpenPage) -> None:
    page = open_page("/taste_map?near=600")
    shown(page)
    settled(page)
    before, points = page.evaluate(TOP), page.evaluate(CENTRE)
    page.get_by_role("radio", name="5 ★", exact=True).click()
    expect(page.locator(".notice", has_text="where the film you liked is")).to_be_visible()
    page.wait_for_timeout(1500)
    assert page.evaluate(TOP) != before
    assert page.evaluate(CENTRE) == points


def test_on_a_phone_a_finger_shows_the_film_and_the_card_opens_it(server: Server, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{server.url}/taste_map?near=600")
    plane = shown(page)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    plane.scroll_into_view_if_needed()
    page.touchscreen.tap(*middle(plane))
    card = page.locator(".plane .card.pinned")
    expect(card).to_be_visible()
    name = card.locator("b").inner_text()
    card.tap()
    expect(page.locator(".seed h2")).to_have_text(re.sub(r" \(\d{4}\)$", "", name))
    context.close()
