"""`slim`: the weights are the minimum, whoever looks for it."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import ElasticNet

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.models.registry import model_class


def fit(rows: Interactions, **config: float) -> NDArray[np.float64]:
    kind = model_class("slim")
    return kind(kind.Config.from_dict(config)).fit(rows).item_weights.numpy().astype(float)


def table_of(rows: Interactions) -> NDArray[np.float64]:
    table = np.zeros((rows.n_users, rows.n_items))
    table[rows.user_idx, rows.item_idx] = 1
    return table


def test_the_weights_are_those_of_an_elastic_net_for_each_item(tiny: Dataset) -> None:
    rows = tiny.positives(4.0)
    table, l2, l1 = table_of(rows), 2.0, 0.5
    weights = fit(rows, l2=l2, l1=l1)
    n, total = len(table), l2 + l1  # sklearn divides the squares by n
    oracle = ElasticNet(alpha=total / n, l1_ratio=l1 / total, positive=True, fit_intercept=False, tol=1e-12)
    for j in range(table.shape[1]):
        others = np.delete(np.arange(table.shape[1]), j)
        oracle.set_params(max_iter=100_000).fit(table[:, others], table[:, j])
        assert np.allclose(weights[others, j], oracle.coef_, atol=1e-4)
        assert weights[j, j] == 0
    assert 0.1 < (weights > 0).mean() < 0.9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.5, 1.0, 2.5]), st.sampled_from([0.3, 5.0, 100.0]))
def test_no_step_in_any_direction_lowers_the_objective(seed: int, l1: float, l2: float) -> None:
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 12, 60), np.minimum(rng.geometric(0.2, 60), 9)
    rows = Interactions.from_pairs(user, item, n_users=12, n_items=11)  # item 0 is nobody's
    table, weights = table_of(rows), fit(rows, l1=l1, l2=l2)
    slope = table.T @ (table @ weights - table) + l2 * weights + l1
    np.fill_diagonal(slope, 0)
    assert (weights >= 0).all()
    assert not weights.diagonal().any()
    assert abs(slope[weights > 0]).max(initial=0) < 1e-3
    assert slope[weights == 0].min() > -1e-3


def test_the_number_of_threads_changes_nothing(tiny: Dataset) -> None:
    rows, before = tiny.positives(4.0), torch.get_num_threads()
    try:
        results = []
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(fit(rows, l2=2.0).tobytes())
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]
