"""Offsets of users and items: by hand, and against a loop over the rows."""

from pathlib import Path

import numpy as np
import pytest

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import make_split
from recengine.evaluation.ratings import rating_errors
from tests.support.raters import fitted


def test_bias_without_shrinking_is_exact_on_offsets_that_add_up() -> None:
    rows = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 0, 1], n_users=3, n_items=3, rating=[1, 2, 3, 4])
    model = fitted("bias", rows, item_shrink=0, user_shrink=0)
    assert model.predict([0, 0, 1, 1], [0, 1, 0, 1]).tolist() == pytest.approx([1, 2, 3, 4])
    assert model.predict([2, 2, 0], [2, 0, 2]).tolist() == pytest.approx(
        [2.5, 2.0, 1.5]
    )  # the mean plus the known offset


def test_bias_shrinks_by_hand_values() -> None:
    rows = Interactions.from_pairs([0, 1], [0, 0], n_users=2, n_items=2, rating=[5, 2])
    model = fitted("bias", rows, item_shrink=1, user_shrink=2, rounds=1)
    # mean 3.5; item 0: 0 / 3; user 0: 1.5 / 3, user 1: -1.5 / 3
    assert model.predict([0, 1, 1], [0, 0, 1]).tolist() == pytest.approx([4.0, 3.0, 3.0])


def test_bias_agrees_with_a_loop_over_the_rows(tiny: Dataset) -> None:
    rows = tiny.ratings
    mean, users, items = float(rows.rating.mean(dtype=float)), np.zeros(60), np.zeros(40)
    for _ in range(10):
        for target, index, other_of, shrink in (
            (items, rows.item_idx, users[rows.user_idx], 2.0),
            (users, rows.user_idx, None, 5.0),
        ):
            other = items[rows.item_idx] if other_of is None else other_of
            for x in range(len(target)):
                rows_of_x = index == x
                target[x] = (rows.rating[rows_of_x] - mean - other[rows_of_x]).sum() / (rows_of_x.sum() + shrink)
    expected = mean + users[:, None] + items
    assert np.allclose(fitted("bias", rows).score(np.arange(60)).numpy(), expected, atol=1e-4)


@pytest.mark.real
def test_bias_reaches_the_known_rmse_on_ml_100k_u1(mirror: Path) -> None:
    split = make_split(load_dataset("ml-100k"), "u1", positive=0)
    result = rating_errors(fitted("bias", split.fit), split).means()["rmse"]
    assert result[0] == pytest.approx(0.953, abs=0.002)
    assert result[1] < result[0] < result[2]
