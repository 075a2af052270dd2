"""Parts that the networks of pair models are built of. Shapes as there: G groups of S users, each with K items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


class Table(nn.Embedding):
    """An embedding whose gradient is dL/dW[i] = the sum of dL/dy over the look-ups of i: one index_add_.

    An epoch of `mf` on ml-100k takes 1.1 times as long with PyTorch's backward pass (one CPU thread).
    """

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        if weight.device.type != "cpu":
            return super().forward(input)
        if torch.is_grad_enabled() and weight.requires_grad:
            return _Lookup.apply(input, weight)
        return _rows(weight, input)

    def holding(self, rows: Tensor) -> Table:
        """Return a table of these rows (n, D), in their own memory and not to be learned."""
        other = object.__new__(Table)  # `nn.Embedding` takes a tenth of a new user's answer to make one
        other.__dict__ = self.__dict__ | {"num_embeddings": len(rows)}
        other._parameters = {"weight": nn.Parameter(rows, requires_grad=False)}
        return other


def _rows(table: Tensor, index: Tensor) -> Tensor:
    return table.index_select(0, index.flatten()).view(*index.shape, -1)


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = len(weight)
        return _rows(weight, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (index,) = ctx.saved_tensors
        dim = grad.shape[-1]
        gradient = torch.zeros(ctx.rows, dim, dtype=grad.dtype)
        return None, gradient.index_add_(0, index.flatten(), grad.reshape(-1, dim))


def dot(u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Return (G, S, K) products of users (G, S, D) and items (G, K, D), plus biases (G, K)."""
    if v.shape[1] == 1:
        product = (u * v).sum(-1, keepdim=True)  # far faster than a batch of one-row matrix products
        return product if bias is None else product + bias[:, None]
    return torch.bmm(u, v.mT) if bias is None else torch.baddbmm(bias[:, None], u, v.mT)


def into_ball(x: Tensor) -> Tensor:
    """Return vectors of a length of at most 1."""
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1)


def look_up(table: nn.Embedding | Tensor, index: Tensor | None) -> Tensor:
    """Return the rows of a table, all of them for None."""
    if isinstance(table, nn.Embedding):
        return table.weight if index is None else table(index)
    return table if index is None else table[index]


def layers(sizes: Sequence[int], dropout: float, last_active: bool = False) -> nn.Sequential:
    """Return linear layers of these sizes with ReLU and dropout between them, and after the last if `last_active`."""
    made: list[nn.Module] = []
    for number, (n_in, n_out) in enumerate(pairwise(sizes), 2):
        made.append(nn.Linear(n_in, n_out))
        if number < len(sizes) or last_active:
            made += [nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*made)
