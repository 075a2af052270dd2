"""The steps of matrix factorisation without autograd: what `pair_loss` and Adagrad do, much faster on a CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler
from recengine.models.pair.networks import PairNetwork
from recengine.training.progress import OnStep

COMPILED_FROM = 20_000
"""Rows from which on the steps are compiled: for fewer, compiling them would cost more than they save."""
AT_ONCE = 2**16
"""Positives whose samples are drawn at once, and how many measure the untrained network."""


class CompiledSteps:
    """Takes the steps of an epoch, whose size and kind are those of the optimisers, in place.

    per_step : positives of a step, of which `share` at a time are compared with the same `negatives` samples
    known    : the positives that are no negative samples of their users; None leaves none out
    """

    def __init__(
        self,
        network: PairNetwork,
        train: Interactions,
        optimizers: list[torch.optim.Optimizer],
        generator: torch.Generator,
        *,
        negatives: int,
        share: int,
        per_step: int,
        l2: float,
        sampler: ItemSampler,
        known: Interactions | None,
    ) -> None:
        from recengine.models.pair.softmax_kernel import mark_known

        self.train, self.optimizers, self.generator, self.sampler = train, optimizers, generator, sampler
        self.negatives, self.share, self.per_step, self.l2 = negatives, share, per_step, np.float32(l2)
        self.at_once = max(1, AT_ONCE // per_step) * per_step
        held = {id(weight): (o, group) for o in optimizers for group in o.param_groups for weight in group["params"]}
        tables = [network.user_embedding.weight, network.item_embedding.weight]
        self.groups = [held[id(tables[0])][1], None]
        sums = [held[id(table)][0].state[table]["sum"] for table in tables]
        bias = torch.zeros(len(tables[1]), 1)
        if network.item_bias is None:
            tables, sums = [*tables, bias], [*sums, torch.zeros_like(bias)]
        else:
            optimizer, self.groups[1] = held[id(network.item_bias)]
            tables = [*tables, network.item_bias[:, None]]
            sums = [*sums, optimizer.state[network.item_bias]["sum"][:, None]]
        self.tables, self.sums = (tuple(each.detach().numpy() for each in side) for side in (tables, sums))
        pairs = np.empty(0, np.int64) if known is None else np.sort(known.pairs)
        user, item = np.divmod(pairs, train.n_items)
        starts = np.concatenate([[0], np.bincount(user, minlength=train.n_users).cumsum()])
        self.known = mark_known(starts, item.astype(np.int32), train.n_items)

    def __call__(self, on_step: OnStep, *, learn: bool = True) -> float:
        """Take one epoch's steps and return the mean of their losses; or measure that of some of them."""
        from recengine.models.pair.softmax_kernel import take_steps

        rates = [np.float32(group["lr"] if learn and group else 0.0) for group in self.groups]
        order = whole_groups(len(self.train), self.share, self.generator)
        if not learn:
            order = order[: self.at_once]
        total = 0.0
        for n, rows in enumerate(order.split(self.at_once)):
            on_step(n * self.at_once, len(order))
            negative = self.sampler.draw((len(rows) // self.share, self.negatives), self.generator)
            user, item = self.train.user_idx[rows.numpy()], self.train.item_idx[rows.numpy()]
            of_users = (user, item, negative.numpy(), self.known)
            total += take_steps(*of_users, self.tables, self.sums, tuple(rates), self.l2, self.per_step)
        for optimizer in self.optimizers:
            optimizer.step()  # without gradients it does nothing, but a schedule looks for it
        return total / -(-len(order) // self.per_step)


def whole_groups(n_rows: int, share: int, generator: torch.Generator) -> Tensor:
    """Return the rows in random order, some of them twice so that all groups of `share` are whole."""
    order = torch.randperm(n_rows, generator=generator, device=generator.device)
    return torch.cat([order, order[: -n_rows % share]])
