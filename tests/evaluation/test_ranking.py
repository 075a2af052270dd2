"""Evaluation against a slow plain-Python one, and against figures that have no freedom on real data."""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, make_split
from recengine.errors import BadInput
from recengine.evaluation.intervals import SHARE, mean_interval
from recengine.evaluation.policy import EvaluationPolicy
from recengine.evaluation.ranking import evaluate, sampled_metrics
from recengine.metrics import tie_salts
from recengine.models.base import FitContext, Recommender
from recengine.models.registry import model_class
from tests.support.ranking import in_order


class Fixed(Recommender):
    """Scores from a given table, the same objects at every call: code that writes into them is caught."""

    name = "fixed"
    family = "baseline"
    summary = "A table."

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table
        self.n_users, self.n_items = table.shape

    def learn(self, train: Interactions, context: FitContext) -> None:
        """Learn nothing."""

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = np.asarray(user_idx)
        return self.table[users[0] : users[-1] + 1] if len(users) == np.ptp(users) + 1 else self.table[users]

    def state(self) -> dict[str, Tensor]:
        return {"table": self.table}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.table = state["table"]


def slowly(table: np.ndarray, split: Split, k: int, mask: str) -> tuple[list[int], dict[str, list[float]], set[int]]:
    """Evaluate with loops and lists only."""
    result: dict[str, list[float]] = {}
    users = sorted(set(split.test.user_idx.tolist()))
    hidden = split.fit if mask == "positives" or split.rest is None else split.fit.concat(split.rest)
    salts = dict(zip(users, tie_salts(hidden, users).tolist(), strict=True))
    listed: set[int] = set()
    for user in users:
        known = set(hidden.item_idx[hidden.user_idx == user].tolist())
        relevant = set(split.test.item_idx[split.test.user_idx == user].tolist())
        free = [int(i) for i in split.candidates if i not in known]
        top = in_order(table[user].tolist(), free, salts[user])[:k]
        listed |= set(top)
        ranks = [rank for rank, item in enumerate(top, 1) if item in relevant]
        ideal = sum(1 / math.log2(r + 1) for r in range(1, min(k, len(relevant)) + 1))
        others = [i for i in free if i not in relevant]
        wins = sum(
            (table[user, p] > table[user, n]) + (table[user, p] == table[user, n]) / 2 for p in relevant for n in others
        )
        values = {
            f"ndcg@{k}": sum(1 / math.log2(r + 1) for r in ranks) / ideal,
            f"recall@{k}": len(ranks) / len(relevant),
            f"precision@{k}": len(ranks) / k,
            f"hr@{k}": float(bool(ranks)),
            f"map@{k}": sum(n / r for n, r in enumerate(ranks, 1)) / min(k, len(relevant)),
            f"map_by_n@{k}": sum(n / r for n, r in enumerate(ranks, 1)) / len(relevant),
            f"mrr@{k}": 1 / ranks[0] if ranks else 0.0,
            "auc": wins / (len(relevant) * len(others)),
        }
        for key, value in values.items():
            result.setdefault(key, []).append(value)
    return users, result, listed


@pytest.mark.parametrize(
    ("name", "options"), [("leave-last", {}), ("random", {"share": 0.3}), ("leave-last", {"positive": 3.0})]
)
@pytest.mark.parametrize("levels", [3, 10_000], ids=["ties", "distinct"])
@pytest.mark.parametrize(("batch", "mask"), [(7, "seen"), (1024, "seen"), (1024, "positives")])
def test_every_metric_agrees_with_a_slow_plain_evaluation(tiny: Dataset, name, options, levels, batch, mask) -> None:
    split = make_split(partly_unrated(tiny), name, **options)
    table = np.random.default_rng(1).integers(0, levels, (60, 40)).astype(np.float32)
    result = evaluate(Fixed(torch.from_numpy(table.copy())), split, k=5, batch=batch, policy=EvaluationPolicy(mask))
    users, expected, listed = slowly(table, split, 5, mask)
    assert result.users.tolist() == users
    assert result.per_user.keys() == expected.keys()
    for key, values in expected.items():
        assert np.allclose(result.per_user[key], values, atol=1e-9), key
        assert result.means()[key] == pytest.approx(mean_interval(values, within=SHARE))
    assert result.overall["coverage@5"] == pytest.approx(len(listed) / len(split.candidates))
    assert result.lists.shape == (len(users), 5)


def test_evaluating_changes_neither_the_models_scores_nor_the_candidates(tiny: Dataset) -> None:
    split = make_split(tiny, "leave-last")  # tests all users, so that `Fixed` gives out its own table
    model = Fixed(torch.rand(60, 40, generator=torch.Generator().manual_seed(0)))
    before, candidates = model.table.clone(), split.candidates.copy()
    first = evaluate(model, split, negatives=5)
    second = evaluate(model, split, negatives=5)
    assert torch.equal(model.table, before)
    assert (split.candidates == candidates).all()
    for key, values in first.per_user.items():
        assert np.array_equal(values, second.per_user[key], equal_nan=True)


