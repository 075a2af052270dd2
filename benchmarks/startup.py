"""Seconds from `streamlit run app.py` to the first posters on the screen: first start and second start.

python -m benchmarks.startup [--runs 1]

The first start has an empty home: it simulates the sample, trains the default model and stores both. The second reuses
them. A browser is opened at once, as `streamlit run` does, and the clock stops when a recommended poster is visible.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.server import FLAGS, Server, chromium


def seconds_to_posters(home: Path, browser: Browser) -> float:
    """Start the app, open it, and return the seconds until the first poster is visible."""
    started = time.perf_counter()
    server = Server(home)
    try:
        page = browser.new_page()
        page.goto(server.url + "/viewers")
        page.wait_for_function(
            "() => [...document.querySelectorAll('.st-key-top img')].some(image => image.naturalWidth > 0)",
            timeout=120_000,
        )
        page.close()
        return time.perf_counter() - started
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for _ in range(parser.parse_args().runs):
            with tempfile.TemporaryDirectory() as home:
                first = seconds_to_posters(Path(home), browser)
                second = seconds_to_posters(Path(home), browser)
            print(f"first start {first:.1f} s, second start {second:.1f} s to the first posters")


if __name__ == "__main__":
    main()
