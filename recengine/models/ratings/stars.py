"""Predicted ratings with honest intervals, for users of the data and new ones alike, in closed-form sweeps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import embedding_bag

from recengine.data.interactions import Interactions
from recengine.models.base import as_indices
from recengine.training.progress import OnStep, no_step

DIM, SWEEPS = 6, 12
"""Size of the vectors, and how often both sides are solved in turn."""
TRUST = 0.5
"""What a user's rating counts in a prediction: less than in training, since ratings of one sitting go together. Chosen
on held-out users, of whom 5 to 20 ratings were known."""
USERS_AT_ONCE = 8192
"""Users whose ratings are predicted at once."""
ROWS_FOR_NOISE = 100_000
"""Ratings that the size of the noise is measured on."""
WIDTH = 1.2816
"""Standard errors on each side of a prediction within which four of five ratings lie."""
SHRINK_MEAN, SHRINK_ITEM = 3.0, 5.0
"""Average ratings that are added to a user's, and to an item's."""
STATE = ("mean", "covariance", "prior", "noise", "centre", "bounds")
"""Names of the learned tensors."""


class Stars(NamedTuple):
    """Predicted ratings, (B, n_items) each, in the scale of the data: `low` to `high` holds four of five ratings."""

    rating: Tensor
    low: Tensor
    high: Tensor


class Side(NamedTuple):
    """What is known of the users or of the items: normal, with mean (n, D + 1) and covariance (n, D + 1, D + 1).

    The last of D + 1 is the offset.
    """

    mean: Tensor
    covariance: Tensor


class StarPredictor:
    """rating = mean + p.q + offset of the user + offset of the item + noise, by variational Bayes.

    Users and items have normal priors, whose covariances are learned with the size of the noise. Each side is solved
    given the other's mean and covariance (Lim & Teh, Variational Bayesian approach to movie rating prediction, KDD Cup
    2007), so that an item with few ratings and a user who has rated little are predicted with less certainty.
    """

    def fit(self, rows: Interactions, *, seed: int = 0, on_step: OnStep = no_step) -> StarPredictor:
        """Learn the items, the priors and the noise from all ratings; where these are all alike, nothing."""
        low, high = (float(rows.rating.min()), float(rows.rating.max())) if len(rows) else (0.0, 0.0)
        self.bounds = torch.tensor([low, high])
        self.centre = torch.tensor(float(rows.rating.mean(dtype=np.float64)) if len(rows) else 0.0)
        d = DIM + 1
        self.noise = torch.tensor(max(float(rows.rating.var()) if len(rows) else 0.0, 1e-4))
        self.prior = torch.eye(d) / 10
        item_prior = torch.eye(d) / 10
        start = 0.1 * torch.randn(rows.n_items, d, generator=torch.Generator().manual_seed(seed))
        start[:, -1] = 0
        self.items = Side(start, torch.zeros(rows.n_items, d, d))
        flipped = Interactions.from_pairs(
            rows.item_idx, rows.user_idx, rating=rows.rating, n_users=rows.n_items, n_items=rows.n_users
        )
        some = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:ROWS_FOR_NOISE].numpy()
        for sweep in range(SWEEPS if low < high else 0):
            on_step(sweep, SWEEPS)
            users = self._solve(rows, self.items, self.prior, self.noise)
            self.items = self._solve(flipped, users, item_prior, self.noise)
            self.prior, item_prior = _covariance(users, rows), _covariance(self.items, flipped)
            self.noise = self._squared_error(rows.select(some), users).clamp(min=1e-4)
        return self

    def predict(self, histories: Interactions) -> Stars:
        """Return the ratings expected of users known by these rows alone, (histories.n_users, n_items)."""
        left, right = (
            _moments(self._solve(histories, self.items, self.prior, self.noise / TRUST), 0),
            _moments(self.items, 1),
        )
        deviation = left.mean @ right.mean.T
        variance = left.square.flatten(1) @ right.square.flatten(1).T - deviation.square() + self.noise
        rating, reach = self.centre + deviation, WIDTH * variance.clamp(min=0).sqrt()
        low, high = self.bounds.tolist()
        return Stars(*(x.clamp(low, high) for x in (rating, rating - reach, rating + reach)))

    def predict_pairs(self, histories: Interactions, user_idx: Tensor, item_idx: Tensor) -> Tensor:
        """Return (n,) the ratings that `predict` gives for aligned users of `histories` and items, and no others."""
        users = _moments(self._solve(histories, self.items, self.prior, self.noise / TRUST), 0).mean[user_idx]
        deviation = (users * _moments(self.items, 1).mean[item_idx]).sum(1)
        return (self.centre + deviation).clamp(*self.bounds.tolist())

    def _solve(self, rows: Interactions, other: Side, prior: Tensor, noise: Tensor) -> Side:
        """Return the side of `rows`' users, given that of the items which they rated."""
        d = other.mean.shape[1]
        order, counts = torch.from_numpy(rows.by_user[1]), torch.from_numpy(rows.user_counts)
        index = torch.from_numpy(rows.item_idx.astype(np.int64))[order]
        above = torch.from_numpy(rows.rating.copy())[order] - self.centre
        design = other.mean.clone()
        design[:, -1] = 1  # the offset of this side
        offset = other.mean[:, -1:]
        square = design[:, :, None] * design[:, None, :]
        square[:, :-1, :-1] += other.covariance[:, :-1, :-1]
        known = design * offset
        known[:, :-1] += other.covariance[:, :-1, -1]
        starts = counts.cumsum(0) - counts
        table = torch.cat([square.flatten(1), known], dim=1)
        sums = embedding_bag(index, table, starts, mode="sum")
        pull = embedding_bag(index, design, starts, mode="sum", per_sample_weights=above) - sums[:, d * d :]
        precision = torch.linalg.inv(prior) + sums[:, : d * d].view(-1, d, d) / noise
        covariance = torch.linalg.inv(precision)
        return Side((covariance @ pull[:, :, None])[:, :, 0] / noise, covariance)

    def _squared_error(self, rows: Interactions, users: Side) -> Tensor:
        """Return the mean squared error that is expected of some rows."""
        left, right = _moments(users, 0), _moments(self.items, 1)
        user, item = (torch.from_numpy(x.astype(np.int64)) for x in (rows.user_idx, rows.item_idx))
        above = torch.from_numpy(rows.rating.copy()) - self.centre
        expected = (left.mean[user] * right.mean[item]).sum(1)
        squared = (left.square[user] * right.square[item]).sum((1, 2))
        return (above.square() - 2 * above * expected + squared).mean()

    def state(self) -> dict[str, Tensor]:
        """Return the learned tensors by name."""
        return dict(zip(STATE, (*self.items, self.prior, self.noise, self.centre, self.bounds), strict=True))

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take the tensors of `state` back."""
        mean, covariance, self.prior, self.noise, self.centre, self.bounds = (state[name] for name in STATE)
        self.items = Side(mean, covariance)


class PredictsStarsToo:
    """What a model adds that ranks by something else and predicts ratings as well, of users known by `past` or new.

    It stands before `Recommender` among the bases; `learn` fits `star_predictor` to all ratings.
    """

    past: Interactions
    star_predictor: StarPredictor

    @property
    def scale(self) -> tuple[float, float]:
        """Return the lowest and the highest rating of the data."""
        return float(self.star_predictor.bounds[0]), float(self.star_predictor.bounds[1])

    @torch.inference_mode()
    def stars(self, histories: Interactions) -> Stars:
        """Return the ratings expected of new users, (histories.n_users, n_items), and how far off they may be."""
        return self.star_predictor.predict(histories)

    def estimates(self, user_idx: ArrayLike) -> Tensor:
        """Return (B, n_items) predicted ratings of all items for a batch of users."""
        return self.stars(self.past.of_users(as_indices(user_idx))).rating

    def predict(self, user_idx: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n,) predicted ratings of aligned users and items."""
        items = torch.as_tensor(as_indices(item_idx))
        users, position = np.unique(as_indices(user_idx), return_inverse=True)
        predicted = torch.empty(len(items))
        for start in range(0, len(users), USERS_AT_ONCE):
            inside = np.flatnonzero((position >= start) & (position < start + USERS_AT_ONCE))
            histories = self.past.of_users(users[start : start + USERS_AT_ONCE])
            user = torch.from_numpy(position[inside] - start)
            predicted[inside] = self.star_predictor.predict_pairs(histories, user, items[inside])
        return predicted


