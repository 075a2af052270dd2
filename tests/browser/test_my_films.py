"""My films in a browser: an import becomes posters, stars are edited in place, and a watchlist goes there and back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.support.letterboxd import letterboxd_zip

pytestmark = pytest.mark.browser
RATED = {("The Matrix", 1999): 5.0, ("Se7en", 1995): 4.5, ("Alien", 1979): 4.0, ("Jaws", 1975): 2.0}
ACCOUNT = letterboxd_zip(RATED, watchlist=[("Psycho", 1960), ("Heat", 1995)])


def board(page: Page, name: str) -> Locator:
    """Return a board of the page: `mine`, the ratings, or `aside`, what is put aside."""
    located = page.locator(f".st-key-board-{name}")
    expect(located.locator(".card").first).to_be_visible()
    return located


def card(page: Page, name: str, title: str) -> Locator:
    return board(page, name).locator(".card").filter(has=page.get_by_text(title, exact=True))


def titles(board: Locator) -> list[str]:
    return board.locator(".card .name").all_inner_texts()


def rate(film: Locator, stars: float) -> None:
    control = film.get_by_role("slider")
    box = control.bounding_box()
    assert box is not None
    control.click(position={"x": box["width"] * (stars - 0.25) / 5, "y": box["height"] / 2})


def show(page: Page, name: str) -> None:
    page.locator(".st-key-show").get_by_text(name).click()


def imported(open_page: OpenPage, *, width: int = 1440) -> Page:
    """Open the page as a new visitor and import an account."""
    page = open_page("/my_films", width=width)
    expect(page.get_by_text("Your films will be here")).to_be_visible()
    file = {"name": "letterboxd.zip", "mimeType": "application/zip", "buffer": ACCOUNT}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import 4 ratings, 2 for your watchlist").click()
    return page


def test_an_import_becomes_posters_whose_stars_change_in_place(open_page: OpenPage) -> None:
    began = time.monotonic()
    page = imported(open_page)
    board(page, "mine")
    print(f"account to posters: 2 clicks, {time.monotonic() - began:.1f} s")
    expect(page.get_by_text("3.9 ★ on average")).to_be_visible()
    page.get_by_role("combobox", name="Sort by").click()
    page.get_by_role("option", name="My stars").click()
    order = ["The Matrix", "Se7en", "Alien", "Jaws"]
    expect(board(page, "mine").locator(".card .name").nth(3)).to_have_text("Jaws")
    assert titles(board(page, "mine")) == order
    rate(card(page, "mine", "Jaws"), 5)
    expect(page.get_by_text("4.6 ★ on average")).to_be_visible()
    assert titles(board(page, "mine")) == order
    page.reload()
    expect(card(page, "mine", "Jaws").get_by_role("slider")).to_have_attribute("aria-valuenow", "5")
    assert set(titles(board(page, "mine"))[:2]) == {"The Matrix", "Jaws"}


def test_a_removed_rating_stays_in_sight_and_can_be_given_again(open_page: OpenPage) -> None:
    page = imported(open_page)
    order = titles(board(page, "mine"))
    rate(card(page, "mine", "Alien"), 4)  # the same star again
    expect(page.get_by_text("Ratings 3")).to_be_visible()
    expect(card(page, "mine", "Alien")).to_contain_text("Removed from your ratings")
    assert titles(board(page, "mine")) == order
    rate(card(page, "mine", "Alien"), 3.5)
    expect(page.get_by_text("Ratings 4")).to_be_visible()


def test_a_watchlist_goes_there_and_back(open_page: OpenPage) -> None:
    page = imported(open_page)
    began = time.monotonic()
    show(page, "Watchlist 2")
    page.get_by_label("Add a film").fill("vertgo")
    page.get_by_role("button", name="Vertigo (1958)").click()
    expect(card(page, "aside", "Vertigo")).to_be_visible()
    page.get_by_label("Add a film").fill("")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download these films").click()
    taken = Path(download.value.path()).read_text(encoding="utf-8")
    assert {line.split(",")[0] for line in taken.splitlines()[1:]} == {"Vertigo", "Psycho", "Heat"}
    rate(card(page, "aside", "Psycho"), 4)
    expect(page.get_by_text("Ratings 5")).to_be_visible()
    card(page, "aside", "Heat").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Watchlist 1")).to_be_visible()
    print(f"watchlist round trip: {time.monotonic() - began:.1f} s")
    file = {"name": "watchlist.csv", "mimeType": "text/csv", "buffer": taken.encode()}
    show(page, "Import and export")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import 3 for your watchlist").click()
    expect(page.get_by_text("1 film imported from Letterboxd; 2 you already had").first).to_be_visible()  # Heat is back


def test_no_view_scrolls_sideways_on_a_phone(open_page: OpenPage) -> None:
    page = imported(open_page, width=390)
    board(page, "mine")
    for view in ("ratings", "watchlist", "charts", "models", "files", "share"):
        page.goto(page.url.partition("?")[0] + f"?show={view}")
        expect(page.get_by_text("films rated").first).to_be_visible()
        page.wait_for_timeout(1_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
