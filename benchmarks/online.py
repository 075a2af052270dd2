"""Milliseconds from a rating to the visitor's new top 10, in an online session over `step`, one thread.

python -m benchmarks.online [--items 10000 100000] [--ratings 400]

The snapshot is random (64 factors, presets of `step`), which changes no count of operations. The targets are a median
of 0.5 ms at 10,000 items and 5 ms at 100,000.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from recengine.data.interactions import Interactions
from recengine.models.streaming.step import Step
from recengine.serving.event_log import Event
from recengine.serving.sessions import OnlineSession
from recengine.training.config import RunConfig


def measure(n_items: int, ratings: int) -> None:
    rng = np.random.default_rng(0)
    rows = Interactions.from_pairs(rng.integers(0, 50, n_items), rng.permutation(n_items), n_users=50, n_items=n_items)
    model = Step().fit(rows, run=RunConfig(device="cpu", epochs=1))
    session = OnlineSession(model)
    session.append(Event("rate", "0", 1.0, item_idx=0))
    session.top()
    took = []
    for item in rng.permutation(n_items)[:ratings].tolist():
        started = time.perf_counter()
        session.append(Event("rate", str(item), 1.0, item_idx=item))
        session.top()
        took.append(1e3 * (time.perf_counter() - started))
    p50, p95 = np.percentile(took, [50, 95])
    started = time.perf_counter()
    session.undo()
    undo = 1e3 * (time.perf_counter() - started)
    print(
        f"{n_items:,} items: rating to top 10 p50 {p50:.2f} ms, p95 {p95:.2f} ms; an undo of rating {ratings} "
        f"{undo:.0f} ms; {session.n_touched:,} rows that belong to the visitor"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--ratings", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for n_items in options.items:
        measure(n_items, options.ratings)


if __name__ == "__main__":
    main()
