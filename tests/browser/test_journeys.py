"""Journeys through the running app, as a visitor makes them."""

import json
import re
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from benchmarks.server import Server
from pages.main import PAGES
from tests.app.test_data import ratings_csv
from tests.browser.conftest import SCHEMES, OpenPage, turn

pytestmark = pytest.mark.browser


def ranks(page: Page) -> list[str]:
    return page.locator(".st-key-top .rank").all_inner_texts()


def test_cold_deep_link_as_the_first_request_shows_the_frame_and_the_film(open_page: OpenPage) -> None:
    """Named so that it runs first: Streamlit's legacy mode shows only before any session has called st.navigation."""
    page = open_page("/film?item=600&model=item-knn")
    expect(page.locator(".seed h2")).to_be_visible()
    expect(page.locator("[data-testid=stSidebarNavLink]")).to_have_text([re.compile(each.title) for each in PAGES])
    expect(page.locator(".status")).to_contain_text("Item-KNN · sample · trained")
    expect(page.locator(".st-key-near .film")).to_have_count(10)
    expect(page).to_have_title("Film · RecEngine")


def test_first_page_shows_posters_that_are_pictures_in_our_letters(open_page: OpenPage) -> None:
    page = open_page("/viewers")
    expect(page.locator(".st-key-top .film")).to_have_count(10)
    assert ranks(page) == [str(i) for i in range(1, 11)]
    page.locator(".st-key-top img").last.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('.st-key-top img')].every(i => i.complete && i.naturalWidth === 300)"
    )
    loaded = page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    loaded = [family.strip('"') for family in loaded]
    assert {"Figtree", "Barlow Condensed"} <= set(loaded)


def test_picking_a_viewer_by_typing_changes_page_and_address(open_page: OpenPage) -> None:
    page = open_page("/viewers")
    expect(page.locator(".ticket")).to_be_visible()
    page.get_by_label("Find a viewer").press_sequentially("teach", delay=20)
    result = page.locator(".st-key-viewers a").nth(1)
    expect(result).to_contain_text("teacher")
    wanted = re.search(r"Demo viewer (\d+)", result.inner_text())[1]  # type: ignore[index]
    result.click()
    expect(page.locator(".ticket .stub b")).to_have_text(wanted)
    expect(page).to_have_url(re.compile(rf"[?&]user={wanted}(&|$)"))
    search = page.get_by_label("Find a viewer")
    expect(search.and_(page.locator("[value='']"))).to_have_count(1)
    expect(search).to_have_count(1)  # the old one disappears when the page is rendered
    page.reload()
    expect(page.locator(".ticket .stub b")).to_have_text(wanted)
    page.set_viewport_size({"width": 768, "height": 1024})
    page.wait_for_function(
        "document.querySelector('.ticket').getBoundingClientRect().bottom"
        " < document.querySelector('.st-key-find').getBoundingClientRect().top"
    )


def test_walking_similar_films_and_stepping_back(open_page: OpenPage) -> None:
    page = open_page("/viewers?user=12&genres=Horror&k=20")
    expect(page.locator(".st-key-top .film")).to_have_count(20)
    first = page.locator(".st-key-film-top-1 .name").inner_text()
    page.locator(".st-key-film-top-1 a").click()
    expect(page.locator(".seed h2")).to_have_text(first)
    second = page.locator(".st-key-film-near-1 .name").inner_text()
    page.locator(".st-key-film-near-1 a").click()
    expect(page.locator(".seed h2")).to_have_text(second)
    expect(page.locator(".st-key-trail")).to_contain_text(first)
    page.go_back()
    expect(page.locator(".seed h2")).to_have_text(first)
    page.go_back()
    expect(page.locator(".ticket .stub b")).to_have_text("12")
    expect(page.locator(".st-key-top .film")).to_have_count(20)
    assert "genres=Horror" in page.url


def test_search_for_a_film_forgives_a_typo(open_page: OpenPage) -> None:
    page = open_page("/film")
    expect(page.locator(".st-key-start .film")).to_have_count(10)
    page.get_by_label("Find a film").press_sequentially("godfahter", delay=20)
    match = page.locator(".st-key-matches a").first
    expect(match).to_contain_text(re.compile("The Godfather(?! Part)"))  # what half of the word matches is not meant
    match.click()
    expect(page.locator(".seed h2")).to_have_text("The Godfather")


def test_bad_upload_gives_the_reason_and_the_next_one_works(open_page: OpenPage) -> None:
    page = open_page("/data")
    chooser = page.locator("input[type=file]")
    chooser.set_input_files({"name": "bad.csv", "mimeType": "text/csv", "buffer": b"userId,movieId,rating\n1,2,good\n"})
    alert = page.locator("[data-testid=stAlert]")
    expect(alert).to_contain_text("good")
    expect(page.get_by_role("button", name="Download an example")).to_be_visible()
    chooser.set_input_files({"name": "mine.csv", "mimeType": "text/csv", "buffer": ratings_csv().encode()})
    expect(page.get_by_text("240 ratings by 30 users")).to_be_visible()
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("[data-testid=stMetricValue]").first).to_have_text("240")
    page.locator("[data-testid=stSidebarNavLink]", has_text="Viewers").click()
    expect(page.locator(".st-key-top .film").first).to_be_visible()
    expect(page.locator(".status")).to_contain_text("mine.csv")


