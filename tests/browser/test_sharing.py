"""Sharing in a browser: links between two visitors, and the page taken home, opened as a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect

from benchmarks.server import Server
from benchmarks.take_home import in_the_app, tastes_of
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.base import Recommender
from recengine.models.registry import DEFAULT
from recengine.serving.panel import SAMPLE_FILES
from recengine.serving.take_home import MOST_BYTES, take_home
from tests.app.test_data import HOSTILE
from tests.browser.conftest import OpenPage
from tests.browser.test_rating import board, rate, settled

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.fixture(scope="module")
def model(sample: Dataset) -> Recommender:
    return obtain(TrainingRequest(sample, DEFAULT)).model


class Home:
    """Opens pages taken home as files, each in an unused browser that must ask for nothing else."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder, self.errors = browser, folder, list[str]()

    def open(self, text: str, *, width: int = 1440) -> Page:
        path = self.folder / "my-list.html"
        path.write_text(text, encoding="utf-8")
        page = self.browser.new_page(viewport={"width": width, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        page.goto(path.as_uri())
        expect(page.locator("#list[data-items]")).to_be_attached()
        assert asked == [path.as_uri()]
        return page


@pytest.fixture
def home(browser: Browser, tmp_path: Path) -> Iterator[Home]:
    opened = Home(browser, tmp_path)
    yield opened
    assert not opened.errors, opened.errors


def test_a_link_opens_in_another_browser_until_it_is_taken_back(
    open_page: OpenPage, server: Server, browser: Browser
) -> None:
    page = open_page("/")
    rate(board(page, "hand").locator(".card").first, 5)
    settled(page)
    title = board(page, "hand").locator(".card .name").first.inner_text()
    page.goto(f"{server.url}/my_films?show=share")
    page.get_by_role("button", name="Create a link").click()
    address = page.locator(".stCode").inner_text().strip()
    assert address.startswith(f"{server.url}/shared?link=")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        "(([open, back]) => open.top === back.top)([...document.querySelectorAll("
        "'.st-key-shared-0 a, [class*=st-key-revoke-]')].map(each => each.getBoundingClientRect()))"
    )  # its two buttons, in one row

    other = browser.new_context().new_page()
    asked: list[Request] = []
    other.on("request", lambda request: asked.append(request))
    response = other.goto(address)
    assert response is not None
    assert response.status == 200
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in response.headers["x-robots-tag"]
    expect(other.locator(".films li")).to_have_count(10)
    expect(other.locator(".rated")).to_contain_text(title)
    preview = other.locator('meta[property="og:image"]').get_attribute("content") or ""
    assert preview == address.replace("/shared?", "/shared.png?")
    drawn = other.request.get(preview)
    assert (drawn.status, drawn.headers["content-type"]) == (200, "image/png")
    with Image.open(BytesIO(drawn.body())) as image:
        assert image.size == (1200, 630)
    for picture in other.locator(".films img").all():
        picture.scroll_into_view_if_needed()
        other.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
    assert all(request.url.startswith(server.url) for request in asked), "the link was told to another machine"
    assert other.evaluate("document.querySelectorAll('script, form, input').length") == 0
    other.get_by_role("link", name="Make a list of your own").click()
    board(other, "hand")
    assert other.evaluate("document.referrer") == ""
    other.goto(f"{server.url}/my_films?show=share")
    expect(other.get_by_text("Your films will be here")).to_be_visible()
    assert address not in other.content()

    page.get_by_role("button", name="Take back").click()
    expect(page.locator(".stCode")).to_have_count(0)
    response = other.goto(address)
    assert response is not None
    assert response.status == 404
    expect(other.locator("h1")).to_have_text("This link is not active")
    assert title not in other.content()
    assert other.request.get(preview).status == 404
    other.context.close()


def test_the_picture_is_saved_as_png_by_the_browser_itself(open_page: OpenPage, server: Server) -> None:
    page = open_page("/")
    rate(board(page, "hand").locator(".card").first, 5)
    settled(page)
    page.goto(f"{server.url}/my_films?show=share")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PNG").click()
    with Image.open(download.value.path()) as picture:
        assert (picture.format, picture.size) == ("PNG", (2400, 1260))
        colours = picture.convert("RGB").resize((48, 25)).getcolors(48 * 25)
        assert colours is not None
        assert len(colours) > 100, "it is blank"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the page").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert "Content-Security-Policy" in text


def listed(page: Page) -> list[int]:
    return [int(item) for item in (page.locator("#list").get_attribute("data-items") or "").split()]


def test_the_page_lists_nine_of_ten_films_as_the_app_for_tastes_and_viewers(
    home: Home, sample: Dataset, model: Recommender
) -> None:
    tastes = list(tastes_of(sample, SAMPLE_FILES).values())
    rng = np.random.default_rng(5)
    for user in rng.choice(sample.n_users, 6, replace=False):
        past = sample.ratings.of_users([user])
        some = rng.choice(len(past), min(len(past), 25), replace=False)
        tastes.append(dict(zip(past.item_idx[some].tolist(), past.rating[some].tolist(), strict=True)))
    for stars in tastes:
        page = home.open(take_home(model, sample, stars))
        same = set(listed(page)) & set(in_the_app(model, sample, stars))
        assert len(same) >= 9, (stars, same)
        page.context.close()


def test_a_rating_in_the_page_moves_its_list_as_in_the_app_and_is_there_after_a_reload(
    home: Home, sample: Dataset, model: Recommender
) -> None:
    page = home.open(take_home(model, sample, {}))
    assert listed(page) == np.argsort(-sample.liked_counts(4.0), kind="stable")[:10].tolist()
    page.get_by_label("Find something to rate").fill("alien")
    slider = page.get_by_label("Stars for Alien (1979)").first
    box = slider.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    slider.click(position={"x": box["width"] - 2, "y": 20})
    expect(page.locator("#status")).to_have_text("Updated after Alien (1979) (5 ★)")
    alien = sample.items["title"].tolist().index("Alien")
    ours = in_the_app(model, sample, {alien: 5.0})
    assert len(set(listed(page)) & set(ours)) >= 9
    expect(page.locator("#list .note").first).to_have_text("Because you loved Alien")
    page.get_by_label("Stars for Alien (1979)").first.press("ArrowLeft")
    expect(page.locator("#status")).to_have_text("Updated after Alien (1979) (4.5 ★)")
    page.reload()
    expect(page.locator("#rated-title")).to_have_text("Your ratings (1)")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my ratings").click()
    assert download.value.path().read_text() == 'title,year,rating\n"Alien",1979,4.5\n'
    page.get_by_role("button", name="Back to how I took it home").click()
    expect(page.locator("#rated-title")).to_have_text("Your ratings (0)")


def test_films_that_were_put_aside_stay_out_and_weigh_as_in_the_app(
    home: Home, sample: Dataset, model: Recommender
) -> None:
    (stars, *_) = tastes_of(sample, SAMPLE_FILES).values()
    first = in_the_app(model, sample, stars)
    page = home.open(take_home(model, sample, stars, passed=first[:2], seen=first[2:4]))
    ours = in_the_app(model, sample, stars, passed=first[:2], seen=first[2:4])
    assert not set(first[:4]) & set(listed(page))
    assert len(set(listed(page)) & set(ours)) >= 9


def test_hostile_titles_are_text_in_the_page_and_it_fits_a_phone(
    home: Home, sample: Dataset, model: Recommender
) -> None:
    titles = [HOSTILE[index % len(HOSTILE)] for index in range(sample.n_items)]
    page = home.open(take_home(model, replace(sample, items=sample.items.assign(title=titles)), {5: 5.0}), width=390)
    assert page.evaluate("document.querySelectorAll('img, iframe, svg, script').length") == 2  # data, and the script
    shown = page.locator("#list h3").all_text_contents()
    assert shown == [titles[item][:300] for item in listed(page)]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
