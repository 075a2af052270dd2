"""How many of the ten films the page taken home lists as the app does, in Chromium, for tastes that are written down.

python benchmarks/take_home.py --dataset ml-latest-small --tastes recengine/serving/tastes/tastes.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.server import FLAGS, NO_CHROMIUM, chromium
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.base import Recommender
from recengine.models.registry import DEFAULT
from recengine.serving.panel import FILES, Films
from recengine.serving.recommend import recommend_new
from recengine.serving.take_home import take_home


def in_the_app(
    model: Recommender,
    dataset: Dataset,
    stars: Mapping[int, float],
    passed: Sequence[int] = (),
    seen: Sequence[int] = (),
) -> list[int]:
    """Return the ten items that the app lists for these ratings, and for what was put aside."""

    def rows(items: Sequence[int], ratings: Sequence[float]) -> Interactions:
        return Interactions.from_pairs([0] * len(items), items, rating=ratings, n_users=1, n_items=dataset.n_items)

    ratings = [dataset.in_scale(value, dataset.like_threshold) for value in stars.values()]
    listing = recommend_new(
        model,
        dataset,
        rows(list(stars), ratings),
        positive=dataset.like_threshold,
        passed=rows(passed, [0.0] * len(passed)),
        seen=rows(seen, [0.0] * len(seen)),
    )
    return [int(item) for item in listing.ranking.items[0]]


def in_the_page(browser: Browser, page: Path) -> list[int]:
    """Return the ten items that the page lists when it opens."""
    tab = browser.new_page()
    tab.goto(page.as_uri())
    listed = tab.wait_for_selector("#list[data-items]").get_attribute("data-items")
    tab.close()
    return [int(item) for item in (listed or "").split()]


def tastes_of(dataset: Dataset, files: Sequence[Path]) -> dict[str, dict[int, float]]:
    """Return the ratings of each taste: five stars for what it likes, one for what it does not."""
    films = Films(dataset)
    named = {}
    for file in files:
        for name, taste in json.loads(file.read_text(encoding="utf-8")).items():
            rated = [(films.find(taste["liked"]), 5.0), (films.find(taste["disliked"]), 1.0)]
            named[name] = {item: stars for items, stars in rated for item in items}
    return named


def main() -> None:
    """Print how many films are the same, the size of the page and the seconds that it takes, for each taste."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-latest-small")
    parser.add_argument("--tastes", type=Path, nargs="+", default=[FILES[0]])
    options = parser.parse_args()
    dataset = load_dataset(options.dataset)
    model = obtain(TrainingRequest(dataset, DEFAULT)).model
    path = chromium()
    if path is None:
        sys.exit(NO_CHROMIUM)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for name, stars in tastes_of(dataset, options.tastes).items():
            start = time.perf_counter()
            page = Path(folder) / "page.html"
            page.write_text(take_home(model, dataset, stars), encoding="utf-8")
            made = time.perf_counter()
            theirs, ours = in_the_page(browser, page), in_the_app(model, dataset, stars)
            order = " in the same order" if theirs == ours else ""
            print(
                f"{name:24} {len(set(theirs) & set(ours)):2} of {len(ours)}{order}, "
                f"{page.stat().st_size / 1e6:.2f} MB, made in {made - start:.1f} s, "
                f"opened in {time.perf_counter() - made:.1f} s"
            )
        browser.close()


if __name__ == "__main__":
    main()
