"""Matrix factorisation of ratings, by each of its solvers."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.ratings.mf_explicit import MFExplicit
from recengine.models.registry import configure
from recengine.serving.recommend import recommend_new
from tests.support.raters import CPU, fitted, rmse

SETTINGS: dict[str, dict[str, Any]] = {
    "gibbs": {"embedding_dim": 2, "averaged_sweeps": 30, "epochs": 60, "implicit": False},
    "gibbs, implicit": {"embedding_dim": 2, "averaged_sweeps": 30, "epochs": 60},
    "adam": {"solver": "adam", "embedding_dim": 2, "learning_rate": 0.03, "l2": 0.003, "batch_size": 64, "epochs": 60},
    "adam, bounded": {
        **{"solver": "adam", "embedding_dim": 2, "learning_rate": 0.05, "l2": 0.0003, "batch_size": 64},
        **{"bounded": True, "epochs": 60},
    },
    "dense": {"solver": "dense", "embedding_dim": 2, "learning_rate": 0.1, "l2": 0.003, "epochs": 150},
}


@pytest.fixture(scope="module")
def factors(table) -> Callable[[str], MFExplicit]:
    """Return a function that fits `mf-explicit` to the table with an entry of `SETTINGS`, once each."""

    @cache
    def fitted_once(solver: str) -> MFExplicit:
        model = fitted("mf-explicit", table[0], **SETTINGS[solver])
        assert isinstance(model, MFExplicit)
        return model

    return fitted_once


@pytest.mark.parametrize("solver", list(SETTINGS))
def test_mf_explicit_recovers_what_is_withheld_of_a_table_of_rank_one(table, factors, solver: str) -> None:
    given, withheld = table
    offsets = rmse(fitted("bias", given), withheld)
    assert offsets > 0.6
    assert rmse(factors(solver), withheld) < 0.25 * offsets


def test_the_dense_loss_is_the_loss_of_the_observed_cells_alone(tiny: Dataset) -> None:
    """It equals the batch loss of all rows, whatever the value of a cell without a rating."""
    rows = tiny.ratings
    model = fitted("mf-explicit", rows, solver="dense", embedding_dim=3, epochs=2)
    assert isinstance(model, MFExplicit)
    user, item = (torch.from_numpy(x.astype(np.int64)) for x in (rows.user_idx, rows.item_idx))
    ratings, mask = torch.full((60, 40), 77.0), torch.zeros(60, 40)
    ratings[user, item], mask[user, item] = torch.from_numpy(rows.rating.copy()), 1.0
    whole = model.dense_loss(ratings, mask)
    assert whole.item() == pytest.approx(model.loss(user, item, ratings[user, item]).item(), rel=1e-5)
    whole.backward()
    assert model.network.users.grad is not None
    p, q = model.network.users.detach()[:, 0].double(), model.network.items.detach()[:, 0].double()
    error = penalty = 0.0
    for u, i, rating in zip(rows.user_idx, rows.item_idx, rows.rating, strict=True):
        expected = float(model.network.mean) + p[u, :-1] @ q[i, :-1] + p[u, -1] + q[i, -1]
        error += float(expected - rating) ** 2
        penalty += float(p[u] @ p[u] + q[i] @ q[i])
    assert whole.item() == pytest.approx((error + model.config.l2 * penalty) / len(rows), rel=1e-4)


def test_bounded_predictions_stay_in_the_range_without_clipping_and_gibbs_refuses_the_option(table, factors) -> None:
    scores = factors("adam, bounded").score(np.arange(50))
    low, high = float(table[0].rating.min()), float(table[0].rating.max())
    assert low <= scores.min() < scores.max() <= high
    with pytest.raises(BadInput, match=r"solver 'gibbs' is linear; expected adam or dense with bounded"):
        configure("mf-explicit", {"bounded": True}, CPU)


@pytest.mark.parametrize("solver", list(SETTINGS))
def test_a_new_user_is_rated_as_a_training_user_with_the_same_history(table, factors, solver: str) -> None:
    given, withheld = table
    folded = factors(solver).score_history(given)
    cells = torch.from_numpy(withheld.user_idx.astype(np.int64)), torch.from_numpy(withheld.item_idx.astype(np.int64))
    error = folded[cells].numpy() - withheld.rating
    assert np.sqrt((error**2).mean()) < 0.45 * rmse(fitted("bias", given), withheld)


def test_low_ratings_of_a_new_user_count(tiny: Dataset) -> None:
    model = fitted("mf-explicit", tiny.ratings, epochs=5)
    mild, harsh = (
        Interactions.from_pairs([0] * 4, [0, 4, 8, 12], n_users=1, n_items=40, rating=[r] * 4) for r in (5.0, 1.0)
    )
    lists = [recommend_new(model, tiny, h) for h in (mild, harsh)]
    assert not lists[1].fallback[0]
    assert lists[0].ranking.scores[0, 0] > lists[1].ranking.scores[0, 0] + 0.3
