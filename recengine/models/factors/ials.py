"""Implicit alternating least squares with frequency-scaled regularisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.models.abilities import Product
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.models.factors.histories import BATCH_NUMBERS, TINY, Histories
from recengine.models.options import shared
from recengine.models.recency import TwoSidedConfig, TwoSidedModel
from recengine.training.config import Range, option
from recengine.training.loop import most_ranked, run_epochs
from recengine.training.progress import OnStep

WIDEST = 10_000
"""Rows of the other side that count in a penalty at most: in a longer catalogue the unseen items, of which there are a
thousand for each one chosen, would else hold every vector near zero for many epochs."""
CG_STEPS = 3
"""Steps of conjugate gradients in an epoch, which start from the vectors of the one before."""


@dataclass(frozen=True)
class IALSConfig(TwoSidedConfig):
    """Settings of `ials`."""

    embedding_dim: int = shared("embedding_dim", 64, search=Range(16, 256, log=True))
    unobserved_weight: float = option(
        0.3,
        "weight of the error of a pair that was not chosen, where that of a chosen pair is 1",
        low=0,
        high=10,
        search=Range(0.01, 1, log=True),
        primary=1,
    )
    l2: float = shared(
        "l2",
        0.01,
        note="it grows with the frequency to the power `frequency_scaling`",
        search=Range(0.0005, 0.1, log=True),
    )
    frequency_scaling: float = option(
        1.0, "0: the same penalty for all; 1: in proportion to frequency", low=0, high=1, search=Range(0, 1)
    )
    init_norm: float = option(0.1, "typical length of an item's starting vector", low=0, high=10, open_low=True)


class IALS(TwoSidedModel[IALSConfig], Recommender[IALSConfig]):
    """Minimise sum over chosen (1 - u.v)^2 + w * sum over all (u.v)^2 + ridge, one side at a time.

    The ridge of a user is l2 * (chosen items + w * n_items, at most `WIDEST`)^nu, an item's likewise (Rendle,
    Krichene, Zhang & Koren, Revisiting the performance of iALS, RecSys 2022; after Hu, Koren & Volinsky, ICDM 2008). A
    new user's vector is one more such solution, so nothing is retrained. Users are solved last and exactly, so a user
    of the data is scored as a new user with the same history is. What a new user dislikes is a pair with the target -1.
    """

    name = "ials"
    title = "iALS"
    abilities = ("similar", "product", "fold-in", "explain")
    family = "collaborative"
    summary = "Matrix factorisation by alternating least squares. A new viewer costs one small equation."
    reference = "Rendle et al., Revisiting the performance of iALS on item recommendation benchmarks, RecSys 2022"
    Config = IALSConfig
    version = 5
    preset_epochs = 20
    preset_patience = 4

    def learn(self, train: Interactions, context: FitContext) -> None:
        config, device = self.config, context.run.torch_device()
        self.network = Tables(self.n_users, self.n_items, config.embedding_dim)
        draws = torch.Generator().manual_seed(context.run.seed)
        with torch.no_grad():
            self.network.items.normal_(0, config.init_norm / config.embedding_dim**0.5, generator=draws)
        self.network.to(device)
        self.take_scale(train)
        even = np.ones(len(train), np.float32)
        by_user = Histories(train.user_idx, train.item_idx, even, self.n_users)
        by_item = Histories(train.item_idx, train.user_idx, even, self.n_items)

        @torch.no_grad()
        def epoch(on_step: OnStep) -> float:
            tables = self.network
            tables.items.copy_(self.refine(by_item, tables.users, tables.items)[0])
            on_step(1, 2)
            users, error = self.refine(by_user, tables.items, tables.users)
            tables.users.copy_(users)
            return float(self._mean_loss(error, by_user))

        self.network.users.copy_(self.solve(by_user, self.network.items))
        self.training_log = run_epochs(
            self.network,
            epoch=epoch,
            untrained_loss=lambda: float(self._loss(by_user)),
            **context.loop_options(self, train),
        )
        self.serve_from(train)

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        # both tables and the best epoch's; in a solve, the one side's and three of the other's in another basis
        return {
            "embedding_dim": 4 * (5 * (n_users + n_items) * self.config.embedding_dim + 6 * BATCH_NUMBERS),
            "": 4 * 4 * min(n_users, most_ranked(n_items)) * n_items,
        }

    def serve_from(self, rows: Interactions) -> None:
        self.network.users.copy_(self.vectors(rows))

    def solve(self, histories: Histories, fixed: Tensor) -> Tensor:
        """Return (n, D): for each history the vector that fits it best, the other side's `fixed` (m, D) given."""
        dim = fixed.shape[1]
        base = self.config.unobserved_weight * fixed.T @ fixed  # (D, D)
        if histories.is_compiled(fixed):
            return histories.solve(fixed, base, self.ridge(histories.counts, fixed))
        solved = torch.zeros(len(histories.counts), dim, device=fixed.device)
        for owners, other, weight in histories.batches(dim):
            v = gather(fixed, other)  # (B, L, D)
            signed = weight.to(fixed.device)[:, :, None]
            vectors = v * signed  # zero where padded
            ridge = self.ridge(histories.counts[owners], fixed)
            left = (v * signed.abs()).mT @ v + base + torch.diag_embed(ridge.expand(-1, dim))
            factor = torch.linalg.cholesky(left)
            solved[torch.from_numpy(owners)] = torch.cholesky_solve(vectors.sum(1)[:, :, None], factor)[:, :, 0]
        return solved

    def refine(self, histories: Histories, fixed: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return nearly what `solve` does, (n, D), by `CG_STEPS` of conjugate gradients from `vectors`, much faster.

        Also return the squared error over the chosen pairs, which follows from the last residual r = b - A x: with s
        the scores of the chosen and b = sum w v, sum w s = x.b and sum w s (1 - s) = x.r + x.diagonal x.

        After Takács, Pilászy & Tikk (Applications of the conjugate gradient method for implicit feedback collaborative
        filtering, RecSys 2011), preconditioned: each system is one that all owners share plus a few rows,
        and in the eigenvectors of the shared one its inverse is a division.
        """
        dim = fixed.shape[1]
        shared, basis = torch.linalg.eigh(self.config.unobserved_weight * fixed.T @ fixed)  # (D,), (D, D)
        shared, turned, start = shared.clamp(min=1e-6), fixed @ basis, vectors @ basis
        if histories.is_compiled(fixed):
            ridge = self.ridge(histories.counts, fixed)
            refined, chosen_error = histories.refine(turned, shared, ridge, start, CG_STEPS)
            return refined @ basis.T, torch.tensor(chosen_error, dtype=torch.float64)
        refined, error = torch.zeros_like(start), torch.zeros((), dtype=torch.float64, device=fixed.device)
        for owners, other, weight in histories.batches(dim, per_owner=0):
            rows = torch.from_numpy(owners).to(fixed.device, non_blocking=True)
            v = gather(turned, other)  # (B, L, D)
            w = weight.to(fixed.device, non_blocking=True)[:, None]  # (B, 1, L), 0 where padded
            diagonal = (shared + self.ridge(histories.counts[owners], fixed))[:, None]  # (B, 1, D)
            x = start.index_select(0, rows)[:, None]
            right = w @ v
            left = conjugate_gradients(x, right, partial(_products, v, w), diagonal)
            refined[rows] = x[:, 0]
            error += w.sum(dtype=torch.float64) - (x * (right + left + diagonal * x)).sum(dtype=torch.float64)
        return refined @ basis.T, error

    def ridge(self, counts: NDArray[np.int64], fixed: Tensor, n_fixed: int | None = None) -> Tensor:
        """Return the penalties (B, 1) of owners by their numbers of rows (B,), none so small that a solve fails.

        n_fixed : rows of the other side, of which `fixed` may be a part
        """
        config = self.config
        n_fixed = min(len(fixed) if n_fixed is None else n_fixed, WIDEST)
        frequency = torch.from_numpy(counts).to(fixed, non_blocking=True)[:, None] + config.unobserved_weight * n_fixed
        return (config.l2 * frequency**config.frequency_scaling).clamp(min=1e-4)

    def _loss(self, by_user: Histories) -> Tensor:
        """Return the mean squared error over the chosen pairs plus the weighted error over all pairs."""
        return self._mean_loss(self.error(by_user), by_user)

    def error(self, by_user: Histories) -> Tensor:
        """Return the squared error over the chosen pairs, ()."""
        users, items = self.network.users, self.network.items
        error = torch.zeros((), dtype=torch.float64, device=users.device)
        for owners, other, weight in by_user.batches(users.shape[1], per_owner=0):
            u, v = users[torch.from_numpy(owners)][:, None], gather(items, other)  # (B, 1, D), (B, L, D)
            error += (weight.to(u.device)[:, None] * (1 - u @ v.mT).square()).sum()
        return error

    def _mean_loss(self, error: Tensor, by_user: Histories) -> Tensor:
        """Add the weighted error over all pairs, and share the sum out over the chosen ones."""
        users, items = self.network.users, self.network.items
        everywhere = ((users.T @ users) * (items.T @ items)).sum()
        return (error + self.config.unobserved_weight * everywhere) / by_user.counts.sum()

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = torch.as_tensor(as_indices(user_idx))
        return (self.network.users[users.to(self.network.users.device)] @ self.network.items.T).detach()

    @torch.no_grad()
    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of new users: one solve each."""
        return self.vectors(histories) @ self.network.items.T

    def vectors(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, D): for each history the vector that fits it best, weighted by recency."""
        weight = self.signed_weights(histories)
        some, heard = histories.select(weight != 0), weight[weight != 0]
        rows = Histories(some.user_idx, some.item_idx, heard, some.n_users)
        return self.solve(rows, self.network.items)

    @torch.no_grad()
    def explain(self, history: Interactions, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each row of a user's history adds to each score."""
        return self.network.items[torch.as_tensor(as_indices(item_idx))] @ self.parts(history).T

    def parts(self, history: Interactions) -> Tensor:
        """Return (n_history, D): what each row of a user's history adds to the user's vector.

        The vector is A^-1 sum_j w_j v_j, of which item j's part is A^-1 w_j v_j (Hu et al. 2008, section 5).
        """
        items = self.network.items
        past = items[torch.from_numpy(history.item_idx.astype(np.int64)).to(items.device)]  # (n_history, D)
        weight = torch.from_numpy(self.signed_weights(history)).to(items.device)[:, None]
        weighted = past * weight
        left = (past * weight.abs()).T @ past + self.config.unobserved_weight * items.T @ items
        left.diagonal().add_(float(self.ridge(np.array([int((weight != 0).sum())]), items)))
        return torch.linalg.solve(left, weighted.T).T

    def item_vectors(self) -> Tensor:
        return self.network.items.detach()

    def product(self) -> Product:
        """Return the users' and the items' vectors."""
        return Product(self.network.users.detach(), self.network.items.detach())

    def state(self) -> dict[str, Tensor]:
        return {**self.network.state_dict(), "scale": self.scale}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.network = Tables(self.n_users, self.n_items, state["items"].shape[1])
        self.network.load_state_dict({name: state[name] for name in ("users", "items")})
        self.scale = state["scale"]


def conjugate_gradients(x: Tensor, right: Tensor, product: Callable[[Tensor], Tensor], diagonal: Tensor) -> Tensor:
    """Take `CG_STEPS` towards the x (..., D) with product(x) + diagonal * x = right, in `x`; return what is left over.

    product : the part of the symmetric systems beyond their diagonal, which alone is the preconditioner
    """
    left = torch.addcmul(right - product(x), diagonal, x, value=-1)
    step = left / diagonal
    size = (left * step).sum(-1, keepdim=True)
    for _ in range(CG_STEPS):
        image = torch.addcmul(product(step), diagonal, step)
        far = size / (step * image).sum(-1, keepdim=True).clamp(min=TINY)
        x.addcmul_(far, step)
        left.addcmul_(far, image, value=-1)
        scaled = left / diagonal
        before, size = size.clamp(min=TINY), (left * scaled).sum(-1, keepdim=True)
        step = torch.addcmul(scaled, size / before, step)
    return left


def _products(v: Tensor, w: Tensor, x: Tensor) -> Tensor:
    """Return the sums (B, 1, D) of w v v' x over the rows v (B, L, D) with weights w (B, 1, L), for x (B, 1, D)."""
    return w * (x @ v.mT) @ v


def gather(table: Tensor, index: Tensor) -> Tensor:
    """Return the rows (B, L, D) of a table for an index (B, L)."""
    index = index.to(table.device, non_blocking=True)  # else the host would wait for the device
    return table.index_select(0, index.flatten()).view(*index.shape, -1)


class Tables(nn.Module):
    """The two tables, users (n_users, D) and items (n_items, D)."""

    def __init__(self, n_users: int, n_items: int, dim: int) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.zeros(n_users, dim), requires_grad=False)
        self.items = nn.Parameter(torch.zeros(n_items, dim), requires_grad=False)
