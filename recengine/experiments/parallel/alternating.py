"""Alternating least squares in parallel: users are solved where they are, items by sums over all processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.experiments.parallel.world import World
from recengine.models.factors.ials import IALS, Histories, Tables, conjugate_gradients

State = dict[str, Tensor]


class AlternatingTraining:
    """One process's part of the training of `ials`.

    An item's system is the sum over its users of v v', which nobody holds whole; conjugate gradients only ask for its
    product with a vector, to which every process adds its own users' part: a message of (n_items, D) for each step.
    """

    def __init__(self, world: World, model: IALS, train: Interactions, seed: int) -> None:
        self.world, self.model = world, model
        self.rows = train.of_users(world.own_users(train.n_users))
        self.n_users = train.n_users
        model.take_scale(train)
        network = self.network = model.network = Tables(self.rows.n_users, model.n_items, model.config.embedding_dim)
        draws = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            network.items.normal_(0, model.config.init_norm / model.config.embedding_dim**0.5, generator=draws)
        network.to(world.device)
        even = np.ones(len(self.rows), np.float32)
        self.by_user = Histories(self.rows.user_idx, self.rows.item_idx, even, self.rows.n_users, len(train))
        self.by_item = Histories(self.rows.item_idx, self.rows.user_idx, even, model.n_items, len(train))
        counts = torch.from_numpy(self.rows.item_counts.astype(np.float64)).to(world.device)
        world.add_up(counts)
        self.item_counts = counts.cpu().numpy().astype(np.int64)
        if len(self.rows):
            network.users.copy_(model.solve(self.by_user, network.items))

    @torch.no_grad()
    def epoch(self) -> float:
        """Solve the items, then the users, nearly; return the mean loss over all processes' positives."""
        tables = self.network
        tables.items.copy_(self._items())
        users, error = self.model.refine(self.by_user, tables.items, tables.users)
        tables.users.copy_(users)
        return self._loss(error)

    @torch.no_grad()
    def untrained_loss(self) -> float:
        """Return the mean loss before the first epoch."""
        return self._loss(self.model.error(self.by_user))

    def _loss(self, error: Tensor) -> float:
        users, items = self.network.users.double(), self.network.items.double()
        gram, error = users.T @ users, error.double().clone()
        self.world.add_up(gram, error)
        everywhere = (gram * (items.T @ items)).sum()
        return float((error + self.model.config.unobserved_weight * everywhere) / self.item_counts.sum())

    def _items(self) -> Tensor:
        """Return the items' vectors (n_items, D) after `CG_STEPS` of conjugate gradients, as `IALS.refine` has it."""
        users, items, config = self.network.users, self.network.items, self.model.config
        gram = users.T @ users
        self.world.add_up(gram)
        shared, basis = torch.linalg.eigh(config.unobserved_weight * gram)
        self.world.send(basis, 0)  # another machine may find the same vectors with other signs
        ridge = self.model.ridge(self.item_counts, users, self.n_users)
        diagonal = shared.clamp(min=1e-6) + ridge  # (n_items, D)
        turned, x = users @ basis, items @ basis
        right = self.by_item.sums(turned)
        self.world.add_up(right)
        conjugate_gradients(x, right, partial(self._product, turned), diagonal)
        x[torch.from_numpy(self.item_counts == 0).to(x.device)] = 0
        return x @ basis.T

    def _product(self, users: Tensor, items: Tensor) -> Tensor:
        """Return (n_items, D): for each item the sum over its users, wherever they are, of v v' times its row."""
        product = self.by_item.sums(users, items)
        self.world.add_up(product)
        return product

    @contextmanager
    def all_items(self) -> Iterator[None]:
        """Every process has all items."""
        yield

    def state(self, n_users: int) -> tuple[State, Mapping[int, State]]:
        """Return copies of the items, and of each own shard's users."""
        sizes = [len(self.world.users(shard, n_users)) for shard in self.world.own]
        parts = zip(self.world.own, self.network.users.split(sizes), strict=True)
        items = self.network.items.detach().cpu().clone()
        return {"items": items}, {shard: {"users": rows.detach().cpu().clone()} for shard, rows in parts}

    @torch.no_grad()
    def restore(self, shared: State, shards: Mapping[int, State], *, moments: bool = True) -> None:
        """Take the state of `state` back."""
        self.network.items.copy_(shared["items"])
        self.network.users.copy_(torch.cat([shards[shard]["users"] for shard in self.world.own]))

    def finish(self, train: Interactions) -> None:
        """Make the model serve all users of `train`: each is one solve, given the items."""
        model, items = self.model, self.network.items.detach()
        model.network = Tables(self.n_users, model.n_items, model.config.embedding_dim).to(items.device)
        model.network.items.copy_(items)
        model.serve_from(train)
