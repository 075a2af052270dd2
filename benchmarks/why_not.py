"""How many films `why-not` finds an answer for, how large the answers are, and how long one takes.

python -m benchmarks.why_not [--dataset ml-latest-small] [--model taste] [--films 100] [--ratings 12]

The films stand at random ranks from 11 to 300 in the lists of the package's tastes and of as many users of the data,
each known by that many of their ratings, drawn at random. Every answer is run again as `recommend` serves it.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT
from recengine.serving.panel import FILES, Films, read_tastes
from recengine.serving.recommend import recommend_new
from recengine.serving.why_not import MOST, why_not

OFTEN = 10
"""Ratings of a film of which something is known; many at these ranks have one or two."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-latest-small")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--films", type=int, default=100)
    parser.add_argument("--ratings", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(options.dataset)
    model = obtain(TrainingRequest(data, options.model)).model
    rng = np.random.default_rng(0)
    histories = [some(history, options.ratings, rng) for history in known(data, rng)]
    sizes, seconds = [0] * (MOST + 1), []
    often: list[bool] = []
    for film in range(options.films):
        history = histories[film % len(histories)]
        listed = recommend_new(model, data, history, k=300).ranking.items[0]
        target = int(listed[rng.integers(10, 300)])
        started = time.process_time()
        result = why_not(model, data, history, target)
        seconds.append(time.process_time() - started)
        sizes[len(result.ratings or ())] += 1
        if data.ratings.item_counts[target] >= OFTEN:
            often.append(bool(result.ratings))
        if result.ratings:
            rated = dict(zip(history.item_idx.tolist(), history.rating.tolist(), strict=True)) | dict(result.ratings)
            then = recommend_new(model, data, new_user(data, rated)).ranking.items[0].tolist()
            assert then[result.new_rank - 1] == target
    answers = ", ".join(f"{count} of {size}" for size, count in enumerate(sizes) if size)
    print(f"{sum(sizes[1:])} of {options.films} films have an answer, by its ratings: {answers}; none: {sizes[0]}")
    print(f"of those that {OFTEN} or more users have rated: {sum(often)} of {len(often)}")
    print(f"seconds of CPU: mean {np.mean(seconds):.2f}, at most {max(seconds):.2f}")


def known(data: Dataset, rng: np.random.Generator) -> list[Interactions]:
    """Return the ratings of the package's tastes, and of as many users."""
    films, (low, high) = Films(data), data.rating_range
    tastes = [
        new_user(data, dict.fromkeys(films.find(t["liked"]), high) | dict.fromkeys(films.find(t["disliked"]), low))
        for t in read_tastes(FILES)[0].values()
    ]
    users = rng.choice(np.flatnonzero(data.ratings.user_counts >= 25), len(tastes), replace=False)
    return tastes + [data.ratings.of_users([user]) for user in users]


def new_user(data: Dataset, ratings: dict[int, float]) -> Interactions:
    return Interactions.from_pairs(
        [0] * len(ratings), list(ratings), rating=list(ratings.values()), n_users=1, n_items=data.n_items
    )


def some(history: Interactions, n: int, rng: np.random.Generator) -> Interactions:
    return history.select(rng.permutation(len(history))[:n])


if __name__ == "__main__":
    main()
