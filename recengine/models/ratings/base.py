"""Base class of the models that predict ratings; reading, shuffling and validation for all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.abilities import PredictsRatings
from recengine.models.base import ConfigT, Recommender, as_indices
from recengine.training.loop import Batches, Score, Validate

PAIRS_AT_ONCE = 4096
"""Pairs of a user and an item that are predicted at once."""


class RatingModel(Recommender[ConfigT]):
    """Base of models that learn from all ratings and predict them, clipped to the range of the training ratings.

    `score` is the prediction before clipping, so that a ranking has no ties at the top. A user or an item without
    training rows adds nothing: what remains is the mean and the other's part.
    """

    learns_from = "ratings"
    hears_dislikes = True
    criterion = "valid_rmse"

    @abstractmethod
    def score_pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Return (n,) predictions before clipping."""

    def validator(self, train: Interactions, valid: Interactions, score: Score | None = None) -> Validate:
        return rating_validator(self, valid)

    @property
    @abstractmethod
    def scale(self) -> tuple[float, float]:
        """Return the lowest and the highest rating that is predicted."""

    @torch.inference_mode()
    def predict(self, user_idx: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n,) predicted ratings of aligned users and items, in the data's scale."""
        user, item = (torch.as_tensor(as_indices(x)) for x in (user_idx, item_idx))
        parts = [
            self.score_pairs(u, i).cpu()
            for u, i in zip(user.split(PAIRS_AT_ONCE), item.split(PAIRS_AT_ONCE), strict=True)
        ]
        return torch.cat(parts).clamp(*self.scale)

    @torch.inference_mode()
    def estimates(self, user_idx: ArrayLike) -> Tensor:
        """Return (B, n_items) predicted ratings of all items, in the data's scale."""
        return self.score(user_idx).cpu().clamp(*self.scale)


def rating_range(train: Interactions) -> Tensor:
    """Return (2,) the lowest and the highest rating; 0 and 1 when there are none."""
    if not len(train):
        return torch.tensor([0.0, 1.0])
    return torch.tensor([float(train.rating.min()), float(train.rating.max())])


def rating_validator(model: PredictsRatings, valid: Interactions) -> Validate:
    """Return a function that predicts the rows of `valid`: root mean squared and mean absolute error."""
    actual = torch.from_numpy(valid.rating.copy())

    def validate() -> dict[str, float]:
        error = model.predict(valid.user_idx, valid.item_idx) - actual
        return {"valid_rmse": float(error.square().mean().sqrt()), "valid_mae": float(error.abs().mean())}

    return validate


def rows_of(train: Interactions, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return users, items and ratings as tensors, each (n,)."""
    user, item = (torch.from_numpy(x.astype(np.int64)).to(device) for x in (train.user_idx, train.item_idx))
    return user, item, torch.from_numpy(train.rating.copy()).to(device)


def shuffled(rows: tuple[Tensor, ...], batch_size: int, generator: torch.Generator) -> Batches:
    """Return batches of all rows once, shuffled."""

    def batches() -> Iterator[tuple[Tensor, ...]]:
        order = torch.randperm(len(rows[0]), generator=generator, device=generator.device)
        for batch in order.split(batch_size):
            yield tuple(column[batch] for column in rows)

    return Batches(batches, -(-len(rows[0]) // batch_size))
