"""Rating in a browser: every star counts at once, nothing is lost, and no other visitor sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.server import Server
from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser


def board(page: Page, name: str) -> Locator:
    """Return a board of the page: `hand`, the films to rate, or `list`."""
    located = page.locator(f".st-key-board-{name}")
    expect(located.locator(".card").first).to_be_visible(timeout=60_000)
    return located


def rate(card: Locator, stars: float) -> None:
    """Click a card's stars."""
    control = card.get_by_role("slider")
    box = control.bounding_box()
    assert box is not None
    control.click(position={"x": box["width"] * (stars - 0.25) / 5, "y": box["height"] / 2})


def titles(board: Locator) -> list[str]:
    return board.locator(".card .name").all_inner_texts()


def settled(page: Page) -> None:
    """Wait until the server has kept every event."""
    for name in ("hand", "list"):
        expect(board(page, name).locator(".board")).to_have_attribute("data-waiting", "0")


def test_a_star_changes_the_list_and_undo_brings_it_back(open_page: OpenPage) -> None:
    page = open_page("/")
    before = titles(board(page, "list"))
    first = board(page, "hand").locator(".card").first
    name = first.locator(".name").inner_text()
    rate(first, 5)
    expect(page.get_by_test_id("answered").or_(page.locator(".status-line"))).to_contain_text(f"after {name} (5 ★)")
    expect(first.locator(".done")).to_have_text("5 ★")
    expect(board(page, "list").locator(".note").first).to_contain_text(f"Because you loved {name}")
    after = titles(board(page, "list"))
    assert after != before
    assert name not in after
    assert board(page, "list").locator(".moved.shown").count() > 0
    first.get_by_role("button", name=f"Undo {name}").click()
    expect(page.locator(".status-line")).to_contain_text("to make this list yours")
    expect(board(page, "list").locator(".card .name")).to_have_text(before)


def test_a_rated_card_keeps_its_position_until_the_rated_ones_are_cleared(open_page: OpenPage) -> None:
    page = open_page("/")
    rate(board(page, "hand").locator(".card").first, 5)
    expect(page.locator(".status-line")).to_contain_text("Updated after")
    settled(page)
    third = board(page, "list").locator(".card").nth(2)
    name = third.locator(".name").inner_text()
    rate(third, 4.5)
    expect(page.locator(".status-line")).to_contain_text(f"after {name} (4.5 ★)")
    assert titles(board(page, "list"))[2] == name
    page.get_by_role("button", name="Replace the films you rated").click()
    expect(board(page, "list").locator(".name").get_by_text(name, exact=True)).to_have_count(0)


def import_and_export(page: Page) -> None:
    name = "Import and export"
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name)).first.click()


EXPORT = """Date,Name,Year,Letterboxd URI,Rating
2024-05-31,The Matrix,1999,https://boxd.it/1,5
2024-06-01,Rocky 4,1985,https://boxd.it/2,3
2024-06-02,"<img src=x onerror=alert(1)> ![](http://example.com/a.png)",2001,https://boxd.it/3,3
2024-06-03,Heat,1995,https://boxd.it/4,
"""


def test_an_export_is_imported_after_a_review_and_can_be_downloaded(open_page: OpenPage) -> None:
    page = open_page("/")
    settled(page)
    page.get_by_text("Import your ratings from Letterboxd").click()
    file = {"name": "ratings.csv", "mimeType": "text/csv", "buffer": EXPORT.encode()}
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator(".st-key-import-counts")).to_contain_text("Not usable")
    page.get_by_text("Rocky 4 (1985) is Rocky IV (1985)").click()
    for part in ("Not in this catalogue · 1", "Not usable · 1"):
        page.get_by_text(part).click()
    expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    page.get_by_role("button", name="Import 2 ratings").click()
    expect(page.get_by_text("2 ratings imported from Letterboxd.")).to_be_visible()
    page.reload()
    settled(page)
    import_and_export(page)
    expect(page.locator(".rated-list")).to_contain_text("Rocky IV (1985) 3 ★")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my ratings (Letterboxd format)").click()
    taken = download.value.path().read_text(encoding="utf-8").splitlines()
    assert taken[0] == "Title,Year,Rating"
    assert sorted(taken[1:]) == ["Rocky IV,1985,3.0", "The Matrix,1999,5.0"]


CLICKS = """async () => {
  const names = [];
  for (let click = 0; click < 8; click++) {
    const hosts = [...document.querySelectorAll(`.st-key-board-${click < 6 ? "hand" : "list"} *`)];
    const cards = hosts.flatMap((host) => [...(host.shadowRoot?.querySelectorAll(".card:not(.settled)") ?? [])]);
    const stars = cards[0].querySelector(".stars"), box = stars.getBoundingClientRect();
    names.push(cards[0].querySelector(".name").textContent);
    stars.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: box.left + 0.75 * box.width }));
    await new Promise((done) => setTimeout(done, 40));
  }
  return names;
}"""
"""Rates eight films, six to rate and two of the list, one every 40 ms: faster than any response."""


def test_eight_quick_clicks_are_all_kept_and_survive_a_reload(open_page: OpenPage) -> None:
    page = open_page("/")
    settled(page)
    names = page.evaluate(CLICKS)
    assert len(set(names)) == 8
    settled(page)
    page.reload()
    settled(page)
    import_and_export(page)
    expect(page.locator(".rated-list")).to_contain_text("8 films rated")
    for name in names:
        expect(page.locator(".rated-list")).to_contain_text(name)


def test_a_film_is_rated_by_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page("/")
    card = board(page, "hand").locator(".card").first
    name = card.locator(".name").inner_text()
    control = page.get_by_role("slider", name=f"Rate {name}")
    control.focus()
    for key in ("4", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".status-line")).to_contain_text(f"after {name} (4.5 ★)")
    expect(control).to_be_focused()
    expect(control).to_have_attribute("aria-valuetext", "4.5 stars")
    page.keyboard.press("Delete")
    expect(page.locator(".status-line")).to_contain_text("to make this list yours")


def test_a_film_put_aside_leaves_the_list(open_page: OpenPage) -> None:
    page = open_page("/")
    first = board(page, "list").locator(".card").first
    name = first.locator(".name").inner_text()
    first.get_by_role("button", name=f"Not interested in {name}").click()
    expect(first.locator(".done")).to_have_text("Not interested")
    page.get_by_role("button", name="Replace the films you rated").click()
    expect(board(page, "list").locator(".name").get_by_text(name, exact=True)).to_have_count(0)


@pytest.fixture
def other(server: Server, browser: Browser) -> Iterator[Page]:
    """Open the page in a second browser, which knows nothing of the first."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url + "/")
    yield page
    context.close()


def test_two_browsers_do_not_see_each_other(open_page: OpenPage, other: Page) -> None:
    page = open_page("/")
    before = titles(board(other, "list"))
    rate(board(page, "hand").locator(".card").first, 5)
    expect(page.locator(".status-line")).to_contain_text("Updated after")
    other.reload()
    assert titles(board(other, "list")) == before
    expect(other.locator(".status-line")).to_contain_text("to make this list yours")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_has_no_sideways_scrolling_and_large_targets(open_page: OpenPage, scheme: str) -> None:
    page = open_page("/", width=390, height=844, scheme=scheme)
    control = board(page, "hand").get_by_role("slider").first
    box = control.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
