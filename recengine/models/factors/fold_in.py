"""Newcomers for models whose score is a product or a distance of two vectors: their own vector alone is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler, KnownPairs
from recengine.models.base import FitContext
from recengine.models.pair.gradient import GradientConfig, GradientModel
from recengine.models.recency import HistoryConfig, HistoryModel, recency_weights
from recengine.training.loop import one_thread

STEPS, RATE, NEGATIVES = 40, 0.1, 64
"""Steps of Adam, their size, and the items that everybody is set against in each."""
TRUST = 0.7
"""Weight of one event of a newcomer beside what is known of people in general; chosen on held-out people."""


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

    def learn(self, train: Interactions, context: FitContext) -> None:
        super().learn(train, context)
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

    u is drawn to the mean of the people that were learned from, in their own covariance: somebody of whom little is
    known is served nearly as the average person. What was chosen pulls as a softmax over the catalogue does, taken to
    second order at that mean (Laplace's approximation):

    u = m + (n C + P)^-1 sum_j w_j (v_j - e), n = sum_j w_j

    m, P : the people's mean and inverse covariance; e, C : the items' mean and covariance as the softmax at m has them
    w_j  : `TRUST`, times recency. The sum splits a newcomer's score over their history, exactly.
    """

    people: tuple[Tensor, Tensor] | None = None
    """Mean and covariance of the vectors that were trained, where the table no longer holds those."""

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.people = None
        super().learn(train, context)

    @torch.no_grad()
    def serve_from(self, rows: Interactions) -> None:
        self.people = self._people()  # of the vectors that were trained, before they are found anew
        super().serve_from(rows)

    @torch.no_grad()
    def vectors(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, D): vectors that fit the histories best, weighted by recency."""
        user, item = (torch.from_numpy(x.astype(np.int64)) for x in (histories.user_idx, histories.item_idx))
        weight = TRUST * torch.from_numpy(recency_weights(histories, self.config))
        n, prior = histories.n_users, self._prior()
        pull = torch.zeros(n, len(prior.mean)).index_add_(0, user, weight[:, None] * prior.centred[item])
        return prior.mean + prior.solve(pull, torch.zeros(n).index_add_(0, user, weight))

    @torch.no_grad()
    def explain(self, history: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each item of a history, oldest first, adds to a newcomer's scores.

        What is left is what the average person's score would be. With `y_range`, it is what is added before the
        sigmoid.
        """
        past, targets = (torch.as_tensor(np.asarray(x, dtype=np.int64)) for x in (history, item_idx))
        weight = TRUST * torch.from_numpy(self.config.recency(np.arange(len(past))[::-1]))
        prior = self._prior()
        parts = prior.solve(weight[:, None] * prior.centred[past], weight.sum())
        return self.network.items(targets) @ parts.T

    def _people(self) -> tuple[Tensor, Tensor]:
        """Return the mean (D,) and covariance (D, D) of the users' vectors, of those who have one."""
        table = self.network.user_embedding.weight.detach().cpu()
        table = table[table.any(1)] if table.any() else table[:1]
        mean = table.mean(0)
        covariance = (table - mean).T @ (table - mean) / max(1, len(table) - 1)
        least = 0.01 * covariance.diagonal().mean() + 1e-6  # so that it has an inverse for a few people, too
        return mean, covariance + least * torch.eye(len(mean))

    def _prior(self) -> Prior:
        mean, covariance = self.people or self._people()
        items = self.network.items(None).cpu()
        bias = self.network.bias(None)
        odds = items @ mean if bias is None else items @ mean + bias[0].cpu()
        share = torch.softmax(odds, dim=0)[:, None]  # (n_items, 1)
        centred = items - (share * items).sum(0)
        # In this basis B both matrices are diagonal: B'PB = I and B'CB = the spread.
        root = torch.linalg.cholesky(covariance)
        spread, turn = torch.linalg.eigh(root.T @ ((share * centred).T @ centred) @ root)
        return Prior(mean, centred, root @ turn, spread.clamp(min=0))

    def state(self) -> dict[str, Tensor]:
        mean, covariance = self.people or self._people()
        return {**super().state(), "people_mean": mean, "people_covariance": covariance}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.people = state["people_mean"], state["people_covariance"]
        super().restore({name: tensor for name, tensor in state.items() if not name.startswith("people_")})


class Prior(NamedTuple):
    """Where a newcomer's vector starts from, and how far it is moved.

    mean : (D,), centred : (n_items, D) item vectors less their expectation, basis : (D, D), spread : (D,)
    """

    mean: Tensor
    centred: Tensor
    basis: Tensor
    spread: Tensor

    def solve(self, pull: Tensor, weight: Tensor) -> Tensor:
        """Return (n, D) moves from the mean, for pulls (n, D) and the weight (n,) or () of the history behind them."""
        return (pull @ self.basis) / (1 + weight[..., None] * self.spread) @ self.basis.T
