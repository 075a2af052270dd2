"""Frames per second and first paint of the page Map, in Chromium without a graphics card.

python -m benchmarks.taste_map [--items 60000] [--model step] [--seconds 4] [--scattergl] [--home DIR]

The catalogue is made up: films in twenty genres, viewers who like one of them. The model is trained by the app as for
a visitor; then the page is opened by its address and from the menu, and the map is dragged and zoomed before each
frame, so that each draws all points anew. `--scattergl` draws as many points by Plotly's WebGL traces in addition, in
an otherwise empty page, to compare. With `--home` the data and the model are kept for the next run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.server import FLAGS, Server, chromium

GENRES, VIEWERS, EACH = 20, 1_000, 60
DRIVE = """async ({ act, seconds }) => {
  const hosts = [...document.querySelectorAll("*")].filter((element) => element.shadowRoot);
  const roots = [document, ...hosts.map((host) => host.shadowRoot)];
  const target = roots.map((root) => root.querySelector(".plane, .nsewdrag")).find(Boolean);
  const box = target.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
  const send = (kind, dx, dy) => {
    const at = { bubbles: true, cancelable: true, composed: true, clientX: x + dx, clientY: y + dy };
    const to = document.querySelector(".dragcover") ?? target; // Plotly's, while it is dragged
    to.dispatchEvent(new PointerEvent("pointer" + kind, { ...at, pointerId: 1, pointerType: "mouse" }));
    to.dispatchEvent(new MouseEvent("mouse" + kind, { ...at, buttons: 1 }));
  };
  target.setPointerCapture = () => {}; // there is no such pointer
  if (act === "drag") send("down", 0, 0);
  const frames = [], end = performance.now() + 1000 * seconds;
  let last = performance.now();
  for (let number = 1; last < end; number++) {
    if (act === "drag") send("move", 150 * Math.sin(number / 19), 90 * Math.cos(number / 17));
    else {
      const turn = { bubbles: true, cancelable: true, clientX: x, clientY: y };
      target.dispatchEvent(new WheelEvent("wheel", { ...turn, deltaY: Math.floor(number / 40) % 2 ? 25 : -25 }));
    }
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  send("up", 0, 0);
  return frames.slice(1);
}"""
"""Drags or zooms the map a little before each frame, and returns how long the frames took, in milliseconds."""
EMPTY = '<!doctype html><div id="map" style="width: 1000px; height: 640px"></div>'
PLOT = """(points) => {
  const look = { type: "scattergl", mode: "markers", marker: { size: 3 }, hoverinfo: "skip" };
  const hidden = { visible: false };
  const layout = { dragmode: "pan", hovermode: false, showlegend: false, xaxis: hidden, yaxis: hidden };
  const traces = points.map((point) => ({ ...look, ...point }));
  return Plotly.newPlot("map", traces, layout, { scrollZoom: true, displayModeBar: false });
}"""


def write_catalogue(folder: Path, items: int) -> None:
    """Write a catalogue of that many films, each rated, and ratings by viewers who like one genre each."""
    random = np.random.default_rng(0)
    genre = random.integers(GENRES, size=items)
    lines = [f'{i + 1},"Film {i + 1} ({1930 + i % 95})",Genre {genre[i]}' for i in range(items)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(lines) + "\n", encoding="utf-8")
    fame = (random.permutation(items) + 10.0) ** -0.7
    by_genre = [np.flatnonzero(genre == g) for g in range(GENRES)]
    with (folder / "ratings.csv").open("w", encoding="utf-8") as file:
        file.write("userId,movieId,rating,timestamp\n")
        for user in range(VIEWERS):
            pool = by_genre[user % GENRES]
            popular = random.choice(pool, EACH, replace=False, p=fame[pool] / fame[pool].sum())
            turn = pool[user // GENRES :: VIEWERS // GENRES]
            for position, item in enumerate(np.union1d(popular, turn)):
                file.write(f"{user + 1},{item + 1},{4 + random.integers(2)},{1_600_000_000 + 1000 * user + position}\n")


def report(page: Page, what: str, seconds: float) -> None:
    """Drag and zoom for some seconds each, and print the frames, and what each costs where nothing else runs."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "ProcessTime")

    for act in ("drag", "zoom"):
        before = spent()
        frames = np.array(page.evaluate(DRIVE, {"act": act, "seconds": seconds}))
        rate, slow, cost = 1000 / frames.mean(), np.quantile(frames, 0.95), (spent() - before) / len(frames)
        print(f"{what}, {act}: {rate:.0f} frames/s, 95 % of them within {slow:.0f} ms; {cost:.1f} ms of a core each")


def painted(page: Page) -> float:
    """Wait until the points are on the screen, and return when, in milliseconds of the page's clock."""
    page.locator(".map[data-painted]").wait_for(timeout=600_000)
    return page.evaluate("performance.getEntriesByName('map painted').at(-1).startTime")


def measure_app(page: Page, address: str, seconds: float) -> None:
    """Print when the map is painted, opened by its address and from the menu, and its frames."""
    page.goto(address)
    painted(page)  # the model and the map are there now
    for _ in range(3):
        page.goto(address)
        print(f"app: first paint {painted(page):.0f} ms after the address was opened")
    for _ in range(3):
        page.get_by_role("link", name="Film", exact=True).first.click()
        page.get_by_role("heading", name="Film", exact=True).wait_for()
        page.wait_for_timeout(4000)
        page.evaluate("performance.clearMarks(); window.clicked = performance.now()")
        page.get_by_role("link", name="Map", exact=True).first.click()
        print(f"app: first paint {painted(page) - page.evaluate('clicked'):.0f} ms after a click in the menu")
    page.wait_for_timeout(3000)
    report(page, "app", seconds)


def measure_scattergl(page: Page, items: int, seconds: float) -> None:
    """Print how long Plotly takes to load and to draw, and its frames."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise SystemExit("plotly is not installed")
    page.set_content(EMPTY)
    started = time.monotonic()
    page.add_script_tag(path=str(Path(spec.origin).parent / "package_data" / "plotly.min.js"))
    loaded = time.monotonic()
    random = np.random.default_rng(0)
    points = [
        {axis: (random.normal(size=items // 8) + 3 * random.normal()).round(4).tolist() for axis in "xy"}
        for _ in range(8)
    ]
    page.evaluate(PLOT, points)
    print(f"scattergl: its script {loaded - started:.1f} s, then {time.monotonic() - loaded:.1f} s")
    report(page, "scattergl", seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--model", default="step")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--scattergl", action="store_true")
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        home = options.home or Path(temporary)
        data = home / f"made-up-{options.items}"
        if not data.exists():
            data.mkdir(parents=True)
            write_catalogue(data, options.items)
        server = Server(home, dataset=str(data))
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            size = {"width": 1440, "height": 900}
            address = f"{server.url}/taste_map?model={options.model}"
            measure_app(browser.new_page(viewport=size), address, options.seconds)  # type: ignore[arg-type]
            if options.scattergl:
                measure_scattergl(browser.new_page(), options.items, options.seconds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