def test_what_a_user_had_in_training_or_validation_is_never_listed(tiny: Dataset) -> None:
    split = make_split(tiny, "leave-last")
    table = np.zeros((60, 40), np.float32)
    table[split.fit.user_idx, split.fit.item_idx] = 1.0  # a model that loves what it was trained on
    result = evaluate(Fixed(torch.from_numpy(table)), split)
    known = set(zip(split.fit.user_idx.tolist(), split.fit.item_idx.tolist(), strict=True))
    assert not any((user, item) in known for user, row in zip(result.users, result.lists, strict=True) for item in row)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 12), min_size=1, max_size=4), st.sampled_from([2, 4, 10_000]))
@settings(max_examples=25, deadline=None)
def test_metrics_of_several_lengths_are_those_of_each_length_alone(tiny: Dataset, seed, lengths, levels) -> None:
    split = make_split(partly_unrated(tiny), "random", share=0.3)
    table = np.random.default_rng(seed).integers(0, levels, (60, 40)).astype(np.float32)
    model = Fixed(torch.from_numpy(table))
    k, *more = lengths
    together = evaluate(model, split, k=k, cutoffs=more, items=tiny.items, negatives=5)
    assert together.lists.shape[1] == max(lengths)
    for length in lengths:
        alone = evaluate(model, split, k=length, items=tiny.items, negatives=5)
        assert np.array_equal(together.lists[:, :length], alone.lists)
        assert alone.per_user.keys() <= together.per_user.keys()
        for key, values in alone.per_user.items():
            assert np.array_equal(together.per_user[key], values, equal_nan=True), key
        assert alone.overall.items() <= together.overall.items()


def partly_unrated(data: Dataset) -> Dataset:
    """Return the data without the ratings of every third item, which stay in the catalogue."""
    return replace(data, ratings=data.ratings.select(data.ratings.item_idx % 3 > 0))


def test_only_candidates_are_listed(tiny: Dataset) -> None:
    split = make_split(partly_unrated(tiny), "leave-last")
    assert 0 < len(split.candidates) < 40
    assert set(evaluate(Fixed(torch.rand(60, 40)), split).lists.ravel().tolist()) <= {-1, *split.candidates.tolist()}


def test_a_constant_model_gets_the_auc_of_chance_and_no_perfect_mrr(tiny: Dataset) -> None:
    result = evaluate(Fixed(torch.zeros(60, 40)), make_split(tiny, "leave-last")).means()
    assert result["auc"][0] == pytest.approx(0.5)
    assert result["mrr@10"][0] < 0.3


def test_k_beyond_the_candidates_is_bad_input(tiny: Dataset) -> None:
    for k in (0, 41):
        with pytest.raises(BadInput, match=f"k={k} is out of range; expected 1 to 40"):
            evaluate(Fixed(torch.zeros(60, 40)), make_split(tiny, "leave-last"), k=k)


# Users who are not in training ----------------------------------------------------------------------------------


def test_cold_users_are_served_from_what_is_given_of_them(tiny: Dataset) -> None:
    split = make_split(tiny, "cold-user", given=2, targets_after=6)
    model = model_class("ease")().fit(split.fit)
    result = evaluate(model, split)
    assert split.history is not None
    assert split.seen is not None
    liked = split.history.select(split.history.rating >= 4)
    scores = model.score_history(split.history.of_users(result.users))  # dislikes count, too
    popularity = split.fit.item_counts
    salts = tie_salts(split.seen, result.users).tolist()
    assert 0 < result.fallback.sum() < len(result.users)
    for position, (user, listed) in enumerate(zip(result.users, result.lists, strict=True)):
        seen = set(split.seen.item_idx[split.seen.user_idx == user].tolist())
        scored = popularity.tolist() if user not in liked.user_idx else scores[position].tolist()
        assert result.fallback[position] == (user not in liked.user_idx)
        assert len(seen) == 6
        free = set(split.candidates.tolist()) - seen
        assert listed.tolist() == in_order(scored, free, salts[position])[:10]
    with pytest.raises(BadInput, match=r"'random' cannot serve users .* choose one with fold-in"):
        evaluate(model_class("random")().fit(split.fit), split)


def test_popularity_is_the_same_list_however_much_is_given_of_a_person(tiny: Dataset) -> None:
    split = make_split(tiny, "cold-user", given=6)
    model = model_class("popularity")().fit(split.fit)
    some, all_of_them = (evaluate(model, split.give(n), items=tiny.items) for n in (0, 6))
    assert (some.lists == all_of_them.lists).all()
    assert not some.fallback.any()
    for key, values in some.per_user.items():
        assert np.array_equal(values, all_of_them.per_user[key], equal_nan=True), key


