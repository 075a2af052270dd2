"""Matrix factorisation of ratings: sampled (Gibbs), by gradients in batches, or over the dense masked matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.abilities import Product, no_product
from recengine.models.base import FitContext, as_indices
from recengine.models.factors.ials import Histories
from recengine.models.options import shared
from recengine.models.ratings.base import RatingModel, rating_range, rows_of, shuffled
from recengine.models.ratings.gibbs import Chain, posterior
from recengine.models.recency import HistoryConfig, HistoryModel, recency_weights
from recengine.training.config import Range, option
from recengine.training.loop import Batches, one_thread, run_epochs
from recengine.training.loop import train as train_loop
from recengine.training.progress import EpochResult, OnStep

DENSE_LIMIT = 2**28
"""Most cells of the dense solver's matrix."""
LINK_LIMIT = 20_000
"""The Gibbs solver links histories of at most this many users or items, whichever are fewer."""


@dataclass(frozen=True)
class MFExplicitConfig(HistoryConfig):
    """Options of `mf-explicit`."""

    solver: Literal["gibbs", "adam", "dense"] = option(
        "gibbs",
        "gibbs averages samples; adam takes batches of ratings; dense the whole masked matrix at each step",
        primary=1,
    )
    embedding_dim: int = shared("embedding_dim", 8, search=Range(4, 32, log=True))
    averaged_sweeps: int = option(
        50, "gibbs: average the predictions of this many last sweeps", low=1, high=1000, primary=1
    )
    implicit: bool = option(True, "gibbs: which items were rated, whatever the ratings, shifts the expected vector")
    implicit_l2: float = option(
        3.0, "gibbs: ridge penalty of that shift", low=0, high=1e6, open_low=True, search=Range(0.3, 30, log=True)
    )
    learning_rate: float = shared("learning_rate", 0.005, note="for adam and dense")
    l2: float = shared("l2", 0.1, note="for adam and dense: of vectors and offsets, as often as they are rated")
    batch_size: int = shared("batch_size", 1024, note="for adam")
    bounded: bool = option(False, "adam, dense: a sigmoid keeps predictions within the range of the ratings")
    init_std: float = shared("init_std", 0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bounded and self.solver == "gibbs":
            raise BadInput(
                "solver",
                self.solver,
                "adam or dense with `bounded`",
                "turn `bounded` off or choose another solver",
                problem="is linear",
            )


class Factors(nn.Module):
    """S factorisations whose predictions are averaged, S = 1 unless sampled.

    users (n_users, S, D + 1) and items (n_items, S, D + 1) end in the offset. The first `filled` of S count.
    prior, precision, links, noise : of each sample, what a new user's vector is solved from.
    """

    bounds: Tensor
    mean: Tensor
    filled: Tensor
    prior: Tensor
    precision: Tensor
    links: Tensor
    noise: Tensor

    def __init__(self, n_users: int, n_items: int, config: MFExplicitConfig) -> None:
        super().__init__()
        sampled = config.solver == "gibbs"
        s, width = config.averaged_sweeps if sampled else 1, config.embedding_dim + 1
        self.bounded = config.bounded
        self.users = nn.Parameter(torch.zeros(n_users, s, width), requires_grad=not sampled)
        self.items = nn.Parameter(torch.zeros(n_items, s, width), requires_grad=not sampled)
        self.register_buffer("bounds", torch.tensor([0.0, 1.0]))
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("filled", torch.ones(1, dtype=torch.int64))
        self.register_buffer("prior", torch.zeros(s, width))
        self.register_buffer("precision", torch.eye(width).repeat(s, 1, 1))
        self.register_buffer("links", torch.zeros(n_items if sampled and config.implicit else 0, s, width))
        self.register_buffer("noise", torch.ones(s))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return (n,) predictions of aligned users and items, both (n, S, D + 1)."""
        products = (users[..., :-1] * items[..., :-1]).sum((1, 2))
        return self._rating((products + users[..., -1].sum(1) + items[..., -1].sum(1)) / self.filled)

    def score_grid(self, users: Tensor) -> Tensor:
        """Return (B, n_items) predictions of users (B, S, D + 1) for all items."""
        products = users[..., :-1].flatten(1) @ self.items[..., :-1].flatten(1).T
        return self._rating((products + users[..., -1].sum(1)[:, None] + self.items[..., -1].sum(1)) / self.filled)

    def _rating(self, deviation: Tensor) -> Tensor:
        if not self.bounded:
            return self.mean + deviation
        low, high = self.bounds
        return low + (high - low) * torch.sigmoid(self.mean + deviation)


class MFExplicit(HistoryModel[MFExplicitConfig], RatingModel[MFExplicitConfig]):
    """rating = mean + p.q + offset of the user + offset of the item.

    The Gibbs solver averages the predictions of many samples (BPMF with offsets), in which what someone rated also
    shifts the expected vector, in the manner of SVD++. The others descend the squared error, averaged over the
    ratings alone, plus an L2 penalty. A new user's vector is one ridge solve, or one for each sample.
    """

    name = "mf-explicit"
    title = "MF-explicit"
    abilities = ("similar", "product", "fold-in", "ratings")
    family = "collaborative"
    summary = "Predicts ratings by Bayesian matrix factorisation: the average of many plausible fits."
    reference = "Salakhutdinov & Mnih, Bayesian probabilistic matrix factorization using MCMC, ICML 2008"
    Config = MFExplicitConfig
    version = 2
    trains_users = True
    preset_epochs = 100
    preset_patience = 30

    def learn(self, train: Interactions, context: FitContext) -> None:
        config, device = self.config, context.run.torch_device()
        self.network = Factors(self.n_users, self.n_items, config)
        self.network.bounds.copy_(rating_range(train))
        self.network.to(device)
        with one_thread(device):
            self.training_log = (self._sample if config.solver == "gibbs" else self._descend)(train, context, device)
        if config.weighs:
            self.serve_from(train)

    @torch.no_grad()
    def serve_from(self, rows: Interactions) -> None:
        self.network.users.copy_(self._vectors(rows))

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config, width = self.config, self.config.embedding_dim + 1
        if config.solver == "gibbs":
            links = n_items if config.implicit else 0
            fewest = min(n_users, n_items) if config.implicit else 0
            # the samples and the best epoch's copy
            return {
                "averaged_sweeps": 4 * 2 * (n_users + n_items + links) * config.averaged_sweeps * width,
                "": 4 * 2 * fewest**2,
            }
        cells = 4 * 6 * n_users * n_items if config.solver == "dense" else 0
        rows = min(config.batch_size, n_rows)
        return {"embedding_dim": 4 * 6 * (n_users + n_items) * width, "batch_size": 4 * 8 * rows * width, "": cells}

    def _sample(self, train: Interactions, context: FitContext, device: torch.device) -> list[EpochResult]:
        """Run the chain; each epoch is a sweep, whose sample replaces the oldest."""
        config, network = self.config, self.network
        fewest = min(self.n_users, self.n_items)
        if config.implicit and fewest > LINK_LIMIT:
            raise BadInput(
                "implicit",
                True,
                remedy="turn `implicit` off",
                problem=f"links histories of at most {LINK_LIMIT:,} users or items, not {fewest:,}",
            )
        chain = Chain(
            train,
            config.embedding_dim,
            link_l2=config.implicit_l2 if config.implicit else None,
            init_std=config.init_std,
            seed=context.run.seed,
            device=device,
        )
        network.mean.fill_(chain.mean)
        sweeps = 0

        @torch.no_grad()
        def epoch(on_step: OnStep) -> float:
            nonlocal sweeps
            loss = chain.sweep(on_step)
            slot = sweeps % config.averaged_sweeps
            sweeps += 1
            network.filled.fill_(min(sweeps, config.averaged_sweeps))
            network.users[:, slot], network.items[:, slot] = chain.users.means, chain.items.vectors
            prior = chain.users.prior
            network.prior[slot], network.precision[slot] = prior.mean, prior.precision
            network.noise[slot] = chain.noise
            if prior.links is not None:
                network.links[:, slot] = prior.links
            return loss

        return run_epochs(
            network,
            epoch=epoch,
            untrained_loss=lambda: chain.squared_error() / max(len(train), 1),
            **context.loop_options(self, train),
        )

    def _descend(self, train: Interactions, context: FitContext, device: torch.device) -> list[EpochResult]:
        config, network = self.config, self.network
        generator = torch.Generator(device).manual_seed(context.run.seed)
        with torch.no_grad():
            for table, counts in ((network.users, train.user_counts), (network.items, train.item_counts)):
                table[..., :-1].normal_(0, config.init_std, generator=generator)
                table[torch.from_numpy(counts == 0).to(device)] = 0  # without ratings they stay at the mean
            network.precision.mul_(config.l2)
            network.mean.fill_(float(self._targets(train.rating).mean()) if len(train) else 0.0)
        rows = rows_of(train, device)
        batches = shuffled(rows, config.batch_size, generator)
        loss: Callable[..., Tensor] = self.loss
        if config.solver == "dense":
            loss, dense = self.dense_loss, self._dense(train, device)
            batches = Batches(lambda: iter([dense]), 1)
        return train_loop(
            network,
            batches=batches,
            loss=loss,
            optimizers=[torch.optim.Adam([network.users, network.items], lr=config.learning_rate, fused=True)],
            **context.loop_options(self, train),
        )

    def loss(self, user: Tensor, item: Tensor, rating: Tensor) -> Tensor:
        """Return the mean squared error of some rows, plus the penalty of their vectors and offsets."""
        users, items = self.network.users[user], self.network.items[item]
        error = (self.network(users, items) - rating).square().sum()
        return (error + self.config.l2 * (users.square().sum() + items.square().sum())) / len(user)

    def _dense(self, train: Interactions, device: torch.device) -> tuple[Tensor, Tensor]:
        if self.n_users * self.n_items > DENSE_LIMIT:
            cells = f"{self.n_users:,} x {self.n_items:,} cells"
            raise BadInput(
                "solver",
                "dense",
                remedy="choose adam or gibbs",
                problem=f"would hold {cells} in memory, more than {DENSE_LIMIT:,}",
            )
        user, item, rating = rows_of(train, device)
        ratings = torch.zeros(self.n_users, self.n_items, device=device)
        ratings[user, item] = rating
        mask = torch.zeros_like(ratings)
        mask[user, item] = 1
        return ratings, mask

    def dense_loss(self, ratings: Tensor, mask: Tensor) -> Tensor:
        """Return the same over a matrix (n_users, n_items), averaged over the cells that `mask` (0 or 1) observes."""
        users, items = self.network.users, self.network.items
        error = ((self.network.score_grid(users) - ratings) * mask).square().sum()
        penalty = (mask.sum(1) * users.square().sum((1, 2))).sum() + (mask.sum(0) * items.square().sum((1, 2))).sum()
        return (error + self.config.l2 * penalty) / mask.sum()

    def _targets(self, rating: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the targets of the linear part: the ratings, or before a sigmoid their clipped logits."""
        if not self.config.bounded:
            return rating
        low, high = self.scale
        share = np.clip((rating - low) / max(high - low, 1e-6), 0.05, 0.95)
        return np.log(share / (1 - share)).astype(np.float32)

    @property
    def scale(self) -> tuple[float, float]:
        return float(self.network.bounds[0]), float(self.network.bounds[1])

    def score_pairs(self, user: Tensor, item: Tensor) -> Tensor:
        network = self.network
        device = network.mean.device
        return network(network.users[user.to(device)], network.items[item.to(device)]).detach()

    @torch.no_grad()
    def score(self, user_idx: ArrayLike) -> Tensor:
        users = torch.as_tensor(as_indices(user_idx))
        return self.network.score_grid(self.network.users[users.to(self.network.mean.device)])

    @torch.no_grad()
    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) ratings expected of new users, their vectors solved from their rows."""
        return self.network.score_grid(self._vectors(histories))

    def _vectors(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, S, D + 1): vectors that fit the histories best, weighted by recency."""
        network = self.network
        centred = self._targets(histories.rating) - np.float32(network.mean.cpu())
        weight = recency_weights(histories, self.config)
        solvable, trusted = (
            Histories(histories.user_idx, histories.item_idx, w, histories.n_users) for w in (centred, weight)
        )
        user, item, _ = rows_of(histories, network.mean.device)
        counts = torch.from_numpy(histories.user_counts).to(network.mean).clamp(min=1)
        linked = counts.rsqrt()[user][:, None]
        vectors = network.users.new_zeros(histories.n_users, *network.users.shape[1:])
        for s in range(int(network.filled)):
            expected = network.prior[s].repeat(histories.n_users, 1)
            if len(network.links):
                expected.index_add_(0, user, linked * network.links[item, s])
            # The gradients' penalty grows with the number of ratings, which is as if each counted less.
            noise = network.noise[s].expand(len(counts)) if self.config.solver == "gibbs" else 1 / counts
            vectors[:, s], _ = posterior(
                solvable, network.items[:, s], expected, network.precision[s], noise, trusted=trusted
            )
        return vectors

    def item_vectors(self) -> Tensor:
        return self.network.items.detach()[..., :-1].flatten(1)

    @torch.no_grad()
    def product(self) -> Product:
        """Return the vectors of all samples, joined, whose products are the scores, and the offsets.

        Raises BadInput where `bounded` bends the products.
        """
        if self.config.bounded:
            raise no_product("bounded", True)
        network, filled = self.network, int(self.network.filled)
        users, items = network.users[:, :filled] / filled, network.items[:, :filled]
        return Product(
            users[..., :-1].flatten(1),
            items[..., :-1].flatten(1),
            network.mean + users[..., -1].sum(1),
            items[..., -1].mean(1),
        )

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.network = Factors(self.n_users, self.n_items, self.config)
        self.network.load_state_dict(state)
        self.network.eval()
