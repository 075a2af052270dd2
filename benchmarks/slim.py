"""`slim` compared with fastslim (pip install fastslim), which minimises the same objective in Rust.

python -m benchmarks.slim [--datasets ml-100k ml-latest-small] [--turns 3]

Both have one thread, the same rows (positives from 4 stars, the last two of each user held out) and the same penalties,
and take turns. Seconds are those of the processor, so that other work on the machine counts less. The objective that
each reaches is computed from its weights, in double precision.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import make_split
from recengine.models.item_item.linear import gram_matrix
from recengine.models.registry import model_class
from recengine.training.config import RunConfig

SLIM = model_class("slim")


def fit_ours(rows: Interactions) -> torch.Tensor:
    return SLIM().fit(rows, run=RunConfig(device="cpu")).item_weights


def fit_fastslim(rows: Interactions) -> torch.Tensor:
    import fastslim
    from scipy.sparse import csr_matrix

    table = csr_matrix((np.ones(len(rows)), (rows.user_idx, rows.item_idx)), shape=(rows.n_users, rows.n_items))
    config = SLIM.Config()
    weights = fastslim.SLIM(config.l1, config.l2, n_threads=1).fit(table).weights
    return torch.from_numpy(weights.toarray()).float()


def objective(rows: Interactions, weights: torch.Tensor) -> float:
    """Return |X - XB|^2 / 2 + l2 |B|^2 / 2 + l1 sum B, a few columns at a time."""
    gram, config, total = gram_matrix(rows, torch.device("cpu")), SLIM.Config(), 0.0
    for columns in torch.arange(rows.n_items).split(512):
        b, g = weights[:, columns].double(), gram[:, columns].double()
        residual = gram.diagonal()[columns].sum() - 2 * (g * b).sum() + (b * (gram.double() @ b)).sum()
        total += float(residual / 2 + config.l2 / 2 * b.square().sum() + config.l1 * b.sum())
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["ml-100k", "ml-latest-small"])
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sides: dict[str, Callable[[Interactions], torch.Tensor]] = {"slim": fit_ours, "fastslim": fit_fastslim}
    for name in options.datasets:
        rows = make_split(load_dataset(name), "leave-last", positive=4.0).train
        fit_ours(rows.select(slice(0, 100)))  # compiles
        taken: dict[str, list[float]] = {side: [] for side in sides}
        reached = {}
        for _ in range(options.turns):
            for side, fit in sides.items():
                started = time.process_time()
                weights = fit(rows)
                taken[side].append(time.process_time() - started)
                reached[side] = weights
        print(f"{name}: {rows.n_items:,} items, {len(rows):,} positives; medians of {options.turns}")
        for side, seconds in taken.items():
            ratios = [mine / theirs for mine, theirs in zip(seconds, taken["fastslim"], strict=True)]
            print(
                f"  {side:8} {statistics.median(seconds):7.2f} s, {statistics.median(ratios):.2f} of fastslim's time "
                f"({min(ratios):.2f} to {max(ratios):.2f}); objective {objective(rows, reached[side]):.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
