"""Gibbs sampling of a biased matrix factorisation of ratings: one chain, one sweep at a time, batched solves."""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.factors.ials import Histories
from recengine.training.progress import OnStep, no_step


class Prior(NamedTuple):
    """The normal prior of one side's vectors: mean (D,), precision (D, D), links (m, D) or None.

    A vector with the features f (m,) of its history is expected at mean + f @ links.
    """

    mean: Tensor
    precision: Tensor
    links: Tensor | None


class Links:
    """Which things of the other side an owner rated, as features F (n, m) that shift the mean of its vector.

    F is 1 / sqrt(length of the history) where there is a rating, as in SVD++ (Koren, KDD 2008); the shift is linear
    and its weights are sampled too (Simm et al., Macau, 2017). Only the smaller of F F' and F' F is factored.
    """

    def __init__(self, owner: Tensor, other: Tensor, n: int, m: int, l2: float) -> None:
        weight = torch.bincount(owner, minlength=n).to(torch.float32).clamp(min=1).rsqrt()[owner]
        self.features = _sparse(owner, other, weight, (n, m))
        self.mirrored = _sparse(other, owner, weight, (m, n))
        self.l2, self.small_n = l2, n <= m
        gram = self._gram(*((self.features, self.mirrored) if self.small_n else (self.mirrored, self.features)))
        gram.diagonal().add_(l2)
        self.factor = torch.linalg.cholesky(gram)

    @staticmethod
    def _gram(wide: Tensor, tall: Tensor) -> Tensor:
        """Return wide @ tall, (r, r), by blocks of dense columns of `tall`."""
        blocks = torch.arange(tall.shape[1], device=tall.device).split(256)
        return torch.cat([torch.sparse.mm(wide, tall.index_select(1, some).to_dense()) for some in blocks], dim=1)

    def shift(self, links: Tensor) -> Tensor:
        """Return F @ links, (n, D)."""
        return torch.sparse.mm(self.features, links)

    def sample(self, centred: Tensor, precision: Tensor, draws: torch.Generator) -> Tensor:
        """Draw links (m, D) given centred vectors (n, D): a draw of the prior, moved to fit (Matheron's rule)."""
        root = torch.linalg.cholesky(precision)
        links = _normal(self.features.shape[1], root, draws) / self.l2**0.5
        missed = centred - self.shift(links) - _normal(len(centred), root, draws)
        if self.small_n:
            return links + torch.sparse.mm(self.mirrored, torch.cholesky_solve(missed, self.factor))
        return links + torch.cholesky_solve(torch.sparse.mm(self.mirrored, missed), self.factor)


class Side:
    """The users or the items of a chain. `vectors` (n, D + 1) end in the offset; `means` are what they vary around."""

    def __init__(self, histories: Histories, links: Links | None, vectors: Tensor) -> None:
        self.histories, self.links = histories, links
        self.means = self.vectors = vectors
        self.rated = torch.from_numpy(histories.counts > 0).to(vectors.device)
        self.prior = Prior(torch.zeros_like(vectors[0]), torch.eye(vectors.shape[1], device=vectors.device), None)

    def sweep(self, other: Tensor, noise: float, draws: torch.Generator, rng: np.random.Generator) -> None:
        """Draw the prior given the vectors, then the vectors given `other` (m, D + 1) and the noise's precision."""
        shift = self._shift()
        mean, precision = sample_normal_wishart((self.vectors - shift)[self.rated], draws, rng)
        links = None
        if self.links is not None:
            links = self.links.sample((self.vectors - mean) * self.rated[:, None], precision, draws)
        self.prior = Prior(mean, precision, links)
        trust = torch.full_like(self.vectors[:, 0], noise)
        self.means, self.vectors = posterior(self.histories, other, mean + self._shift(), precision, trust, draws)

    def _shift(self) -> Tensor:
        if self.links is None or self.prior.links is None:
            return torch.zeros_like(self.vectors)
        return self.links.shift(self.prior.links)


