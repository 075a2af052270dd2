"""Megabytes of the whole app on the sample: after the first visitor, and after twenty who each look at every page.

python -m benchmarks.memory [--visitors 20]

The target is under 900 MB, the processes that the app starts included. A fresh installation compiles in a process of
its own, once, in the first half minute: what that adds is printed apart.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from benchmarks.server import FLAGS, Server, chromium
from pages.main import PAGES

FINISHED = "[data-testid=stApp][data-test-script-state=notRunning] .status"
"""The last line of the sidebar, which may be closed, once the script of the page has ended."""


def megabytes(server: Server) -> float:
    """Return the resident memory of the app and of what it has started."""
    main = psutil.Process(server.pid)
    return sum(process.memory_info().rss for process in (main, *main.children(recursive=True))) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = Server(Path(home))
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            for visitor in range(1, options.visitors + 1):
                context = browser.new_context()
                page = context.new_page()
                for each in PAGES:
                    page.goto(f"{server.url}/{each.address}?item=600")
                    page.locator(FINISHED).first.wait_for(state="attached", timeout=120_000)
                context.close()
                if compiling := psutil.Process(server.pid).children():
                    print(f"while a fresh installation compiles: {megabytes(server):,.0f} MB", flush=True)
                    psutil.wait_procs(compiling)
                if visitor in (1, options.visitors):
                    print(f"after {visitor} visitor(s) of all pages: {megabytes(server):,.0f} MB", flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
