"""A shop's catalogue, generated: `ials` and `mf` against `implicit` at equal recall@20, and the time to the first list.

python -m benchmarks.shop [ials] [mf] [lists] [whole] [--users 50000] [--items 80000] [--rows 2000000]
                          [--models taste item-knn mf] [--repeats 3] [--large]

ials  : the whole `fit` of `ials` with its preset, validation and early stopping included, against implicit's ALS (pip
        install implicit) with 64 factors and 15 iterations, the best of four settings on the validation rows. Both
        learn the same rows on as many threads and are measured by one code: recall@20 of the last event, over the same
        5,000 users, what they had before left out. In turn, `--repeats` times; medians, least and most.
mf    : the seconds of CPU that `mf` takes to the best recall@20 of implicit's BPR, the best of its settings and epochs,
        each side on one thread; recall of the validation rows, after every epoch or every other, is not timed
lists : `recengine recommend --user` from the file of ratings to ten items, model by model, from the start of the
        process to its end, with the most memory that it held
whole : `recengine train`, `recommend --user` and `evaluate` of the default model, each from the file
--large : 162,000 users x 59,000 items x 25 million ratings, as many as MovieLens 25M holds, each of another pair, with
          as many tags, and with titles, some of them of one series, years and genres

The generator: popularity by Zipf, activity by Pareto, 12 tastes, two thirds of a user's events in the own one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from recengine.data.build import build_dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, make_split
from recengine.metrics import find_hits, mask_scores, top_k
from recengine.models.registry import DEFAULT, model_class
from recengine.training.config import RunConfig
from recengine.training.progress import EpochResult

TESTED, LISTED, DIM = 5_000, 20, 64
RIVALS = [(alpha, l2) for alpha in (1.0, 10.0) for l2 in (0.01, 300.0)]
"""Weights and penalties of implicit among which the validation rows choose."""
BPR_SETTINGS, BPR_TURNS, BPR_EPOCHS = [(0.03, l2) for l2 in (0.001, 0.01, 0.03)], 15, 2
"""Learning rates and penalties of implicit's BPR, and in how many turns of how many epochs it learns at most."""
MF_EPOCHS = 10
LARGE = {"users": 162_000, "items": 59_000, "rows": 25_000_000}
TAGGED, TAGS = 1_093_360, 73_050
GENRES = ("Action", "Adventure", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Horror", "Musical", "Mystery")


def shop(n_users: int, n_items: int, n_rows: int, kinds: int = 12, seed: int = 1) -> pd.DataFrame:
    """Return events (user_id, item_id, rating, timestamp) of a shop, repeated pairs included."""
    rng = np.random.default_rng(seed)
    popularity, activity = 1 / np.arange(1, n_items + 1), rng.pareto(1.2, n_users) + 1
    user = rng.choice(n_users, n_rows, p=activity / activity.sum())
    taste, kind = rng.integers(0, kinds, n_users), rng.integers(0, kinds, n_items)
    item, own = np.empty(n_rows, np.int64), np.arange(n_rows) % 3 > 0
    for each in range(kinds):
        for in_taste in (False, True):
            rows = (taste[user] == each) & (own == in_taste)
            weight = popularity * ((kind == each) if in_taste else 1)
            item[rows] = rng.choice(n_items, rows.sum(), p=weight / weight.sum())
    return pd.DataFrame({"user_id": user, "item_id": item, "rating": 5.0, "timestamp": np.arange(n_rows)})


def ratings(n_users: int, n_items: int, n_rows: int, seed: int = 1) -> pd.DataFrame:
    """Return ratings in half stars of as many different pairs, drawn as the events of a shop are."""
    pairs = np.empty(0, np.int64)
    for each in itertools.count(seed):
        events = shop(n_users, n_items, n_rows, seed=each)
        pairs = np.unique(np.append(pairs, events["user_id"].to_numpy() * n_items + events["item_id"].to_numpy()))
        if len(pairs) >= n_rows:
            break
    rng = np.random.default_rng(seed)
    user, item = np.divmod(rng.permutation(pairs)[:n_rows], n_items)
    stars = 3.5 + rng.normal(0, 0.4, n_users)[user] + rng.normal(0, 0.4, n_items)[item] + rng.normal(0, 0.9, n_rows)
    rating = np.clip(np.round(2 * stars) / 2, 0.5, 5)
    return pd.DataFrame({"user_id": user, "item_id": item, "rating": rating, "timestamp": np.arange(n_rows)})


def describe(folder: Path, n_items: int, seed: int = 1) -> None:
    """Write movies.csv and tags.csv of made-up films, with as many tags and different ones as MovieLens 25M holds."""
    rng = np.random.default_rng(seed)
    syllables = np.array([a + b for a in "bdfgklmnprstvw" for b in "aeiou"])
    words = ["".join(rng.choice(syllables, rng.integers(1, 4))).capitalize() for _ in range(9_000)]
    names = [" ".join(rng.choice(words, rng.integers(1, 4))) for _ in range(n_items)]
    for sequel in rng.choice(n_items, n_items // 12, replace=False):
        names[sequel] = f"{names[rng.integers(n_items)]} {rng.choice(['II', 'III', '2', '3'])}"
    titles = [f"{name} ({year})" for name, year in zip(names, rng.integers(1920, 2020, n_items), strict=True)]
    genres = ["|".join(rng.choice(GENRES, rng.integers(1, 4), replace=False)) for _ in range(n_items)]
    table = pd.DataFrame({"movieId": np.arange(n_items), "title": titles, "genres": genres})
    table.to_csv(folder / "movies.csv", index=False)
    weights = [1 / np.arange(1, n + 1) ** power for n, power in ((n_items, 0.7), (TAGS, 0.8))]
    item, tag = (rng.choice(len(weight), TAGGED, p=weight / weight.sum()) for weight in weights)
    tagged = pd.DataFrame({"userId": 0, "movieId": item, "tag": [f"tag {n}" for n in tag], "timestamp": 0})
    tagged.to_csv(folder / "tags.csv", index=False)


def split_of(events: pd.DataFrame) -> Split:
    """Return the last event of each user for the test, the one before it for validation, and the rest."""
    return make_split(build_dataset("shop", events), "leave-last", positive=0)


def recall(score: Callable[[NDArray[np.int64]], NDArray[np.float32]], rows: Interactions, seen: Interactions) -> float:
    """Return recall@20 of `rows` over a fixed sample of their users, `seen` left out."""
    users = np.random.default_rng(0).permutation(rows.user_counts.nonzero()[0])[:TESTED]
    shares = []
    for start in range(0, len(users), 500):
        some = users[start : start + 500]
        scores = mask_scores(torch.from_numpy(score(some)), some, seen=seen)
        position, index = rows.rows_of(some)
        relevant = torch.zeros(scores.shape, dtype=torch.bool)
        relevant[torch.from_numpy(position), torch.from_numpy(rows.item_idx[index].astype(np.int64))] = True
        hits = find_hits(top_k(scores, LISTED).items, relevant)
        shares.append(hits.sum(1).double() / relevant.sum(1))
    return float(torch.cat(shares).mean())


def ials(events: pd.DataFrame, repeats: int) -> None:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    split = split_of(events)
    train, everything = split.train, split.train.concat(split.valid)
    threads = torch.get_num_threads()

    def theirs(rows: Interactions, alpha: float, l2: float) -> AlternatingLeastSquares:
        ones = np.ones(len(rows), np.float32)
        table = csr_matrix((ones, (rows.user_idx, rows.item_idx)), shape=(rows.n_users, rows.n_items))
        model = AlternatingLeastSquares(
            factors=DIM,
            alpha=alpha,
            regularization=l2,
            iterations=15,
            num_threads=threads,
            random_state=0,
            dtype=np.float32,
        )
        model.fit(table, show_progress=False)
        return model

    def scores(model: AlternatingLeastSquares) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
        return lambda users: model.user_factors[users] @ model.item_factors.T

    chosen = max(RIVALS, key=lambda settings: recall(scores(theirs(train, *settings)), split.valid, train))
    kind = model_class("ials")
    seconds: dict[str, list[float]] = {"implicit": [], "ials": []}
    for _ in range(repeats):
        started = time.perf_counter()
        rival = theirs(train, *chosen)
        seconds["implicit"].append(time.perf_counter() - started)
        started = time.perf_counter()
        model = kind(kind.Config.from_dict({"embedding_dim": DIM})).fit(
            train, valid=split.valid, run=RunConfig(device="cpu")
        )
        seconds["ials"].append(time.perf_counter() - started)
    reached = {
        "implicit": recall(scores(rival), split.test, everything),
        "ials": recall(lambda users: model.score(users).numpy(), split.test, everything),
    }
    popular = train.item_counts.astype(np.float32)
    floor = recall(lambda users: np.tile(popular, (len(users), 1)), split.test, everything)
    print(f"{train!r}, {threads} threads; recall@20 of popularity {floor:.4f}")
    for name, times in seconds.items():
        text = f"{np.median(times):.1f} s ({min(times):.1f} to {max(times):.1f})"
        print(f"  {name:<9} recall@20 {reached[name]:.4f}  {text}")
    print(f"  epochs {[(r.epoch, round(r.seconds, 1), dict(r.metrics)) for r in model.training_log]}")
    print(f"  ials takes {np.median(seconds['ials']) / np.median(seconds['implicit']):.2f} times as long", flush=True)


def mf(events: pd.DataFrame, positive: float) -> None:
    split = make_split(build_dataset("shop", events), "leave-last", positive=positive)
    print(f"{split.train!r}; recall@20 of the validation rows, seconds of CPU", flush=True)
    target, theirs = max((max(bpr_curve(split, *each)) for each in BPR_SETTINGS), key=lambda best: best[0])
    kind = model_class("mf")
    kind().fit(split.valid, run=RunConfig(device="cpu", epochs=1))  # compiles
    model, started, left_out = kind(), time.process_time(), 0.0
    ours = None

    def after(result: EpochResult) -> None:
        nonlocal ours, left_out
        if result.stages:  # a part of an epoch
            return
        paused = time.process_time()
        reached, seconds = recall(lambda users: model.score(users).numpy(), split.valid, split.train), paused - started
        print(f"  mf: epoch {result.epoch} {reached:.4f}, {seconds - left_out:.1f} s", flush=True)
        if ours is None and reached >= target:
            ours = seconds - left_out
        left_out += time.process_time() - paused

    model.fit(split.train, run=RunConfig(device="cpu", epochs=MF_EPOCHS), on_epoch=after)
    text = "does not reach it" if ours is None else f"is there after {ours:.1f} s, {theirs / ours:.2f} times faster"
    print(f"  BPR's best is {target:.4f} after {theirs:.1f} s; mf {text}", flush=True)


def bpr_curve(split: Split, rate: float, l2: float) -> list[tuple[float, float]]:
    """Return the recall and the seconds of CPU of implicit's BPR after each turn, until two turns bring no gain."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix

    rows, curve, seconds = split.train, [(0.0, 0.0)], 0.0
    cells = np.ones(len(rows), np.float32), (rows.user_idx, rows.item_idx)
    table = csr_matrix(cells, shape=(rows.n_users, rows.n_items))
    rng = np.random.default_rng(0)  # a seed would draw the same in every turn
    model = BayesianPersonalizedRanking(DIM, rate, l2, iterations=BPR_EPOCHS, num_threads=1, random_state=rng)
    while len(curve) <= BPR_TURNS and max(curve) in (*curve[-2:], curve[0]):
        started = time.process_time()
        model.fit(table, show_progress=False)  # goes on from where it was
        seconds += time.process_time() - started
        reached = recall(lambda users: model.user_factors[users] @ model.item_factors.T, split.valid, rows)
        curve.append((reached, seconds))
        epochs = BPR_EPOCHS * len(curve[1:])
        print(f"  BPR, rate {rate}, penalty {l2}: epoch {epochs} {reached:.4f}, {seconds:.1f} s", flush=True)
    return curve


def lists(file: Path, user: str, models: list[str]) -> None:
    for model in models:
        measured(file, f"{model:<10} first list", "recommend", "--model", model, "--user", user)


def whole(file: Path, user: str) -> None:
    measured(file, "train", "train", DEFAULT)
    measured(file, "first list", "recommend", "--user", user)
    measured(file, "evaluate", "evaluate", DEFAULT, "popularity", "--split", "leave-last")


def measured(file: Path, title: str, *words: str) -> None:
    """Run a command on the file in a process of its own, and print what it took and the most memory that it held."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as written, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "recengine", *words, "--dataset", str(file), "--json", "--quiet"],
            env=os.environ | {"RECENGINE_HOME": str(file.parent / "home")},
            stdout=written,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - started
        result = written if status == 0 else errors
        result.seek(0)
        text = result.read().strip()
    if status == 0:
        reply = json.loads(text)
        listed = reply.get("recommendations")
        text = "" if listed is None else f", {len(listed)} items"
    cost = f"{took:.1f} s wall, {usage.ru_utime + usage.ru_stime:.1f} s CPU, {usage.ru_maxrss / 1e6:.2f} GB"
    print(f"  {title}: {cost}{text if status == 0 else ': ' + text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=("ials", "mf", "lists", "whole", []), metavar="PART")
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=80_000)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--models", nargs="+", default=["item-knn", "taste", "mf"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    sizes = LARGE if options.large else {name: getattr(options, name) for name in LARGE}
    events = (ratings if options.large else shop)(sizes["users"], sizes["items"], sizes["rows"])
    parts = options.parts or ["ials", "lists"]
    if "ials" in parts:
        ials(events, options.repeats)
    if "mf" in parts:
        mf(events, 4.0 if options.large else 0.0)
    user = str(events["user_id"].iloc[0])
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "data" / "ratings.csv"
        file.parent.mkdir()
        names = {"user_id": "userId", "item_id": "movieId"}
        events.rename(columns=names).to_csv(file, index=False)
        del events
        if options.large:
            describe(file.parent, sizes["items"])
            file = file.parent
        if "lists" in parts:
            lists(file, user, options.models)
        if "whole" in parts:
            whole(file, user)


if __name__ == "__main__":
    main()