@pytest.mark.parametrize("address", ["/viewers?user=12", "/film?item=600", "/train", "/data"])
def test_phone_has_no_sideways_scrolling(open_page: OpenPage, address: str) -> None:
    page = open_page(address, width=390, height=844)
    expect(page.locator(".film, .simulated, .st-key-form").first).to_be_visible()
    expect(page.locator(".status")).to_have_count(1)
    for scheme in SCHEMES:
        turn(page, scheme)
        wide = page.evaluate(
            "[document.documentElement, document.querySelector('[data-testid=stMain]')]"
            ".map(e => e.scrollWidth - e.clientWidth)"
        )
        assert wide == [0, 0]


def test_phone_shows_the_posters_in_the_order_of_their_ranks(open_page: OpenPage) -> None:
    page = open_page("/viewers?user=12", width=390, height=844)
    expect(page.locator(".st-key-top .film")).to_have_count(10)
    cards = page.evaluate(
        "[...document.querySelectorAll('.st-key-top .film')].map(e => { const b = e.getBoundingClientRect();"
        " return [Math.round(b.top / 20), b.left, +e.querySelector('.rank').innerText] })"
    )
    assert [rank for _, _, rank in sorted(cards)] == list(range(1, 11))
    assert len({left for _, left, _ in cards}) == 2


def test_text_stands_out_from_its_background(open_page: OpenPage) -> None:
    page = open_page("/viewers?user=12")
    expect(page.locator(".notebook")).to_be_visible()
    for scheme in SCHEMES:
        turn(page, scheme)
        for selector in TEXTS:
            contrast = page.evaluate(CONTRAST, selector)
            assert contrast >= 4.5, f"{selector} has a contrast of {contrast:.1f} in {scheme}"


def test_labels_of_charts_stand_out_from_their_background(open_page: OpenPage) -> None:
    page = open_page("/data")
    labels = (
        ".st-key-chart-popularity .xtick text",
        ".st-key-chart-popularity .xtitle",
        ".st-key-chart-ratings .bartext",
    )
    for label in labels:
        expect(page.locator(label).first).to_be_visible()
    for scheme in SCHEMES:
        turn(page, scheme)
        for label in labels:
            contrast = page.evaluate(CONTRAST, label)
            assert contrast >= 4.5, f"{label} has a contrast of {contrast:.1f} in {scheme}"


def test_cards_are_reached_and_opened_by_keyboard(open_page: OpenPage) -> None:
    page = open_page("/viewers?user=12")
    expect(page.locator(".st-key-top .film")).to_have_count(10)
    link = page.locator(".st-key-film-top-1 a")
    link.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") in ("solid", "auto")
    title = page.locator(".st-key-film-top-1 .name").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator(".seed h2")).to_have_text(title)


def test_two_visitors_do_not_see_each_other(open_page: OpenPage) -> None:
    first, second = open_page("/viewers?user=12"), open_page("/viewers?user=13")
    expect(first.locator(".ticket .stub b")).to_have_text("12")
    expect(second.locator(".ticket .stub b")).to_have_text("13")
    first.get_by_role("button", name="Random viewer").click()
    expect(first.locator(".ticket .stub b")).not_to_have_text("12")
    expect(second.locator(".ticket .stub b")).to_have_text("13")


def test_posters_are_cached_and_locked_down(open_page: OpenPage, server: Server) -> None:
    page = open_page("/viewers?user=12")
    source = page.locator(".film img").first.get_attribute("src")
    headers = page.request.get(f"{server.url}/{source}").headers
    assert "immutable" in headers["cache-control"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]


TEXTS = ".head p", ".meta", ".note", ".rank", ".ticket .stub b", ".notebook p", ".about-model", ".status"
CONTRAST = """selector => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data };
  const light = c => { const [r, g, b] = [...c].slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const element = document.querySelector(selector);
  let ground = element;
  while (ground && rgb(getComputedStyle(ground).backgroundColor)[3] < 255) ground = ground.parentElement;
  const {color, fill} = getComputedStyle(element);
  const text = element instanceof SVGElement ? fill : color;
  const [a, b] = [text, getComputedStyle(ground).backgroundColor].map(each => light(rgb(each)));
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) }"""


def test_health_covers_database_and_model(open_page: OpenPage, server: Server) -> None:
    expect(open_page("/viewers").locator(".st-key-top .film").first).to_be_visible()
    with urllib.request.urlopen(f"{server.url}/healthz") as answer:
        assert json.load(answer) == {"database": "ok", "model": "ok"}


def test_the_visitor_s_cookie_is_set_once_and_out_of_reach_of_scripts(open_page: OpenPage, server: Server) -> None:
    page = open_page("/")
    (held,) = [cookie for cookie in page.context.cookies() if cookie["name"].startswith("recengine_visitor")]
    assert (held["httpOnly"], held["sameSite"]) == (True, "Lax")
    page.goto(server.url + "/data")
    assert [c["value"] for c in page.context.cookies() if c["name"].startswith("recengine_visitor")] == [held["value"]]
    assert "recengine" not in page.evaluate("document.cookie")
