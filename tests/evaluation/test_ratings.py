"""Errors of predicted ratings, and their intervals."""

import math
from typing import Any

import numpy as np
import pytest

from recengine.data.dataset import Dataset
from recengine.data.splits import Split, make_split
from recengine.errors import BadInput
from recengine.evaluation.intervals import ratio_interval
from recengine.evaluation.ratings import RatingErrors, rating_errors
from recengine.models.registry import MODELS
from tests.support.raters import fitted


def test_errors_by_hand() -> None:
    errors = RatingErrors(*(np.array(x, float) for x in ([2, 1], [1.25, 4.0], [1.5, 2.0], [1, 0])))
    result = errors.means()
    assert result["rmse"][0] == pytest.approx(math.sqrt(5.25 / 3))
    assert result["mae"][0] == pytest.approx(3.5 / 3)
    assert result["within_half"][0] == pytest.approx(1 / 3)
    assert all(math.isnan(end) for interval in result.values() for end in interval[1:])  # two users are too few
    many = RatingErrors(*(np.tile(part, 15) for part in (errors.count, errors.squared, errors.absolute, errors.within)))
    for key, (value, low, high) in many.means().items():
        assert value == pytest.approx(result[key][0])
        assert low < value < high


def test_rating_errors_agree_with_a_loop(tiny: Dataset) -> None:
    split = make_split(tiny, "random", positive=0, share=0.2)
    model = fitted("bias", split.fit)
    result = rating_errors(model, split).means()
    misses = [
        float(model.predict(u, i)) - float(r)
        for u, i, r in zip(split.test.user_idx, split.test.item_idx, split.test.rating, strict=True)
    ]
    assert result["rmse"][0] == pytest.approx(math.sqrt(sum(m * m for m in misses) / len(misses)))
    assert result["mae"][0] == pytest.approx(sum(map(abs, misses)) / len(misses))
    assert result["within_half"][0] == pytest.approx(sum(abs(m) <= 0.5 for m in misses) / len(misses))


def test_the_interval_is_that_of_resampled_users_not_rows() -> None:
    rng = np.random.default_rng(0)
    count = rng.integers(1, 60, 400).astype(float)
    total = count * rng.gamma(2, 0.5, 400)  # rows of one user go together
    value, low, high = ratio_interval(total, count)
    draws = rng.integers(0, 400, (4000, 400))
    again = np.sort(total[draws].sum(1) / count[draws].sum(1))
    assert value == pytest.approx(total.sum() / count.sum())
    assert [low, high] == pytest.approx([again[100], again[3900]], rel=0.02)
    assert np.isnan(ratio_interval(total[:1], count[:1])[1:]).all()


def test_users_who_are_not_in_training_are_predicted_from_their_history(tiny: Dataset) -> None:
    split = make_split(tiny, "cold-user", positive=0, given=5)
    model: Any = fitted("bias", split.fit)
    result = rating_errors(model, split)
    assert split.history is not None
    scores = model.score_history(split.history).clamp(1, 5)
    error = scores[split.test.user_idx.tolist(), split.test.item_idx.tolist()].numpy() - split.test.rating
    assert result.means()["rmse"][0] == pytest.approx(float(np.sqrt((error**2).mean())), rel=1e-5)
    with pytest.raises(BadInput, match="'recommender-net' cannot serve users"):
        rating_errors(fitted("recommender-net", split.fit, epochs=1), split)


def test_a_model_without_ratings_has_no_rating_errors(tiny: Dataset) -> None:
    split: Split = make_split(tiny, "random")
    with pytest.raises(BadInput, match="'popularity' predicts no ratings"):
        rating_errors(MODELS["popularity"]().fit(split.fit), split)
