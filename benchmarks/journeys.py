"""Clicks and seconds of what a visitor comes for, in Chromium against the app as it is served.

python -m benchmarks.journeys

Each journey is made by a new visitor in a browser of their own, one after the other. The seconds run from the address
to what was wanted, pages and posters included; to choose a file counts as a click, to type does not. The default model
is trained before, as on any site that has had a visitor. Fails where a journey takes more than it may.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from benchmarks.server import FLAGS, Server, chromium
from recengine.data.sources import load_dataset
from recengine.export import csv_text

ROWS = 1_000
"""Ratings in the account that is brought."""
FAR = "The Room"
"""A film that stands in nobody's ten after a few well-known films."""


class Visitor:
    """A page of one visitor, who counts what they click."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.clicks, self.began = page, url, 0, time.perf_counter()

    def open(self, address: str = "/") -> None:
        """Go to an address, and wait until there is something to see."""
        self.page.goto(self.url + address)
        self.page.wait_for_function("!document.documentElement.classList.contains('loading')")

    def click(self, what: Locator, at: float | None = None, *, tap: bool = False) -> None:
        """Click or tap, at a share of the width where one is given."""
        self.clicks += 1
        box = what.bounding_box() if at is not None else None
        position = {"x": box["width"] * at, "y": box["height"] / 2} if box and at is not None else None
        (what.tap if tap else what.click)(position=position)  # type: ignore[arg-type]  # a position is such a dict

    def go(self, title: str) -> None:
        """Click a page of the navigation, and wait until it is there."""
        self.click(self.page.locator("[data-testid=stSidebarNavLink]", has_text=re.compile(f"{title}$")))
        expect(self.page.locator(".head h1")).to_have_text(title)
        self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()

    def card(self, board: str) -> Locator:
        """Return the first card of a board, once it is there."""
        card = self.page.locator(f".st-key-board-{board} .card:not(.settled)").first
        expect(card).to_be_visible()
        return card

    def rate(self, stars: float, board: str = "hand", *, tap: bool = False) -> None:
        """Give the first card of a board stars, and wait for the list that follows from it."""
        self.click(self.card(board).get_by_role("slider"), (stars - 0.25) / 5, tap=tap)
        expect(self.page.locator(".st-key-board-list .card")).to_have_count(10)


def first_list(visitor: Visitor) -> None:
    """One star, and the list is there."""
    visitor.open()
    visitor.rate(5)


def letterboxd(visitor: Visitor) -> None:
    """A whole account, from the zip to the list."""
    account = io.BytesIO()
    with zipfile.ZipFile(account, "w") as archive:
        films = load_dataset("sample").films[:ROWS]
        rows = [("2024-05-31", title, year, 0.5 + row % 10 / 2) for row, (_, title, year, _) in enumerate(films)]
        archive.writestr("ratings.csv", csv_text(("Date", "Name", "Year", "Rating"), rows))
    visitor.open()
    visitor.card("hand")
    visitor.clicks += 1  # the button that opens the dialogue of the system
    file = {"name": "letterboxd.zip", "mimeType": "application/zip", "buffer": account.getvalue()}
    visitor.page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]  # a file is such a dict
    keep = visitor.page.locator(".st-key-import-keep button")
    expect(keep).to_have_text(f"Import {ROWS:,} ratings")
    visitor.click(keep)
    expect(visitor.page.locator(".st-key-board-list .card")).to_have_count(10)


def why_not(visitor: Visitor) -> None:
    """A film that is far down the list, and what would bring it in."""
    visitor.open()
    visitor.rate(5)
    visitor.go("Film")
    visitor.page.get_by_label("Find a film", exact=True).press_sequentially(FAR, delay=20)
    visitor.click(visitor.page.locator(".st-key-matches a", has_text=FAR).first)
    visitor.click(visitor.page.get_by_role("button", name="What would bring it into my ten?"))
    expect(visitor.page.locator(".why-not")).to_contain_text(re.compile("We tried it|into your ten"))


def watchlist(visitor: Visitor) -> None:
    """A film is saved from the list, found on the watchlist, watched and rated."""
    visitor.open()
    visitor.rate(5)
    first = visitor.card("list")
    name = first.locator(".name").inner_text()
    visitor.click(first.get_by_role("button", name=f"Add {name}"))
    expect(first.locator(".done")).to_contain_text("watchlist")
    visitor.go("My films")
    visitor.click(visitor.page.locator(".st-key-show").get_by_text("Watchlist 1"))
    card = visitor.card("aside")
    expect(card.locator(".name")).to_have_text(name)
    visitor.click(card.get_by_role("slider"), 0.95)
    expect(visitor.page.get_by_text("Ratings 2")).to_be_visible()
    expect(visitor.page.get_by_text("Watchlist 0")).to_be_visible()


def group(visitor: Visitor) -> None:
    """The visitor and two others, and what suits all three."""
    visitor.open()
    visitor.rate(5)
    visitor.go("Together")
    expect(visitor.page.locator(".st-key-together .film").first).to_be_visible()
    visitor.click(visitor.page.get_by_label("Who is watching?"))
    visitor.click(visitor.page.get_by_role("option", name="fan").first)
    expect(visitor.page.locator(".st-key-tonight-0 .note b")).to_have_count(3)  # a rank for each


def duel(visitor: Visitor) -> None:
    """Two lists, and which model made the better one."""
    visitor.open()
    visitor.rate(5)
    visitor.go("Duel")
    visitor.click(visitor.page.get_by_role("button", name="A is better"))
    expect(visitor.page.locator(".notice")).to_contain_text(re.compile("You preferred|Both were"))


def map_to_film(visitor: Visitor) -> None:
    """From the whole map to one film on it, and to its page."""
    visitor.open("/taste_map")
    expect(visitor.page.locator(".map[data-painted]")).to_have_count(1)
    visitor.page.get_by_label("Find a film on the map").press_sequentially("alien", delay=20)
    visitor.click(visitor.page.locator(".st-key-matches a", has_text="Alien (1979)"))
    expect(visitor.page.locator("h2", has_text="Near Alien")).to_be_visible()
    visitor.page.wait_for_timeout(1_000)  # the map flies there
    visitor.click(visitor.page.locator(".plane"), 0.5)
    expect(visitor.page.locator(".seed h2")).to_have_text("Alien")


def phone(visitor: Visitor) -> None:
    """One star by a finger, and the best three of the list are in sight without a scroll."""
    visitor.open()
    visitor.rate(5, tap=True)
    strip = visitor.page.locator(".strip")
    expect(strip.locator("img")).to_have_count(3)
    expect(strip).to_be_in_viewport(ratio=0.95)


class Journey(NamedTuple):
    """What a visitor wants, how to get there, and in how many clicks and seconds they may expect it."""

    name: str
    make: Callable[[Visitor], None]
    clicks: int | None = None
    seconds: float | None = None


JOURNEYS = (
    Journey("First visit to one's own list", first_list, 3, 20),
    Journey("The same on a phone, by touch, the list in sight", phone, 3, 20),
    Journey(f"Letterboxd zip of {ROWS:,} ratings to the list", letterboxd, 2, 15),
    Journey("First star to why a film is not in the ten", why_not),
    Journey("First star to a watchlist and back as a rating", watchlist),
    Journey("First star to films for a group of three", group),
    Journey("First star to a duel and who won", duel),
    Journey("Map to a film's page", map_to_film),
)


def made(browser: Browser, url: str, journey: Journey) -> tuple[int, float]:
    """Make a journey as a new visitor, and return its clicks and seconds."""
    size = {"width": 390, "height": 844} if journey.make is phone else {"width": 1440, "height": 900}
    touch = journey.make is phone
    context = browser.new_context(viewport=size, has_touch=touch, is_mobile=touch)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(60_000)
    visitor = Visitor(page, url)
    journey.make(visitor)
    seconds = time.perf_counter() - visitor.began
    context.close()
    return visitor.clicks, seconds


def main() -> None:
    expect.set_options(timeout=60_000)
    exceeded = []
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = Server(Path(home))
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            first_list(Visitor(browser.new_page(), server.url))  # trains the default model
            print(f"{'journey':50} {'clicks':>6} {'may':>4} {'seconds':>8} {'may':>4}")
            for journey in JOURNEYS:
                clicks, seconds = made(browser, server.url, journey)
                may = "" if journey.clicks is None else str(journey.clicks), f"{journey.seconds or ''}"
                print(f"{journey.name:50} {clicks:6} {may[0]:>4} {seconds:8.1f} {may[1]:>4}", flush=True)
                if clicks > (journey.clicks or clicks) or seconds > (journey.seconds or seconds):
                    exceeded.append(journey.name)
        finally:
            server.stop()
    sys.exit(f"More than it may: {', '.join(exceeded)}" if exceeded else 0)


if __name__ == "__main__":
    main()
