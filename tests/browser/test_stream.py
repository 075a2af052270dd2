"""A stream in the running app: curves that grow, pausing, a reload in the middle, other pages meanwhile, the end."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from benchmarks.server import Server
from recengine.jobs.jobs import Jobs
from tests.browser.conftest import SCHEMES, OpenPage, turn
from tests.browser.test_training import running, visit

pytestmark = pytest.mark.browser
CURVES = "[role=img][aria-label^='Curves of recall']"
COUNT_OUTSIDE_ITS_TILE = """() => {
  const count = document.querySelector('.figures dd')
  count.textContent = '19,999 / 20,000'
  return count.scrollWidth - count.clientWidth
}"""
"""Pixels by which the widest count of events is wider than what it has."""


@pytest.fixture
def jobs(server: Server) -> Iterator[Jobs]:
    """Return the server's jobs, as another process sees them; those still running end with the test."""
    seen = Jobs(server.home / "jobs")
    yield seen
    for job in seen.all():
        seen.cancel(job.id)


def at(page: Page) -> int:
    """Return the event that the curves have reached, as their text for screen readers has it."""
    match = re.search(r"at event (\d+)", page.locator(CURVES).get_attribute("aria-label") or "")
    assert match is not None
    return int(match[1])


def grows(page: Page, beyond: int) -> None:
    page.wait_for_function(
        f'n => +document.querySelector("{CURVES}")?.ariaLabel.match(/at event (\\d+)/)[1] > n', arg=beyond
    )


def test_watch_pause_reload_go_on_leave_come_back_and_take_it_away(open_page: OpenPage, jobs: Jobs) -> None:
    page = open_page("/live?replayed=step,stream-item-knn&events=5000&speed=200")
    page.get_by_role("button", name="Replay", exact=True).click()
    page.locator(CURVES).wait_for()
    for _ in range(3):
        grows(page, at(page))
    assert page.locator(".st-key-form [data-stale=true], .head [data-stale=true]").count() == 0
    expect(page.locator(".race tbody tr")).to_have_count(5)  # two models, their copies, the count
    expect(page.locator(".happened article").first).to_contain_text(re.compile(r"rated .* 5 ★\. .* had ranked it \d+"))

    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    stood = at(page)
    for _ in range(5):  # an update on its way may still arrive
        page.reload()
        page.get_by_role("button", name="Resume").wait_for()
        page.locator(CURVES).wait_for()
        before, stood = stood, at(page)
        if stood == before:
            break
    assert stood == before < 5_000
    page.get_by_role("button", name="Resume").click()
    grows(page, stood)

    visit(page, "Data", "[data-testid=stMetric]")
    visit(page, "Live", CURVES)
    grows(page, stood)
    (job,) = [job for job in jobs.all() if job.active]
    expect(page.locator(".verdict")).to_contain_text("of the films in its top 10", timeout=120_000)
    assert not running(job.pid or 0)
    assert at(page) == 5_000
    page.set_viewport_size({"width": 768, "height": 1024})
    below = "(table => table.scrollWidth <= table.parentElement.clientWidth)(document.querySelector('.race'))"
    page.wait_for_function(below)  # the curves: next to them its last column would be hidden
    result = jobs.result(job.id, dict)
    assert result is not None
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("CSV")).click()
    with download.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, figures in result["results"].items():
        hits = sum(int(row["hit"]) for row in rows if row["model"] == name and row["evaluated"] == "1")
        assert hits / result["evaluated"] == figures["recall@10"]["value"]


def test_on_a_phone_it_fits_and_cancelling_ends_the_process(open_page: OpenPage, jobs: Jobs) -> None:
    page = open_page("/live?replayed=recent-popularity&speed=50", width=390, height=844)
    page.get_by_role("button", name="Replay", exact=True).click()
    page.locator(".figures").wait_for()  # of what runs now
    page.locator(CURVES).wait_for()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert page.evaluate(COUNT_OUTSIDE_ITS_TILE) == 0
    (job,) = [job for job in jobs.all() if job.active]
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-testid=stAlert]")).to_contain_text("the results so far are below")
    assert not running(job.pid or 0)
    expect(page.get_by_role("button", name="Run it again")).to_be_visible()
    expect(page.locator(CURVES)).to_be_visible()
    for scheme in SCHEMES:
        turn(page, scheme)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
