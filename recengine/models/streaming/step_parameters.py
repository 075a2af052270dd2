"""The learned tables of `step`, which grow with the users and items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from recengine.models.streaming.step import StepConfig


class StepParameters(nn.Module):
    """Vectors, biases, moments of the optimiser and the random state, all updated in place."""

    users: Tensor
    items: Tensor
    bias: Tensor
    user_moments: Tensor
    newer: Tensor
    older: Tensor
    random: Tensor

    def __init__(self, config: StepConfig, n_users: int, n_items: int, seed: int) -> None:
        super().__init__()
        moments, dim = moments_of(config.optimizer), config.embedding_dim
        shapes = {"users": (0, dim), "items": (0, dim), "bias": (0, 1)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        for name, shape in zip(("user_moments", "item_moments", "bias_moments"), shapes.values(), strict=True):
            self.register_buffer(name, torch.zeros(moments, *shape))
        self.register_buffer("updates", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("random", torch.tensor([seed], dtype=torch.int64))
        self.register_buffer("older", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("newer", torch.zeros(1, dtype=torch.int32))
        self.grow(n_users, n_items, config)

    def grow(self, n_users: int, n_items: int, config: StepConfig) -> None:
        """Add rows for new users and items; in the ring the new items come first, as the oldest."""
        old_users, old_items = len(self.users), len(self.items)
        generator = torch.Generator().manual_seed((int(self.random) ^ (old_users << 20) ^ old_items) % 2**63)
        for owner, rows, spread in (("user", n_users, config.user_init_std), ("item", n_items, config.item_init_std)):
            table = getattr(self, f"{owner}s")
            new = torch.empty(rows - len(table), table.shape[1]).normal_(0, spread, generator=generator)
            setattr(self, f"{owner}s", torch.cat([table, new]))
            _widen(self, f"{owner}_moments", rows)
        self.bias = torch.cat([self.bias, torch.zeros(n_items - old_items, 1)])
        _widen(self, "bias_moments", n_items)
        if n_items > old_items:
            positions = torch.arange(old_items + 1, n_items + 1, dtype=torch.int32)
            oldest = self.newer[0].clone()
            self.newer = torch.cat([self.newer, positions + 1])
            self.older = torch.cat([self.older, positions - 1])
            self.newer[0], self.older[old_items + 1] = old_items + 1, 0
            self.newer[n_items], self.older[oldest] = oldest, n_items


def _widen(network: nn.Module, name: str, rows: int) -> None:
    table = getattr(network, name)
    setattr(network, name, torch.cat([table, torch.zeros(len(table), rows - table.shape[1], table.shape[2])], dim=1))


def moments_of(optimizer: str) -> int:
    """Return the number of moments that an optimiser keeps for each weight."""
    return {"sgd": 0, "adagrad": 1, "adam": 2}[optimizer]