# Sampled metrics and seeds --------------------------------------------------------------------------------------


def test_a_sampled_rank_counts_ties_half() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0, 2.0, 2.0, -math.inf]])
    position, item = torch.tensor([0]), torch.tensor([2])
    one = sampled_metrics(scores, position, item, np.array([[0, 1, 3, 4]]), [3])
    assert float(one["hr@3_sampled4"]) == 1.0  # one is better, two tie: rank 1 + 1 + 2 / 2 = 3
    assert float(one["ndcg@3_sampled4"]) == pytest.approx(1 / math.log2(3 + 1))
    assert float(sampled_metrics(scores, position, item, np.array([[0, 1, 3, 4]]), [2])["hr@2_sampled4"]) == 0.0
    padded = sampled_metrics(
        scores, position, item, np.array([[0, -1]]), [2]
    )  # -1 is not a negative, nor the last item
    assert float(padded["hr@2_sampled2"]) == 1.0


def test_sampled_negatives_are_unseen_candidates_and_the_key_says_so(tiny: Dataset) -> None:
    split = make_split(partly_unrated(tiny), "leave-last")
    rated = {(u, i) for part in (split.fit, split.test) for u, i in zip(part.user_idx, part.item_idx, strict=True)}
    table = torch.zeros(60, 40)
    for user in range(60):
        for item in split.candidates:
            table[user, item] = 1.0 if (user, item) in rated else -1.0
    outside = np.setdiff1d(np.arange(40), split.candidates)
    table[:, outside] = 9.0  # would beat every test item if one were sampled
    result = evaluate(Fixed(table), split, negatives=5).means()
    assert result["hr@10_sampled5"][0] == result["ndcg@10_sampled5"][0] == 1.0
    assert {"ndcg@10", "auc"} <= result.keys()


# Real figures ---------------------------------------------------------------------------------------------------


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["evaluate", *arguments, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def values(result: dict[str, Any], model: str, keys: Iterable[str]) -> list[float]:
    return [result["results"][model][key]["value"] for key in keys]


P1 = ("--split", "leave-last", "--mask", "positives")


@pytest.mark.real
def test_ml_100k_leave_last_reaches_what_independent_implementations_reach(mirror: Path, capsys) -> None:
    result = evaluated(capsys, "popularity", "item-knn", "ease", "mf", *P1, "--dataset", "ml-100k")
    assert result["users"] == 942
    # No freedom but the order of equal counts, which others take from the ids: another value, another protocol.
    assert values(result, "popularity", ["ndcg@10", "recall@10"]) == pytest.approx([0.0289, 0.0584], abs=0.002)
    least = {"ease": 0.060, "item-knn": 0.042, "mf": 0.053}
    reached = {model: values(result, model, ["ndcg@10"])[0] for model in least}
    assert {model for model in least if reached[model] < least[model]} == set(), reached


@pytest.mark.real
def test_ml_100k_random_split_puts_the_models_where_others_find_them(mirror: Path, capsys) -> None:
    """P2: 10 % stratified, training positives removed; popularity .0545 MAP, .228 MRR, .882 AUC, .111 NDCG."""
    result = evaluated(
        capsys, "popularity", "ease", "--dataset", "ml-100k", "--split", "stratified", "--mask", "positives"
    )
    ndcg, auc = values(result, "popularity", ["ndcg@10", "auc"])
    assert ndcg == pytest.approx(0.111, abs=0.02)
    assert auc == pytest.approx(0.8815, abs=0.02)
    better, auc = values(result, "ease", ["ndcg@10", "auc"])
    assert better > 1.8 * ndcg
    assert auc == pytest.approx(0.9285, abs=0.02)


@pytest.mark.real
def test_ml_latest_small_2016_leave_last_gives_popularity_its_known_figures(mirror: Path, capsys) -> None:
    name = "ml-latest-small-2016"
    result = evaluated(capsys, "popularity", *P1, "--dataset", name)
    assert result["users"] == 666
    assert values(result, "popularity", ["ndcg@10", "recall@10"]) == pytest.approx([0.0272, 0.0495], abs=0.0005)


def test_the_json_of_an_evaluation_gives_an_interval_for_each_metric(tiny: Dataset, tmp_path: Path, capsys) -> None:
    r = tiny.ratings
    pd.DataFrame(
        {"userId": tiny.user_ids[r.user_idx], "movieId": tiny.item_ids[r.item_idx], "rating": r.rating}
    ).to_csv(tmp_path / "ratings.csv", index=False)
    result = evaluated(capsys, "popularity", "--dataset", str(tmp_path), "--split", "leave-last", "--seeds", "2")
    cell = result["results"]["popularity"]["ndcg@10"]
    assert cell["low"] < cell["value"] < cell["high"]
    assert result["results"]["popularity"]["coverage@10"]["low"] is None
    assert result["split"]["ties"] == "item"
