"""Rating in a browser: every star counts at once, nothing is lost, and no other visitor sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.server import Server
from tests.browser.conftest import SCHEMES, OpenPage, turn

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
    expect(page.locator('ul.board:not([data-waiting="0"])')).to_have_count(0)


def status_line(page: Page) -> Locator:
    """Return the line above the list."""
    return page.locator(".st-key-board-list .says")


def started(open_page: OpenPage, **options: Any) -> Page:
    """Open the page and give the first film five stars, so that there is a list."""
    page = open_page("/", **options)
    rate(board(page, "hand").locator(".card").first, 5)
    expect(status_line(page)).to_contain_text("your first list")
    return page


def test_a_star_makes_a_list_and_undo_leads_back(open_page: OpenPage) -> None:
    page = open_page("/")
    first = board(page, "hand").locator(".card").first
    name = first.locator(".name").inner_text()
    rate(first, 5)
    expect(status_line(page)).to_contain_text(f"Updated after {name} (5 ★)")
    expect(board(page, "list").locator(".note").first).to_contain_text(f"Because you loved {name}")
    assert name not in titles(board(page, "list"))
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(".st-key-board-list")).to_have_count(0)
    expect(page.get_by_text("Or borrow a taste")).to_be_visible()


def test_the_same_star_again_removes_the_rating(open_page: OpenPage) -> None:
    page = started(open_page)
    card = board(page, "hand").locator(".card").nth(1)
    name = card.locator(".name").inner_text()
    for text in (f"Updated after {name} (3 ★)", f"Updated without {name}"):
        rate(card, 3)
        expect(status_line(page)).to_contain_text(text)
    expect(card.get_by_role("slider")).to_have_attribute("aria-valuetext", "Not rated")


def test_a_rated_film_stays_for_a_moment_under_the_cursor_and_then_leaves(open_page: OpenPage) -> None:
    page = started(open_page)
    third = board(page, "list").locator(".card").nth(2)
    name = third.locator(".name").inner_text()
    rate(third, 4.5)
    expect(status_line(page)).to_contain_text(f"after {name} (4.5 ★)")
    settled(page)
    assert titles(board(page, "list"))[2] == name
    page.wait_for_timeout(3_500)
    assert titles(board(page, "list"))[2] == name  # the pointer is on it
    page.mouse.move(5, 5)
    expect(board(page, "list").locator(".name").get_by_text(name, exact=True)).to_have_count(0)
    ranks = board(page, "list").locator(".rank").all_inner_texts()
    assert ranks == [str(rank) for rank in range(1, 11)]


def test_a_title_leads_to_its_film_and_back_to_the_list(open_page: OpenPage) -> None:
    page = started(open_page)
    link = board(page, "list").locator(".card .name").first
    name, address = link.inner_text(), str(link.get_attribute("href"))
    assert address.startswith("film?")
    link.click()
    expect(page.locator("h2", has_text=name).first).to_be_visible()
    assert page.url.split("item=")[1].split("&")[0] == address.split("item=")[1]
    page.go_back()
    expect(status_line(page)).to_contain_text("your first list")


def import_and_export(page: Page) -> None:
    page.locator("[data-testid=stSidebarNavLink]", has_text="My films").click()
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
    file = {"name": "ratings.csv", "mimeType": "text/csv", "buffer": EXPORT.encode()}
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator(".st-key-import-counts")).to_contain_text("Not usable")
    page.get_by_text("Rocky 4 (1985) is Rocky IV (1985)").click()
    for part in ("Not in this catalogue · 1", "Not usable · 1"):
        page.get_by_text(part).click()
    expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    page.get_by_role("button", name="Import 2 ratings").click()
    expect(page.get_by_text("2 ratings imported from Letterboxd.").first).to_be_visible()  # a toast may say so, too
    page.reload()
    board(page, "list")
    import_and_export(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my ratings (Letterboxd format)").click()
    taken = download.value.path().read_text(encoding="utf-8").splitlines()
    assert taken[0] == "Title,Year,Rating"
    assert sorted(taken[1:]) == ["Rocky IV,1985,3.0", "The Matrix,1999,5.0"]


CLICKS = """async () => {
  const names = [];
  for (let click = 0; click < 6; click++) {
    const hosts = [...document.querySelectorAll(".st-key-board-hand *")];
    const cards = hosts.flatMap((host) => [...(host.shadowRoot?.querySelectorAll(".card:not(.settled)") ?? [])]);
    const stars = cards[0].querySelector(".stars"), box = stars.getBoundingClientRect();
    names.push(cards[0].querySelector(".name").textContent);
    stars.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: box.left + 0.75 * box.width }));
    await new Promise((done) => setTimeout(done, 40));
  }
  return names;
}"""
"""Rates six films, one every 40 ms: faster than any response."""


def test_six_quick_clicks_are_all_kept_and_survive_a_reload(open_page: OpenPage) -> None:
    page = open_page("/")
    board(page, "hand")
    names = page.evaluate(CLICKS)
    assert len(set(names)) == 6
    settled(page)
    page.reload()
    board(page, "list")
    page.locator("[data-testid=stSidebarNavLink]", has_text="My films").click()
    assert sorted(titles(board(page, "mine"))) == sorted(names)


def test_a_film_is_rated_by_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page("/")
    card = board(page, "hand").locator(".card").first
    name = card.locator(".name").inner_text()
    control = page.get_by_role("slider", name=f"Rate {name}")
    control.focus()
    for key in ("4", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(status_line(page)).to_contain_text(f"after {name} (4.5 ★)")
    page.wait_for_timeout(3_500)
    expect(control).to_be_focused()  # and so the card stays
    expect(control).to_have_attribute("aria-valuetext", "4.5 stars")
    page.keyboard.press("Delete")
    expect(page.get_by_text("Or borrow a taste")).to_be_visible()


ASIDE = {"Not interested in {}": "Not interested", "I have seen {}": "Seen", "Add {}": "watchlist"}


def test_a_film_can_be_put_aside_and_only_the_watchlist_leaves_it_in_the_list(open_page: OpenPage) -> None:
    page = started(open_page)
    cards, names = board(page, "list").locator(".card"), []
    for button, done in ASIDE.items():
        names.append(cards.filter(has=page.locator(".done:empty")).first.locator(".name").inner_text())
        card = cards.filter(has=page.get_by_text(names[-1], exact=True))  # on a slow machine the cards before it leave
        card.get_by_role("button", name=button.format(names[-1])).click()
        expect(card.locator(".done")).to_contain_text(done)
        expect(status_line(page)).to_contain_text(names[-1])
    page.mouse.move(5, 5)
    page.wait_for_timeout(3_500)
    for name, stays in zip(names, (0, 0, 1), strict=True):
        expect(board(page, "list").locator(".name").get_by_text(name, exact=True)).to_have_count(stays)


def test_the_search_is_empty_again_after_a_rating(open_page: OpenPage) -> None:
    page = open_page("/")
    board(page, "hand")
    box = page.get_by_placeholder("A title, as you remember it")
    box.fill("blade runner")
    card = board(page, "hand").locator(".card").filter(has_text="Blade Runner").first
    expect(card).to_be_visible()
    rate(card, 5)
    expect(status_line(page)).to_contain_text("Updated after Blade Runner")
    expect(box).to_have_value("")


@pytest.fixture
def other(server: Server, browser: Browser) -> Iterator[Page]:
    """Open the page in a second browser, which knows nothing of the first."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url + "/")
    yield page
    context.close()


