"""The baselines that keep the others honest: chance and popularity."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.training.config import Config


class RandomRanking(Recommender[Config]):
    """Scores drawn from a seeded hash of (user, item): the floor under every table."""

    name = "random"
    is_personalised = False
    family = "baseline"
    summary = "Shuffles the films for each viewer: what luck alone achieves."

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.seed = torch.tensor([context.run.seed])

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = as_indices(user_idx)
        rows = [np.random.default_rng([int(self.seed), int(u)]).random(self.n_items, np.float32) for u in users]
        return torch.from_numpy(np.stack(rows))

    def state(self) -> dict[str, Tensor]:
        return {"seed": self.seed}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.seed = state["seed"]


class Popularity(Recommender[Config]):
    """Scores an item by its number of positives, the same list for everyone."""

    name = "popularity"
    abilities = ("fold-in",)
    is_personalised = False
    is_reference = True
    reason = "popular"
    family = "baseline"
    summary = "The most-liked films. The same list for everyone."

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.counts = torch.from_numpy(train.item_counts.astype(np.float32))

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self.counts.expand(np.atleast_1d(np.asarray(user_idx)).shape[0], -1)

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items): the same counts for every new user."""
        return self.counts.expand(histories.n_users, -1)

    def state(self) -> dict[str, Tensor]:
        return {"counts": self.counts}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.counts = state["counts"]
