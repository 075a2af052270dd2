"""How far predicted ratings are from the given ones, with intervals that take a user's rows together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.data.splits import Split
from recengine.errors import BadInput
from recengine.evaluation.intervals import SHARE, Interval, mean_interval, ratio_interval
from recengine.evaluation.ranking import no_fold_in
from recengine.models.abilities import PredictsRatings, PredictsStars, SupportsFoldIn
from recengine.models.base import Recommender

Floats = NDArray[np.float64]
ROWS, USERS = 2**18, 1024
"""Ratings, and users with a history, that are predicted at once."""


@dataclass(frozen=True, eq=False)
class RatingErrors:
    """Sums over each test user's rows, (n,) each: how many rows, squared and absolute errors, rows within 0.5.

    Errors are in the data's own scale; where it ends at 5, the errors of rating / 5 are `mae` / 5 and `mse` / 25.
    """

    count: Floats
    squared: Floats
    absolute: Floats
    within: Floats

    @property
    def user_mae(self) -> Floats:
        """Return (n,) each user's mean absolute error."""
        return self.absolute / self.count

    def of(self, chosen: NDArray[np.bool_]) -> RatingErrors:
        """Return the errors of some of the users, (n,) bool."""
        return RatingErrors(self.count[chosen], self.squared[chosen], self.absolute[chosen], self.within[chosen])

    def means(self) -> dict[str, Interval]:
        """Return (value, low, high) of each metric, with a 95 % interval that resamples users.

        rmse, mae, within_half : over all rows. user_mse, user_mae : the mean over users of each one's mean over their
        rows, so that a user with many ratings counts no more than others.
        """
        squared = ratio_interval(self.squared, self.count)
        return {
            "rmse": Interval(*map(math.sqrt, squared)),
            "mae": ratio_interval(self.absolute, self.count),
            "within_half": ratio_interval(self.within, self.count, within=SHARE),
            "user_mse": mean_interval(self.squared / self.count, within=(0.0, math.inf)),
            "user_mae": mean_interval(self.user_mae, within=(0.0, math.inf)),
        }


def rating_errors(model: Recommender, split: Split) -> RatingErrors:
    """Return the errors of the split's test ratings; of users who are not in training, from their `history`.

    A split of positives tests high ratings alone; `positive=0` makes one of all ratings.
    Raises BadInput for a model that predicts no ratings, or cannot serve the users that the split tests.
    """
    predicted = _predict(model, split)
    error = np.abs(predicted - split.test.rating)
    users = split.test.user_counts.nonzero()[0]

    def total(values: NDArray[np.floating]) -> Floats:
        return np.bincount(split.test.user_idx, values, minlength=split.test.n_users)[users].astype(np.float64)

    return RatingErrors(
        count=split.test.user_counts[users].astype(np.float64),
        squared=total(error**2),
        absolute=total(error),
        within=total((error <= 0.5).astype(np.float64)),
    )


@torch.inference_mode()
def _predict(model: Recommender, split: Split) -> Floats:
    """Return (n,) predicted test ratings; for users with a `history` from it alone, clipped as `predict` does."""
    rows, history = split.test, split.history
    if not isinstance(model, PredictsRatings):
        raise BadInput(
            "model", model.name, remedy="choose one that does, such as 'mf-explicit'", problem="predicts no ratings"
        )
    predicted = np.empty(len(rows))
    if history is None:
        for start in range(0, len(rows), ROWS):
            batch = slice(start, start + ROWS)
            predicted[batch] = model.predict(rows.user_idx[batch], rows.item_idx[batch]).cpu().numpy()
        return predicted
    if not isinstance(model, SupportsFoldIn):
        raise no_fold_in(model.name)

    def of_new(histories: Interactions) -> Tensor:
        """Return what a model predicts for new users: where it does not rank by ratings, it has `stars`."""
        return model.stars(histories).rating if isinstance(model, PredictsStars) else model.score_history(histories)

    users = rows.user_counts.nonzero()[0]
    for start in range(0, len(users), USERS):
        some_users = users[start : start + USERS]
        position, row = rows.rows_of(some_users)
        predicted[row] = of_new(history.of_users(some_users)).cpu().numpy()[position, rows.item_idx[row]]
    return predicted.clip(*model.scale)