class Chain:
    """rating = mean + p.q + b_user + b_item + noise, all but the mean sampled in turn (BPMF with biases).

    The vector and the offset of a user have one joint normal prior with a normal-Wishart hyperprior, those of an item
    another (Salakhutdinov & Mnih, Bayesian probabilistic matrix factorization using MCMC, ICML 2008). Without a
    rating, a vector stays at the prior's mean.
    """

    def __init__(
        self, rows: Interactions, dim: int, *, link_l2: float | None, init_std: float, seed: int, device: torch.device
    ) -> None:
        self.rng, self.draws = np.random.default_rng(seed), torch.Generator(device).manual_seed(seed)
        self.mean = float(rows.rating.mean(dtype=np.float64)) if len(rows) else 0.0
        self.noise = self.next_noise = 1.0
        self.user = torch.from_numpy(rows.user_idx.astype(np.int64)).to(device)
        self.item = torch.from_numpy(rows.item_idx.astype(np.int64)).to(device)
        centred = rows.rating - np.float32(self.mean)
        self.target = torch.from_numpy(centred).to(device)

        def side(index: str, other: str, owner: Tensor, rated: Tensor, n: int, m: int) -> Side:
            links = None if link_l2 is None else Links(owner, rated, n, m, link_l2)
            vectors = init_std * torch.randn(n, dim + 1, generator=self.draws, device=device)
            vectors[:, -1] = 0
            return Side(Histories(getattr(rows, index), getattr(rows, other), centred, n), links, vectors)

        self.users = side("user_idx", "item_idx", self.user, self.item, rows.n_users, rows.n_items)
        self.items = side("item_idx", "user_idx", self.item, self.user, rows.n_items, rows.n_users)

    def sweep(self, on_step: OnStep = no_step) -> float:
        """Draw everything once and return the mean squared error of this one sample.

        A sample predicts best by `users.means` times `items.vectors`: the sampling noise of the users is averaged out.
        """
        self.noise = self.next_noise
        self.items.sweep(self.users.vectors, self.noise, self.draws, self.rng)
        on_step(1, 2)
        self.users.sweep(self.items.vectors, self.noise, self.draws, self.rng)
        n, total = len(self.target), self.squared_error()
        self.next_noise = float(self.rng.gamma(1 + n / 2, 1 / (1 + total / 2)))
        return total / max(n, 1)

    def squared_error(self) -> float:
        """Return the sum of squared errors of the current sample."""
        total = 0.0
        for rows in torch.arange(len(self.target), device=self.target.device).split(2**18):
            p, q = self.users.vectors[self.user[rows]], self.items.vectors[self.item[rows]]
            expected = (p[:, :-1] * q[:, :-1]).sum(1) + p[:, -1] + q[:, -1]
            total += float((self.target[rows] - expected).square().sum())
        return total


def posterior(
    histories: Histories,
    other: Tensor,
    expected: Tensor,
    precision: Tensor,
    noise: Tensor,
    draws: torch.Generator | None = None,
    trusted: Histories | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (means, draws), both (n, D + 1), of vectors given the other side's (m, D + 1).

    Without `draws` the second is the first. Without a rating, a vector is where the prior expects it.

    histories : whose weights are the ratings less the mean of all
    expected  : (n, D + 1) the prior's means; precision : (D + 1, D + 1) the prior's; noise : (n,) the errors'
    trusted   : the same rows, with what each of them counts as weights; None: 1
    """
    means = expected.clone()
    sampled = means if draws is None else expected.clone()
    device, width = other.device, other.shape[1]
    counted = repeat(None) if trusted is None else trusted.batches(width)
    for (owners, rated, centred), counts in zip(histories.batches(width), counted, strict=False):
        rows = torch.from_numpy(owners).to(device)
        rated = rated.to(device)
        inside = torch.arange(rated.shape[1]) < torch.from_numpy(histories.counts[owners])[:, None]
        inside = inside.to(other) if counts is None else counts[2].to(other).sqrt()  # (B, L) 0 where there is no rating
        design = other[rated]  # (B, L, D + 1)
        target = (centred.to(other) - design[:, :, -1]) * inside
        design[:, :, -1] = 1
        design *= inside[:, :, None]
        trust = noise[rows][:, None, None]
        left = trust * (design.mT @ design) + precision  # (B, D + 1, D + 1)
        right = (trust * (design.mT @ target[:, :, None]))[:, :, 0] + expected[rows] @ precision
        root = torch.linalg.cholesky(left)
        solved = torch.cholesky_solve(right[:, :, None], root)
        means[rows] = solved[:, :, 0]
        if draws is not None:
            deviate = torch.randn(solved.shape, generator=draws, device=device)
            sampled[rows] = (solved + torch.linalg.solve_triangular(root.mT, deviate, upper=True))[:, :, 0]
    return means, sampled


def sample_normal_wishart(rows: Tensor, draws: torch.Generator, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw (mean, precision) of a normal distribution that produced `rows` (n, D).

    The hyperprior is the paper's: mean 0 worth 2 rows, D degrees of freedom, identity scale.
    """
    n, dim = rows.shape
    weight = 2.0
    mean = rows.mean(0) if n else rows.new_zeros(dim)
    centred = rows - mean
    scale = torch.eye(dim, device=rows.device) + centred.T @ centred
    scale += weight * n / (weight + n) * torch.outer(mean, mean)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(scale))
    bartlett = torch.tril(torch.randn(dim, dim, generator=draws, device=rows.device), -1)
    chi = rng.chisquare(dim + n - np.arange(dim)) ** 0.5
    bartlett += torch.diag(torch.from_numpy(chi).to(rows))
    root = torch.linalg.cholesky((inverse + inverse.T) / 2) @ bartlett
    precision = root @ root.T
    spread = torch.linalg.cholesky((weight + n) * precision)
    return n * mean / (weight + n) + _normal(1, spread, draws)[0], precision


def _normal(n: int, root: Tensor, draws: torch.Generator) -> Tensor:
    """Return (n, D) draws of a normal distribution whose precision has the Cholesky factor `root`."""
    deviate = torch.randn(root.shape[0], n, generator=draws, device=root.device)
    return torch.linalg.solve_triangular(root.T, deviate, upper=True).T


def _sparse(row: Tensor, column: Tensor, value: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_coo_tensor(torch.stack([row, column]), value, shape, check_invariants=True).coalesce()
