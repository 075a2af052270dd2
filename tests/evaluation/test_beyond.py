"""Metrics beyond accuracy against loops, and blank where the data cannot give them."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import make_split
from recengine.evaluation.beyond import beyond_accuracy, genre_matrix
from recengine.evaluation.ranking import evaluate
from recengine.models.registry import model_class

GENRES = ["Action|Drama", "Drama", "", "Comedy|Action|War", "Comedy", ""]


def slowly(lists: np.ndarray, users: list[int], history: Interactions) -> dict[str, list[float]]:
    """Compute every metric with loops over items."""
    names = sorted({name for text in GENRES for name in text.split("|") if name})
    weights = [{name: 1 / len(text.split("|")) for name in text.split("|") if name} for text in GENRES]
    counts = np.bincount(history.item_idx, minlength=len(GENRES))
    known_users = len(set(history.user_idx.tolist()))
    result: dict[str, list[float]] = {name: [] for name in ("novelty", "ild", "miscalibration", "popularity_lift")}
    for user, row in zip(users, lists.tolist(), strict=True):
        items = [i for i in row if i >= 0]
        past = history.item_idx[history.user_idx == user].tolist()
        result["novelty"].append(float(np.mean([-math.log2(max(counts[i], 1) / known_users) for i in items])))
        result["popularity_lift"].append(counts[items].mean() / counts[past].mean() - 1 if past else math.nan)
        known = [i for i in items if weights[i]]
        pairs = []
        for a, b in itertools.combinations(known, 2):
            dot = sum(weights[a][n] * weights[b].get(n, 0) for n in weights[a])
            pairs.append(1 - dot / math.prod(math.sqrt(sum(w * w for w in weights[i].values())) for i in (a, b)))
        result["ild"].append(float(np.mean(pairs)) if pairs else math.nan)
        shares = []
        for group in (past, known):
            total = {n: sum(weights[i].get(n, 0) for i in group) for n in names}
            mass = sum(total.values())
            shares.append({n: value / mass for n, value in total.items()} if mass else {})
        wanted, given = shares
        kl = sum(p * math.log2(p / (0.99 * given[n] + 0.01 * p)) for n, p in wanted.items() if p) if given else 0
        result["miscalibration"].append(kl if wanted and given else math.nan)
    return result


def test_every_metric_agrees_with_loops_where_some_genres_are_unknown() -> None:
    rng = np.random.default_rng(5)
    rows = [(u, int(i)) for u in range(8) for i in rng.permutation(6)[: 1 + u % 4]]
    user, item = zip(*rows, strict=True)
    history = Interactions.from_pairs(user, item, n_users=12, n_items=6)  # four users without a row
    lists = np.stack([rng.permutation(6)[:4] for _ in range(8)])
    lists[0, 2:], lists[1] = -1, [2, 5, -1, -1]  # a short list, and one of unknown genres alone
    items = pd.DataFrame({"genres": GENRES})
    figures = beyond_accuracy(lists, np.arange(8), history, genre_matrix(items), 4)
    for name, expected in slowly(lists, list(range(8)), history).items():
        assert figures[f"{name}@4"] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


def test_m40_what_needs_genres_is_blank_where_there_are_none(tiny: Dataset) -> None:
    bare = tiny.items.assign(genres="")
    split = make_split(tiny, "leave-last")
    means = evaluate(model_class("ease")().fit(split.fit), split, items=bare).means()
    assert math.isnan(means["ild@10"].value)
    assert math.isnan(means["miscalibration@10"].value)
    assert means["novelty@10"].value > 0


def test_m41_novelty_counts_the_users_in_training_alone(tiny: Dataset) -> None:
    """As many users again who are not in training change nothing."""
    split = make_split(tiny, "leave-last")

    def wider(rows: Interactions) -> Interactions:
        return replace(rows, n_users=2 * rows.n_users)

    more = replace(split, train=wider(split.train), valid=wider(split.valid), test=wider(split.test), rest=None)
    results = []
    for each in (replace(split, rest=None), more):
        results.append(evaluate(model_class("popularity")().fit(each.fit), each, items=tiny.items))
    assert results[0].means()["novelty@10"] == results[1].means()["novelty@10"]
