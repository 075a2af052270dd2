"""Which model suits one user: what is hidden, what is counted, and how often chance looks like a better model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.evaluation.intervals import pairs_interval
from recengine.models.registry import MODELS
from recengine.serving.recommend import recommend_new
from recengine.serving.suits import Trial, can_tell, deal, pairs_difference, try_out, verdict


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def history_of(dataset: Dataset, ratings: dict[int, float]) -> Interactions:
    return Interactions.from_pairs(
        [0] * len(ratings),
        list(ratings),
        rating=list(ratings.values()),
        timestamp=[0] * len(ratings),
        n_users=1,
        n_items=dataset.n_items,
    )


@given(liked=st.integers(0, 40), others=st.integers(0, 40), seed=st.integers(0, 99))
def test_every_fold_hides_its_share_of_both_kinds(liked: int, others: int, seed: int) -> None:
    kinds = np.arange(liked + others) < liked
    for row in deal(kinds, folds=5, repeats=3, seed=seed):
        for kind, count in ((kinds, liked), (~kinds, others)):
            sizes = np.bincount(row[kind], minlength=5)
            assert sizes.sum() == count
            assert sizes.max() - sizes.min() <= 1


class Oracle(MODELS["popularity"]):  # type: ignore[misc]
    """Scores items by fixed numbers, whatever it is given, and remembers what it was given."""

    def score_history(self, histories: Interactions) -> torch.Tensor:
        self.given = histories
        return self.fixed.repeat(histories.n_users, 1)


@pytest.fixture(scope="module")
def oracle(sample: Dataset) -> Oracle:
    model = Oracle().fit(sample.ratings.at_least(4.0))
    model.fixed = torch.arange(sample.n_items, dtype=torch.float32)  # later items score higher
    return model


def test_hits_and_pairs_are_those_of_the_fixed_order(sample: Dataset, oracle: Oracle) -> None:
    top = sample.n_items - 1
    ratings = {top: 5.0, top - 4: 5.0, 100: 5.0, 10: 5.0, 5: 5.0, top - 2: 1.0, 50: 1.0, 1: 1.0}
    trial = try_out(oracle, sample, history_of(sample, ratings), positive=4.0)
    np.testing.assert_array_equal(trial.hits, [1, 1, 0, 0, 0])
    wins = [[1, 1, 1], [0, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]
    known = ~np.isnan(trial.order)
    np.testing.assert_array_equal(trial.order[known], np.array(wins, float)[known])
    assert known.mean() > 0.7  # eight deals bring most pairs together
    assert trial.fallback == 0


def test_a_model_is_never_given_what_it_is_asked_for(sample: Dataset, oracle: Oracle) -> None:
    ratings = {item: 5.0 if item % 3 else 1.0 for item in range(20, 50)}
    asked: list[set[int]] = []
    try_out(oracle, sample, history_of(sample, ratings), positive=0.0, repeats=1)
    for user in range(5):
        shown = set(oracle.given.of_users([user]).item_idx.tolist())
        asked.append(set(ratings) - shown)
        assert len(asked[-1]) == 6
    assert set.union(*asked) == set(ratings)
    assert sum(map(len, asked)) == len(ratings)


def test_a_hit_is_one_of_the_list_that_the_user_would_be_served(sample: Dataset) -> None:
    model = MODELS["ease"]().fit(sample.ratings.at_least(4.0))
    ratings = {839: 5.0, 460: 4.5, 12: 1.0, 927: 4.0, 707: 3.0, 800: 2.5, 730: 5.0, 600: 4.0, 5: 2.0}
    history = history_of(sample, ratings)
    trial = try_out(model, sample, history, positive=4.0, repeats=1, seed=3)
    liked = history.rating >= 4.0
    (dealt,) = deal(liked, repeats=1, seed=3)
    for row, item in enumerate(history.item_idx[liked].tolist()):
        fold = dealt[liked][row]
        served = recommend_new(model, sample, history.select(dealt != fold), k=10).ranking.items[0].tolist()
        assert trial.hits[row] == (item in served)


def test_equal_scores_win_half_and_what_cannot_score_is_marked_as_popularity(sample: Dataset, oracle: Oracle) -> None:
    model = Oracle().fit(sample.ratings.at_least(4.0))
    model.fixed = torch.zeros(sample.n_items)
    ratings = {item: 5.0 if item % 2 else 1.0 for item in range(40)}
    trial = try_out(model, sample, history_of(sample, ratings), positive=4.0, repeats=2)
    assert set(trial.order[~np.isnan(trial.order)]) == {0.5}
    unknown = MODELS["ease"]().fit(sample.ratings.at_least(4.0))
    nothing = try_out(unknown, sample, history_of(sample, {5: 1.0, 6: 2.0}), positive=4.0, repeats=1)
    assert nothing.fallback == 1.0


# Intervals ------------------------------------------------------------------------------------------------------


def test_the_interval_of_pairs_is_newcombe_s_method_5() -> None:
    value, low, high = pairs_interval(0.8, 10, 10)
    both = (10 + 10) / 2 - 1
    for end in (low, high):  # both ends solve the equation
        variance = end * (1 - end) * (1 + both * ((1 - end) / (2 - end) + end / (1 + end))) / 100
        assert (value - end) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-5)
    assert low < 0.8 < high
    assert pairs_interval(1.0, 6, 5).low < 0.8  # a few right answers prove little
    assert pairs_interval(1.0, 6, 5).high == 1.0
    assert pairs_interval(0.0, 6, 5).low == 0.0


@pytest.mark.parametrize(("m", "n", "area"), [(10, 6, 0.7), (25, 8, 0.85), (12, 12, 0.5)])
def test_the_interval_of_pairs_covers_the_truth(m: int, n: int, area: float) -> None:
    from statistics import NormalDist

    rng, shift = np.random.default_rng(0), np.sqrt(2) * NormalDist().inv_cdf(area)
    covered = 0
    for _ in range(2_000):
        share = float((rng.normal(shift, 1, m)[:, None] > rng.normal(0, 1, n)).mean())
        _, low, high = pairs_interval(share, m, n)
        covered += low <= area <= high
    assert 0.93 <= covered / 2_000 <= 0.99


def made_up(rng: np.random.Generator, m: int, n: int, skill: float, common: NDArray[np.float64] | float = 0.0) -> Trial:
    """Return what a model of some skill does, whose scores are partly those that all models share."""
    scores = rng.normal(size=m + n) + common + skill * (np.arange(m + n) < m)
    order = (scores[:m, None] > scores[m:]).astype(float)
    return Trial((scores[:m] > 1.5).astype(float), order, 0.0)


@pytest.mark.parametrize("rivals", [2, 6])
def test_of_equal_models_one_is_sure_to_be_best_in_at_most_one_case_in_twenty(rivals: int) -> None:
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(1_000):
        common = rng.normal(size=30) + 1.0 * (np.arange(30) < 20)
        result = verdict({str(name): made_up(rng, 20, 10, 0.0, common) for name in range(rivals)})
        assert result is not None
        alarms += result.is_sure
    assert alarms / 1_000 <= 0.065  # two standard errors above


def test_a_much_better_model_is_found_and_few_ratings_tell_nothing() -> None:
    rng = np.random.default_rng(2)
    result = verdict({"good": made_up(rng, 40, 20, 2.5), "bad": made_up(rng, 40, 20, 0.0)})
    assert result is not None
    assert (result.best, result.figure, result.is_sure, result.rivals) == ("good", "pairs", True, ())
    assert verdict({"good": made_up(rng, 9, 4, 2.5), "bad": made_up(rng, 9, 4, 0.0)}) is None
    assert verdict({"good": made_up(rng, 40, 20, 2.5)}) is None
    only_likes = verdict({"good": made_up(rng, 60, 0, 2.5), "bad": made_up(rng, 60, 0, 0.0)})
    assert only_likes is not None
    assert (only_likes.best, only_likes.figure, only_likes.is_sure) == ("good", "hits", True)
    assert [can_tell(5, 5), can_tell(19, 4), can_tell(20, 0)] == [True, False, True]


def test_lists_may_tell_what_pairs_cannot() -> None:
    rng = np.random.default_rng(3)
    pairs = np.full((30, 6), 0.5)
    result = verdict(
        {name: Trial((rng.random(30) < p).astype(float), pairs, 0.0) for name, p in (("a", 0.9), ("b", 0.1))}
    )
    assert result is not None
    assert (result.best, result.figure, result.is_sure) == ("a", "hits", True)


def test_the_difference_of_two_models_is_delong_s() -> None:
    one = Trial(np.ones(3), np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), 0.0)
    other = Trial(np.ones(3), np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), 0.0)
    # rows: .5, .5, 0 (variance 1/12); columns: 1/3, 1/3 (variance 0)
    value, low, high = pairs_difference(one, other)
    assert value == pytest.approx(1 / 3)
    assert high - value == pytest.approx(value - low) or high == 1.0
    from recengine.evaluation.intervals import student

    assert value - low == pytest.approx(min(1 + value, student(0.95, 1) * np.sqrt(1 / 12 / 3)))