class Moments(NamedTuple):
    """Mean (n, D + 2) and expected square (n, D + 2, D + 2) of (vector, offset, 1) or (vector, 1, offset).

    The dot product of a user's and an item's is what a rating is above the mean.
    """

    mean: Tensor
    square: Tensor


def _moments(side: Side, one_first: int) -> Moments:
    n, d = side.mean.shape
    order = [*range(d - 1), d - 1 + one_first]
    mean = torch.ones(n, d + 1)
    mean[:, order] = side.mean
    square = mean[:, :, None] * mean[:, None, :]
    rows = torch.tensor(order)
    square[:, rows[:, None], rows] += side.covariance
    return Moments(mean, square)


def _covariance(side: Side, rows: Interactions) -> Tensor:
    """Return the (D + 1, D + 1) covariance of those of a side that have rows, around 0."""
    rated = torch.from_numpy(rows.user_counts > 0)
    mean, covariance = side.mean[rated], side.covariance[rated]
    return covariance.mean(0) + mean.T @ mean / len(mean) + 1e-6 * torch.eye(mean.shape[1])


def quality(train: Interactions, span: float) -> Tensor:
    """Return (n_items,): the mean of each item's ratings less their users' means, in stars of five, both shrunk."""
    mean = float(train.rating.mean(dtype=np.float64)) if len(train) else 0.0
    total = np.bincount(train.user_idx, train.rating, minlength=train.n_users)
    own = (total + SHRINK_MEAN * mean) / (train.user_counts + SHRINK_MEAN)
    above = np.bincount(train.item_idx, train.rating - own[train.user_idx], minlength=train.n_items)
    stars = above / (train.item_counts + SHRINK_ITEM) * (4.5 / span if span else 1.0)
    return torch.from_numpy(stars.astype(np.float32))
