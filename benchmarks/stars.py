"""Predicted stars against `bias`, and how many held-out ratings lie within their intervals, which promise four of five.

python -m benchmarks.stars [--dataset ml-latest-small] [--split random] [--given 5]

`random` holds a tenth of the ratings out; `cold-user` whole users, each known by that many ratings.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from recengine.data.sources import load_dataset
from recengine.data.splits import make_split
from recengine.models.ratings.bias import Bias
from recengine.models.ratings.stars import StarPredictor

USERS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-latest-small")
    parser.add_argument("--split", default="random")
    parser.add_argument("--given", type=int, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(options.dataset)
    split = make_split(data, options.split, positive=0, given=options.given)
    predictor, bias = StarPredictor().fit(split.fit), Bias().fit(split.fit)
    history, test = split.fit if split.history is None else split.history, split.test
    users = test.user_counts.nonzero()[0]
    parts: list[np.ndarray] = []
    for start in range(0, len(users), USERS):
        rows = history.of_users(users[start : start + USERS])
        position, row = test.rows_of(users[start : start + USERS])
        cells = torch.from_numpy(position), torch.from_numpy(test.item_idx[row].astype(np.int64))
        values = [part[cells].numpy() for part in (*predictor.predict(rows), bias.score_history(rows))]
        counts = split.fit.item_counts[test.item_idx[row]], rows.user_counts[position]
        parts.append(np.array([*values, test.rating[row], *counts]))
    rating, low, high, of_bias, actual, raters, rated = np.concatenate(parts, axis=1)
    inside = (low <= actual) & (actual <= high)
    errors = (float(np.sqrt(np.mean((x - actual) ** 2))) for x in (rating, of_bias.clip(*data.rating_range)))
    print("{:,} ratings: RMSE {:.4f}, of bias {:.4f}".format(len(actual), *errors))
    print(f"within the interval: {inside.mean():.3f}; its mean width: {np.mean(high - low):.2f}")
    for name, values in (("ratings of the film", raters), ("ratings of the user", rated), ("prediction", rating)):
        edges = np.quantile(values, np.linspace(0, 1, 6))
        fifth = np.searchsorted(edges[1:-1], values, side="right")
        shares = [f"{inside[fifth == n].mean():.3f} from {edges[n]:.4g}" for n in range(5) if (fifth == n).any()]
        print(f"by {name}: {', '.join(shares)}")


if __name__ == "__main__":
    main()
