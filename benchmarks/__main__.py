"""All pairs of ours with a named rival that run by themselves, in turn on the same data with as many threads.

python -m benchmarks [--quick] [--rows NAME ...] [--store]

A row takes turns, ours and the rival's, and shows the ratio of the medians, the least and the greatest ratio of a turn,
and the quality that each reaches, since speed counts at equal quality alone. `--quick` uses the sample and few turns,
and warns where a ratio is less than half the stored one; it never fails for that: machines differ. `--store` keeps the
ratios of this run in benchmarks/ratios.json. Rivals that are not installed are named and left out. What needs another
Python or a browser has its own command: see the other files of this folder.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from benchmarks.slim import fit_ours as fit_slim
from benchmarks.slim import objective
from benchmarks.stream import PLAIN, autograd_loop, made_up
from recengine.data.sources import load_dataset
from recengine.data.splits import make_split
from recengine.experiments.train import TrainingRequest
from recengine.export import write_json
from recengine.models.factors.ials import IALS, IALSConfig
from recengine.models.item_item.slim import SLIM
from recengine.models.streaming.step import Step, StepConfig
from recengine.serving.recommend import recommend
from recengine.training.config import RunConfig
from recengine.training.loop import ranking_validator

STORED = Path(__file__).with_name("ratios.json")
CPU = RunConfig(device="cpu")


@dataclass(frozen=True)
class Sides:
    """Two ways to the same result: each does the work once and returns the quality that it reaches."""

    ours: Callable[[], float]
    rival: Callable[[], float]


@dataclass(frozen=True)
class Row:
    """A pair: `sides` makes it of a data set; `quality` says what the two figures mean; `needs` names packages."""

    rival: str
    quality: str
    sides: Callable[[str, bool], Sides]
    needs: Sequence[str] = ()


@dataclass(frozen=True)
class Ratio:
    """How many times as long the rival takes, and the quality of both."""

    ratio: float
    least: float
    greatest: float
    ours: float
    rival: float


def streamed(_dataset: str, quick: bool) -> Sides:
    rows = made_up(6040, 3706, 1300 if quick else 4000)
    boot, rest = rows.select(slice(0, 1000)), rows.select(slice(1000, None))
    few = rest.select(slice(0, len(rest) // 10))
    config = StepConfig.from_dict({"embedding_dim": 128, **PLAIN})
    start = Step(config).fit(boot, run=RunConfig(device="cpu", epochs=1))

    def ours() -> float:
        model = copy.deepcopy(start)
        model.make_room(rest)
        model.advance(rest, ranked=True, lists=np.zeros((len(rest), 10), np.int32))
        return float(len(rest))

    def rival() -> float:
        autograd_loop(few, 128)
        return float(len(few))

    return Sides(ours, rival)


def slim(dataset: str, _quick: bool) -> Sides:
    rows = make_split(load_dataset(dataset), "leave-last", positive=4.0).train
    config = SLIM.Config()
    table = csr_matrix((np.ones(len(rows)), (rows.user_idx, rows.item_idx)), shape=(rows.n_users, rows.n_items))

    def rival() -> float:
        import fastslim

        weights = fastslim.SLIM(config.l1, config.l2, n_threads=1).fit(table).weights
        return objective(rows, torch.from_numpy(weights.toarray()).float())

    return Sides(lambda: objective(rows, fit_slim(rows)), rival)


def alternating(dataset: str, quick: bool) -> Sides:
    split = make_split(load_dataset(dataset), "leave-last", positive=4.0)
    rows, epochs = split.train, 5 if quick else 15
    table = csr_matrix((np.ones(len(rows), np.float32), (rows.user_idx, rows.item_idx)), (rows.n_users, rows.n_items))

    def quality(users: Tensor, items: Tensor) -> float:
        return ranking_validator(lambda u: users[u] @ items.T, rows, split.valid)()["valid_ndcg@10"]

    def ours() -> float:
        model = IALS(IALSConfig(embedding_dim=64)).fit(rows, run=RunConfig(device="cpu", epochs=epochs))
        return quality(model.network.users.detach(), model.network.items.detach())

    def rival() -> float:
        from implicit.cpu.als import AlternatingLeastSquares

        threads = torch.get_num_threads()
        model = AlternatingLeastSquares(factors=64, iterations=epochs, alpha=3, num_threads=threads, random_state=0)
        model.fit(table, show_progress=False)
        return quality(torch.from_numpy(model.user_factors), torch.from_numpy(model.item_factors))

    return Sides(ours, rival)


def lists(dataset: str, _quick: bool) -> Sides:
    data = load_dataset(dataset)
    request = TrainingRequest(data, "ials", {"epochs": 2}, CPU)
    model = request.kind(request.config).fit(data.positives(4.0), items=data.items, run=request.run)
    assert isinstance(model, IALS)
    everybody, seen = np.arange(data.n_users), data.ratings

    def mean_score(items: NDArray[np.int64]) -> float:
        return float(model.score(everybody).numpy()[everybody[:, None], items].mean())

    listed: dict[str, NDArray[np.int64]] = {}

    def ours() -> float:
        listed["ours"] = recommend(model, data, everybody, k=10).ranking.items.numpy()
        return mean_score(listed["ours"])

    def rival() -> float:
        scores = model.network.users.detach().numpy() @ model.network.items.detach().numpy().T
        scores[seen.user_idx, seen.item_idx] = -np.inf
        return mean_score(np.argsort(-scores, axis=1)[:, :10])

    return Sides(ours, rival)


ROWS: Mapping[str, Row] = {
    "lists of a stream": Row("R0's own loop: items @ user, sorted, autograd", "events, each by its own", streamed),
    "slim": Row("fastslim", "objective, less is better", slim, ("fastslim",)),
    "ials": Row("implicit's ALS, as many iterations", "validation NDCG@10", alternating, ("implicit",)),
    "lists of everybody": Row("NumPy: all scores, argsort", "mean score of the lists", lists),
}


def measure(row: Row, dataset: str, *, quick: bool) -> Ratio:
    """Take turns; the first, in which kernels are compiled and caches filled, does not count."""
    sides, times, quality = row.sides(dataset, quick), [], (0.0, 0.0)
    for turn in range(3 if quick else 6):
        spent, reached = [], []
        for work in (sides.ours, sides.rival):
            began = time.perf_counter()
            reached.append(work())
            spent.append(time.perf_counter() - began)
        if turn:
            times.append(spent)
        quality = (reached[0], reached[1])
    # of events the rival takes fewer, since it is slow: what counts is the time for each
    share = quality[0] / quality[1] if row.sides is streamed else 1.0
    ratios = [share * rival / ours for ours, rival in times]
    middle = share * statistics.median(r for _, r in times) / statistics.median(o for o, _ in times)
    return Ratio(middle, min(ratios), max(ratios), *quality)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = "sample" if options.quick else "ml-100k"
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.is_file() else {}
    measured: dict[str, Ratio] = {}
    print("| ours | rival | the rival takes, times as long | quality, ours and the rival's |")
    print("| --- | --- | --- | --- |")
    for name in options.rows:
        row = ROWS[name]
        if missing := [package for package in row.needs if importlib.util.find_spec(package) is None]:
            print(f"| {name} | {row.rival} | not measured: pip install {' '.join(missing)} | |")
            continue
        ratio = measured[name] = measure(row, dataset, quick=options.quick)
        spread = f"{ratio.ratio:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f})"
        print(f"| {name} | {row.rival} | {spread} | {row.quality}: {ratio.ours:.6g}, {ratio.rival:.6g} |", flush=True)
    kind = "quick" if options.quick else "full"
    for name, ratio in measured.items():
        before = stored.get(kind, {}).get(name)
        if before and ratio.ratio < before["ratio"] / 2:
            print(f"warning: {name} is {ratio.ratio:.2f} times as fast as the rival, and was {before['ratio']:.2f}")
    if options.store:
        stored[kind] = stored.get(kind, {}) | {name: asdict(ratio) for name, ratio in measured.items()}
        write_json(STORED, stored)


if __name__ == "__main__":
    main()
