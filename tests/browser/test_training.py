"""Training in the running app: curves that grow, other pages meanwhile, cancelling, a process that is killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import Page, expect

from benchmarks.server import Server
from recengine.jobs.job import Job
from recengine.jobs.jobs import Jobs
from recengine.jobs.progress import epochs_of
from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser

POINTS = """() => [...document.querySelectorAll('.st-key-watch [role=img][aria-label^=Curves]')]
  .map(chart => +chart.getAttribute('aria-label').match(/in epoch (\\d+)/)[1] + 1)"""
"""Points of the raw line of each chart, which start at epoch 0, as its text for screen readers has them."""
BAR = ".st-key-watch [data-testid=stProgress]"


@pytest.fixture
def jobs(server: Server) -> Iterator[Jobs]:
    """Return the server's jobs, as another process sees them; those still running end with the test."""
    seen = Jobs(server.home / "jobs")
    yield seen
    for job in seen.all():
        seen.cancel(job.id)


def fill(page: Page, **settings: int) -> None:
    for label, value in settings.items():
        page.get_by_label(label.replace("_", " ").capitalize(), exact=True).fill(str(value))


def start(page: Page, jobs: Jobs) -> Job:
    """Press Train without leaving the last field first, and wait for the process."""
    before = {job.id for job in jobs.all()}
    page.get_by_role("button", name="Train", exact=True).click()
    page.locator(BAR).wait_for()
    for _ in range(600):
        new = [job for job in jobs.all() if job.id not in before and job.pid]
        if new:
            return new[0]
        time.sleep(0.05)
    raise TimeoutError("no process was started")


def wait_for_epoch(jobs: Jobs, job: Job) -> None:
    """Wait until the job has reported an epoch."""
    for _ in range(2_400):
        if epochs_of(jobs.events(job.id)):
            return
        time.sleep(0.05)
    raise TimeoutError("no epoch was reported")


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def visit(page: Page, name: str, selector: str) -> None:
    """Go to another page by the navigation, and wait for an element of it."""
    page.locator("[data-testid=stSidebarNavLink]", has_text=re.compile(f"{name}$")).click()
    page.locator(selector).first.wait_for()


def test_train_watch_leave_come_back_reload_and_use_the_model(open_page: OpenPage, jobs: Jobs) -> None:
    page = open_page("/train")
    fill(page, embedding_dim=128, negatives=1800, epochs=6)
    job = start(page, jobs)
    assert job.task.settings == {"embedding_dim": "128", "negatives": "1800", "epochs": "6"}
    page.wait_for_function(
        f"() => {{ const n = ({POINTS})(); return n.length >= 2 && n[0] >= 3 && n[1] >= 3 }}", timeout=120_000
    )
    assert page.locator(BAR).count() == 1, "three points had come only when it was over"
    assert page.locator(".st-key-form [data-stale=true], .head [data-stale=true]").count() == 0
    expect(page.locator(".figures")).to_contain_text("/ 6")
    page.set_viewport_size({"width": 768, "height": 1024})  # four figures in two rows, not three and one
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.figures')).gridTemplateColumns.split(' ').length === 2"
    )
    page.set_viewport_size({"width": 1440, "height": 900})
    before = page.evaluate(POINTS)

    visit(page, "Viewers", ".st-key-top .film")
    visit(page, "Data", "[data-testid=stMetric]")
    visit(page, "Train", BAR)
    page.reload()
    page.locator(f"{BAR}, .st-key-watch [data-testid=stAlert]").first.wait_for()
    expect(page.locator(".st-key-watch .run-title")).to_contain_text("embedding dim 128")
    page.wait_for_function(f"before => ({POINTS})().every((n, i) => n >= before[i])", arg=before)

    expect(page.locator(".st-key-watch [data-testid=stAlert]")).to_contain_text("every page", timeout=180_000)
    page.wait_for_function(f"() => ({POINTS})().join() === '7,7,7'")  # from epoch 0
    assert not running(job.pid or 0)
    page.get_by_role("link", name="See what it recommends").click()
    expect(page.locator(".st-key-top .film")).to_have_count(10)
    expect(page.locator(".status")).to_contain_text("MF · embedding dim 128")
    assert f"model={job.id}" in page.url


def test_cancelling_ends_the_process(open_page: OpenPage, jobs: Jobs) -> None:
    page = open_page("/train")
    fill(page, epochs=500, l2=0)
    job = start(page, jobs)
    wait_for_epoch(jobs, job)
    pid = job.pid or 0
    assert running(pid)
    page.locator(".st-key-watch").get_by_role("button", name="Cancel").click()
    expect(page.locator(".st-key-watch [data-testid=stAlert]")).to_contain_text("was cancelled")
    assert not running(pid), "it would have gone on for minutes"
    expect(page.get_by_role("button", name="Run it again")).to_be_visible()
    expect(page.locator(BAR)).to_have_count(0)


def test_a_process_killed_from_outside_is_reported_and_can_be_run_again(open_page: OpenPage, jobs: Jobs) -> None:
    page = open_page("/train")
    fill(page, epochs=500, negatives=32)
    job = start(page, jobs)
    wait_for_epoch(jobs, job)
    os.kill(job.pid or 0, signal.SIGKILL)
    alert = page.locator(".st-key-watch [data-testid=stAlert]")
    expect(alert).to_contain_text(
        re.compile("failed. Its process ended; its last message was “epoch \\d+ of at most 500”")
    )
    page.get_by_role("button", name="Run it again").click()
    page.locator(BAR).wait_for()
    expect(alert).to_have_count(0)
    assert len([seen for seen in jobs.all() if seen.key == job.key]) == 2
