"""Losses over one positive and several negatives: pure functions of scores.

positive : (B,) scores of the positives; negative : (B, K) scores of K sampled negatives each.
margin   : float or (B, K), the ideal gap between the two; partial credit narrows it where the two are alike.
weight   : (B,), what each positive's part of the loss counts, before averaging over all; None counts all alike.

A negative of -inf is left out. With every other item as a negative, `softmax_loss` is the full cross entropy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name


def bpr_loss(positive: Tensor, negative: Tensor, margin: Tensor | float = 0.0, weight: Tensor | None = None) -> Tensor:
    """Bayesian personalised ranking: -log sigmoid(positive - negative - margin), averaged (Rendle et al. 2009)."""
    return weighted(F.softplus(negative - positive[:, None] + margin), weight).mean()


def hinge_loss(
    positive: Tensor, negative: Tensor, margin: Tensor | float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Penalise what is missing to the margin: max(0, margin - (positive - negative)), averaged."""
    return weighted(F.relu(margin - positive[:, None] + negative), weight).mean()


def adaptive_hinge_loss(
    positive: Tensor, negative: Tensor, margin: Tensor | float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Hinge against the hardest of each row's negatives (Weston et al. 2011, in the manner of WARP)."""
    return weighted(F.relu(margin - positive[:, None] + negative).amax(1), weight).mean()


def warp_loss(positive: Tensor, negative: Tensor, margin: Tensor | float = 1.0, weight: Tensor | None = None) -> Tensor:
    """Weighted approximate-rank pairwise: hinge, by log(1 + rank), over the negatives that violate the margin.

    The rank is the number of a row's negatives that come within the margin, which counts K draws at once where
    Weston et al. (2011) draw until the first; the weight carries no gradient.
    """
    violation = F.relu(margin - positive[:, None] + negative)
    rank = (violation > 0).sum(1)
    return weighted(torch.log1p(rank) * violation.sum(1) / rank.clamp(min=1), weight).mean()


def squared_loss(
    positive: Tensor, negative: Tensor, margin: Tensor | float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Squared error: positives towards 1, negatives towards 1 - margin, averaged over all."""
    masked = negative == -torch.inf
    error = negative.masked_fill(masked, 0) - (1 - margin)
    below = weighted(error.masked_fill(masked, 0).square(), weight)
    return (weighted((1 - positive).square(), weight).sum() + below.sum()) / (positive.numel() + negative.numel())


def softmax_loss(
    positive: Tensor, negative: Tensor, margin: Tensor | float = 0.0, weight: Tensor | None = None
) -> Tensor:
    """Sampled softmax: -log of the positive's share of exp(score) among itself and its negatives."""
    if isinstance(margin, Tensor) or margin:
        negative = negative + margin
    return weighted(_SoftmaxLoss.apply(positive, negative), weight).mean()


class _SoftmaxLoss(torch.autograd.Function):
    """-log p of the positive, (B,), p = exp(s) / (exp(s) + sum_k exp(s_k)), in a third of the passes over the scores.

    The forward pass keeps the negatives' shares p_k: dL/ds_k = p_k and dL/ds = p - 1 = -sum_k p_k. An epoch of `mf` on
    ml-100k takes 1.4 times as long with `logsumexp` over the joined scores instead (one CPU thread).
    """

    @staticmethod
    def forward(ctx: Any, positive: Tensor, negative: Tensor) -> Tensor:
        top = torch.maximum(positive, negative.amax(dim=1))
        shares = (negative - top[:, None]).exp_()  # a score of -inf takes no part
        total = shares.sum(dim=1).add_((positive - top).exp_())
        ctx.save_for_backward(shares.div_(total[:, None]))
        return total.log_().add_(top).sub_(positive)

    @staticmethod
    def backward(ctx: Any, grown: Tensor) -> tuple[Tensor, Tensor]:
        (shares,) = ctx.saved_tensors
        return -grown * shares.sum(dim=1), shares * grown[:, None]


def logistic_loss(
    positive: Tensor, negative: Tensor, margin: Tensor | float = 0.0, weight: Tensor | None = None
) -> Tensor:
    """Binary cross entropy: positives towards 1, each negative towards 0 (He et al. 2017)."""
    above, below = weighted(F.softplus(-positive), weight), weighted(F.softplus(negative + margin), weight)
    return (above.sum() + below.sum()) / (positive.numel() + negative.numel())


def weighted(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Return the losses (B,) or (B, K), each row times its weight (B,)."""
    if weight is None:
        return losses
    return losses * (weight if losses.ndim == 1 else weight[:, None])


LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "bpr": bpr_loss,
    "hinge": hinge_loss,
    "adaptive-hinge": adaptive_hinge_loss,
    "warp": warp_loss,
    "softmax": softmax_loss,
    "logistic": logistic_loss,
    "squared": squared_loss,
}

MARGINS: Mapping[str, float] = {
    name: inspect.signature(loss).parameters["margin"].default for name, loss in LOSSES.items()
}
"""The ideal gap of each loss when nothing narrows it."""
