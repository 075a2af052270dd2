"""Seconds that a visitor waits: for the app to start, for the first page, and from page to page.

python -m benchmarks.startup [--runs 1]

The first start has an empty home: it simulates the sample, trains the default model and stores both. The second reuses
them. A browser is opened at once, as `streamlit run` does, and the clock stops when a recommended poster is visible.
Then, in the app that runs: every page from the navigation, twice round, the second time counted, from the click until
the run of the page has ended; and the first page in a new tab of that browser, until all of it is shown.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from benchmarks.server import FLAGS, Server, chromium
from pages.main import PAGES

PATIENCE = 120_000
"""Milliseconds that a page may take on a busy machine."""
SHOWN = """document.querySelector('[data-testid=stApp][data-test-script-state=notRunning] .head')
  && !document.documentElement.classList.contains('loading')"""
ARRIVED = """title =>
  document.querySelector('[data-testid=stApp][data-test-script-state=notRunning] h1')?.innerText === title"""


def seconds_to_posters(home: Path, browser: Browser) -> float:
    """Start the app, open it, and return the seconds until the first poster is visible."""
    started = time.perf_counter()
    server = Server(home)
    try:
        page = browser.new_page()
        page.goto(server.url + "/viewers")
        page.wait_for_function(
            "() => [...document.querySelectorAll('.st-key-top img')].some(image => image.naturalWidth > 0)",
            timeout=PATIENCE,
        )
        page.close()
        return time.perf_counter() - started
    finally:
        server.stop()


def seconds_to_first_page(context: BrowserContext, server: Server) -> float:
    """Return the seconds until all of the first page is shown in a new tab."""
    page = context.new_page()
    started = time.perf_counter()
    page.goto(server.url)
    page.wait_for_function(SHOWN, polling="raf", timeout=PATIENCE)
    seconds = time.perf_counter() - started
    page.close()
    return seconds


def seconds_of_switches(context: BrowserContext, server: Server) -> list[float]:
    """Return the seconds of a switch to each page, all of which have been open in this session before."""
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_function(SHOWN, timeout=PATIENCE)
    seconds = []
    for lap in range(2):
        for to in [*PAGES[1:], PAGES[0]]:
            link = page.locator("[data-testid=stSidebarNavLink]").nth(PAGES.index(to))
            started = time.perf_counter()
            link.click()
            page.wait_for_function(ARRIVED, arg=to.title, polling="raf", timeout=PATIENCE)
            if lap:
                seconds.append(time.perf_counter() - started)
            page.wait_for_timeout(500)
    page.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for _ in range(parser.parse_args().runs):
            with tempfile.TemporaryDirectory() as home:
                first = seconds_to_posters(Path(home), browser)
                second = seconds_to_posters(Path(home), browser)
                server = Server(Path(home))
                context = browser.new_context(viewport={"width": 1440, "height": 900})
                switches = seconds_of_switches(context, server)  # first: a new process warms up for some seconds
                pages = [seconds_to_first_page(context, server) for _ in range(6)][1:]
                context.close()
                server.stop()
            print(f"first start {first:.1f} s, second start {second:.1f} s to the first posters")
            print(f"first page, warm: p50 {statistics.median(pages):.2f} s of {len(pages)}")
            print(
                f"page switch, warm: p50 {1000 * statistics.median(switches):.0f} ms, "
                f"slowest {1000 * max(switches):.0f} ms of {len(switches)}"
            )


if __name__ == "__main__":
    main()
