"""Events a second of `step` on a stream, compared with a plain loop that does the same with autograd.

python -m benchmarks.stream [--items 3706] [--users 6040] [--dim 128] [--events 3000]

All on one thread, in one process, taking turns. The rival is what a first notebook does: of each event's user, score
all items and sort them, then take one step of SGD on the event with gradients as large as the tables. Ratios:

lists      : the same events, one squared step each, with the ten best items before every event (target: 30)
lists, bpr : the same with the presets of `step`: negatives, several passes, replay (target: 12)
ranks      : the exact rank of every event's item, without a list
hits       : only whether it is among the ten best; a miss is settled by ten better items (target: 60)

Then the five-star stream of MovieLens 100K from the bootstrap to the last event (target: under 3 s), and the time of
the first call where nothing is compiled yet.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.evaluation.prequential import make_stream
from recengine.models.streaming.step import Step, StepConfig
from recengine.training.config import RunConfig

PLAIN = {
    "loss": "squared",
    "event_negatives": 0,
    "passes": 1,
    "replay": 0,
    "item_bias": False,
    "optimizer": "sgd",
    "learning_rate": 0.05,
}
TURNS = 5


def made_up(n_users: int, n_items: int, n: int) -> Interactions:
    """Return n events in which a few items are very popular, as in real streams."""
    rng = np.random.default_rng(0)
    item = np.minimum(rng.pareto(1.0, n) * n_items / 50, n_items - 1).astype(int)
    return Interactions.from_pairs(
        rng.integers(0, n_users, n),
        rng.permutation(n_items)[item],
        rating=np.full(n, 5),
        n_users=n_users,
        n_items=n_items,
    )


def autograd_loop(rows: Interactions, dim: int, k: int = 10) -> int:
    """Replay the events as a notebook would, and return the hits."""
    torch.manual_seed(0)
    users, items = nn.Embedding(rows.n_users, dim), nn.Embedding(rows.n_items, dim)
    for table in (users, items):
        nn.init.normal_(table.weight, 0, 0.1)
    optimizer = torch.optim.SGD([*users.parameters(), *items.parameters()], lr=0.06)
    hits = 0
    for user, item in zip(rows.user_idx.tolist(), rows.item_idx.tolist(), strict=True):
        u, i = torch.tensor([user]), torch.tensor([item])
        with torch.no_grad():
            scores = items.weight @ users(u)[0]
            hits += item in scores.argsort(descending=True)[:k].tolist()
        optimizer.zero_grad(set_to_none=False)
        loss = ((1 - (users(u) * items(i)).sum(1)) ** 2).mean()
        loss.backward()
        optimizer.step()
    return hits


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(n_users: int, n_items: int, dim: int, n: int) -> None:
    rows = made_up(n_users, n_items, n + 1000)
    boot, rest = rows.select(slice(0, 1000)), rows.select(slice(1000, None))
    slow = rest.select(slice(0, max(200, n // 10)))
    run = RunConfig(device="cpu", epochs=1)
    plain, preset = (
        Step(StepConfig.from_dict({"embedding_dim": dim, **options})).fit(boot, run=run) for options in (PLAIN, {})
    )

    def advance(start: Step, ranked: bool = True, limit: int = 0, listed: bool = False) -> Callable[[], object]:
        def once() -> object:
            model = copy.deepcopy(start)
            model.make_room(rest)
            lists = np.zeros((len(rest), 10), np.int32) if listed else None
            return model.advance(rest, ranked=ranked, limit=limit, lists=lists)

        return once

    ways = {
        "lists": advance(plain, listed=True),
        "lists, bpr": advance(preset, listed=True),
        "ranks": advance(plain),
        "hits": advance(plain, limit=10),
    }
    taken: dict[str, list[float]] = {name: [] for name in ("loop", *ways)}
    for turn in range(TURNS + 1):
        spent = {"loop": seconds(lambda: autograd_loop(slow, dim)) / len(slow)}
        spent |= {name: seconds(way) / len(rest) for name, way in ways.items()}
        if turn:  # the first compiles
            for name, value in spent.items():
                taken[name].append(value)
    base = statistics.median(taken["loop"])
    print(f"{n_items:,} items x {dim}, {n_users:,} users, {len(rest):,} events; medians of {TURNS}")
    for name, values in taken.items():
        ratios = [loop / value for loop, value in zip(taken["loop"], values, strict=True)]
        each = statistics.median(values)
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        print(f"  {name:11} {1 / each:11,.0f} events/s  {base / each:7.1f} x the loop  ({spread})")


def whole_stream(dataset: str) -> None:
    stream = make_stream(load_dataset(dataset).positives(5.0))
    for name, options in (("presets", {}), ("squared, no negatives", PLAIN)):
        model = Step(StepConfig.from_dict(options))
        boot = seconds(lambda model=model: model.fit(stream.bootstrap, run=RunConfig(device="cpu")))  # type: ignore[misc]
        rest = seconds(lambda model=model: model.test_then_train(stream.rest))  # type: ignore[misc]
        print(
            f"{dataset}, {name}: bootstrap of {len(stream.bootstrap):,} {boot:.2f} s, {len(stream.rest):,} events "
            f"{rest:.2f} s, in all {boot + rest:.2f} s"
        )


def first_call() -> None:
    """Time a process that compiles everything, and one that reuses the compiled code."""
    code = (
        "import time; from benchmarks.stream import *; rows = made_up(50, 60, 400); t = time.perf_counter(); "
        "m = Step().fit(rows, run=RunConfig(device='cpu', epochs=1)); m.test_then_train(rows); m.score_history(rows); "
        "print(f'{time.perf_counter() - t:.1f}')"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        times = [
            subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            ).stdout
            for _ in range(2)
        ]
    print(f"first call: {times[0].strip()} s where nothing is compiled, {times[1].strip()} s after that")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("users", 6040), ("items", 3706), ("dim", 128), ("events", 3000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare(options.users, options.items, options.dim, options.events)
    try:
        whole_stream("ml-100k")
    except BadInput as error:
        print(f"the stream of ml-100k is left out: {error}")
    first_call()


if __name__ == "__main__":
    main()
