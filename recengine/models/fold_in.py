"""Newcomers for models whose score is a product or a distance of two vectors: their own vector alone is found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler, KnownPairs
from recengine.models.base import Given
from recengine.models.gradient import GradientConfig, GradientModel
from recengine.models.ials import IALS, IALSConfig
from recengine.models.recency import HistoryConfig, HistoryModel, recency_weights
from recengine.training.loop import one_thread

STEPS, RATE, NEGATIVES = 40, 0.1, 64
"""Steps of Adam, their size, and the items that everybody is set against in each."""
REACH, L2 = 20.0, 30.0
"""Of the ridge: what u.v is to be for an item of the history, and the penalty of u, both in mean squares of v."""


@dataclass(frozen=True)
class FoldInConfig(GradientConfig, HistoryConfig):
    """Settings of a gradient model that serves newcomers."""


class FoldInModel(HistoryModel, GradientModel):
    """A gradient model that serves people who are not in its data, each with a vector found by the model's own loss.

    Users of the data keep the vectors that they were trained to, unless recency weighs: then theirs are found anew,
    as a newcomer's is. Networks above joined vectors are left out: their loss has several minima in that vector.
    """

    Config = FoldInConfig
    trains_users = True

    def learn(self, train: Interactions, given: Given) -> None:
        super().learn(train, given)
        if self.config.weighs:
            self.serve_from(train)

    @torch.no_grad()
    def serve_from(self, rows: Interactions) -> None:
        self.network.user_embedding.weight.copy_(self.vectors(rows))

    @torch.no_grad()
    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of newcomers, nothing retrained."""
        guest = self._guest(self.vectors(histories))
        return guest._rank(torch.arange(histories.n_users))

    def vectors(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, D): vectors learned by the model's loss, each row weighted by recency.

        Everybody is set against the same draws, so that a score does not depend on who else is asked for.
        """
        with torch.inference_mode(False), torch.enable_grad(), one_thread(torch.device("cpu")):
            guest = self._guest(torch.zeros(histories.n_users, self.network.user_embedding.embedding_dim))
            table = guest.network.user_embedding.weight
            if len(histories):
                guest._fold_in(histories, table.requires_grad_(True))
            return table.detach()

    def _guest(self, vectors: Tensor) -> FoldInModel:
        """Return this model with newcomers of these vectors (n, D) as its only users."""
        guest = type(self)(self.config)
        guest.n_users, guest.n_items = len(vectors), self.n_items
        guest.network = guest._build(self.network.features)
        state = {**self.network.state_dict(), "user_embedding.weight": vectors}
        if guest.network.user_bias is not None:
            state["user_bias"] = guest.network.user_bias.data
        guest.network.load_state_dict(state)
        guest.network.eval().requires_grad_(False)
        return guest

    def _fold_in(self, histories: Interactions, table: Tensor) -> None:
        """Fit the users' `table` to their histories, everything else as it is."""
        user = torch.from_numpy(histories.user_idx.astype(np.int64))
        item = torch.from_numpy(histories.item_idx.astype(np.int64))
        weight = torch.from_numpy(recency_weights(histories, self.config))[:, None]

        def weigh(_module: nn.Module, _given: tuple[Tensor, ...], vectors: Tensor) -> None:
            vectors.register_hook(lambda slope: slope * weight)  # (n, D): each row's own pull on its user's vector

        hook = self.network.user_embedding.register_forward_hook(weigh)
        known = KnownPairs(histories)
        sampler = ItemSampler(histories, torch.device("cpu"))
        draws = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam([table], lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
        for _ in range(STEPS):
            negative = sampler.draw((1, NEGATIVES), draws)
            taken = known(user, negative.expand(len(user), -1))
            optimizer.zero_grad(set_to_none=True)
            (self._loss(user, item, negative, taken) * len(user)).backward()
            optimizer.step()
            schedule.step()
        hook.remove()


class RidgeModel(FoldInModel):
    """A gradient model whose score is u.v + the item's bias: a newcomer's u is a ridge regression, in closed form.

    It is the solve of `ials` over this model's item vectors, which are centred first: what all items have in common
    says nothing of a taste. What a history adds to a score splits over its items.
    """

    @torch.no_grad()
    def vectors(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, D): vectors that fit the histories best, weighted by recency."""
        solver, scale = self._solver()
        return scale * solver.vectors(histories)

    @torch.no_grad()
    def explain(self, history: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each item of a history, oldest first, adds to a newcomer's scores.

        What is left is the item's bias, the same for everybody. With `y_range`, it is what is added before the sigmoid.
        """
        solver, scale = self._solver()
        targets = self.network.items(torch.as_tensor(np.asarray(item_idx, dtype=np.int64)))
        return targets @ (scale * solver.parts(history)).T

    def _solver(self) -> tuple[IALS, float]:
        """Return an iALS over the item vectors, centred and of mean square 1, and the scale of a user's vector."""
        config = IALSConfig(
            unobserved_weight=0.0,
            l2=L2,
            frequency_scaling=0.0,
            recency_half_life=self.config.recency_half_life,
            recency_floor=self.config.recency_floor,
        )
        items, bias = self.network.items(None), self.network.bias(None)
        expected = items.mean(0) if bias is None else torch.softmax(bias[0], 0) @ items
        items = items - expected
        size = max(float(items.square().sum(1).mean()) ** 0.5, 1e-12)
        return IALS.over(items / size, config), REACH * size