def test_two_browsers_do_not_see_each_other(open_page: OpenPage, other: Page) -> None:
    board(other, "hand")
    started(open_page)
    other.reload()
    board(other, "hand")
    expect(other.get_by_text("Or borrow a taste")).to_be_visible()
    expect(other.locator(".st-key-board-list")).to_have_count(0)


@pytest.fixture
def phone(server: Server, browser: Browser) -> Iterator[Page]:
    """Open the page on a phone with a finger."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(server.url + "/")
    yield page
    context.close()


def test_on_a_phone_a_finger_slides_along_the_stars_and_the_top_three_stay_in_sight(phone: Page) -> None:
    control = board(phone, "hand").get_by_role("slider").first
    box = control.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    touch = phone.context.new_cdp_session(phone)

    def finger(kind: str, share: float = 0.0) -> None:
        points = [] if kind == "touchEnd" else [{"x": box["x"] + share * box["width"], "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    finger("touchStart", 0.15)
    for share in (0.3, 0.5, 0.7, 0.88):
        finger("touchMove", share)
    big = board(phone, "hand").locator(".value").first
    expect(big).to_have_text("4.5 ★")
    assert float(big.evaluate("each => parseFloat(getComputedStyle(each).fontSize)")) >= 28
    finger("touchEnd")
    expect(status_line(phone)).to_contain_text("(4.5 ★)")
    strip = phone.locator(".strip")
    expect(strip).to_be_visible()
    expect(strip.locator("img")).to_have_count(3)
    expect(strip).to_be_in_viewport(ratio=0.95)
    strip.click()
    expect(board(phone, "list").locator(".card").first).to_be_in_viewport()
    expect(strip).to_be_hidden()


def test_a_phone_has_no_sideways_scrolling_and_large_targets(open_page: OpenPage) -> None:
    page = started(open_page, width=390, height=844)
    for each in board(page, "list").locator("button:visible").all()[:4]:
        size = each.bounding_box()
        assert size is not None
        assert size["height"] >= 36
    control = board(page, "hand").get_by_role("slider").first
    box = control.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    for scheme in SCHEMES:
        turn(page, scheme)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
