"""Comparing in a browser: three models, one of them a custom one, from the first click to the leaderboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SCHEMES, OpenPage, turn

pytestmark = pytest.mark.browser
ADDRESS = "/compare?models=popularity,ease,custom-function"


def test_three_models_are_compared_and_one_of_them_is_custom(open_page: OpenPage) -> None:
    page = open_page(ADDRESS)
    page.get_by_role("button", name="Compare", exact=True).click()
    table = page.locator(".leaderboard").first
    expect(table.locator("tbody tr")).to_have_count(3, timeout=120_000)
    expect(page.locator(".verdict")).to_contain_text("EASE leads with NDCG@10")
    expect(table.locator("tbody tr th")).to_have_text(["1EASE", "2Custom-function", "3Popularity"])
    expect(page.locator(".paired li")).to_have_count(2)
    assert page.locator(".board-scroll").first.evaluate("board => board.scrollWidth - board.clientWidth") == 0
    expect(page.locator(".st-key-through .column")).to_have_count(3)
    page.get_by_role("radio", name="Cost").or_(page.get_by_role("button", name="Cost")).first.click()
    expect(table.locator("thead")).to_contain_text("Training, s")
    page.reload()
    expect(page.locator(".verdict")).to_contain_text("EASE leads with NDCG@10")
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("CSV")).click()
    assert download.value.suggested_filename == "leaderboard.csv"


def test_a_phone_has_no_sideways_scrolling(open_page: OpenPage) -> None:
    page = open_page(ADDRESS, width=390, height=844)
    expect(page.locator(".st-key-form")).to_be_visible()
    for scheme in SCHEMES:
        turn(page, scheme)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
