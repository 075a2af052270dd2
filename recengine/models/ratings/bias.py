"""Offsets of items and users around the mean rating."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.base import FitContext, as_indices
from recengine.models.ratings.base import RatingModel, rating_range, rows_of
from recengine.models.recency import HistoryConfig, HistoryModel, recency_weights
from recengine.training.config import Range, option


@dataclass(frozen=True)
class BiasConfig(HistoryConfig):
    """Options of `bias`."""

    item_shrink: float = option(
        2.0,
        "average ratings that are added to an item's; more of them shrink its offset",
        low=0,
        high=1e6,
        search=Range(0.1, 50, log=True),
        primary=1,
    )
    user_shrink: float = option(
        5.0,
        "average ratings that are added to a user's; more of them shrink the offset",
        low=0,
        high=1e6,
        search=Range(0.1, 50, log=True),
        primary=1,
    )
    rounds: int = option(10, "times that both offsets are solved in turn", low=1, high=1000)


class Bias(HistoryModel[BiasConfig], RatingModel[BiasConfig]):
    """rating = mean + the item's offset + the user's offset, both shrunk towards 0, solved in turn in closed form."""

    name = "bias"
    abilities = ("fold-in", "ratings")
    is_reference = True
    hears_dislikes = False  # a low rating lowers all items alike
    family = "baseline"
    summary = "Predicts the average rating, adjusted for how good the film is and how generous you are."
    reference = "Koren, Bell & Volinsky, Matrix factorization techniques for recommender systems, Computer 2009"
    Config = BiasConfig

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.bounds = rating_range(train)
        self.mean = torch.tensor([float(train.rating.mean(dtype=np.float64)) if len(train) else 0.0])
        self.users, self.items = torch.zeros(self.n_users), torch.zeros(self.n_items)
        user, item, rating = rows_of(train, torch.device("cpu"))
        for _ in range(self.config.rounds):
            left = rating - self.mean - self.users[user]
            self.items = torch.zeros(self.n_items).index_add_(0, item, left)
            self.items /= (torch.from_numpy(train.item_counts) + self.config.item_shrink).clamp(min=1e-9)
            self.users = self._offsets(train, np.ones(len(train), np.float32))
        self.serve_from(train)

    def serve_from(self, rows: Interactions) -> None:
        self.users = self._offsets(rows, recency_weights(rows, self.config))

    def _offsets(self, rows: Interactions, weight: NDArray[np.float32]) -> Tensor:
        """Return the users' offsets (n_users,) given the items', each row counted by its weight (n,)."""
        user, item, rating = rows_of(rows, torch.device("cpu"))
        row_weight = torch.from_numpy(weight)
        total = torch.zeros(rows.n_users).index_add_(0, user, row_weight * (rating - self.mean - self.items[item]))
        weights = torch.zeros(rows.n_users).index_add_(0, user, row_weight)
        return total / (weights + self.config.user_shrink).clamp(min=1e-9)

    @property
    def scale(self) -> tuple[float, float]:
        return float(self.bounds[0]), float(self.bounds[1])

    def score_pairs(self, user: Tensor, item: Tensor) -> Tensor:
        return self.mean + self.users[user] + self.items[item]

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = torch.as_tensor(as_indices(user_idx))
        return self.mean + self.items + self.users[users][:, None]

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) ratings expected of new users, each with an offset."""
        offsets = self._offsets(histories, recency_weights(histories, self.config))
        return self.mean + self.items + offsets[:, None]

    def state(self) -> dict[str, Tensor]:
        return {"bounds": self.bounds, "mean": self.mean, "users": self.users, "items": self.items}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.bounds, self.mean = state["bounds"], state["mean"]
        self.users, self.items = state["users"], state["items"]
