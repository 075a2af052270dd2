"""Milliseconds from the click on a star to the new list on the screen, in Chromium on this machine.

python -m benchmarks.rating [--dataset sample] [--ratings 40]

Films are rated one after the other through the app as it is served, and each rating waits until the list that follows
from it has been painted. RECENGINE_MIRROR is needed for data sets other than the sample.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks.server import FLAGS, Server, chromium

RATE = """async () => {
  const board = (name) => {
    const hosts = document.querySelectorAll(`.st-key-board-${name} *`);
    return [...hosts].map((host) => (host.shadowRoot ?? host).querySelector(".board")).find(Boolean);
  };
  const list = board("list"), stars = board("hand").querySelector(".card:not(.settled) .stars");
  if (!stars) return null;
  const box = stars.getBoundingClientRect();
  const painted = new Promise((done) => {
    const watch = new MutationObserver(() => {
      watch.disconnect();
      requestAnimationFrame(() => setTimeout(() => done(performance.now())));
    });
    watch.observe(list, { attributeFilter: ["data-version"] });
  });
  const started = performance.now();
  stars.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: box.left + 0.95 * box.width }));
  return (await painted) - started;
}"""

FIRST = """() => {
  const hosts = [...document.querySelectorAll(".st-key-board-hand *")];
  const stars = hosts.map((host) => host.shadowRoot?.querySelector(".stars")).find(Boolean);
  const box = stars.getBoundingClientRect();
  stars.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: box.left + 0.95 * box.width }));
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--ratings", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = Server(Path(home), dataset=options.dataset)
        try:
            page = playwright.chromium.launch(executable_path=chromium(), args=FLAGS).new_page()
            page.goto(f"{server.url}/")
            page.wait_for_selector(".st-key-board-hand .card", timeout=300_000)
            page.wait_for_timeout(700)
            page.evaluate(FIRST)  # the list comes with the first star
            page.wait_for_selector(".st-key-board-list .card", timeout=300_000)
            took: list[float] = []
            while len(took) < options.ratings:
                page.wait_for_timeout(700)  # visitors look before they click again
                one = page.evaluate(RATE)
                if one is None:
                    page.get_by_role("button", name="Show others").click()
                else:
                    took.append(one)
        finally:
            server.stop()
    p50, p95 = np.percentile(took, [50, 95])
    print(f"{options.dataset}: {len(took)} ratings, click to painted list p50 {p50:.0f} ms, p95 {p95:.0f} ms")


if __name__ == "__main__":
    main()
