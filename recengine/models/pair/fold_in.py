"""New users of pair models whose score is a product or a distance of two vectors: only their vectors are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler, KnownPairs
from recengine.models.abilities import Product
from recengine.models.base import FitContext
from recengine.models.pair.base import FoldIn, PairConfig, PairModel
from recengine.models.pair.loss import pair_loss
from recengine.models.pair.networks import PairNetwork
from recengine.models.recency import (
    HistoryModel,
    RecencyOptions,
    RecencyT,
    TwoSidedModel,
    TwoSidedOptions,
    recency_weights,
)
from recengine.training.config import preset

STEPS, LEARNING_RATE, NEGATIVES = 40, 0.1, 64
"""Steps of Adam of a gradient fold-in, their size, and the negative samples of each."""
EVENT_WEIGHT = 0.7
"""Evidence weight of one event against the prior of a ridge fold-in; chosen on held-out users."""


@dataclass(frozen=True)
class FoldInConfig(PairConfig, RecencyOptions):
    """Options of a pair model that serves new users."""


@dataclass(frozen=True)
class RidgeFoldInConfig(PairConfig, TwoSidedOptions):
    """Options of a pair model that hears what a new user dislikes."""

    dislike_weight: float = preset(TwoSidedOptions, "dislike_weight", 0.2)


RidgeT = TypeVar("RidgeT", bound=RidgeFoldInConfig)


class GradientFoldIn:
    """Vectors fitted by the loss that the model was trained with, in `STEPS` steps of Adam."""

    def vectors(self, network: PairNetwork, config: PairConfig, rows: Interactions, weight: Tensor | None) -> Tensor:
        """Return (rows.n_users, D); all users share the negative samples, so no user's score depends on the others.

        The gradient of a user's vector is the sum over the rows of that user alone, so all are fitted at once.
        """
        device = network.device
        with torch.inference_mode(False), torch.enable_grad():
            one_off = network.with_users(torch.zeros(rows.n_users, network.embedding_dim, device=device))
            vectors = one_off.user_embedding.weight.requires_grad_(True)
            if not len(rows):
                return vectors.detach()
            user, item = (torch.from_numpy(x.astype(np.int64)).to(device) for x in (rows.user_idx, rows.item_idx))
            weight = None if weight is None else weight.clone().to(device)  # validation makes it in inference mode
            known, sampler = KnownPairs(rows, device), ItemSampler(rows)
            generator = torch.Generator().manual_seed(0)
            optimizer = torch.optim.Adam([vectors], lr=LEARNING_RATE)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
            for _ in range(STEPS):
                negative = sampler.draw((1, NEGATIVES), generator).to(device)
                taken = known(user, negative.expand(len(user), -1))
                loss = pair_loss(one_off, config, user, item, negative, taken, weight=weight)
                (vectors.grad,) = torch.autograd.grad(loss * len(user), [vectors])
                optimizer.step()
                schedule.step()
            return vectors.detach()

    def keep_prior(self, network: PairNetwork) -> None:
        """Nothing is needed."""

    def state(self, network: PairNetwork) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return state


class RidgeFoldIn:
    """A vector in closed form where the score is u.v + the item's bias: a ridge regression.

    The prior is normal, with the mean and covariance of the trained users: a user of whom little is known is served
    nearly as the average user. The likelihood of the chosen items is a softmax over the catalogue, taken to second
    order at that mean (Laplace's approximation):

    u = m + (n C + P)^-1 sum_j w_j (v_j - e), n = sum_j max(w_j, 0)

    m, P : the users' mean and inverse covariance; e, C : the items' mean and covariance as the softmax at m has them
    w_j  : `EVENT_WEIGHT`, times recency, or below 0 for a dislike, which pushes the vector away from the item. The sum
           splits a new user's score over their history, exactly.
    """

    STATE = ("people_mean", "people_covariance")

    def __init__(self) -> None:
        self.users: tuple[Tensor, Tensor] | None = None
        """Mean and covariance of the trained vectors, of a network that learns no more; it may no longer hold those."""
        self.prior: Prior | None = None

    def vectors(self, network: PairNetwork, config: PairConfig, rows: Interactions, weight: Tensor | None) -> Tensor:
        """Return (rows.n_users, D): vectors that fit the rows best."""
        prior = self._prior(network)
        user, item = (torch.from_numpy(x.astype(np.int64)).to(network.device) for x in (rows.user_idx, rows.item_idx))
        weight = EVENT_WEIGHT * (torch.ones(len(rows)) if weight is None else weight).to(network.device)
        pull = prior.mean.new_zeros(rows.n_users, len(prior.mean))
        pull.index_add_(0, user, weight[:, None] * prior.centred[item])
        return prior.mean + prior.solve(
            pull, prior.mean.new_zeros(rows.n_users).index_add_(0, user, weight.clamp(min=0))
        )

    @torch.no_grad()
    def explain(self, network: PairNetwork, history: Interactions, item_idx: ArrayLike, weight: Tensor) -> Tensor:
        """Return (n_targets, n_history): what each row of a history, weighted (n_history,), adds to the scores.

        What is left is what the average user's score would be. With `y_range`, it is what is added before the sigmoid.
        """
        past, targets = (
            torch.as_tensor(np.asarray(x, dtype=np.int64)).to(network.device) for x in (history.item_idx, item_idx)
        )
        prior, weight = self._prior(network), EVENT_WEIGHT * weight.to(network.device)
        parts = prior.solve(weight[:, None] * prior.centred[past], weight.clamp(min=0).sum())
        return network.item_vectors(targets) @ parts.T

    def keep_prior(self, network: PairNetwork) -> None:
        self.prior = None
        self.users = self._mean_and_covariance(network)

    def state(self, network: PairNetwork) -> dict[str, Tensor]:
        return dict(zip(self.STATE, self.users or self._mean_and_covariance(network), strict=True))

    def restore(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        self.users, self.prior = (state[self.STATE[0]], state[self.STATE[1]]), None
        return {name: tensor for name, tensor in state.items() if name not in self.STATE}

    def _mean_and_covariance(self, network: PairNetwork) -> tuple[Tensor, Tensor]:
        """Return the mean (D,) and covariance (D, D) of the users' vectors, of those who have one."""
        table = network.user_embedding.weight.detach()
        table = table[table.any(1)] if table.any() else table[:1]
        mean = table.mean(0)
        covariance = (table - mean).T @ (table - mean) / max(1, len(table) - 1)
        least = 0.01 * covariance.diagonal().mean() + 1e-6  # so that it has an inverse for a few users, too
        return mean, covariance + least * torch.eye(len(mean), device=mean.device)

    def _prior(self, network: PairNetwork) -> Prior:
        """Return the prior, which is kept once training is over: with many items it costs more than an answer."""
        if self.prior is None or self.prior.mean.device != network.device:
            prior = self._fresh_prior(network)
            if self.users is None:
                return prior
            self.prior = prior
        return self.prior

    def _fresh_prior(self, network: PairNetwork) -> Prior:
        mean, covariance = (x.to(network.device) for x in self.users or self._mean_and_covariance(network))
        items, bias = network.item_vectors(None), network.item_biases(None)
        logits = items @ mean if bias is None else items @ mean + bias[0]
        share = torch.softmax(logits, dim=0)[:, None]  # (n_items, 1)
        centred = items - (share * items).sum(0)
        # In this basis B both matrices are diagonal: B'PB = I and B'CB = the spread.
        root = torch.linalg.cholesky(covariance)
        spread, turn = torch.linalg.eigh(root.T @ ((share * centred).T @ centred) @ root)
        return Prior(mean, centred, root @ turn, spread.clamp(min=0))


class Prior(NamedTuple):
    """The prior of a new user's vector, and what moves it.

    mean : (D,), centred : (n_items, D) item vectors less their expectation, basis : (D, D), spread : (D,)
    """

    mean: Tensor
    centred: Tensor
    basis: Tensor
    spread: Tensor

    def solve(self, pull: Tensor, weight: Tensor) -> Tensor:
        """Return (n, D) moves from the mean, for pulls (n, D) and the weight (n,) or () of the history behind them."""
        return (pull @ self.basis) / (1 + weight[..., None] * self.spread) @ self.basis.T


class ServesNewUsers(HistoryModel[RecencyT]):
    """What a `PairModel` with a `fold_in` serves: users of whom only rows are known. It stands before `PairModel`.

    Users of the data keep the vectors that they were trained to, unless recency weighs: then theirs are
    fitted as a new user's is. Networks over joined vectors are left out: their loss has several minima in the vector.
    """

    trains_users = True
    network: PairNetwork
    fold_in: FoldIn | None

    @torch.no_grad()
    def serve_from(self, rows: Interactions) -> None:
        assert self.fold_in is not None  # as `fold_in_class` says
        self.fold_in.keep_prior(self.network)
        self.network.user_embedding.weight.copy_(self._vectors(rows))

    @torch.no_grad()
    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of new users, nothing retrained."""
        return self.network.with_users(self._vectors(histories)).score_all(torch.arange(histories.n_users))

    @torch.no_grad()
    def product(self) -> Product:
        """Return the vectors and biases whose products are the scores. Raises BadInput where `y_range` bends these."""
        return self.network.product()

    @torch.no_grad()
    def _vectors(self, rows: Interactions) -> Tensor:
        assert self.fold_in is not None
        assert isinstance(self.config, PairConfig)
        return self.fold_in.vectors(self.network, self.config, rows, self._row_weights(rows))

    def _row_weights(self, rows: Interactions) -> Tensor | None:
        """Return (n,) how much each row counts, None where all count alike."""
        return torch.from_numpy(recency_weights(rows, self.config)) if self.config.weighs else None


class ExplainsToNewUsers(TwoSidedModel[RidgeT], ServesNewUsers[RidgeT], PairModel[RidgeT]):
    """A `PairModel` whose new users are found in closed form: likes and dislikes count, and scores split over them."""

    abilities = ("similar", "product", "fold-in", "explain")
    fold_in_class: ClassVar[type[FoldIn] | None] = RidgeFoldIn

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.take_scale(train)
        super().learn(train, context)

    def _row_weights(self, rows: Interactions) -> Tensor:
        return torch.from_numpy(self.signed_weights(rows))

    def explain(self, history: Interactions, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each row of a history adds to a new user's scores."""
        assert isinstance(self.fold_in, RidgeFoldIn)
        return self.fold_in.explain(self.network, history, item_idx, self._row_weights(history))

    def state(self) -> dict[str, Tensor]:
        return super().state() | {"scale": self.scale}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.scale = state["scale"]
        super().restore({name: tensor for name, tensor in state.items() if name != "scale"})
