"""Time and memory of evaluating on MovieLens 1M, compared with a plain loop over users.

python -m benchmarks.evaluation [--dataset ml-1m-ordered] [--model ease]

For `leave-last` and for `random` (every rating a positive), each in a separate process: the model's scoring,
what the evaluation takes beyond it for all metrics, and the peak memory of everything, loading and fitting included.
The rival computes NDCG@10 alone from the same scores, one user at a time, with numpy's argsort.
The target is under 2 s beyond the scoring and under 1 GB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time

import numpy as np
import torch
from numpy.typing import ArrayLike

from recengine.data.sources import load_dataset
from recengine.data.splits import Split, make_split
from recengine.evaluation.ranking import evaluate
from recengine.models.base import Recommender
from recengine.models.registry import model_class


class Stopwatch:
    """Adds up the time that a model spends in `score`."""

    def __init__(self, model: Recommender) -> None:
        self.seconds = 0.0
        score = model.score

        def timed(user_idx: ArrayLike) -> torch.Tensor:
            started = time.perf_counter()
            scores = score(user_idx)
            self.seconds += time.perf_counter() - started
            return scores

        model.score = timed  # type: ignore[method-assign] # this one object only


def one_user_at_a_time(model: Recommender, split: Split, k: int = 10) -> tuple[float, float]:
    """Return (mean NDCG@k, seconds beyond scoring): the loop of most notebooks."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    known, test = split.rated, split.test
    outside = np.setdiff1d(np.arange(known.n_items), split.candidates)
    values, seconds = [], 0.0
    for users in np.array_split(test.user_counts.nonzero()[0], 8):
        with torch.inference_mode():
            scores = model.score(users).numpy().copy()
        started = time.perf_counter()
        for user, row in zip(users, scores, strict=True):
            row[known.item_idx[known.rows_of([user])[1]]] = -np.inf
            row[outside] = -np.inf
            relevant = test.item_idx[test.rows_of([user])[1]]
            top = np.argsort(-row, kind="stable")[:k]
            hits = np.isin(top, relevant)
            values.append((hits * discount).sum() / discount[: min(k, len(relevant))].sum())
        seconds += time.perf_counter() - started
    return float(np.mean(values)), seconds


def measure(dataset: str, name: str, split_name: str, positive: float) -> None:
    data = load_dataset(dataset)
    split = make_split(data, split_name, positive=positive)
    model = model_class(name)().fit(split.fit, items=data.items)
    watch = Stopwatch(model)
    started = time.perf_counter()
    result = evaluate(model, split)
    beyond = time.perf_counter() - started - watch.seconds
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    ndcg, loop = one_user_at_a_time(model, split)
    assert abs(ndcg - result.means()["ndcg@10"][0]) < 1e-6, "the loop and the evaluation disagree"
    print(
        f"{data!r}, {split_name}: {len(result.users):,} test users, NDCG@10 {ndcg:.4f}\n"
        f"  scoring {watch.seconds:.2f} s, all metrics {beyond:.2f} s beyond it, {peak / 1e6:,.0f} MB at the peak\n"
        f"  the loop, NDCG@10 alone: {loop:.2f} s beyond scoring, {loop / beyond:.1f} times as long",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-1m-ordered", help="a registered name, a path or the stem of a zip")
    parser.add_argument("--model", default="ease")
    options = parser.parse_args()
    for split, positive in (("leave-last", 4.0), ("random", 0.0)):
        process = multiprocessing.get_context("spawn").Process(
            target=measure, args=(options.dataset, options.model, split, positive)
        )
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
